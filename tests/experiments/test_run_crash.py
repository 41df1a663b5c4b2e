"""Runs that are killed or interrupted: nothing finished is lost or sent again; the simulated server counts."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.core.types import Price
from routerlab.simulation.server import SimulatedServer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs kill -9")

REPOSITORY = Path(__file__).parents[2]
ITEMS, CONCURRENCY = 150, 4
SLACK = 6  # requests that a run may send after the one that it is to be killed at, before the models get slow

RUN = """
import json, os, sys
import routerlab as rl
import routerlab.providers.openai_compatible, routerlab.session.config_build, routerlab.views.start

def run(config, items, options):
    lab = rl.Lab(config, store="runs.db", **options)
    data = [{"id": str(n), "prompt": f"item {n}", "target": str(n)} for n in range(items)]
    models = ["sim/alpha", "sim/beta"]
    run = lab.replay(data, models, scorers=["contains"], name="night", concurrency=4, preflight=False)
    print(run.status, run.progress.done, flush=True)
    lab.close()

print("ready", flush=True)
for line in sys.stdin:  # each time from the beginning, but for the imports
    child = os.fork()
    if not child:
        run(*json.loads(sys.argv[1]))
        sys.exit()
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


@pytest.fixture
def server(brake: Any) -> Iterator[SimulatedServer]:
    """Two models that answer within some dozens of milliseconds, piece by piece."""
    models = [
        SimulatedModel(name, ttft_s=Latency(0.02), tokens_per_s=Latency(2000), price=Price(1.0, 2.0))
        for name in ("alpha", "beta")
    ]
    with SimulatedServer(models, separate_ports=False, faults=brake) as running:
        yield running


def started(server: SimulatedServer, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """A process that has imported all it needs and waits to be told to begin."""
    provider = {"kind": "openai_compatible", "base_url": server.url(), "models": ["alpha", "beta"]}
    asked = json.dumps([{"providers": {"sim": provider}}, ITEMS, options])
    command, environment = [sys.executable, "-c", RUN, asked], os.environ | {"PYTHONPATH": str(REPOSITORY)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)
    assert told(process) == "ready"
    return process


def told(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def begin(process: subprocess.Popen[str]) -> int:
    """Have it run in a child; returns the child's id."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(told(process))


def seen(server: SimulatedServer) -> int:
    """Requests that have arrived."""
    return sum(server.requests(model) for model in ("alpha", "beta"))


def kill(process: subprocess.Popen[str], server: SimulatedServer, brake: Any, chance: random.Random) -> None:
    """Begin a run and kill it some requests later, or before its first."""
    calls = chance.randrange(12)
    target, end = seen(server) + calls, time.monotonic() + 30
    brake.free = target + SLACK
    child = begin(process)
    while seen(server) < target and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep((0.03 if calls else 0.3) * chance.random())
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("options", "kills"), [({}, 20), ({"store_text": False}, 5)], ids=["with texts", "without texts"]
)
def test_kill_9_in_a_loop_loses_nothing_finished_and_repeats_at_most_what_was_in_flight(
    server: SimulatedServer, brake: Any, tmp_path: Path, options: dict[str, Any], kills: int
) -> None:
    chance, done = random.Random(5), 0
    process = started(server, tmp_path, **options)
    for _ in range(kills):
        kill(process, server, brake, chance)
        assert told(process) == "ended", "the run was over before the last kill"
        if (tmp_path / "runs.db").is_file():
            try:
                kept = rl.open_run("night", tmp_path / "runs.db").progress.done
            except rl.RouterLabError:  # killed before the run, or the store, was there
                kept = 0
            assert kept >= done, "what was finished stays finished"
            assert seen(server) <= kept + kills * CONCURRENCY
            done = kept
    assert done > 0
    brake.free = math.inf
    begin(process)
    out, err = process.communicate(timeout=300)
    assert out.split() == ["done", str(2 * ITEMS), "ended"], err
    requests = seen(server)
    assert 2 * ITEMS <= requests <= 2 * ITEMS + kills * CONCURRENCY
    print(f"{kills} kills, {requests - 2 * ITEMS} calls repeated")
    run = rl.open_run("night", tmp_path / "runs.db")
    rows = Counter((row["item_id"], row["variant"], row["repeat"], row["status"]) for row in run.engine.rows())
    assert set(rows.values()) == {1}
    assert len(rows) == 2 * ITEMS
    assert {key[3] for key in rows} == {"ok"}
    assert run.df["text"].notna().all() == (not options)
    assert run.df[["score_contains", "ttft_s"]].notna().all(axis=None), "scored, and streamed"


def test_a_second_process_on_one_run_is_refused(server: SimulatedServer, tmp_path: Path) -> None:
    server.faults.inject("sim/alpha", "slow", extra_s=5)
    first, second = started(server, tmp_path), started(server, tmp_path)
    child = begin(first)
    while not (tmp_path / "runs.db").is_file() or not server.requests("alpha"):
        time.sleep(0.01)
    begin(second)
    _, err = second.communicate(timeout=300)
    assert "StoreInUseError" in err
    assert str(child) in err
    os.kill(child, signal.SIGKILL)
    first.communicate()


def test_an_interrupt_returns_the_partial_run_and_prints_the_line_that_goes_on(
    server: SimulatedServer, tmp_path: Path
) -> None:
    process = started(server, tmp_path)
    child = begin(process)
    while server.requests("beta") < 20:
        time.sleep(0.005)
    os.kill(child, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    status, done, _ = out.split()
    assert status == "stopped"
    assert 0 < int(done) < 2 * ITEMS
    assert "are kept; to go on: lab.replay(…, name='night')" in err
    assert f"of {ITEMS} prompts complete on all 2" in err
    assert rl.open_run("night", tmp_path / "runs.db").progress.done == int(done)
