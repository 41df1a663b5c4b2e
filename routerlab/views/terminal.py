"""A run in a terminal: the summary, the breakers' history, what one should know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routerlab.views.history import history_text
from routerlab.views.run import Run, summary_cells, summary_head
from routerlab.views.rundata import RunData, summary_rows

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_run"]

_WIDE = 118  # columns that the whole table needs


def print_run(run: Run, console: Console | None = None) -> None:
    """Print a run.

    Args:
        run: over, or as far as it is.
        console: of rich; None: standard output.
    """
    from rich.console import Console as RichConsole
    from rich.text import Text

    out = console or RichConsole()
    data = run.data
    out.print(Text(f"{run.name} · {run.status}", style="bold"))
    out.print(_table(data, run.scorers, compact=out.width < _WIDE))
    out.print(Text("Breakers over the run: ─ closed, █ open, ▒ half-open", style="bold"))
    out.print(Text(history_text(data, out.width)))
    for note in run.notes:
        out.print(Text(f"Note: {note}"))


def _table(data: RunData, scorers: list[str], *, compact: bool) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    rows = summary_rows(data)
    first, *others = summary_head("model", scorers, compact=compact)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold", min_width=min(14, max([len(row["model"]) for row in rows], default=0)))
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in summary_cells(row, scorers, compact=compact)))  # no markup
    return table
