"""The parts of a run on workers, without workers: what a lost call costs, what a worker hands over, what it forgets."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import CompletionResponse
from routerlab.experiments import cluster_session
from routerlab.experiments.budget import Budget
from routerlab.experiments.cluster_link import Link, WorkerLostError
from routerlab.experiments.cluster_replay import ClusterReplay
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.plan import Arm, ReplayPlan
from routerlab.experiments.portable import pack, unpack
from routerlab.lab import Lab
from routerlab.session.recorder import Recorder
from routerlab.session.results import AttemptRecord, CallResult, CallSpec
from routerlab.session.session import Session

HERE = SimpleNamespace(address="tcp://here")
COST = 0.5


class Workers:
    """Answer each call for half a dollar; those of some items are lost so many times first."""

    def __init__(self, losses: dict[str, int]) -> None:
        self.losses, self.asked = Counter(losses), Counter[str]()

    async def __call__(self, spec: CallSpec) -> CallResult:
        assert spec.item_id is not None
        self.asked[spec.item_id] += 1
        await asyncio.sleep(0)
        if self.losses[spec.item_id] > 0:
            self.losses[spec.item_id] -= 1
            raise WorkerLostError("gone")
        attempt = AttemptRecord("c", None, 1, "p/m", "p", "selected", 0.0, outcome="ok", cost_usd=COST)
        return CallResult("c", spec, {"cost_usd": COST}, CompletionResponse("4"), attempts=[attempt])

    async def close(self) -> list[str]:
        return ["closed"]


def replayed(losses: dict[str, int], budget_usd: float | None = None, count: int = 4) -> tuple[ClusterReplay, Workers]:
    items = load_dataset([{"id": f"q{n}", "prompt": f"item {n}"} for n in range(count)])
    plan = ReplayPlan(items, (Arm("p/m", model="p/m"),), concurrency=2, budget_usd=budget_usd, seed=None)
    budget = Budget(budget_usd, price=lambda model, usage: COST, models=[["p/m"]], tries=1)
    workers = Workers(losses)
    run = ClusterReplay(plan, call=workers, recorder=Recorder(), budget=budget)  # type: ignore[arg-type]
    asyncio.run(run.run())
    return run, workers


def test_a_lost_call_is_made_again_and_its_lease_counts_as_spent() -> None:
    run, workers = replayed({"q1": 2})
    assert run.status == "done"
    assert [row["status"] for row in run.rows()] == ["ok"] * 4
    assert workers.asked == {"q0": 1, "q1": 3, "q2": 1, "q3": 1}
    assert run.budget.known_usd == 4 * COST
    assert run.budget.spent_usd == 6 * COST
    assert run.notes[:2] == ["closed", "calls lost with their workers may have cost up to $1"]


def test_leases_that_were_lost_never_lead_over_the_budget() -> None:
    run, workers = replayed({"q0": 1, "q1": 1}, budget_usd=5 * COST)
    assert run.status == "stopped"
    assert run.progress.done == 3
    assert run.budget.spent_usd == 5 * COST
    assert workers.asked.total() == 5


def test_an_item_that_loses_three_workers_fails_and_may_be_tried_again() -> None:
    run, workers = replayed({"q2": 3})
    assert [row["status"] for row in run.rows()] == ["ok", "ok", "failed", "ok"]
    assert run.rows()[2]["error_type"] == "WorkerLostError"
    again = run.again()
    asyncio.run(again.run())
    assert [row["status"] for row in again.rows()] == ["ok"] * 4
    assert workers.asked["q2"] == 4


def spec(number: int = 0) -> CallSpec:
    return CallSpec(({"role": "user", "content": f"item {number}"},), model="sim/alpha", run_id="r", item_id="q")


async def ended(count: int) -> dict[int, Any]:
    """What so many calls brought, by number."""
    found: dict[int, Any] = {}
    while len(found) < count:
        found |= {number: pickle.loads(data) for number, data in await cluster_session.take("r", dask_worker=HERE)}  # noqa: S301
    return found


def test_a_worker_hands_over_each_call_with_its_rows_once(make_lab: Callable[..., Lab]) -> None:
    packed = pack(make_lab(alpha={}, beta={"ttft_s": 30})._session)

    async def talk() -> None:
        assert await cluster_session.begin("r", packed, dask_worker=HERE) == []
        slow = CallSpec(spec().messages, model="sim/beta", run_id="r")
        calls = [(0, spec()), (1, spec(1)), (2, slow)]
        assert await cluster_session.exchange("r", calls, [], dask_worker=HERE)
        found = await ended(2)
        assert await cluster_session.exchange("r", [], [2, 0], dask_worker=HERE)  # 0 has ended already
        found |= await ended(1)
        for number in (0, 1):
            result, cause, rows = found[number]
            assert (result.row["outcome"], result.row["simulated"], cause) == ("ok", True, None)
            tables = Counter(table for table, _ in rows)
            assert tables == {"calls": 1, "attempts": 1, "texts": 1, "decisions": 1, "candidates": 1}
            assert rows[-1][1]["request"]["messages"][0]["content"] == f"item {number}"
        result, _, rows = found[2]
        assert result is None
        assert [row["outcome"] for table, row in rows if table == "calls"] == ["cancelled"]
        await cluster_session.end("r", dask_worker=HERE)
        assert await cluster_session.take("r", dask_worker=HERE) is None
        assert not await cluster_session.exchange("r", [], [], dask_worker=HERE)

    asyncio.run(talk())


def test_what_a_worker_cannot_make_is_told_in_words(
    make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(make_lab()._session)
    strange = {"providers": {"x": {"kind": "no.such:Thing", "models": ["m"]}}}

    async def told(**changes: Any) -> str:
        (problem,) = await cluster_session.begin("r", packed | changes, dask_worker=HERE)
        return problem

    assert "is installed there and 0.0.1 here: install the same one" in asyncio.run(told(version="0.0.1"))
    assert "the simulated providers run on elsewhere" in asyncio.run(told(host="elsewhere"))
    told_kind = asyncio.run(told(written=strange, simulated={}))
    assert "'no.such:Thing': module 'no.such' cannot be imported" in told_kind
    assert cluster_session._benches == {}


def test_a_session_that_ends_while_it_is_made_is_closed(make_lab: Callable[..., Lab]) -> None:
    packed = pack(make_lab()._session)

    async def talk() -> list[str]:
        beginning = asyncio.create_task(cluster_session.begin("r", packed, dask_worker=HERE))
        await asyncio.sleep(0)
        await cluster_session.end("r", dask_worker=HERE)
        return await beginning

    assert asyncio.run(talk()) == ["the run has ended meanwhile"]
    assert cluster_session._benches == {}


def test_a_session_without_a_client_ends(make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_session, "_FORGOTTEN_S", 0.05)
    packed = pack(make_lab()._session)

    async def talk() -> None:
        assert await cluster_session.begin("r", packed, dask_worker=HERE) == []
        for _ in range(6000):
            if cluster_session._benches:
                await asyncio.sleep(0.01)
        assert cluster_session._benches == {}

    asyncio.run(talk())  # `make_lab` looks for threads and sockets that are left


def test_errors_and_bodies_that_cannot_travel_are_told_in_words() -> None:
    class Strange(Exception):  # noqa: N818 - nobody else knows it
        pass

    result = CallResult("c", spec(), error=Strange("what now"))
    back, _, _ = pickle.loads(cluster_session._pickled(result, []))  # noqa: S301
    assert repr(back.error) == "RuntimeError('Strange: what now')"
    result = CallResult("c", spec(), response=CompletionResponse("4", raw=lambda: None))
    back, _, _ = pickle.loads(cluster_session._pickled(result, []))  # noqa: S301
    assert (back.response.text, back.response.raw) == ("4", None)


def test_a_link_takes_each_result_once_and_keeps_the_cause_of_an_error() -> None:
    landed: list[Any] = []
    error = RuntimeError("no")
    error.__cause__ = ProviderError("404", fault=Fault.STATUS, status=404)
    known = cluster_session._pickled(CallResult("c", spec(), error=error), [("calls", {"call_id": "c"})])
    inbox: asyncio.Queue[list[tuple[int, bytes]]] = asyncio.Queue()

    async def ask(function: Any, run: str, *args: Any) -> Any:
        if function is cluster_session.take:
            return await inbox.get()
        return [] if function is cluster_session.begin else True

    async def talk() -> CallResult:
        link = Link("tcp://there", "r", ask=ask, land=lambda *parts: landed.append(parts), lost=lambda _: None)
        await link.open({"version": "1"})
        call = asyncio.create_task(link.call(spec()))
        await asyncio.sleep(0)
        await inbox.put([(0, known), (0, known), (7, known)])
        result = await call
        await link.close()
        return result

    result = asyncio.run(talk())
    assert isinstance(result.error.__cause__ if result.error else None, ProviderError)
    assert len(landed) == 1
    assert landed[0][2] == [("calls", {"call_id": "c"})]


def test_a_session_made_again_asks_the_same_simulated_models(
    make_lab: Callable[..., Lab], requests_of: Callable[[Lab, str], int]
) -> None:
    lab = make_lab(alpha={}, beta={})
    session = Session(unpack(pack(lab._session)), Recorder())
    try:
        result = session.run(session.call(spec()))
        assert (result.error, result.row["simulated"]) == (None, True)
        assert requests_of(lab, "alpha") == 1
    finally:
        session.close()
