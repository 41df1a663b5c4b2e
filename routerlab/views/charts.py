"""The charts of a run, drawn as SVG: success, latency, quality against cost, a timeline, the breakers' history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routerlab.experiments.statistics import percentile
from routerlab.views.picture import canvas
from routerlab.views.rundata import RunData, latencies, summary_rows
from routerlab.views.svg import Element, Value, clip, el, group, short, text, text_width
from routerlab.views.theme import Theme, model_colours
from routerlab.views.waterfall import ticks
from routerlab.views.words import percent, seconds

__all__ = [
    "LEFT",
    "RIGHT",
    "WIDTH",
    "Panel",
    "head",
    "latency_panel",
    "stack",
    "success_panel",
    "timeline_panel",
    "x_axis",
]

WIDTH = 760.0
LEFT, RIGHT = 170.0, 744.0
_HEAD, _ROW = 34.0, 30.0
_DOTS = 1500


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: `WIDTH` wide, its height, what is in it."""

    height: float
    nodes: list[Element]


def stack(panels: Sequence[Panel], *, theme: Theme, label: str) -> Element:
    """Panels one below the other."""
    nodes, top = [], 4.0
    for panel in panels:
        nodes.append(group(panel.nodes, y=top))
        top += panel.height + 14
    return canvas(WIDTH, top, *nodes, theme=theme, label=label)


def head(title: str, note: str, theme: Theme) -> list[Element]:
    """A chart's title, and in small print how to read it."""
    start = 16 + text_width(title, 13.5, bold=True) + 12
    return [
        text(title, 16, 20, fill=theme.ink, size=13.5, bold=True),
        text(clip(note, RIGHT - start, 11), start, 20, fill=theme.muted, size=11),
    ]


def x_axis(
    length: float, top: float, theme: Theme, label: Callable[[float], str], *, height: float = 0.0
) -> list[Element]:
    """An axis from 0 to `length` with round values; `height` draws grid lines upwards."""
    nodes = [el("line", x1=LEFT, y1=top, x2=RIGHT, y2=top, stroke=theme.grid)]
    for value in ticks(length):
        at = LEFT + (RIGHT - LEFT) * value / length if length else LEFT
        nodes.append(el("line", x1=at, y1=top - height, x2=at, y2=top + 4, stroke=theme.grid, stroke_opacity=0.7))
        name = label(value)
        anchor = "end" if at + text_width(name, 10.5) / 2 > RIGHT + 8 else "middle"
        nodes.append(text(name, at, top + 17, fill=theme.muted, size=10.5, anchor=anchor))
    return nodes


def _name(model: str, baseline: float, theme: Theme) -> Element:
    return text(short(model, LEFT - 30, 12), 16, baseline, fill=theme.ink, title=model)


def _nothing(title: str, why: str, theme: Theme) -> Panel:
    return Panel(58.0, [*head(title, "", theme), text(why, 16, 44, fill=theme.muted, size=12)])


def success_panel(data: RunData, theme: Theme) -> Panel:
    """Share of calls answered by each model that was asked, with its 95 % interval."""
    rows = [row for row in summary_rows(data) if row["calls"]]
    if not rows:
        return _nothing("Success", "no call has ended yet", theme)
    end = RIGHT - 190

    def x(share: float) -> float:
        return LEFT + (end - LEFT) * share

    nodes = head("Success", "answered calls of those that reached the model, with 95 % interval", theme)
    for place, row in enumerate(rows):
        middle = _HEAD + place * _ROW + _ROW / 2
        box: dict[str, Value] = {"y": middle - 7, "height": 14, "rx": 2}
        nodes += [
            _name(row["model"], middle + 4, theme),
            el("rect", x=LEFT, width=end - LEFT, fill=theme.panel, **box),
            el("rect", x=LEFT, width=x(row["success"]) - LEFT, fill=theme.ok, **box),
            *_whisker(x(row["success_low"]), x(row["success_high"]), middle, theme),
            text(
                f"{percent(row['success'])} of {row['calls']:,} · {row['failovers']:,} moved on",
                end + 14,
                middle + 4,
                fill=theme.ink,
                size=11,
            ),
        ]
    return Panel(_HEAD + len(rows) * _ROW + 4, nodes)


def _whisker(left: float, right: float, middle: float, theme: Theme) -> list[Element]:
    path = f"M{left:.1f} {middle - 4:.1f}v8m0-4H{right:.1f}m0-4v8"
    return [el("path", d=path, stroke=theme.ink, stroke_width=1.3, fill="none")]


