"""A run of the command line, seen from a lab in another process: its panel moves, and nothing disturbs the run."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.core.types import Price
from routerlab.simulation.server import SimulatedServer
from routerlab.views.still import Still

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")

REPOSITORY = Path(__file__).parents[2]
ITEMS = 90
CONFIG = """
providers:
  sim:
    kind: openai_compatible
    base_url: {url}
    models: {{alpha: {{price: {{input: 1.0, output: 2.0}}}}}}
store: runs.db
"""


@pytest.fixture
def server() -> Iterator[SimulatedServer]:
    model = SimulatedModel("alpha", ttft_s=Latency(0.05), tokens_per_s=Latency(0.0), price=Price(1.0, 2.0))
    with SimulatedServer([model], separate_ports=False) as running:
        yield running


@pytest.fixture
def replay(server: SimulatedServer, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``routerlab replay`` on 90 items, named ``night``."""
    (tmp_path / "lab.yaml").write_text(CONFIG.format(url=server.url()), encoding="utf-8")
    items = "".join(f'{{"prompt": "item {n}", "target": "{n}"}}\n' for n in range(ITEMS))
    (tmp_path / "data.jsonl").write_text(items, encoding="utf-8")
    started: list[subprocess.Popen[str]] = []

    def start(*more: str) -> subprocess.Popen[str]:
        words = ["replay", "data.jsonl", "--models", "sim/alpha", "--scorer", "contains", "--name", "night"]
        command = [sys.executable, "-m", "routerlab.cli", *words, "--concurrency", "3", *more]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(found: Callable[[], Any], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return value


def attached(lab: rl.Lab, store: Path) -> Any:
    """Once the run is in its file."""

    def tried() -> Any:
        try:
            return lab.attach("night", store)
        except (rl.StoreError, rl.ConfigurationError):
            return None

    return until(tried)


def test_the_panel_follows_a_run_of_another_process_which_does_not_notice(
    replay: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: SimulatedServer,
) -> None:
    server.faults.slow("alpha", extra_s=4)  # it goes on for two minutes: time to look
    process = replay()
    threads = threading.active_count()
    with rl.Lab.demo() as lab:
        run = attached(lab, tmp_path / "runs.db")
        early = until(lambda: run.progress.done)
        assert (run.status, run.progress.total) == ("running", ITEMS)
        assert f"at work in process {process.pid} on " in run.notes[0]
        until(lambda: run.progress.done > early)
        (shown,) = lab._live.activity.shown()["runs"]
        assert (shown["name"], shown["status"], shown["stoppable"]) == ("night", "running", False)
        assert "night: running" in str(run.panel())
        assert repr(run).startswith("<AttachedRun 'night' running · ")
        early = run.progress.done
    assert run.wait(60.0).progress.done < ITEMS, "closed with its lab"
    monkeypatch.chdir(tmp_path)
    with rl.Lab("lab.yaml", store=False) as lab:  # the process goes on, and its lab's own configuration serves to look
        run = lab.attach("night")
        assert run.progress.done >= early
        server.faults.clear()
        assert run.wait(60.0).status == "done"
        assert process.wait(60.0) == 0
        assert (run.progress.done, run.progress.ok, run.notes) == (ITEMS, ITEMS, [])
        opened = run.open()
        assert run.progress.cost_usd == pytest.approx(opened.progress.cost_usd)
        assert opened.df["score_contains"].notna().all()
        assert [one["status"] for one in lab._live.activity.shown()["runs"]] == ["done"]
    gc.collect()
    until(lambda: threading.active_count() <= threads)
    assert [path.name for path in tmp_path.glob("runs.db*")] == ["runs.db"], "no file was left open"


def test_a_killed_run_says_how_to_go_on(
    replay: Callable[..., subprocess.Popen[str]], tmp_path: Path, server: SimulatedServer
) -> None:
    server.faults.slow("alpha", extra_s=2)
    store = tmp_path / "runs.db"
    process = replay()
    with rl.Lab.demo() as lab:
        run = attached(lab, store)
        until(lambda: run.progress.done > 5)
        process.kill()
        process.wait()
        assert run.wait(60.0).status == "interrupted"
        line = "routerlab replay data.jsonl --models sim/alpha --scorer contains --name night --concurrency 3"
        assert run.notes == [f"its process ended without a word; to go on: {line}"]
        assert line in str(run.panel())
        assert rl.open_run("night", store).status == "interrupted"
    kept = rl.open_run("night", store).progress.done
    server.faults.clear()
    process = replay()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "night · done" in out
    run = rl.open_run("night", store)
    assert (run.status, run.progress.done) == ("done", ITEMS)
    assert kept > 5


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_and_prints_the_line_that_goes_on(
    replay: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: int, code: int, server: SimulatedServer
) -> None:
    server.faults.slow("alpha", extra_s=1)
    process = replay("--json")
    until(lambda: server.requests("alpha") > 10)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    run = rl.open_run("night", tmp_path / "runs.db")
    assert run.status == "stopped"
    line = "routerlab replay data.jsonl --models sim/alpha --scorer contains --name night --concurrency 3 --json"
    assert err.splitlines()[-1] == f"{run.progress.done} of {ITEMS} rows are kept; to go on: {line}"
    assert f'"to_go_on": "{line}"' in out


def test_a_second_signal_does_not_wait(replay: Callable[..., subprocess.Popen[str]], server: SimulatedServer) -> None:
    server.faults.slow("alpha", extra_s=1)
    process = replay()
    until(lambda: server.requests("alpha") > 10)
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):  # it finds both when it goes on
        process.send_signal(number)
    assert process.wait(60.0) in {128 + signal.SIGINT, 128 + signal.SIGTERM}


def test_what_there_is_not_is_told(tmp_path: Path) -> None:
    with rl.Lab.demo() as lab:
        with pytest.raises(rl.StoreError, match="no run is kept in"):
            lab.attach("night", tmp_path / "none.db")
        with rl.Lab.demo(store=tmp_path / "some.db") as other:
            other.replay([{"prompt": "hello"}], ["sim/alpha"], name="nights")
        with pytest.raises(rl.ConfigurationError, match="did you mean 'nights'"):
            lab.attach("night", tmp_path / "some.db")
        run = lab.attach("nights", tmp_path / "some.db")
        assert (run.over, run.status, run.progress.done, run.notes) == (True, "done", 1, [])
        assert isinstance(run.panel().still, Still)
