"""What the command line prints: tables for people, JSON for programs, a run's outcome for both."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlab.experiments.verdicts import Difference
from routerlab.views.cli_options import WRITERS
from routerlab.views.comparison import Comparison
from routerlab.views.console import console, print_lines, print_table
from routerlab.views.run import Run
from routerlab.views.rundata import summary_rows
from routerlab.views.sentences import amount, between, left_out_words, note, verdict_word
from routerlab.views.terminal import print_run
from routerlab.views.words import plain

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["comparison_json", "print_comparison", "print_json", "print_result", "run_json", "write_files"]

_HEAD = ("", "first", "second", "difference (95 %)", "p", "verdict")
_SIMULATED = "Simulated: answers, latencies and prices come from simulated providers."


def print_json(data: Any) -> None:
    """One JSON document on standard output; what is no number is null."""
    sys.stdout.write(json.dumps(_finite(data), ensure_ascii=True, indent=2, default=str) + "\n")


def _finite(data: Any) -> Any:
    match data:
        case dict():
            return {name: _finite(value) for name, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
        case float():
            return float(data) if isfinite(data) else None
    return data.item() if hasattr(data, "item") else data  # numpy's


def run_json(run: Run) -> dict[str, Any]:
    """A run's outcome as plain data."""
    now = run.progress
    rows = {"total": now.total, "ok": now.ok, "failed": now.failed, "pending": now.total - now.done}
    return {
        "name": run.name,
        "run_id": run.run_id,
        "status": run.status,
        "rows": {**rows, "cached": now.cached},
        "failovers": now.failovers,
        "cost_usd": now.cost_usd,
        "elapsed_s": round(now.elapsed_s, 3),
        "simulated": run.simulated,
        "models": summary_rows(run.data),
        "variants": summary_rows(run.data, "variant"),
        "notes": run.notes,
        "to_go_on": run.engine.plan.call_again() if now.done < now.total else None,
    }


def print_result(run: Run) -> None:
    """A run's summary."""
    print_run(run)
    if run.simulated:
        print_lines(console(), [_SIMULATED])


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain data."""
    names = (
        *("first", "second", "measure", "n", "value_first", "value_second", "estimate", "low", "high"),
        *("p", "p_same", "verdict", "needed", "margin", "method"),
    )
    found = [difference for verdict in comparison.verdicts for difference in verdict.differences]
    return {
        "sentence": comparison.sentence,
        "scorer": comparison.outcomes.scorer,
        "verdicts": [{name: getattr(difference, name) for name in names} for difference in found],
        "left_out": comparison.left_out,
    }


def print_comparison(comparison: Comparison, out: Console) -> None:
    """The sentence, a table for each pair, and what one should know."""
    print_lines(out, [comparison.sentence])
    for verdict in comparison.verdicts:
        print_lines(out, [f"\n{verdict.quality.first} (first) against {verdict.quality.second} (second)"], style="bold")
        print_table(out, _HEAD, map(_cells, verdict.differences), range(1, 5))
    marks = [_SIMULATED] if comparison.simulated else []
    print_lines(out, [*marks, left_out_words(comparison.left_out), note(comparison.verdicts, comparison.margin)])


def _cells(difference: Difference) -> list[str]:
    return [
        difference.measure,
        amount(difference.measure, difference.value_first),
        amount(difference.measure, difference.value_second),
        between(difference),
        "" if difference.p is None else f"{difference.p:.2g}",
        "unknown" if difference.estimate is None else verdict_word(difference),
    ]


def write_files(run: Run, *, report: str | None, text: bool, out: Sequence[str]) -> None:
    """Write what was asked for, and say on standard error where it is."""
    written = [run.report(report, text=text)] if report else []
    written += [getattr(run, WRITERS[Path(path).suffix.lower()])(path) for path in out]
    for path in written:
        sys.stderr.write(f"written: {plain(str(path))}\n")
