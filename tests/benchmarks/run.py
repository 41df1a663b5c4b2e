"""Run the benchmarks: ``python tests/benchmarks/run.py [name …] [--quick]``; without names, all of them.

Every figure stands beside what is aimed at. Nothing fails: noise is no bug. ``--quick`` does each with tiny sizes, to
see that it still works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
NAMES = (
    *("calls", "way_in", "streams", "window", "cache", "breaker", "records", "simulated", "first_reply"),
    *("dashboard", "masking", "formats", "verdicts", "replay", "run_streams"),
)


def main() -> None:
    """Read the command line and run what it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="name", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work?")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE.parents[1]))
    for name in options.names or NAMES:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        print(f"\n== {name} (load of the machine before: {load:.2f})", flush=True)
        started = time.perf_counter()
        importlib.import_module(f"bench_{name}").main(quick=options.quick)
        print(f"  {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
