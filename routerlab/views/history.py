"""The breakers' history: a lane per model, its breaker's state behind its traffic, failovers marked."""

from __future__ import annotations

from collections.abc import Sequence

from routerlab.views.charts import LEFT, RIGHT, Panel, head, x_axis
from routerlab.views.lanes import state_name
from routerlab.views.rundata import History, RunData, histories
from routerlab.views.svg import Element, Value, el, short, text, text_width
from routerlab.views.theme import Theme
from routerlab.views.waterfall import band, patterns
from routerlab.views.words import short_names

__all__ = ["history_panel", "history_text"]

_HEAD, _LANE, _BINS = 34.0, 46.0, 96
_STATES = {"closed": "─", "open": "█", "half_open": "▒"}


def history_panel(data: RunData, theme: Theme, uid: str) -> Panel:
    """Bars: attempts that succeeded (plain) and failed (hatched); triangles: calls that moved on to another model."""
    lanes, length = histories(data), data.length or 1.0
    if not lanes:
        return Panel(58.0, [*head("Breakers", "", theme), text("no attempt was recorded", 16, 44, fill=theme.muted)])
    most = max(max(a + b for a, b in zip(*_binned(lane, length), strict=True)) for lane in lanes) or 1
    nodes = [patterns(uid, theme), *head("Breakers", "state behind the attempts of each model, over the run", theme)]
    for place, lane in enumerate(lanes):
        nodes += _lane(lane, _HEAD + place * (_LANE + 5), length, most, uid, theme)
    bottom = _HEAD + len(lanes) * (_LANE + 5)
    nodes += x_axis(length, bottom, theme, lambda value: f"{value:g} s")
    return Panel(bottom + 50, nodes + _legend(bottom + 40, uid, theme))


def _lane(lane: History, top: float, length: float, most: int, uid: str, theme: Theme) -> list[Element]:
    def x(at: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, at / length))

    nodes = [el("rect", x=LEFT, y=top, width=RIGHT - LEFT, height=_LANE, fill=theme.panel)]
    for segment in lane.segments:
        nodes += band(segment, x(segment.start), x(segment.end), top, _LANE, uid, theme)
    nodes += _bars(lane, top, length, most, uid, theme)
    nodes += [_triangle(x(at), top + 2, theme) for at in lane.away[:400]]
    opened = sum(segment.state == "open" for segment in lane.segments)
    state = state_name(lane.segments[-1].state) if lane.segments else "unknown"
    times = "never opened" if not opened else "opened once" if opened == 1 else f"opened {opened} times"
    return [
        *nodes,
        text(short(lane.model, LEFT - 30, 12), 16, top + 20, fill=theme.ink, title=lane.model),
        text(f"{times}, now {state}" if opened else times, 16, top + 36, fill=theme.muted, size=10.5),
    ]


def _bars(lane: History, top: float, length: float, most: int, uid: str, theme: Theme) -> list[Element]:
    nodes, width = [], (RIGHT - LEFT) / _BINS
    for place, (ok, failed) in enumerate(zip(*_binned(lane, length), strict=True)):
        left, bottom = LEFT + place * width, top + _LANE
        for number, colour, pattern in ((ok, theme.ok, None), (failed, theme.failed, f"url(#{uid}-failed)")):
            tall = (_LANE - 14) * number / most
            if number:
                bottom -= tall
                box: dict[str, Value] = {"x": left + 0.5, "y": bottom, "width": width - 1, "height": tall}
                nodes.append(el("rect", fill=colour, **box))
                nodes += [el("rect", fill=pattern, **box)] if pattern else []
    return nodes


def _binned(lane: History, length: float) -> tuple[list[int], list[int]]:
    counts = []
    for times in (lane.ok, lane.failed):
        bins = [0] * _BINS
        for at in times:
            bins[min(_BINS - 1, max(0, int(at / length * _BINS)))] += 1
        counts.append(bins)
    return counts[0], counts[1]


def _triangle(x: float, y: float, theme: Theme) -> Element:
    return el("path", d=f"M{x - 3.5:.1f} {y:.1f}h7l-3.5 6z", fill=theme.ink, fill_opacity=0.75)


def _legend(baseline: float, uid: str, theme: Theme) -> list[Element]:
    keys = (
        ("breaker open", theme.open, 0.13, f"url(#{uid}-open)"),
        ("half-open", theme.half_open, 0.13, f"url(#{uid}-half_open)"),
        ("succeeded", theme.ok, 1.0, None),
        ("failed", theme.failed, 1.0, f"url(#{uid}-failed)"),
    )
    nodes, x = [], LEFT
    for name, colour, opacity, pattern in keys:
        box: dict[str, Value] = {"x": x, "y": baseline - 10, "width": 16, "height": 12}
        nodes.append(el("rect", fill=colour, fill_opacity=opacity, stroke=theme.grid, **box))
        nodes += [el("rect", fill=pattern, **box)] if pattern else []
        nodes.append(text(name, x + 22, baseline, fill=theme.muted, size=11))
        x += text_width(name, 11) + 42
    return [
        *nodes,
        _triangle(x + 6, baseline - 8, theme),
        text("moved on to another model", x + 16, baseline, fill=theme.muted, size=11),
    ]


def history_text(data: RunData, width: int = 80) -> str:
    """The same for a terminal: ``─`` closed, ``█`` open, ``▒`` half-open; a line per model."""
    lanes, length = histories(data), data.length or 1.0
    if not lanes:
        return "no attempt was recorded"
    name = min(max(len(lane.model) for lane in lanes) + 2, 32, max(12, width // 2))
    room = max(10, width - name)
    names = short_names([lane.model for lane in lanes], name - 2)
    lines = [f"{short:<{name}}{_strip(lane, length, room)}" for short, lane in zip(names, lanes, strict=True)]
    end = f"{length:.1f} s"
    return "\n".join([*lines, f"{'':<{name}}{'0 s':<{room - len(end)}}{end}"])


def _strip(lane: History, length: float, room: int) -> str:
    """The rarest state in each column, so that a short opening or a single probe can be seen, too."""
    order: Sequence[str] = ("closed", "open", "half_open")
    columns = ["closed" if lane.segments else ""] * room
    for segment in lane.segments:
        first = min(room - 1, int(segment.start / length * room))
        last = max(first + 1, round(segment.end / length * room))
        for column in range(first, min(room, last)):
            columns[column] = max(columns[column], segment.state, key=lambda s: order.index(s) if s in order else -1)
    return "".join(_STATES.get(state, " ") for state in columns)
