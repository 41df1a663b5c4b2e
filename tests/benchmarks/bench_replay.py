"""A replay of 30,000 items at concurrency 128: what store and scorers cost, and what others make of the same calls.

The server is the simulated one, in a process of its own. The others get fewer items; calls/s are compared. Programs of
their own are timed less their start, which is what they take for a few items.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from local_lab import lab_at
from measure import bar, installed

from routerlab.views.run import Run

CONCURRENCY = 128
ITEMS, ROUNDS, PEER_ITEMS, FEW = 30_000, 3, 2_000, 128
WITH_STORE, LITELLM, EVALUATION_TOOLS, GROWTH_KIB = 0.85, 5.0, 3.0, 1.0

Timed = Callable[[int], float]  # a number of items to seconds


def main(*, quick: bool) -> None:
    items, rounds, peer_items = (60, 1, 0) if quick else (ITEMS, ROUNDS, PEER_ITEMS)
    with simulated() as base, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory: list[tuple[int, float]] = []
        ours = {
            "store and scorers": lambda n: replayed(base, n, folder / "runs.db", memory),
            "without": lambda n: replayed(base, n, None),
        }
        rate = against_itself(ours, items, rounds)
        report_memory(memory, items)
        for peer, (timed, aim) in peers(base, folder).items():
            if peer_items:
                seconds = timed(peer_items) - timed(FEW)
                theirs = (peer_items - FEW) / seconds
                print(f"  {peer}: {theirs:,.0f} calls/s")
                bar(f"calls/s with store and scorers against {peer}", rate / theirs, aim, at_least=True)


def against_itself(ours: Mapping[str, Timed], items: int, rounds: int) -> float:
    """Calls/s with store and scorers; they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ours}
    for number in range(rounds):
        for name in list(ours)[:: -1 if number % 2 else 1]:
            gc.collect()
            seconds[name].append(ours[name](items))
    for name, taken in seconds.items():
        print(f"  {items:,} items, {name}: {items / median(taken):,.0f} calls/s (rounds: {len(taken)})")
    stored, plain = seconds.values()
    ratios = [without / withs for without, withs in zip(plain, stored, strict=True)]
    bar("calls/s with store and scorers against without", median(ratios), WITH_STORE, at_least=True)
    return items / median(stored)


def replayed(base: str, items: int, store: Path | None, memory: list[tuple[int, float]] | None = None) -> float:
    """Seconds of a replay; each has its own store and lab."""
    if store is not None:
        store.unlink(missing_ok=True)
    with lab_at(base, store=False if store is None else store) as lab:
        started = time.perf_counter()
        scorers = None if store is None else ["exact"]
        run = lab.replay(
            prompts(items), models=["local/m"], scorers=scorers, concurrency=CONCURRENCY, stream=False, wait=False
        )
        watch(run, [] if memory is None else memory)
        seconds = time.perf_counter() - started
        assert run.progress.ok == items, run
        return seconds


def watch(run: Run, memory: list[tuple[int, float]]) -> None:
    """Wait for a run; notes what is done and how much is in memory (MiB) on the way."""
    memory.clear()
    while not run.over:
        run.wait(0.5)
        memory.append((run.progress.done, resident_mib()))


def report_memory(memory: list[tuple[int, float]], items: int) -> None:
    """What a row more takes, once a third of them is there."""
    first = next(point for point in memory if point[0] >= items / 3)
    last = memory[-1]
    print(f"  resident: {first[1]:.0f} MiB at {first[0]:,} rows, {last[1]:.0f} MiB at {last[0]:,}")
    each = (last[1] - first[1]) * 1024 / max(1, last[0] - first[0])
    bar("memory of a row", each, GROWTH_KIB, at_least=False, unit="KiB")


def peers(base: str, folder: Path) -> dict[str, tuple[Timed, float]]:
    """Those that are here, with what is aimed at."""
    found: dict[str, tuple[Timed, float]] = {}
    if installed("litellm"):
        found["LiteLLM"] = (lambda n: in_process("litellm", base, n, folder), LITELLM)
    if installed("inspect_ai"):
        found["inspect_ai"] = (lambda n: in_process("inspect_ai", base, n, folder), EVALUATION_TOOLS)
    if program := os.environ.get("PROMPTFOO") or shutil.which("promptfoo"):
        found["promptfoo"] = (lambda n: promptfoo(program, base, n, folder), EVALUATION_TOOLS)
    else:
        print("  (promptfoo is not installed: npm install -g promptfoo, or name it in PROMPTFOO)")
    return found


def in_process(peer: str, base: str, items: int, folder: Path) -> float:
    """Seconds of a peer in a fresh interpreter, without its imports."""
    command = [sys.executable, str(Path(__file__).with_name("peers.py")), peer, base, str(items), str(CONCURRENCY)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def promptfoo(program: str, base: str, items: int, folder: Path) -> float:
    """Seconds of the whole program."""
    config = {
        "providers": [{"id": "openai:chat:m", "config": {"apiBaseUrl": base, "apiKey": "none"}}],
        "prompts": ["{{question}}"],
        "tests": [
            {"vars": {"question": row["prompt"]}, "assert": [{"type": "equals", "value": row["target"]}]}
            for row in prompts(items)
        ],
    }
    (folder / "promptfooconfig.json").write_text(json.dumps(config))
    home = {"PROMPTFOO_CONFIG_DIR": str(folder / "home")}
    quiet = dict.fromkeys(("PROMPTFOO_DISABLE_TELEMETRY", "PROMPTFOO_DISABLE_UPDATE"), "1")
    words = [
        "eval",
        "-c",
        "promptfooconfig.json",
        "-j",
        str(CONCURRENCY),
        "--no-cache",
        "--no-progress-bar",
        "--no-table",
    ]
    started = time.perf_counter()
    subprocess.run([program, *words], cwd=folder, env={**os.environ, **home, **quiet}, capture_output=True, check=False)
    return time.perf_counter() - started


def prompts(items: int) -> list[dict[str, str]]:
    return [{"id": f"q{i}", "prompt": f"Why is the sky number {i} blue?", "target": "scattering"} for i in range(items)]


def resident_mib() -> float:
    """Of this process; 0 where nobody tells."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


@contextmanager
def simulated() -> Iterator[str]:
    """One simulated model in a process of its own; its base address."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "models.yaml"
        config.write_text("models: {m: {ttft_s: 0.02, tokens_per_s: 0}}")
        command = [sys.executable, "-m", "routerlab.cli", "simulate", "--port", "0", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            try:
                first = child.stdout.readline()
                yield f"http{first.split('http')[1].split(': ')[0]}"
            finally:
                child.terminate()
