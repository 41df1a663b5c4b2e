"""Runs whose calls are made by Dask's workers: real processes, one of them killed; the simulated server counts."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.core.types import Price
from routerlab.experiments import cluster_link
from routerlab.experiments.cluster_crew import Crew
from routerlab.experiments.portable import pack
from routerlab.lab import Lab
from routerlab.simulation.server import SimulatedServer

distributed = pytest.importorskip("distributed", reason='needs pip install "routerlab[dask]"')

REPOSITORY = Path(__file__).parents[2]
KEY, WORKERS_KEY = "sk-of-the-client-4711", "sk-of-the-workers-0815"
MODELS = ["sim/alpha", "sim/beta"]
SESSIONS = "len(__import__('routerlab.experiments.cluster_session', fromlist=['x'])._benches)"
THREADS = "[t.name for t in __import__('threading').enumerate() if t.name.startswith('routerlab')]"

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="needs kill -9"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers, with a key of their own in their environment."""
    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": 0, "silence_logs": 50}
    options["env"] = {"GATE_KEY": WORKERS_KEY, "PYTHONPATH": str(REPOSITORY)}
    cluster = distributed.LocalCluster(n_workers=2, host="127.0.0.1", **options)
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def server(brake: Any) -> Iterator[SimulatedServer]:
    """Two models that answer within some milliseconds, where the key is the workers'."""
    models = [
        SimulatedModel(name, ttft_s=Latency(0.03), tokens_per_s=Latency(5000), price=Price(1.0, 2.0))
        for name in ("alpha", "beta")
    ]
    with SimulatedServer(models, separate_ports=False, api_key=WORKERS_KEY, faults=brake) as running:
        yield running


