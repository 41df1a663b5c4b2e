"""A run in a terminal: the summary, the breakers' history, what one should know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerlab.views.console import print_table
from routerlab.views.history import history_text
from routerlab.views.result import RunResult
from routerlab.views.rundata import RunData, summary_rows
from routerlab.views.summary import summary_cells, summary_head
from routerlab.views.timing import timing_columns
from routerlab.views.words import plain

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_run"]

_WIDE = 118  # columns that the table needs with intervals and tokens
_TIMING = 11  # that one more number needs
_NAME = 14  # characters of a model's name that stay in one piece


def print_run(run: RunResult, console: Console | None = None) -> None:
    """Print a run.

    Args:
        run: over, or as far as it is.
        console: of rich; None: standard output.
    """
    from rich.console import Console as RichConsole
    from rich.text import Text

    out = console or RichConsole()
    data = run.data
    out.print(Text(plain(f"{run.name} · {run.status}"), style="bold"))
    _print_summary(data, run.scorers, run.told_by, out)
    out.print(Text("Breakers over the run: ─ closed, █ open, ▒ half-open", style="bold"))
    out.print(Text(plain(history_text(data, out.width))))
    for note in run.notes:
        out.print(Text(plain(f"Note: {note}")))


def _print_summary(data: RunData, scorers: list[str], by: str, out: Console) -> None:
    rows, compact = summary_rows(data, by), out.width < _WIDE
    timing = timing_columns(rows)
    timing = timing if out.width >= _WIDE + _TIMING * len(timing) else []
    head = summary_head(by, scorers, timing, compact=compact)
    cells = [summary_cells(row, scorers, timing, by, compact=compact) for row in rows]
    print_table(out, head, cells, range(1, len(head)), name=_NAME)
