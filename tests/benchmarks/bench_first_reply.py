"""The first reply: from a fresh interpreter to an answer, against importing httpx."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import Spread, Timing, bar, interleave, spread

ROUNDS = 20
AIM = 3.3
ROOT = Path(__file__).parents[2]

PROGRAMS = {
    "nothing": "",
    "import httpx": "import httpx",
    "the server's start": (
        "from routerlab.core.simulated import SimulatedModel; from routerlab.simulation.server import SimulatedServer;"
        "SimulatedServer([SimulatedModel(name) for name in ('alpha', 'beta', 'gamma')], separate_ports=True).start()"
    ),
    "the first reply": "from routerlab import Lab; print(Lab.demo().chat('hi').latency_s)",
}


def main(*, quick: bool) -> None:
    rounds = 1 if quick else ROUNDS
    # Bytecode is kept, as on a user's machine, where the environment forbids it too.
    with tempfile.TemporaryDirectory() as bytecode:
        contenders = {name: lambda code=code: run(code, bytecode) and 1 for name, code in PROGRAMS.items()}
        timings = interleave(contenders, rounds)
        model_s = float(run(PROGRAMS["the first reply"], bytecode))
    print(f"\na fresh interpreter each; {rounds} interleaved rounds")
    for name, found in timings.items():
        print(f"  {name:18} {spread([timing.wall_s * 1e3 for timing in found])} ms")
    print(f"  ({model_s * 1e3:.0f} ms of the first reply are the request, at the simulated model's own pace)")
    for what, less_s in (("", 0.0), (" and the request", model_s)):
        name = f"the first reply less the server's start{what}, in imports of httpx"
        bar(name, in_imports(*timings.values(), less_s=less_s), AIM, at_least=False)


def in_imports(*timings: Sequence[Timing], less_s: float) -> Spread:
    """All without the start of the interpreter itself."""
    walls = zip(*([timing.wall_s for timing in found] for found in timings), strict=True)
    return spread([(first - server - less_s) / (httpx - nothing) for nothing, httpx, server, first in walls])


def run(code: str, bytecode: str) -> str:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
    command = [sys.executable, "-c", code or "print()"]
    return subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout or "done"
