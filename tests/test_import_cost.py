"""What importing costs, measured in fresh interpreters: heavy packages stay out until they are used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"pandas", "numpy", "plotly", "ipywidgets", "scipy", "aiohttp"}
ROUNDS = 7
LIMIT = 0.5
CORE = sorted(
    f"routerlab.core.{path.stem}" for path in (ROOT / "routerlab" / "core").glob("*.py") if path.stem != "__init__"
)


def run(program: str, **env: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def loaded_by(*modules: str) -> set[str]:
    """Top-level packages that importing ``modules`` brings in."""
    program = f"import sys; before = set(sys.modules); import {', '.join(modules)}; print(*set(sys.modules) - before)"
    return {name.split(".")[0] for name in run(program).split()}


def best_times(bytecode: Path, *imports: str) -> list[float]:
    """Seconds of the processor that each import statement takes at best; interleaved: a busy machine hits all alike.

    Bytecode is kept, as on a user's machine: where the environment forbids it, our sources would be compiled each time.
    """
    env = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bytecode)}
    program = "from time import process_time; start = process_time(); {}; print(process_time() - start)"
    rounds = [[float(run(program.format(f"import {names}"), **env)) for names in imports] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def test_importing_routerlab_loads_nothing_heavy() -> None:
    loaded = loaded_by("routerlab")
    assert "routerlab" in loaded
    assert loaded & HEAVY == set()


def test_importing_all_of_core_loads_neither_asyncio_nor_anything_heavy() -> None:
    loaded = loaded_by(*CORE)
    assert len(CORE) > 3
    assert loaded & {*HEAVY, "asyncio", "httpx", "threading", "socket", "logging"} == set()


@pytest.mark.parametrize(("what", "names"), [("routerlab", "routerlab"), ("core", ", ".join(CORE))])
def test_importing_costs_at_most_half_of_importing_httpx(what: str, names: str, tmp_path: Path) -> None:
    ours = httpx = float("inf")
    for _ in range(6):  # a machine that is busy just now gets another chance
        ours, httpx = map(min, (ours, httpx), best_times(tmp_path, names, "httpx"))
        if ours <= LIMIT * httpx:
            break
    print(f"import {what}: {ours * 1e3:.1f} ms, httpx: {httpx * 1e3:.1f} ms, ratio {ours / httpx:.2f}, limit {LIMIT}")
    assert ours <= LIMIT * httpx
