"""Runs that are killed or interrupted: nothing finished is lost or sent again; the simulated server counts."""

from __future__ import annotations

import json
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

RUN = """
import json, sys
import routerlab as rl
config, items, options = json.loads(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
lab = rl.Lab(config, store="runs.db", **options)
data = [{"id": str(n), "prompt": f"item {n}", "target": str(n)} for n in range(items)]
run = lab.replay(data, ["sim/alpha", "sim/beta"], scorers=["contains"], name="night", concurrency=4, preflight=False)
print(run.status, run.progress.done, flush=True)
lab.close()
"""


@pytest.fixture
def server() -> Iterator[SimulatedServer]:
    """Two models that answer within some milliseconds."""
    models = [SimulatedModel(name, ttft_s=Latency(0.02), price=Price(1.0, 2.0)) for name in ("alpha", "beta")]
    with SimulatedServer(models, separate_ports=False) as running:
        yield running


def started(server: SimulatedServer, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """A process that has imported all it needs and waits to be told to begin."""
    provider = {"kind": "openai_compatible", "base_url": server.url(), "models": ["alpha", "beta"]}
    asked = json.dumps([{"providers": {"sim": provider}}, ITEMS, options])
    command, environment = [sys.executable, "-c", RUN, asked], os.environ | {"PYTHONPATH": str(REPOSITORY)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("options", [{}, {"store_text": False}], ids=["with texts", "without texts"])
def test_kill_9_in_a_loop_loses_nothing_finished_and_repeats_at_most_what_was_in_flight(
    server: SimulatedServer, tmp_path: Path, options: dict[str, Any]
) -> None:
    chance, kills, done = random.Random(5), 0, 0
    waiting = started(server, tmp_path, **options)
    while True:
        process, waiting = waiting, started(server, tmp_path, **options)
        begin(process)
        try:
            process.wait(0.1 + 0.6 * chance.random() if kills < 12 else 60)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
        if (tmp_path / "runs.db").is_file() and kills > 1:
            try:
                kept = rl.open_run("night", tmp_path / "runs.db").progress.done
            except rl.ConfigurationError:  # killed before the run had its row
                kept = 0
            assert kept >= done, "what was finished stays finished"
            done = kept
    waiting.kill()
    waiting.communicate()
    out, err = process.communicate()
    assert out.split() == ["done", str(2 * ITEMS)], err
    requests = sum(server.requests(model) for model in ("alpha", "beta"))
    assert 2 * ITEMS <= requests <= 2 * ITEMS + kills * CONCURRENCY
    print(f"{kills} kills, {requests - 2 * ITEMS} calls repeated")
    assert kills > 3
    run = rl.open_run("night", tmp_path / "runs.db")
    rows = Counter((row["item_id"], row["variant"], row["repeat"], row["status"]) for row in run.engine.rows())
    assert set(rows.values()) == {1}
    assert len(rows) == 2 * ITEMS
    assert {key[3] for key in rows} == {"ok"}
    assert run.df["text"].notna().all() == (not options)
    assert run.df["score_contains"].notna().all()


def test_a_second_process_on_one_run_is_refused(server: SimulatedServer, tmp_path: Path) -> None:
    server.faults.inject("sim/alpha", "slow", extra_s=0.2)
    first = started(server, tmp_path)
    begin(first)
    while not (tmp_path / "runs.db").is_file() or not server.requests("alpha"):
        time.sleep(0.01)
    second = started(server, tmp_path)
    begin(second)
    _, err = second.communicate(timeout=30)
    assert "StoreInUseError" in err
    assert str(first.pid) in err
    first.kill()
    first.communicate()


def test_an_interrupt_returns_the_partial_run_and_prints_the_line_that_goes_on(
    server: SimulatedServer, tmp_path: Path
) -> None:
    process = started(server, tmp_path)
    begin(process)
    while server.requests("beta") < 20:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    status, done = out.split()
    assert status == "stopped"
    assert 0 < int(done) < 2 * ITEMS
    assert "are kept; to go on: lab.replay(…, name='night')" in err
    assert f"of {ITEMS} prompts complete on all 2" in err
    assert rl.open_run("night", tmp_path / "runs.db").progress.done == int(done)