def latency_panel(data: RunData, theme: Theme) -> Panel:
    """Each answer's latency as a dot, the middle half as a box, the median as a line."""
    values = latencies(data)
    if not values:
        return _nothing("Latency", "no answers yet", theme)
    end = RIGHT - 150
    longest = max(percentile(many, 99) or 0.0 for many in values.values()) * 1.05 or 1.0
    colours = model_colours(data.models)

    def x(at: float) -> float:
        return LEFT + (end - LEFT) * min(1.0, at / longest)

    nodes = head("Latency", "of answered calls: every dot a call, box: middle half, line: median", theme)
    bottom = _HEAD + len(values) * 38
    for value in ticks(longest):
        nodes.append(el("line", x1=x(value), y1=_HEAD, x2=x(value), y2=bottom, stroke=theme.grid, stroke_opacity=0.6))
        nodes.append(
            text(seconds(value) if value else "0", x(value), bottom + 15, fill=theme.muted, size=10.5, anchor="middle")
        )
    for place, (model, many) in enumerate(values.items()):
        middle = _HEAD + place * 38 + 19
        nodes.append(_name(model, middle + 4, theme))
        nodes += _distribution(many, x, middle, colours[model], theme)
        numbers = f"p50 {seconds(percentile(many, 50))} · p95 {seconds(percentile(many, 95))}"
        nodes.append(text(numbers, end + 12, middle + 4, fill=theme.ink, size=11))
    return Panel(bottom + 24, nodes)


def _distribution(
    values: Sequence[float], x: Callable[[float], float], middle: float, colour: str, theme: Theme
) -> list[Element]:
    step = max(1, len(values) // 300)
    dots = [
        el("circle", cx=x(value), cy=middle + ((place * 0.618) % 1 - 0.5) * 21, r=1.8)  # spread, but not by chance
        for place, value in enumerate(sorted(values)[::step])
    ]
    low, mid, high = (x(percentile(values, q) or 0.0) for q in (25, 50, 75))
    return [
        el("g", *dots, fill=colour, fill_opacity=0.75),
        el(
            "rect",
            x=low,
            y=middle - 11,
            width=max(1.0, high - low),
            height=22,
            fill="none",
            stroke=theme.ink,
            stroke_width=1.1,
            rx=2,
        ),
        el("line", x1=mid, y1=middle - 13, x2=mid, y2=middle + 13, stroke=theme.ink, stroke_width=2.4),
    ]


def timeline_panel(data: RunData, theme: Theme) -> Panel:
    """Every attempt: when it ended, how long it took, whether it succeeded."""
    attempts = _thinned(data)
    if not attempts:
        return _nothing("Attempts", "none was recorded", theme)
    top, bottom = _HEAD + 26, 270.0
    longest = max(row["latency_s"] for row in attempts) * 1.05 or 1.0
    colours = model_colours(data.models)
    nodes = head("Attempts", "when each ended and how long it took; ● succeeded, ✗ failed", theme)
    nodes += _legend(colours, theme)
    for value in ticks(longest, 4):
        y = bottom - (bottom - top) * value / longest
        nodes.append(el("line", x1=LEFT, y1=y, x2=RIGHT, y2=y, stroke=theme.grid, stroke_opacity=0.7))
        nodes.append(
            text(seconds(value) if value else "0 s", LEFT - 8, y + 4, fill=theme.muted, size=10.5, anchor="end")
        )
    for row in attempts:
        x = LEFT + (RIGHT - LEFT) * (row["ended_at"] - data.start) / (data.length or 1.0)
        y = bottom - (bottom - top) * row["latency_s"] / longest
        if row["outcome"] == "ok":
            nodes.append(el("circle", cx=x, cy=y, r=2.4, fill=colours[row["model"]], fill_opacity=0.7))
        else:
            cross = f"M{x - 3:.1f} {y - 3:.1f}l6 6m0-6l-6 6"
            nodes.append(el("path", d=cross, stroke=colours[row["model"]], stroke_width=1.8, fill="none"))
    return Panel(bottom + 26, nodes + x_axis(data.length or 1.0, bottom, theme, lambda value: f"{value:g} s"))


def _thinned(data: RunData) -> list[Mapping[str, Any]]:
    """All failures, and as many successes as a picture can show."""
    good = [row for row in data.attempts if row["outcome"] == "ok"]
    bad = [row for row in data.attempts if row["outcome"] != "ok"][:_DOTS]
    return good[:: max(1, len(good) // _DOTS)] + bad


def _legend(colours: dict[str, str], theme: Theme) -> list[Element]:
    nodes, x = [], LEFT
    for model, colour in colours.items():
        name = short(model, 160, 11)
        if x + text_width(name, 11) + 20 > RIGHT:
            break
        nodes += [
            el("circle", cx=x + 5, cy=_HEAD + 4, r=4, fill=colour),
            text(name, x + 14, _HEAD + 8, fill=theme.ink, size=11),
        ]
        x += text_width(name, 11) + 32
    return nodes
