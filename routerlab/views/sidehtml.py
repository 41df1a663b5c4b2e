"""Replies side by side as HTML without a script: a table to keep with a notebook, to put into a report or a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from routerlab.views.sidecells import CODE, DIFFERS, Part
from routerlab.views.svg import escape_text
from routerlab.views.theme import DARK, LIGHT, model_colours, variables

__all__ = ["side_page", "side_table"]

_FOLD, _ASKED = 700, 350  # characters of a reply and of a prompt that stand before the fold
_LINES = 14  # and lines
_SHORT = 80  # characters of a target that stands on its line

_SCROLL = "overflow-x:auto;max-width:100%;margin:4px 0"
_TABLE = "table-layout:fixed;border-collapse:collapse;font-size:13px;line-height:1.5;color:var(--rl-ink);margin:0"
_CELL = (
    "vertical-align:top;text-align:left;white-space:normal;padding:8px 12px 8px 0;border:0;"
    "border-bottom:1px solid var(--rl-grid);overflow-wrap:anywhere;font-weight:normal;background:none;max-width:none"
)
_WORDS = "white-space:pre-wrap;text-align:start;overflow-wrap:anywhere;unicode-bidi:isolate"
_SOFT = "color:var(--rl-muted);font-size:11.5px"
_MONO = "font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:.92em"
_MARK = "background:#e69f0040;text-decoration:underline #e69f00 2px;text-underline-offset:3px"
_FACT = "display:inline-block;margin-right:12px"
_SIGNS = {"✓": "#009e73", "✗": "#d55e00"}

_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>%(title)s · routerlab</title>
<style>
:root{color-scheme:light dark;%(light)s}
@media (prefers-color-scheme:dark){:root{%(dark)s}}
body{margin:0;padding:20px 24px 60px;background:var(--rl-paper);color:var(--rl-ink);
  font:14px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}
h1{font-size:20px;margin:0 0 10px}summary{cursor:pointer}
thead th{position:sticky;top:0;background:var(--rl-paper)!important}
main>div{overflow:visible!important}
</style></head>
<body><main><h1>%(title)s</h1>%(content)s</main></body></html>
"""


def side_page(title: str, headline: str, content: str) -> str:
    """A whole page around a ready table: light and dark, no script, no request."""
    said = f'<p style="{_SOFT}">{escape_text(headline)}</p>{content}'
    return _PAGE % {"title": escape_text(title), "content": said, "light": variables(LIGHT), "dark": variables(DARK)}


def side_table(
    lines: Iterable[Mapping[str, Any]], heads: Sequence[tuple[str, str]], *, total: int, room: int | None = None
) -> str:
    """A table of lines, one column for each arm, long texts folded. Everything in it is escaped.

    Args:
        lines: from `line_view`.
        heads: the arms and what stands below their names.
        total: how many lines there are: it is said where fewer are shown.
        room: bytes; what comes after is left out, but for the first line. None: no limit.
    """
    rows: list[str] = []
    size = 0
    for line in lines:
        row = _row(line)
        size += len(row.encode())
        if rows and room is not None and size > room:
            break
        rows.append(row)
    colours = model_colours(arm for arm, _ in heads)
    titles = "".join(_head(arm, below, colours[arm]) for arm, below in heads)
    widths = '<col style="width:24%">' + f'<col style="width:{76 / max(1, len(heads)):.4g}%">' * len(heads)
    least = 170 + 220 * len(heads)
    note = f"{len(rows):,} of {total:,} rows are shown. " if len(rows) < total else ""
    legend = "Underlined words differ between the replies." if len(heads) > 1 else ""
    return (
        f'<div style="{_SCROLL}"><table style="{_TABLE};width:100%;min-width:{least}px"><colgroup>{widths}</colgroup>'
        f'<thead><tr><th scope="col" style="{_CELL}"><b>prompt</b></th>{titles}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p style="{_SOFT};margin:4px 0">{note}{legend}</p>'
    )


def _head(arm: str, below: str, colour: str) -> str:
    name = f'<b style="border-left:4px solid {colour};padding-left:6px">{escape_text(arm)}</b>'
    return f'<th scope="col" style="{_CELL}">{name}<div style="{_SOFT}">{escape_text(below)}</div></th>'


