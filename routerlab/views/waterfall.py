"""The waterfall of one call, drawn: lanes of attempts on bands that show what each breaker said."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence

from routerlab.views.lanes import Bar, Lane, Segment
from routerlab.views.picture import canvas
from routerlab.views.svg import Element, Value, clip, el, short, text, text_width
from routerlab.views.theme import Theme

__all__ = ["band", "draw_waterfall", "patterns", "ticks"]

_WIDTH, _LEFT, _RIGHT, _HEAD, _ROW, _PAD, _AXIS = 760.0, 186.0, 744.0, 52.0, 22.0, 9.0, 30.0
_BAR_INK = "#101418"  # dark on every bar colour, in any theme


def draw_waterfall(
    lanes: Sequence[Lane], length: float, *, title: str, subtitle: str, name: str, theme: Theme
) -> Element:
    """The picture of one call.

    Args:
        lanes: from `call_lanes`.
        length: of the call, seconds.
        title, subtitle: two lines above the lanes.
        name: tells this picture's patterns from those of others on the page.
        theme: its colours.
    """
    uid = f"t{zlib.crc32(name.encode('utf-8', 'replace')):08x}"
    nodes = [patterns(uid, theme), *_head(title, subtitle, theme)]
    top = _HEAD
    for lane in lanes:
        height = _lane_height(lane)
        nodes += _lane(lane, top, height, length, uid, theme)
        top += height + 4
    nodes += _axis(length, top + 2, theme)
    return canvas(_WIDTH, top + _AXIS, *nodes, theme=theme, label=f"{title}. {subtitle}")


def _head(title: str, subtitle: str, theme: Theme) -> list[Element]:
    room = _WIDTH - 32
    return [
        text(clip(title, room, 14, bold=True), 16, 21, fill=theme.ink, size=14, bold=True),
        text(clip(subtitle, room, 11.5), 16, 40, fill=theme.muted, size=11.5),
    ]


def _lane_height(lane: Lane) -> float:
    return max(40.0, len(lane.bars) * _ROW + 2 * _PAD)


def _lane(lane: Lane, top: float, height: float, length: float, uid: str, theme: Theme) -> list[Element]:
    def x(seconds: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, seconds / length))

    nodes = [el("rect", x=8, y=top, width=_WIDTH - 16, height=height, rx=5, fill=theme.panel)]
    for segment in lane.segments:
        nodes += band(segment, x(segment.start), x(segment.end), top, height, uid, theme)
    nodes += _label(lane, top, height, theme)
    if lane.note:
        note = clip(f"not asked: {lane.note}", _RIGHT - _LEFT - 16, 11.5)
        nodes += _boxed(note, _LEFT + 8, top + height / 2 + 4, theme)
    first = top + (height - len(lane.bars) * _ROW) / 2
    for place, bar in enumerate(lane.bars):
        nodes += _bar(bar, x, first + place * _ROW, uid, theme)
    return nodes


def _label(lane: Lane, top: float, height: float, theme: Theme) -> list[Element]:
    answered = any(bar.answered for bar in lane.bars)
    middle = top + height / 2
    name = short(f"✓ {lane.model}" if answered else lane.model, _LEFT - 30, 12, bold=answered)
    nodes = [text(name, 18, middle - 3, fill=theme.ink, bold=answered, title=lane.model)]
    if lane.breaker:
        nodes.append(
            text(clip(f"breaker {lane.breaker}", _LEFT - 30, 10.5), 18, middle + 12, fill=theme.muted, size=10.5)
        )
    return nodes


def band(
    segment: Segment, left: float, right: float, top: float, height: float, uid: str, theme: Theme
) -> list[Element]:
    """A breaker's state behind a lane: closed is plain, open hatched, half-open dotted, each with its colour."""
    if segment.state not in {"open", "half_open"} or right - left < 0.5:
        return []
    box: dict[str, Value] = {"x": left, "y": top, "width": right - left, "height": height}
    tint = theme.open if segment.state == "open" else theme.half_open
    return [
        el("rect", el("title", f"breaker {segment.state.replace('_', '-')}"), fill=tint, fill_opacity=0.13, **box),
        el("rect", fill=f"url(#{uid}-{segment.state})", **box),
    ]


