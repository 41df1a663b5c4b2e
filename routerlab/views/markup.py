"""Small pieces of HTML: safe tables and boxes in the page's own colours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from routerlab.views.svg import escape_text
from routerlab.views.theme import CSS_VARIABLES

__all__ = ["beside_live", "page_part", "table"]

_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);"
_TABLE = "border-collapse:collapse;color:var(--rl-ink);font-size:13px;margin:4px 0 10px"
_CELL = "padding:3px 12px 3px 0;border-bottom:1px solid var(--rl-grid);vertical-align:top;"
_TEXT = "text-align:left;overflow-wrap:anywhere;min-width:7em"
_NUMBER = "text-align:right;white-space:nowrap"
_NO_FORMULAS = "mathjax_ignore tex2jax_ignore"


_NO_KERNEL = (
    ".jp-OutputArea-child:has(+ .jp-OutputArea-child .routerlab-still) .jupyter-widgets:not(:has(*)){display:none}"
)


def beside_live(content: str) -> str:
    """Ready HTML that stands behind a live panel and is kept with the notebook: a page with the panel leaves it out.

    Without a kernel a notebook puts an error in the place of the live panel: that is hidden, too.
    """
    return f'<div class="routerlab-still"><style>{_NO_KERNEL}</style>{content}</div>'


def page_part(content: str) -> str:
    """A box of ready HTML whose colours follow the notebook; dollars in it are no formulas to the page."""
    style = f"{CSS_VARIABLES}{_FONT}color:var(--rl-ink);max-width:100%"
    return f'<div class="routerlab {_NO_FORMULAS}" style="{style}">{content}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[int] = ()) -> str:
    """An HTML table of texts, all escaped; the columns in `numbers` are aligned to the right."""
    styles = [_CELL + (_NUMBER if place in numbers else _TEXT) for place in range(len(head))]
    titles = "".join(
        f'<th style="{style};color:var(--rl-muted)">{escape_text(cell)}</th>'
        for style, cell in zip(styles, head, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{style}">{escape_text(str(cell))}</td>' for style, cell in zip(styles, row, strict=True))
        + "</tr>"
        for row in rows
    )
    whole = f'<table style="{_TABLE}"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div style="overflow-x:auto">{whole}</div>'
