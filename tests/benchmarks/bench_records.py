"""Recording attempts and building their frame, against a list of dicts and ``pd.DataFrame``.

Ours begins with what the driver has in its hands when an attempt is over, an `AttemptRecord`, and records it: secrets
out, types checked, packed. A plain program would collect a dict of the same facts and build the frame at the end. Two
such programs are measured: one whose driver makes that dict at once (``plain``; the bar is against this one), and one
that gets the record, too, and makes a dict of it (``dicts``).

What it takes to make the input, the record or the dict, is measured by itself, shown, and left out of the ratio; below
it stands the ratio with it. Each runs in a process of its own, so that its peak of memory is its own, too.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from measure import bar

sys.path.insert(0, str(Path(__file__).parents[2]))

from routerlab.session.results import AttemptRecord

ROWS, ROUNDS = 1_000_000, 3
FASTER, PEAK, FRAME = 5.0, 0.3, 0.6


def main(*, quick: bool) -> None:
    rows, rounds = (1_000, 1) if quick else (ROWS, ROUNDS)
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, figures in found.items():
            figures.append(measured(kind, rows))
    print(f"\n{rows:,} attempts; best of {rounds}")
    best = {kind: {what: min(one[what] for one in runs) for what in runs[0]} for kind, runs in found.items()}
    for kind, figures in best.items():
        print(
            f"  {kind:7}  record {figures['record_s'] / rows * 1e6:6.2f} us/row, frame {figures['frame_s']:6.2f} s, "
            f"peak {figures['peak_bytes'] / 2**20:7.0f} MiB, frame {figures['frame_bytes'] / 2**20:7.0f} MiB"
        )
    whole = {kind: best[kind]["record_s"] + best[kind]["frame_s"] for kind in KINDS}
    ours, plain, dicts = whole["ours"] - whole["records"], whole["plain"] - whole["facts"], whole["dicts"]
    bar("times as fast as a list of dicts", plain / ours, FASTER, at_least=True)
    print(
        f"     (with the making of the input: {whole['plain'] / whole['ours']:.2f} x; against dicts made of the records"
    )
    print(f"     {(dicts - whole['records']) / ours:.2f} x, with their making {dicts / whole['ours']:.2f} x)")
    bar("peak memory", best["ours"]["peak_bytes"] / best["plain"]["peak_bytes"], PEAK, at_least=False)
    bar("size of the frame", best["ours"]["frame_bytes"] / best["plain"]["frame_bytes"], FRAME, at_least=False)


def measured(kind: str, rows: int) -> dict[str, float]:
    command = [sys.executable, __file__, kind, str(rows)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def facts(rows: int) -> Iterator[dict[str, Any]]:
    """As a call leaves them behind."""
    for number in range(rows):
        started, failed = 1_700_000_000.0 + number * 0.01, number % 20 == 0
        yield {
            "call_id": f"{number:016x}",
            "run_id": None,
            "attempt": 1,
            "model": ("a/one", "a/two", "b/three")[number % 3],
            "provider": ("a", "a", "b")[number % 3],
            "reason": "selected",
            "started_at": started,
            "ended_at": started + 0.5,
            "latency_s": 0.5,
            "ttft_s": None if number % 2 else 0.1,
            "outcome": "retryable" if failed else "ok",
            "status": 503 if failed else 200,
            "error_type": "ProviderUnavailableError" if failed else None,
            "error_message": "overloaded" if failed else None,
            "retry_after_s": None,
            "wait_before_s": 0.0,
            "breaker_before": "closed",
            "breaker_after": "closed",
            "score_before": 0.9,
            "score_after": 0.91,
            "committed": not failed,
            "prompt_tokens": None if failed else 12,
            "completion_tokens": None if failed else 40,
            "cost_usd": None if failed else 1e-5,
            "chars": 200,
            "maybe_billed": False,
            "malformed_events": 0,
        }


def attempts(rows: int) -> Iterator[AttemptRecord]:
    return (AttemptRecord(**row) for row in facts(rows))


def making(source: Iterable[Any]) -> dict[str, float]:
    """Only the input itself."""
    started = time.perf_counter()
    for _ in source:
        pass
    return {"record_s": time.perf_counter() - started, "frame_s": 0.0, "peak_bytes": 0, "frame_bytes": 0}


def ours(rows: int) -> dict[str, float]:
    from routerlab.session.recorder import Recorder
    from routerlab.views.frames import frame

    before, started = _peak(), time.perf_counter()
    recorder = Recorder(max_records=rows + 1024)
    for row in attempts(rows):
        recorder.add("attempts", row)
    recorded = time.perf_counter()
    return _figures(frame(recorder, "attempts"), rows, before, started, recorded)


def listed(source: Callable[[], Iterable[dict[str, Any]]], rows: int) -> dict[str, float]:
    import pandas as pd

    before, started = _peak(), time.perf_counter()
    kept = []
    for row in source():
        kept.append(row)  # noqa: PERF402 - as they come, one by one
    recorded = time.perf_counter()
    return _figures(pd.DataFrame(kept), rows, before, started, recorded)


def dicts_of(records: Iterable[AttemptRecord]) -> Iterator[dict[str, Any]]:
    names = tuple(field.name for field in fields(AttemptRecord))
    return ({name: getattr(record, name) for name in names} for record in records)


def _figures(frame: Any, rows: int, before: int, started: float, recorded: float) -> dict[str, float]:
    ended = time.perf_counter()
    assert len(frame) == rows
    return {
        "record_s": recorded - started,
        "frame_s": ended - recorded,
        "peak_bytes": _peak() - before,
        "frame_bytes": int(frame.memory_usage(deep=True).sum()),
    }


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


KINDS: dict[str, Callable[[int], dict[str, float]]] = {
    "facts": lambda rows: making(facts(rows)),
    "records": lambda rows: making(attempts(rows)),
    "ours": ours,
    "plain": lambda rows: listed(lambda: facts(rows), rows),
    "dicts": lambda rows: listed(lambda: dicts_of(attempts(rows)), rows),
}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](int(sys.argv[2]))))
