"""A board as a picture and as text: what a saved notebook shows when there is no kernel."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routerlab.views.board import BREAKERS
from routerlab.views.boardtext import board_text, failover_lines, headline
from routerlab.views.charts import LEFT, RIGHT, WIDTH, Panel, head, stack, x_axis
from routerlab.views.lanes import Segment, signed_state
from routerlab.views.markup import beside_live
from routerlab.views.picture import Picture
from routerlab.views.rundraw import runs_panel
from routerlab.views.svg import Element, clip, el, short, text, text_width
from routerlab.views.theme import Theme, model_colours
from routerlab.views.waterfall import band, patterns
from routerlab.views.words import money, percent, seconds

__all__ = ["Still"]

_LANE, _GAP, _HEAD, _CHART = 36.0, 5.0, 34.0, 84.0
_SPAN_S = 300.0  # at most
_STEPS = 420  # points of all lines of a chart, and bars of all lanes: a picture that is saved must be small
_ROOM = 60_000  # bytes of both pictures that a notebook keeps
_SHARPNESS = ((1.0, 64), (1.0, 24), (0.75, 24), (0.5, 24), (0.5, 8))  # scale, colours
_DASHES = (None, "6 3", "2 3")


class Still(Picture):
    """The board of a lab at one moment.

    Args:
        whole: from `Board.whole`.
        show: the sections to draw.
        about: of the runs only this one; empty: all.
    """

    def __init__(self, whole: Mapping[str, Any], show: Sequence[str], about: str = "") -> None:
        self._whole: dict[str, Any] = dict(whole)
        self._show = frozenset(show)
        self._runs = [run for run in whole["x"].get("runs", ()) if not about or run["id"] == about]
        self._models: list[str] = list(whole["models"])
        self._names: list[str] = list(whole["names"])
        self._steps = max(20, min(100, _STEPS // max(1, len(self._models))))
        self._points = [[point[0] + whole["t"], *point[1:]] for point in whole["p"]]
        self._end: float = max(whole["at"], *(point[0] for point in self._points[-1:]), 0.0) or whole["t"]
        self._start = self._begin()

    def _begin(self) -> float:
        points, changes = self._points, self._whole["g"]
        times = [point[0] - point[1] for point in points[:1]] + [change[0] for change in changes[:1]]
        return float(max(self._end - _SPAN_S, min([*times, self._end - 10.0])))

    @property
    def html(self) -> str:
        """As for every picture; marked, so that a page with the live panel can leave it out."""
        return beside_live(super().html)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """Small enough to be saved again and again: both pictures together at most 60 kB."""
        svg = self.svg
        png = self._png(_ROOM - len(svg.encode()))
        return {"text/html": self.html, "image/svg+xml": svg, "image/png": png, "text/plain": str(self)}

    def _png(self, room: int) -> str:
        """As sharp as fits."""
        for scale, colours in _SHARPNESS:
            png = b64encode(self.png(scale, colours=colours)).decode()
            if len(png) <= room:
                break
        return png

    # -- the picture ---------------------------------------------------------------------------------------------------

    def draw(self, theme: Theme) -> Element:
        """The sections one below the other."""
        panels: list[Panel] = []
        if "counters" in self._show:
            panels.append(self._counters(theme))
        if "runs" in self._show and (self._runs or len(self._show) == 1):
            panels.append(runs_panel(self._runs, theme))
        if "breakers" in self._show:
            panels.append(self._lanes(theme))
        if "scores" in self._show:
            panels += [self._chart(theme, *measure) for measure in _MEASURES]
        if self._show & {"failovers", "trace"}:
            panels.append(self._failovers(theme))
        return stack(panels, theme=theme, label=headline(self._whole))

    def _counters(self, theme: Theme) -> Panel:
        nodes = [text("routerlab", 16, 20, fill=theme.ink, size=14, bold=True)]
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self._end))
        nodes.append(text(f"as of {when}", RIGHT, 20, fill=theme.muted, size=11, anchor="end"))
        step = (WIDTH - 32) / 5
        for place, (name, value, more) in enumerate(self._tiles()):
            left = 16 + place * step
            nodes += [
                el("rect", x=left, y=32, width=step - 8, height=56, rx=6, fill=theme.panel),
                text(name, left + 10, 47, fill=theme.muted, size=10.5),
                text(value, left + 10, 67, fill=theme.ink, size=17, bold=True),
                text(clip(more, step - 24, 10.5), left + 10, 82, fill=theme.muted, size=10.5),
            ]
        return Panel(92.0, nodes)

    def _tiles(self) -> list[tuple[str, str, str]]:
        c = self._whole["c"]
        ended = c["ok"] + c["failed"]
        return [
            ("calls", f"{c['calls']:,}", f"{c['calls_s']:g}/s at the end"),
            ("success", percent(c["ok"] / ended) if ended else "no call", f"{c['failed']:,} failed"),
            ("failovers", f"{c['failovers']:,}", f"in {c['calls']:,} calls"),
            ("tokens", f"{c['tokens']:,}", f"{c['tokens_s']:,.0f}/s at the end"),
            ("spend", money(c["cost_usd"]) or "unknown", ""),
        ]

    def _x(self, at: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, (at - self._start) / (self._end - self._start)))

    def _lanes(self, theme: Theme) -> Panel:
        note = "hatched: open · dotted: half-open · bars: attempts"
        nodes = [patterns("still", theme), *head("Breakers", note, theme)]
        bars = [self._bars(place) for place in range(len(self._models))]
        most = (
            max(((ok + failed) / (end - begin) for lane in bars for begin, end, ok, failed in lane), default=0.0) or 1.0
        )
        for place, model in enumerate(self._models):
            top = _HEAD + place * (_LANE + _GAP)
            nodes.append(el("rect", x=LEFT, y=top, width=RIGHT - LEFT, height=_LANE, fill=theme.panel))
            for segment in self._segments(place):
                nodes += band(segment, self._x(segment.start), self._x(segment.end), top, _LANE, "still", theme)
            nodes += self._draw_bars(bars[place], top, most, theme)
            breaker, success = self._whole["s"][str(place)][0], self._whole["s"][str(place)][3]
            about = signed_state(BREAKERS[breaker])
            about += "" if success is None else f" · {percent(success / 1000)} ok"
            nodes += [
                text(self._name(place, LEFT - 26, 12), 16, top + 15, fill=theme.ink, title=model),
                text(clip(about, LEFT - 22, 10.5), 16, top + 30, fill=theme.muted, size=10.5),
            ]
        bottom = _HEAD + len(self._models) * (_LANE + _GAP)
        return Panel(bottom + 24, nodes + self._axis(bottom, theme))

    def _segments(self, place: int) -> list[Segment]:
        changes = [(at, state) for at, lane, state in self._whole["g"] if lane == place]
        ends = [*(at for at, _ in changes[1:]), self._end]
        return [
            Segment(max(at, self._start), end, BREAKERS[state])
            for (at, state), end in zip(changes, ends, strict=False)
            if end > self._start
        ]

    def _bars(self, place: int) -> list[tuple[float, float, float, float]]:
        """Stretches of a lane: begin, end, attempts that succeeded and failed. A point each, or so many equal ones."""
        points = [point for point in self._points if point[0] >= self._start]
        bars = [(point[0] - point[1], point[0], point[5 + 5 * place], point[6 + 5 * place]) for point in points]
        if len(bars) <= self._steps:
            return bars
        wide = (self._end - self._start) / self._steps
        bins = [[0.0, 0.0] for _ in range(self._steps)]
        for begin, end, *counts in bars:
            at = min(self._steps - 1, max(0, int(((begin + end) / 2 - self._start) / wide)))
            bins[at] = [a + b for a, b in zip(bins[at], counts, strict=True)]
        return [
            (self._start + at * wide, self._start + (at + 1) * wide, ok, failed) for at, (ok, failed) in enumerate(bins)
        ]

    def _draw_bars(
        self, bars: Sequence[tuple[float, float, float, float]], top: float, most: float, theme: Theme
    ) -> list[Element]:
        """A path for all bars of a kind."""
        good = bad = ""
        for begin, end, ok, failed in bars:
            left, wide = self._x(begin), max(0.8, self._x(end) - self._x(begin) - 0.6)
            up, more = ((_LANE - 8) * number / (end - begin) / most for number in (ok, failed))
            good += _bar(left, top + _LANE, wide, up)
            bad += _bar(left, top + _LANE - up, wide, more)
        fills = ((good, theme.ok), (bad, theme.failed), (bad, "url(#still-failed)"))
        return [el("path", d=way, fill=fill) for way, fill in fills if way]

    def _axis(self, top: float, theme: Theme) -> list[Element]:
        length = self._end - self._start

        def name(value: float) -> str:
            return time.strftime("%H:%M:%S", time.gmtime(self._start + value))

        return x_axis(length, top, theme, name)

    def _chart(self, theme: Theme, title: str, offset: int, top: float, label: Callable[[float], str]) -> Panel:
        colours = model_colours(self._models)
        points = [point for point in self._points if point[0] >= self._start]
        values = [point[2 + 5 * place + offset] for point in points for place in range(len(self._models))]
        top = top or max((value for value in values if value is not None), default=0) * 1.1 or 1000.0
        nodes = head(title, ", ".join(f"{name} {label(last)}" for name, last in self._last(offset)), theme)

        def y(value: float) -> float:
            return _HEAD + _CHART - (_CHART - 6) * min(1.0, value / top)

        for share in (0.0, 0.5, 1.0):
            at = y(share * top)
            nodes.append(el("line", x1=LEFT, y1=at, x2=RIGHT, y2=at, stroke=theme.grid, stroke_opacity=0.7))
            nodes.append(text(label(share * top), LEFT - 8, at + 4, fill=theme.muted, size=10.5, anchor="end"))
        for place, model in enumerate(self._models):
            way = self._way([(point[0], point[2 + 5 * place + offset]) for point in points], y)
            if way:
                dash = _DASHES[place // 8 % len(_DASHES)]
                nodes.append(
                    el("path", d=way, fill="none", stroke=colours[model], stroke_width=1.7, stroke_dasharray=dash)
                )
            nodes.append(self._key(model, place, colours[model], theme))
        return Panel(max(_HEAD + _CHART, _HEAD + 14.0 * len(self._models)) + 6, nodes)

    def _key(self, model: str, place: int, colour: str, theme: Theme) -> Element:
        y = _HEAD + 8 + 14 * place
        dash = _DASHES[place // 8 % len(_DASHES)]
        line = el("line", x1=16, x2=32, y1=y - 4, y2=y - 4, stroke=colour, stroke_width=3, stroke_dasharray=dash)
        name = self._name(place, LEFT - 90, 10.5)
        return el("g", line, text(name, 38, y, fill=theme.ink, size=10.5, title=model))

    def _name(self, place: int, width: float, size: float) -> str:
        """The model's whole name where it fits, else the short one."""
        model = self._models[place]
        return model if text_width(model, size) <= width else short(self._names[place], width, size)

    def _way(self, values: Sequence[tuple[float, float | None]], y: Callable[[float], float]) -> str:
        step = max(1, len(values) // self._steps)
        way, pen = "", "M"
        for place, (at, value) in enumerate(values):
            if value is None:
                pen = "M"
            elif place % step == 0 or place == len(values) - 1:
                way += f"{pen}{self._x(at):.1f} {y(value):.1f}"
                pen = "L"
        return way

    def _last(self, offset: int) -> list[tuple[str, float]]:
        states = (self._whole["s"][str(place)][2 + offset] for place in range(len(self._models)))
        return [(name, value) for name, value in zip(self._names, states, strict=True) if value is not None]

    def _failovers(self, theme: Theme) -> Panel:
        nodes = head("Latest failovers", "", theme)
        lines = failover_lines(self._whole)
        for place, line in enumerate(lines):
            nodes.append(text(clip(line, WIDTH - 32, 11.5), 16, 44 + 18 * place, fill=theme.ink, size=11.5))
        return Panel(36.0 + 18 * len(lines), nodes)

    # -- the text ------------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return board_text(self._whole, self._show, self._runs)


_MEASURES: tuple[tuple[str, int, float, Callable[[float], str]], ...] = (
    ("EWMA score", 0, 1000.0, lambda value: f"{value / 1000:.2f}"),
    ("Success rate", 1, 1000.0, lambda value: f"{value / 10:.3g} %"),
    ("Latency", 2, 0.0, lambda value: seconds(value / 1000)),
)


def _bar(left: float, bottom: float, wide: float, tall: float) -> str:
    return f"M{left:.1f} {bottom:.1f}v{-tall:.1f}h{wide:.1f}v{tall:.1f}z" if tall else ""