def _row(line: Mapping[str, Any]) -> str:
    repeat = f" · repeat {line['repeat'] + 1}" if line["repeat"] else ""
    agree = f"<b>{escape_text(line['agree'])}</b>" if line["differs"] else escape_text(line["agree"])
    about = " · ".join(filter(None, (escape_text(f"{line['id']}{repeat}"), agree)))
    foot = f'<div style="{_SOFT};margin-top:6px">{about}</div>'
    prompt = f"{_text(line['prompt'], _ASKED)}{_expected(line['target'])}{foot}"
    cells = "".join(f'<td style="{_CELL}">{_cell(cell)}</td>' for cell in line["cells"])
    return f'<tr><th scope="row" style="{_CELL}">{prompt}</th>{cells}</tr>'


def _expected(target: Mapping[str, Any]) -> str:
    parts = target["parts"]
    if not parts:
        return ""
    short = len(parts) == 1 and len(parts[0][0]) <= _SHORT
    said = f"<b>{_parts(parts)}</b>" if short else _text(target, _ASKED)
    return f'<div style="margin-top:6px"><span style="{_SOFT}">expected</span> {said}</div>'


def _cell(cell: Mapping[str, Any]) -> str:
    said = _text(cell)
    if cell["state"] != "ok":
        said = f'<div style="color:var(--rl-muted)">{said}</div>'
    asked = cell.get("asked")
    own = f'<details><summary style="{_SOFT}">asked in other words</summary>{_text(asked)}</details>' if asked else ""
    facts = [_score(*score) for score in cell["scores"]] + [escape_text(fact) for fact in cell["facts"]]
    foot = " ".join(f'<span style="{_FACT}">{fact}</span>' for fact in facts)
    return f'{said}{own}<div style="{_SOFT};margin-top:6px">{foot}</div>'


def _score(sign: str, name: str, value: str) -> str:
    mark = f'<b style="color:{_SIGNS[sign]}">{sign}</b> ' if sign else ""
    return f"{mark}{escape_text(name)} {escape_text(value)}"


def _text(given: Mapping[str, Any], fold: int = _FOLD) -> str:
    """A text, folded where it is long: the rest stands in a ``details`` element."""
    head, rest = _folded(given["parts"], fold)
    more = f"\n… {given['more']:,} more characters are not shown here" if given["more"] else ""
    if not rest:
        return f'<div dir="auto" style="{_WORDS}">{_parts(head)}{more}</div>'
    size = sum(len(text) for text, _ in rest)
    return (
        f'<div dir="auto" style="{_WORDS}">{_parts(head)}…</div>'
        f'<details><summary style="{_SOFT}">show all: {size:,} more characters</summary>'
        f'<div dir="auto" style="{_WORDS}">{_parts(rest)}{more}</div></details>'
    )


def _folded(parts: Sequence[Part], fold: int) -> tuple[list[Part], list[Part]]:
    """The parts before the fold and behind it; a little more than fits is not worth one."""
    text = "".join(part for part, _ in parts)
    place = _fold_place(text, fold)
    head: list[Part] = []
    rest: list[Part] = []
    at = 0
    for part, kind in parts:
        cut = min(max(0, place - at), len(part))
        head += [(part[:cut], kind)] if cut else []
        rest += [(part[cut:], kind)] if cut < len(part) else []
        at += len(part)
    return head, rest


def _fold_place(text: str, fold: int) -> int:
    """Where a text is folded: at most so many lines and characters, between two words."""
    lines = text.split("\n")
    by_lines = len("\n".join(lines[:_LINES]))
    place = min(fold, by_lines)
    if len(text) <= place * 1.3 and len(lines) <= _LINES * 1.3:
        return len(text)
    if place == by_lines:
        return place
    return max(text.rfind(" ", 0, place), text.rfind("\n", 0, place), place // 2)


def _parts(parts: Iterable[Part]) -> str:
    return "".join(_part(text, kind) for text, kind in parts)


def _part(text: str, kind: int) -> str:
    said = escape_text(text, quote=False)
    if kind & CODE:
        said = f'<span style="{_MONO}">{said}</span>'
    # not a mark element: of that a notebook that is not trusted would leave black letters, on a dark page, too
    return f'<u style="{_MARK}">{said}</u>' if kind & DIFFERS else said
