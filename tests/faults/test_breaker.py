"""The breaker over raw sockets: what opens it, who may pass, and what closes it."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import Any

import pytest

import routerlab as rl

DOWN = ["read", ("answer", 503, {"error": {"message": "down"}})]
BAD_REQUEST = ["read", ("answer", 400, {"error": {"message": "no"}})]
LIMITED = ["read", ("answer", 429, {"error": {"message": "slow down"}}, {"retry-after": "0"})]
ONCE = {"retry": {"max_retries": 0}}


def breaker(threshold: int = 1, reset_timeout: float = 0.2, **more: int) -> dict[str, Any]:
    return ONCE | {"breaker": {"failure_threshold": threshold, "reset_timeout": reset_timeout} | more}


def stats(bench: Any, model: str = "a/one") -> dict[str, Any]:
    return bench.lab._session.health.breaker(model).stats(time.monotonic())


def moves(bench: Any) -> list[tuple[str, str]]:
    events = bench.lab.events()
    return list(zip(events["old"], events["new"], strict=True))


def test_a_success_in_between_keeps_it_closed(stage) -> None:
    fails = [DOWN] * 4
    server = stage.server(*fails, ["hi"], *fails, ["hi"], *fails, DOWN)
    bench = stage.bench(breaker(5, 60), a=server)
    for _ in range(14):
        bench.ask()
        assert stats(bench)["state"] == "closed"
    bench.ask()
    assert stats(bench)["state"] == "open"
    assert moves(bench) == [("closed", "open")]


@pytest.mark.parametrize("late", ["hi", DOWN], ids=["success", "failure"])
@pytest.mark.parametrize("into", ["open", "half_open"])
def test_a_late_result_from_before_the_break_is_ignored(late: Any, into: str, stage, in_threads) -> None:
    answer = ("answer", 200, {"choices": [{"message": {"content": "Hi"}}]}) if late == "hi" else DOWN[1]
    broken = threading.Event()
    server = stage.server(["read", broken.is_set, answer], DOWN, DOWN, ["read", "stall"])
    bench = stage.bench(breaker(2, 60 if into == "open" else 1), a=server)
    (first,) = in_threads(lambda: bench.lab.chat("hello"))
    stage.until(lambda: server.requests)
    for _ in range(2):
        with pytest.raises(rl.ProviderUnavailableError):
            bench.lab.chat("hello")
    assert moves(bench) == [("closed", "open")]
    opened, probe = stats(bench), None
    if into == "half_open":
        stage.until(lambda: stats(bench)["state"] == "half_open")
        (probe,) = in_threads(lambda: bench.lab.chat("hello", deadline=3))
        stage.until(lambda: stats(bench)["probes_in_flight"])
    broken.set()
    assert (first.exception(30) is None) == (late == "hi")
    after = stats(bench)
    assert after["state"] == into
    if into == "open":
        assert after["remaining"] < opened["remaining"]  # not extended
    else:
        assert after["probes_in_flight"] == 1
        assert type(probe.exception(30)) is rl.RequestTimeoutError
        assert stats(bench)["free_probe_slots"] == 1


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("how", ["100 tasks", "24 threads"])
def test_a_crowd_at_a_half_open_breaker(slots: int, how: str, stage, in_threads) -> None:
    """Exactly so many probes pass, and failover protects those who do not."""
    size = int(how.split(maxsplit=1)[0])
    healthy = stage.server()
    others_answered = lambda: len(healthy.requests) == 1 + size - slots  # noqa: E731 - the first one opened it
    probes = ["read", others_answered, ("answer", 200, {"choices": [{"message": {"content": "Hi"}}]})]
    server = stage.server(DOWN, probes)
    bench = stage.bench(breaker(1, 0.05, half_open_max=slots, success_threshold=slots), a=server, b=healthy)
    lab = bench.lab
    assert lab.chat("hello").model == "b/one"
    time.sleep(0.06)
    if how.endswith("tasks"):

        async def crowd() -> list[Any]:
            return await asyncio.gather(*(lab.achat("hello") for _ in range(size)))

        models = [reply.model for reply in asyncio.run(crowd())]
    else:
        models = [future.result(30).model for future in in_threads(*[lambda: lab.chat("hello")] * size)]
    assert models.count("a/one") == slots
    mine = lab.attempts().query("model == 'a/one'")[["reason", "outcome", "error_message"]].to_dict("records")
    assert len(server.requests) == 1 + slots, mine
    assert stats(bench)["state"] == "closed"
    probed = lab.attempts()["reason"].tolist()
    assert probed.count("probe") == slots


def test_one_slot_can_serve_two_probes_in_turn(stage) -> None:
    bench = stage.bench(breaker(1, 0.05, half_open_max=1, success_threshold=2), a=stage.server(DOWN, ["hi"]))
    bench.ask()
    time.sleep(0.06)
    assert [bench.ask().column("reason"), stats(bench)["state"]] == [["probe"], "half_open"]
    assert [bench.ask().column("reason"), stats(bench)["state"]] == [["probe"], "closed"]
    assert moves(bench) == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


@pytest.mark.parametrize("neutral", [BAD_REQUEST, LIMITED], ids=["400", "429"])
def test_a_neutral_probe_frees_its_slot(neutral: Any, stage) -> None:
    bench = stage.bench(breaker(1, 0.05), a=stage.server(DOWN, neutral, ["hi"]))
    bench.ask()
    time.sleep(0.06)
    bench.ask()
    assert (stats(bench)["state"], stats(bench)["free_probe_slots"]) == ("half_open", 1)
    assert bench.ask().column("breaker_after") == ["closed"]


def test_a_cancelled_probe_frees_its_slot(stage) -> None:
    bench = stage.bench(breaker(1, 0.05), a=stage.server(DOWN, ["read", "stream", ("chunks", "x"), "stall"], ["hi"]))
    bench.ask()
    time.sleep(0.06)
    for _ in bench.lab.stream("hello"):
        break
    stage.until(lambda: not bench.snapshot("a/one").in_flight)
    assert (stats(bench)["state"], stats(bench)["free_probe_slots"]) == ("half_open", 1)
    assert bench.ask().column("breaker_after") == ["closed"]


def test_a_probes_failure_reopens_for_a_full_timeout_and_the_caller_does_not_notice(stage) -> None:
    server = stage.server(DOWN)
    bench = stage.bench(breaker(1, 2.0), a=server, b=stage.server())
    bench.ask()
    stage.until(lambda: stats(bench)["state"] == "half_open")
    asked = bench.ask()
    assert (asked.column("model"), asked.column("reason")) == (["a/one", "b/one"], ["probe", "failover"])
    assert 1.0 < stats(bench)["remaining"] <= 2.0
    assert bench.ask().column("model") == ["b/one"]
    assert moves(bench) == [("closed", "open"), ("open", "half_open"), ("half_open", "open")]


def test_a_probe_that_no_answer_comes_to_does_not_wedge_it(stage) -> None:
    """Under the router a permit is never lost: the attempt's own clock ends it."""
    server = stage.server(DOWN, ["read", "stall"], ["hi"])
    bench = stage.bench(breaker(1, 0.05) | {"timeouts": {"request": 1.0}}, a=server, b=stage.server())
    for models in (["a/one", "b/one"], ["a/one", "b/one"], ["a/one"]):
        assert bench.ask().column("model") == models
        time.sleep(0.06)


