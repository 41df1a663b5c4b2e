"""A minimal SVG (and HTML) builder. Whatever comes from outside, text or attribute, is escaped on its way out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

__all__ = ["Element", "Value", "clip", "el", "escape_text", "fmt", "group", "lines", "short", "text", "text_width"]

# Characters that XML 1.0 forbids even in escaped form (one of them makes the whole picture unreadable), other controls,
# and marks that would turn around what stands beside them.
_FORBIDDEN = re.compile(
    "[^\t\n\r\u0020-\u007e\u00a0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)

Value = str | float | None
"""Of an attribute; None leaves it out."""


@dataclass(slots=True)
class Element:
    """One element: its name, attributes, and children (texts are escaped when it is rendered)."""

    tag: str
    attributes: dict[str, Value] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def render(self) -> str:
        """The markup, on one line."""
        attributes = "".join(
            f' {name}="{escape_text(fmt(value))}"' for name, value in self.attributes.items() if value is not None
        )
        inner = "".join(
            child.render() if isinstance(child, Element) else escape_text(child, quote=False) for child in self.children
        )
        return f"<{self.tag}{attributes}>{inner}</{self.tag}>" if inner else f"<{self.tag}{attributes}/>"


def el(tag: str, *children: Element | str, **attributes: Value) -> Element:
    """An element; ``stroke_width`` becomes ``stroke-width``, ``class_`` becomes ``class``, None is left out.

    >>> el("text", "a < b", x=1.0, text_anchor="end", fill=None).render()
    '<text x="1" text-anchor="end">a &lt; b</text>'
    """
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return Element(tag, names, list(children))


def group(children: Iterable[Element], *, x: float = 0.0, y: float = 0.0) -> Element:
    """The children, moved by `x` and `y`."""
    return el("g", *children, transform=f"translate({fmt(x)} {fmt(y)})" if x or y else None)


def text(
    content: str,
    x: float,
    y: float,
    *,
    fill: str,
    size: float = 12,
    anchor: str | None = None,
    bold: bool = False,
    title: str | None = None,
) -> Element:
    """A line of text with its baseline at `y`; `title` is shown when the pointer rests on it."""
    element = el(
        "text",
        content,
        x=x,
        y=y,
        fill=fill,
        font_size=size,
        text_anchor=anchor,
        font_weight="bold" if bold else None,
    )
    if title:
        element.children.append(el("title", title))
    return element


def fmt(value: Value) -> str:
    """A number with at most two decimals, without trailing zeros; a text as it is.

    >>> fmt(12.0), fmt(0.126), fmt("red")
    ('12', '0.13', 'red')
    """
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else str(int(value))


def escape_text(content: str, *, quote: bool = True) -> str:
    """Escape a text for XML and HTML; what XML forbids altogether, or turns text around, becomes U+FFFD."""
    return escape(_FORBIDDEN.sub("\ufffd", content), quote=quote)


def text_width(content: str, size: float, *, bold: bool = False) -> float:
    """A careful estimate of a text's width, in the unit of `size`: a little more than common sans-serif fonts need.

    >>> text_width("abc", 10) < text_width("WWW", 10)
    True
    """
    return size * (1.08 if bold else 1.0) * sum(_advance(char) for char in content)


def _advance(char: str) -> float:
    if char in " .,:;|!'ijlItfr()[]-/":
        return 0.4
    if char in "mwMW@%…—":
        return 0.95
    if unicodedata.east_asian_width(char) in "WF":
        return 1.05
    return 0.7 if char.isupper() else 0.62


def short(name: str, width: float, size: float, *, bold: bool = False) -> str:
    """A model's name, cut in the middle where it is too wide: both ends tell names apart.

    >>> short("openrouter/meta-llama/llama-3.3-70b-instruct", 120, 10)
    'openrouter/…b-instruct'
    """
    if text_width(name, size, bold=bold) <= width:
        return name
    kept = len(name) - 1
    while kept > 2 and text_width(_without_middle(name, kept), size, bold=bold) > width:
        kept -= 1
    return _without_middle(name, kept)


def _without_middle(name: str, kept: int) -> str:
    return f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"


def clip(content: str, width: float, size: float, *, bold: bool = False) -> str:
    """The text, cut with an ellipsis where it would not fit into `width`.

    >>> clip("a-very-long-model-name", 60, 10)
    'a-very-lo…'
    """
    if text_width(content, size, bold=bold) <= width:
        return content
    room = width - text_width("…", size, bold=bold)
    kept = ""
    for char in content:
        room -= text_width(char, size, bold=bold)
        if room < 0:
            break
        kept += char
    return f"{kept}…"


def lines(content: str, width: float, size: float) -> list[str]:
    """The text in lines that fit into `width`, broken between words; a word that is too long is clipped.

    >>> lines("nothing is lost where a line ends", 90, 10)
    ['nothing is lost', 'where a line', 'ends']
    """
    found: list[str] = []
    for word in content.split():
        longer = f"{found[-1]} {word}" if found else word
        if found and text_width(longer, size) <= width:
            found[-1] = longer
        else:
            found.append(clip(word, width, size))
    return found
