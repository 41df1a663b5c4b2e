"""A forest plot: differences between models with their intervals, beside the line of no difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from routerlab.experiments.verdicts import Difference, Verdict
from routerlab.views.charts import LEFT, RIGHT, WIDTH, Panel, head, stack
from routerlab.views.sentences import between, signed, verdict_word
from routerlab.views.svg import Element, clip, el, short, text
from routerlab.views.theme import Theme
from routerlab.views.waterfall import ticks

__all__ = ["forest"]

_HEAD, _ROW, _END = 36.0, 40.0, RIGHT - 190
_TITLES = {
    "quality": ("Quality", "difference in points, 95 % interval; right of 0: the first is better"),
    "latency": ("Latency", "difference of medians, 95 % interval; left of 0: the first is faster"),
    "cost": ("Cost", "difference for 1,000 answers, 95 % interval; left of 0: the first is cheaper"),
}


def forest(verdicts: Sequence[Verdict], scorer: str, theme: Theme) -> Element:
    """One panel per measure that is known, one line per pair."""
    columns = zip(*(verdict.differences for verdict in verdicts), strict=True)
    panels = [_panel(list(many), scorer, theme) for many in columns if any(d.estimate is not None for d in many)]
    if not panels:
        why = "no prompt has a score of both models"
        panels = [Panel(58.0, [*head("Comparison", "", theme), text(why, 16, 44, fill=theme.muted, size=12)])]
    pairs = ", ".join(f"{verdict.quality.first} against {verdict.quality.second}" for verdict in verdicts)
    return stack(panels, theme=theme, label=f"Differences: {pairs}")


def _panel(differences: Sequence[Difference], scorer: str, theme: Theme) -> Panel:
    measure = differences[0].measure
    title, how = _TITLES[measure]
    margin = differences[0].margin or 0.0
    shown = [d for d in differences if d.estimate is not None]
    bounds = [abs(bound) for d in shown for bound in (d.low, d.high) if bound is not None]
    most = 1.1 * max([*bounds, 1.4 * margin]) or 1.0

    def x(value: float) -> float:
        return LEFT + (_END - LEFT) * (value + most) / (2 * most)

    bottom = _HEAD + _ROW * len(differences)
    nodes = head(f"{title} ({scorer})" if measure == "quality" else title, how, theme)
    if margin:
        band = {"x": x(-margin), "width": x(margin) - x(-margin), "y": _HEAD - 4, "height": bottom - _HEAD + 4}
        words = f"margin ±{100 * margin:g} points: inside, a difference does not matter"
        nodes.append(el("rect", el("title", words), fill=theme.closed, fill_opacity=0.22, **band))
    nodes += _axis(measure, most, bottom, theme)
    for place, difference in enumerate(differences):
        nodes += _line(difference, _HEAD + _ROW * place + _ROW / 2, x, theme)
    return Panel(bottom + 26, nodes)


def _axis(measure: str, most: float, bottom: float, theme: Theme) -> list[Element]:
    middle, half = (LEFT + _END) / 2, (_END - LEFT) / 2
    scale = {"quality": 100.0, "latency": 1.0, "cost": 1000.0}[measure]
    nodes = [
        el("line", x1=LEFT, y1=bottom, x2=_END, y2=bottom, stroke=theme.grid),
        el("line", x1=middle, y1=_HEAD - 4, x2=middle, y2=bottom + 4, stroke=theme.ink, stroke_dasharray="4 3"),
        text("0", middle, bottom + 17, fill=theme.muted, size=10.5, anchor="middle"),
    ]
    for value in ticks(most * scale, 3):
        if not value:
            continue
        for side in (-1, 1):
            at = middle + side * half * value / (most * scale)
            name = (
                f"{side * value:+g}".replace("-", "\u2212")
                if measure == "quality"
                else signed(measure, side * value / scale)
            )
            nodes.append(el("line", x1=at, y1=bottom, x2=at, y2=bottom + 4, stroke=theme.grid))
            nodes.append(text(name, at, bottom + 17, fill=theme.muted, size=10.5, anchor="middle"))
    return nodes


def _line(difference: Difference, middle: float, x: Callable[[float], float], theme: Theme) -> list[Element]:
    nodes = [
        text(short(difference.first, LEFT - 34, 12), 16, middle - 3, fill=theme.ink, title=difference.first),
        text(f"against {short(difference.second, LEFT - 78, 11)}", 16, middle + 12, fill=theme.muted, size=11,
             title=difference.second),
    ]  # fmt: skip
    if difference.estimate is None or difference.low is None or difference.high is None:
        return [*nodes, text("unknown", _END + 14, middle + 4, fill=theme.muted, size=11)]
    low, at, high = x(difference.low), x(difference.estimate), x(difference.high)
    colour = _colour(difference, theme)
    whisker = f"M{low:.1f} {middle - 5:.1f}v10m0-5H{high:.1f}m0-5v10"
    return [
        *nodes,
        el("path", d=whisker, stroke=colour, stroke_width=2, fill="none"),
        el("rect", x=at - 5, y=middle - 5, width=10, height=10, fill=colour, stroke=theme.paper, stroke_width=1),
        text(verdict_word(difference), _END + 14, middle - 3, fill=theme.ink, size=12, bold=True),
        text(clip(between(difference), WIDTH - _END - 20, 11), _END + 14, middle + 12, fill=theme.muted, size=11),
    ]


def _colour(difference: Difference, theme: Theme) -> str:
    colours = {"better": theme.ok, "worse": theme.failed, "as good": theme.closed}
    return colours.get(difference.verdict, theme.waiting)