def test_a_streams_outcome_is_recorded_when_the_stream_ends(stage) -> None:
    looked = threading.Event()
    server = stage.server(DOWN, ["read", "stream", ("chunks", "x"), looked.is_set, ("chunks", "y"), "finish", "done"])
    bench = stage.bench(breaker(1, 0.05), a=server)
    bench.ask()
    time.sleep(0.06)
    pieces = iter(bench.lab.stream("hello"))
    assert next(pieces) == "x"
    assert (stats(bench)["state"], stats(bench)["probes_in_flight"]) == ("half_open", 1)
    looked.set()
    assert list(pieces) == ["y"]
    assert stats(bench)["state"] == "closed"


def test_reading_the_state_changes_nothing(stage) -> None:
    bench = stage.bench(breaker(1, 1.0), a=stage.server(DOWN, ["hi"]))
    bench.ask()
    seen = []

    def read() -> bool:
        seen.append(bench.lab.breaker("a/one").state)
        bench.lab.health()
        bench.lab.explain("hello")
        repr(bench.lab.breaker("a/one"))
        return seen.count("half_open") > 20

    stage.until(read)
    assert set(seen) == {"open", "half_open"}
    assert moves(bench) == [("closed", "open")]
    assert bench.ask().column("reason") == ["probe"]


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "soon", None])
@pytest.mark.parametrize("name", ["failure_threshold", "reset_timeout", "half_open_max", "success_threshold"])
def test_settings_that_make_no_sense_are_refused_at_configuration(name: str, value: Any, stage) -> None:
    with pytest.raises(ValueError, match=name):
        stage.bench({"breaker": {name: value}}, a="http://127.0.0.1:1")


@pytest.mark.parametrize("workers", [1, 16])
@pytest.mark.parametrize("script", [DOWN, ["read", "rst"]], ids=["503", "reset"])
def test_a_dead_first_model_costs_no_call_and_few_requests(workers: int, script: Any, stage) -> None:
    server, good = stage.server(script), stage.server()
    lab = stage.bench({"breaker": {"failure_threshold": 5}}, a=server, b=good).lab

    async def crowd() -> list[str]:
        slots = asyncio.Semaphore(workers)

        async def one() -> str:
            async with slots:
                return (await lab.achat("hello")).model

        return await asyncio.gather(*(one() for _ in range(200)))

    assert asyncio.run(crowd()) == ["b/one"] * 200
    assert len(server.requests) <= 20
    rows = lab.attempts()["model"].value_counts()
    assert (rows["a/one"], rows["b/one"]) == (len(server.requests), 200)
