"""A run in a terminal: the summary, the breakers' history, what one should know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerlab.views.history import history_text
from routerlab.views.run import Run, summary_cells, summary_head
from routerlab.views.rundata import summary_rows

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_run"]

_WIDE = 120  # columns that the whole table needs


def print_run(run: Run, console: Console | None = None) -> None:
    """Print a run.

    Args:
        run: over, or as far as it is.
        console: of rich; None: standard output.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    out = console or RichConsole()
    data = run.data
    table = Table(
        title=Text(f"{run.name} · {run.status}", style="bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 2, 0, 0),
    )
    compact = out.width < _WIDE
    for place, name in enumerate(summary_head("model", run.scorers, compact=compact)):
        table.add_column(name, justify="right" if place else "left", no_wrap=place > 0)
    for row in summary_rows(data):
        cells = summary_cells(row, run.scorers, compact=compact)
        table.add_row(*(Text(cell) for cell in cells))  # as Text: no markup is read
    out.print(table)
    out.print(Text("Breakers over the run: ─ closed, █ open, ▒ half-open", style="bold"))
    out.print(Text(history_text(data, out.width)))
    for note in run.notes:
        out.print(Text(f"Note: {note}"))
