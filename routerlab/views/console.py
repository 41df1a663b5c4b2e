"""Lines and tables on standard output; what stands in them is text, whatever it looks like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from routerlab.views.words import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["console", "print_lines", "print_table"]

_NAME = 24  # characters of the first column that stay in one piece: they are copied
_WORD = 10  # and of other texts


def console() -> Console:
    """Standard output."""
    from rich.console import Console as RichConsole

    return RichConsole(highlight=False)


def print_lines(out: Console, lines: Iterable[str], *, style: str = "") -> None:
    """Lines that are not cut: a path stays in one piece. Empty ones are left out."""
    from rich.text import Text

    for line in filter(None, lines):
        out.print(Text(plain(line), style=style), soft_wrap=True)


def print_table(
    out: Console,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Iterable[int] = (),
    *,
    name: int = _NAME,
) -> None:
    """A table; where its numbers do not fit, a few lines for each row.

    Args:
        out: where.
        head: the titles.
        rows: of cells.
        numbers: the columns that stand on the right, in one piece.
        name: characters of the first column that stay in one piece.
    """
    titles, cells = [plain(title) for title in head], [[plain(cell) for cell in row] for row in rows]
    widths, right = _widths([titles, *cells]), set(numbers)
    least = [width if place in right else min(width, _WORD) for place, width in enumerate(widths)]
    least[0] = min(name, widths[0])
    if sum(least) + len(least) + 1 > out.width:
        _print_records(out, titles, cells)
    else:
        out.print(_table(titles, cells, least, right))


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column is in a terminal, without breaking a line."""
    from rich.cells import cell_len

    return [max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in zip(*rows, strict=True)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], least: Sequence[int], right: set[int]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, title in enumerate(head):
        justify: Any = "right" if place in right else "left"
        number = place in right
        table.add_column(Text(title), justify=justify, no_wrap=number, overflow="fold", min_width=least[place])
    for row in rows:
        table.add_row(*map(Text, row))  # no markup
    return table


def _print_records(out: Console, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.text import Text

    for row in rows:
        out.print(Text(row[0], style="bold"), soft_wrap=True)
        known = [(title, cell) for title, cell in zip(head[1:], row[1:], strict=True) if cell]
        out.print(Text(" · ".join(f"{title} {', '.join(cell.splitlines())}" for title, cell in known)))
