"""The benchmarks still run: each with tiny sizes. Nothing is timed here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMES = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_runs(name: str) -> None:
    command = [sys.executable, str(HERE / "run.py"), name, "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert f"== {name}" in done.stdout
    assert "aim" in done.stdout or "is not installed" in done.stdout  # every peer may be missing


def test_the_runner_knows_every_benchmark_and_refuses_an_unknown_one() -> None:
    command = [sys.executable, str(HERE / "run.py"), "no-such-benchmark"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert all(name in done.stderr for name in NAMES)
