"""Recording attempts and building their frame, against a list of dicts and ``pd.DataFrame``.

Both begin with what the driver has in its hands when an attempt is over: an `AttemptRecord`. Ours records it, secrets
out and types checked; the peer makes a dict of it and appends that to a list. Then both build the frame. What it takes
to make the records themselves is measured, shown and left out of the ratio. Each runs in a process of its own, so that
its peak of memory is its own, too.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
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
    found: dict[str, list[dict[str, float]]] = {"made": [], "ours": [], "dicts": []}
    for _ in range(rounds):
        for kind, figures in found.items():
            figures.append(measured(kind, rows))
    print(f"\n{rows:,} attempts; best of {rounds}")
    best = {kind: {what: min(one[what] for one in runs) for what in runs[0]} for kind, runs in found.items()}
    for kind, figures in best.items():
        print(
            f"  {kind:5}  record {figures['record_s'] / rows * 1e6:6.2f} us/row, frame {figures['frame_s']:6.2f} s, "
            f"peak {figures['peak_bytes'] / 2**20:7.0f} MiB, frame {figures['frame_bytes'] / 2**20:7.0f} MiB"
        )
    ours, dicts, making = best["ours"], best["dicts"], best["made"]["record_s"]
    times = [one["record_s"] + one["frame_s"] for one in (ours, dicts)]
    bar("times as fast as a list of dicts", (times[1] - making) / (times[0] - making), FASTER, at_least=True)
    print(f"     (with the making of the records: {times[1] / times[0]:.2f} x)")
    bar("peak memory", ours["peak_bytes"] / dicts["peak_bytes"], PEAK, at_least=False)
    bar("size of the frame", ours["frame_bytes"] / dicts["frame_bytes"], FRAME, at_least=False)


def measured(kind: str, rows: int) -> dict[str, float]:
    command = [sys.executable, __file__, kind, str(rows)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def attempts(rows: int) -> Iterator[AttemptRecord]:
    """As a call leaves them behind."""
    for number in range(rows):
        started, failed = 1_700_000_000.0 + number * 0.01, number % 20 == 0
        yield AttemptRecord(
            call_id=f"{number:016x}",
            run_id=None,
            attempt=1,
            model=("a/one", "a/two", "b/three")[number % 3],
            provider=("a", "a", "b")[number % 3],
            reason="selected",
            started_at=started,
            ended_at=started + 0.5,
            latency_s=0.5,
            ttft_s=None if number % 2 else 0.1,
            outcome="retryable" if failed else "ok",
            status=503 if failed else 200,
            error_type="ProviderUnavailableError" if failed else None,
            error_message="overloaded" if failed else None,
            wait_before_s=0.0,
            breaker_before="closed",
            breaker_after="closed",
            score_before=0.9,
            score_after=0.91,
            committed=not failed,
            prompt_tokens=None if failed else 12,
            completion_tokens=None if failed else 40,
            cost_usd=None if failed else 1e-5,
            chars=200,
        )


def made(rows: int) -> dict[str, float]:
    """Only the records themselves."""
    started = time.perf_counter()
    for _ in attempts(rows):
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


def dicts(rows: int) -> dict[str, float]:
    import pandas as pd

    before, started = _peak(), time.perf_counter()
    names = tuple(field.name for field in fields(AttemptRecord))
    kept = [{name: getattr(record, name) for name in names} for record in attempts(rows)]
    recorded = time.perf_counter()
    return _figures(pd.DataFrame(kept), rows, before, started, recorded)


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


if __name__ == "__main__":
    print(json.dumps({"made": made, "ours": ours, "dicts": dicts}[sys.argv[1]](int(sys.argv[2]))))