def _bar(bar: Bar, x: Callable[[float], float], y: float, uid: str, theme: Theme) -> list[Element]:
    colour = {"ok": theme.ok, "failed": theme.failed}.get(bar.outcome, theme.waiting)
    left, right = x(bar.start), max(x(bar.end), x(bar.start) + 3)
    box: dict[str, Value] = {"y": y + 3, "height": _ROW - 6, "rx": 2.0}
    nodes = []
    if bar.wait > 0 and left - x(bar.start - bar.wait) > 1:
        begin = x(bar.start - bar.wait)
        tip = el("title", f"waited {bar.wait:.2f} s")
        nodes.append(
            el(
                "rect",
                tip,
                x=begin,
                width=left - begin,
                fill=f"url(#{uid}-wait)",
                stroke=theme.waiting,
                stroke_width=0.7,
                **box,
            )
        )
    nodes.append(el("rect", el("title", bar.label), x=left, width=right - left, fill=colour, **box))
    if bar.outcome != "ok":
        nodes.append(el("rect", x=left, width=right - left, fill=f"url(#{uid}-failed)", **box))
    if bar.first_token is not None and x(bar.first_token) - left > 2:
        shade: dict[str, Value] = {"fill": theme.paper, "fill_opacity": 0.5}
        nodes.append(
            el("rect", el("title", "until the first token"), x=left, width=x(bar.first_token) - left, **shade, **box)
        )
    return nodes + _bar_label(bar, x(bar.start - bar.wait), right, y + _ROW / 2 + 4, theme)


def _bar_label(bar: Bar, left: float, right: float, baseline: float, theme: Theme) -> list[Element]:
    """Behind the bar where there is room, else before it, else on it."""
    width = text_width(bar.label, 11.5) + 14
    if right + width <= _RIGHT:
        return _boxed(bar.label, right + 7, baseline, theme)
    if left - width >= _LEFT:
        return _boxed(bar.label, left - width + 7, baseline, theme)
    label = clip(bar.label, right - left - 12, 11.5)
    return _boxed(label, (left + right - text_width(label, 11.5)) / 2, baseline, theme)


def _boxed(label: str, x: float, baseline: float, theme: Theme) -> list[Element]:
    """A label on a plain ground, so that no hatching runs through it."""
    width = text_width(label, 11.5)
    return [
        el("rect", x=x - 4, y=baseline - 12, width=width + 8, height=16, rx=3, fill=theme.panel, fill_opacity=0.92),
        text(label, x, baseline, fill=theme.ink, size=11.5),
    ]


def _axis(length: float, top: float, theme: Theme) -> list[Element]:
    nodes = [el("line", x1=_LEFT, y1=top, x2=_RIGHT, y2=top, stroke=theme.grid)]
    for value in ticks(length):
        at = _LEFT + (_RIGHT - _LEFT) * value / length
        nodes.append(el("line", x1=at, y1=top, x2=at, y2=top + 4, stroke=theme.grid))
        label = f"{value:g} s"
        anchor = "start" if value == 0 else "end" if at + text_width(label, 10.5) / 2 > _RIGHT else "middle"
        nodes.append(text(label, at, top + 17, fill=theme.muted, size=10.5, anchor=anchor))
    return nodes


def ticks(length: float, count: int = 6) -> list[float]:
    """Round values from 0 to `length`, about `count` of them.

    >>> ticks(1.3)
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    """
    if not (length > 0 and math.isfinite(length)):
        return [0.0]
    unit = 10.0 ** math.floor(math.log10(length / count))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10, 20) if length / (factor * unit) <= count)
    return [round(place * step, 12) for place in range(int(length / step + 1e-9) + 1)]


def patterns(uid: str, theme: Theme) -> Element:
    """The hatchings that tell states and outcomes apart without colour; referred to as ``url(#<uid>-<name>)``."""

    def lines(name: str, path: str, colour: str, opacity: float, size: int = 7) -> Element:
        stroke = el("path", d=path, stroke=colour, stroke_width=1.1, stroke_opacity=opacity, fill="none")
        return el("pattern", stroke, id=f"{uid}-{name}", width=size, height=size, patternUnits="userSpaceOnUse")

    dots = el("circle", cx=3, cy=3, r=1.1, fill=theme.half_open, fill_opacity=0.9)
    return el(
        "defs",
        lines("open", "M0 7L7 0M-1 1L1 -1M6 8L8 6", theme.open, 0.55),
        el("pattern", dots, id=f"{uid}-half_open", width=6, height=6, patternUnits="userSpaceOnUse"),
        lines("wait", "M0 0L5 5M-1 4L1 6M4 -1L6 1", theme.waiting, 0.9, size=5),
        lines("failed", "M0 5L5 0M-1 1L1 -1M4 6L6 4", _BAR_INK, 0.35, size=5),
    )
