"""A forest plot: differences between models with their intervals, beside the line of no difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from routerlab.experiments.verdicts import Difference, Verdict
from routerlab.views.charts import RIGHT, Panel, head, stack
from routerlab.views.sentences import interval, signed, verdict_word
from routerlab.views.svg import Element, clip, el, group, short, text, text_width
from routerlab.views.theme import Theme
from routerlab.views.waterfall import ticks

__all__ = ["forest"]

_NAMES, _GAP = 164.0, 22.0
_HEAD, _ROW = 52.0, 60.0
_TITLES = {
    "quality": ("Quality", "points; right of 0: better"),
    "latency": ("Latency", "median; left of 0: faster"),
    "cost": ("Cost", "for 1,000; left of 0: cheaper"),
}


def forest(verdicts: Sequence[Verdict], scorer: str, theme: Theme) -> Element:
    """One line per pair, one column per measure that is known."""
    pairs = ", ".join(f"{verdict.quality.first} against {verdict.quality.second}" for verdict in verdicts)
    columns = [list(many) for many in zip(*(verdict.differences for verdict in verdicts), strict=True)]
    known = [many for many in columns if any(one.estimate is not None for one in many)]
    if known:
        panel = _panel(verdicts, known, scorer, theme)
    else:
        why = "no prompt has a score of both models"
        panel = Panel(58.0, [*head("Comparison", "", theme), text(why, 16, 44, fill=theme.muted, size=12)])
    return stack([panel], theme=theme, label=f"Differences: {pairs}")


def _panel(verdicts: Sequence[Verdict], columns: Sequence[list[Difference]], scorer: str, theme: Theme) -> Panel:
    nodes = [
        text("Difference", 16, 20, fill=theme.ink, size=12.5, bold=True),
        text("first minus second, 95 %", 16, 36, fill=theme.muted, size=10.5),
    ]
    for place, verdict in enumerate(verdicts):
        nodes += _names(verdict.quality, _HEAD + _ROW * place, theme)
    width = (RIGHT - _NAMES - _GAP * (len(columns) - 1)) / len(columns)
    for place, many in enumerate(columns):
        nodes.append(group(_column(many, width, scorer, theme), x=_NAMES + (width + _GAP) * place))
    return Panel(_HEAD + _ROW * len(verdicts) + 26, nodes)


def _names(pair: Difference, top: float, theme: Theme) -> Iterator[Element]:
    yield text(short(pair.first, _NAMES - 30, 12), 16, top + 16, fill=theme.ink, title=pair.first)
    second = f"against {short(pair.second, _NAMES - 78, 11)}"
    yield text(second, 16, top + 32, fill=theme.muted, size=11, title=pair.second)


def _column(differences: Sequence[Difference], width: float, scorer: str, theme: Theme) -> Iterator[Element]:
    """A measure: its title, every pair's interval over the margin's band, the axis."""
    measure, margin = differences[0].measure, differences[0].margin or 0.0
    bounds = [abs(bound) for one in differences for bound in (one.low, one.high) if bound is not None]
    most = 1.1 * max([*bounds, 1.4 * margin]) or 1.0

    def x(value: float) -> float:
        return width * (value + most) / (2 * most)

    title, how = _TITLES[measure]
    title = f"{title} ({scorer})" if measure == "quality" else title
    bottom = _HEAD + _ROW * len(differences)
    yield text(clip(title, width, 12.5, bold=True), 0, 20, fill=theme.ink, size=12.5, bold=True)
    yield text(clip(how, width, 10.5), 0, 36, fill=theme.muted, size=10.5)
    words = f"margin ±{100 * margin:g} points: inside, a difference does not matter"
    for place, difference in enumerate(differences):
        top = _HEAD + _ROW * place
        if margin:
            band = {"x": x(-margin), "width": x(margin) - x(-margin), "y": top - 2, "height": 24}
            yield el("rect", el("title", words), fill=theme.closed, fill_opacity=0.22, **band)
        yield el("line", x1=x(0), y1=top - 2, x2=x(0), y2=top + 22, stroke=theme.ink, stroke_dasharray="4 3")
        yield from _line(difference, top, width, x, theme)
    yield from _axis(measure, most, width, bottom, theme)


def _axis(measure: str, most: float, width: float, bottom: float, theme: Theme) -> Iterator[Element]:
    middle = width / 2
    scale = {"quality": 100.0, "latency": 1.0, "cost": 1000.0}[measure]
    yield el("line", x1=0, y1=bottom, x2=width, y2=bottom, stroke=theme.grid)
    yield el("line", x1=middle, y1=bottom, x2=middle, y2=bottom + 4, stroke=theme.grid)
    yield text("0", middle, bottom + 17, fill=theme.muted, size=10.5, anchor="middle")
    step = ticks(most * scale, 2 if width < 300 else 4)[1:]
    for value in (sign * value for value in step for sign in (-1, 1)):
        at = middle + middle * value / (most * scale)
        name = f"{value:+g}".replace("-", "\u2212") if measure == "quality" else signed(measure, value / scale)
        yield el("line", x1=at, y1=bottom, x2=at, y2=bottom + 4, stroke=theme.grid)
        if abs(at - middle) > text_width(name, 10.5):
            yield text(name, at, bottom + 17, fill=theme.muted, size=10.5, anchor="middle")


def _line(
    difference: Difference, top: float, width: float, x: Callable[[float], float], theme: Theme
) -> Iterator[Element]:
    if difference.estimate is None or difference.low is None or difference.high is None:
        yield text("unknown", 0, top + 16, fill=theme.muted, size=11)
        return
    low, at, high, middle = x(difference.low), x(difference.estimate), x(difference.high), top + 10
    colour, word = _colour(difference, theme), verdict_word(difference)
    whisker = f"M{low:.1f} {middle - 5:.1f}v10m0-5H{high:.1f}m0-5v10"
    yield el("rect", x=at - 4, y=middle - 4, width=8, height=8, fill=colour, stroke=theme.paper, stroke_width=1)
    yield el("path", d=whisker, stroke=colour, stroke_width=2, fill="none")
    after = text_width(word, 11.5, bold=True) + 4
    yield text(word, 0, top + 34, fill=theme.ink, size=11.5, bold=True)
    yield text(signed(difference.measure, difference.estimate), after, top + 34, fill=theme.ink, size=11)
    yield text(clip(interval(difference), width, 10.5), 0, top + 48, fill=theme.muted, size=10.5)


def _colour(difference: Difference, theme: Theme) -> str:
    colours = {"better": theme.ok, "worse": theme.failed, "as good": theme.closed}
    return colours.get(difference.verdict, theme.waiting)