@pytest.fixture
def lab_of(server: SimulatedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Lab]]:
    """A lab whose own key would be refused, and whose rows go to ``runs.db``; options go to its provider."""
    monkeypatch.setenv("GATE_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    labs = []

    def make(**options: Any) -> Lab:
        models = {name: {"price": {"input": 1.0, "output": 2.0}} for name in ("alpha", "beta")}
        gate = {"kind": "openai_compatible", "base_url": server.url(), "api_key": "${env:GATE_KEY}", "models": models}
        labs.append(Lab({"providers": {"sim": gate | options}}, store=tmp_path / "runs.db"))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


def items(count: int) -> list[dict[str, str]]:
    return [{"id": str(n), "prompt": f"item {n}", "target": str(n)} for n in range(count)]


def requests(server: SimulatedServer) -> int:
    return sum(server.requests(model) for model in server.models)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def left_in(client: Any) -> tuple[set[int], list[str]]:
    """Sessions and threads of ours in the workers."""
    names = client.run(eval, THREADS).values()
    return set(client.run(eval, SESSIONS).values()), [name for part in names for name in part]


def test_the_demo_on_processes_of_its_own(no_leaks: None) -> None:  # before `client`, whose sockets come and go
    with rl.Lab.demo() as lab:
        lab.faults.outage("sim/alpha", duration=600)
        run = lab.replay(rl.load_dataset("quickstart_qa").sample(20), scorers=["exact"], engine="dask", concurrency=4)
        assert (run.status, run.progress.ok) == ("done", 20)
        assert run.simulated
        assert set(run.df["model"]) == {"sim/beta"}
        assert run.df["score_exact"].mean() > 0.5
        assert (lab.events()["kind"] == "breaker").any()


def test_a_worker_that_is_killed_loses_no_row_and_doubles_none(
    client: Any, server: SimulatedServer, brake: Any, lab_of: Callable[..., Lab], tmp_path: Path
) -> None:
    lab, worker = lab_of(), next(iter(client.run(os.getpid).values()))
    brake.free = 100
    options = {"scorers": ["contains"], "concurrency": 16, "budget_usd": 5.0, "preflight": False, "max_tokens": 20}
    run = lab.replay(items(150), MODELS, name="night", engine=client, wait=False, **options)
    until(lambda: requests(server) > 80)
    os.kill(worker, signal.SIGKILL)
    brake.free = math.inf
    run.wait(300)
    assert run.status == "done"
    wanted = Counter((str(n), model, 0) for n in range(150) for model in MODELS)
    frame, calls = run.df, lab.calls()
    assert Counter(zip(frame["item_id"], frame["variant"], frame["repeat"], strict=True)) == wanted
    assert set(frame["status"]) == {"ok"}
    assert frame["score_contains"].notna().all()
    assert frame["text"].notna().all()
    assert Counter(zip(calls["item_id"], calls["variant"], calls["repeat"], strict=True)) == wanted
    assert calls["call_id"].is_unique
    assert len(lab.attempts()) == len(lab.decisions()) == 300
    scores = lab._session.recorder.columns("scores", {"run_id": run.run_id})
    assert Counter(zip(scores["item_id"], scores["variant"], scores["repeat"], strict=True)) == wanted
    (lost,) = (row for row in lab.events().to_dict("records") if row["kind"] == "worker_lost")
    in_flight = int(lost["new"].split()[0])
    assert 300 <= requests(server) <= 300 + in_flight <= 300 + 16
    assert any(note.endswith(f"with {in_flight} calls in flight") for note in run.notes)
    assert run.engine.budget.spent_usd == pytest.approx(calls["cost_usd"].sum() + run.engine.budget.guessed_usd)
    assert run.engine.budget.spent_usd < 5.0
    until(lambda: left_in(client) == ({0}, []))
    lab.close()
    kept = rl.open_run("night", tmp_path / "runs.db")
    assert kept.progress.done == 300
    assert all(WORKERS_KEY.encode() not in file.read_bytes() for file in tmp_path.glob("runs.db*"))


def test_a_run_that_is_stopped_ends_its_sessions_and_goes_on_elsewhere(
    client: Any, server: SimulatedServer, brake: Any, lab_of: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of()
    monkeypatch.setattr(cluster_link, "_PATIENCE_S", 300.0)  # a busy worker cancels late
    brake.free, brake.extra_s = 40, 600.0
    run = lab.replay(items(60), MODELS, name="night", engine=client, concurrency=8, wait=False)
    until(lambda: requests(server) >= 40 + 8)  # eight are on their way, for ten minutes
    done = run.stop().wait(300).progress.done
    brake.free = math.inf
    assert (run.status, run.over) == ("stopped", True)
    assert 20 < done < 120
    until(lambda: left_in(client) == ({0}, []))
    until(lambda: not any(thread.name == "routerlab-dask" for thread in threading.enumerate()))
    cancelled = int((lab.calls()["outcome"] == "cancelled").sum())
    assert 0 < cancelled <= 8  # what was under way left its trace
    lab.close()
    monkeypatch.setenv("GATE_KEY", WORKERS_KEY)
    run = lab_of().replay(items(60), MODELS, name="night")
    assert (run.status, run.progress.done) == ("done", 120)
    assert run.engine.kept_before >= done
    assert requests(server) <= 120 + cancelled + 2 * 2  # two preflights


def test_the_budget_holds(client: Any, lab_of: Callable[..., Lab]) -> None:
    run = lab_of().replay(items(60), MODELS, engine=client, budget_usd=0.001, max_tokens=20, preflight=False)
    assert run.status == "stopped"
    assert 0 < run.progress.done < 120
    assert run.engine.budget.spent_usd <= 0.001
    assert any("stopped at its budget" in note for note in run.notes)


def test_a_run_that_ends_while_it_connects_closes_its_client() -> None:
    async def talk(silent: socket.socket) -> str:
        crew = Crew("r", {}, land=lambda *_: None, lost=lambda *_: None)
        opening = asyncio.create_task(crew.open(f"tcp://127.0.0.1:{silent.getsockname()[1]}", None))
        with (await asyncio.to_thread(silent.accept))[0]:
            opening.cancel()
            await asyncio.wait([opening])
        return crew._client.status

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert asyncio.run(talk(silent)) == "closed"


def test_a_key_that_the_workers_do_not_have_is_told(
    client: Any, lab_of: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, server: SimulatedServer
) -> None:
    monkeypatch.setenv("OTHER_KEY", "sk-only-here-1234")
    run = lab_of(api_key="${env:OTHER_KEY}").replay(items(2), MODELS, engine=client, wait=False)
    with pytest.raises(rl.ConfigurationError, match=r"worker .* cannot take part:.*\n.*OTHER_KEY is not set"):
        run.wait(300)
    assert run.status == "failed"
    assert requests(server) == 0
    until(lambda: left_in(client) == ({0}, []))


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "sk-typed-in-12345"},
        {"api_key": None, "headers": {"Authorization": "Bearer sk-typed-in-12345"}},
        {"headers": {"X-Team": "a8f3kd92kd02lx83"}},
        {"base_url": "http://127.0.0.1:1/v1", "proxy": "http://me:secret-word@127.0.0.1:1"},
    ],
)
@pytest.mark.filterwarnings("ignore:.*holds a key itself:UserWarning")
def test_a_key_in_the_configuration_itself_is_refused(
    client: Any, lab_of: Callable[..., Lab], options: dict[str, Any], server: SimulatedServer
) -> None:
    lab = lab_of(**options)
    with pytest.raises(rl.ConfigurationError, match=r"providers\.sim\.\S+ holds a key itself.*\$\{env:NAME\}") as told:
        lab.replay(items(2), MODELS, engine=client)
    assert not any(secret in str(told.value) for secret in ("typed-in", "a8f3kd92", "secret-word"))
    assert requests(server) == 0


def test_what_travels_holds_no_key(lab_of: Callable[..., Lab]) -> None:
    packed = pickle.dumps(pack(lab_of(headers={"X-Gate": "Gate ${env:GATE_KEY}", "X-Team": "nlp"})._session))
    assert KEY.encode() not in packed
    assert b"Gate ${env:GATE_KEY}" in packed


def test_a_connector_of_the_notebook_is_refused(
    client: Any, lab_of: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    import __main__
    from routerlab.providers.openai_compatible import OpenAICompatibleProvider

    monkeypatch.setattr(__main__, "House", OpenAICompatibleProvider, raising=False)
    with pytest.raises(rl.ConfigurationError, match="move the class into a module that they can import"):
        lab_of(kind="__main__:House").replay(items(2), MODELS, engine=client)


@pytest.mark.parametrize("engine", ["ray", 3])
def test_another_engine_is_refused(lab_of: Callable[..., Lab], engine: Any) -> None:
    with pytest.raises(rl.ConfigurationError, match=r'expected "dask" or a running dask\.distributed\.Client'):
        lab_of().replay(items(2), MODELS, engine=engine)
