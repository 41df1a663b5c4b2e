"""The points of a past that nobody watched, made again from its attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from routerlab.core.window import RollingWindow
from routerlab.views.counters import Counters
from routerlab.views.points import Point, Sample

if TYPE_CHECKING:
    from routerlab.views.feed import News

__all__ = ["PAST_COLUMNS", "past_points"]

PAST_COLUMNS = ("model", "outcome", "ended_at", "latency_s", "ttft_s", "score_after")
_NEUTRAL = frozenset({"cancelled", "rejected"})


def past_points(models: Sequence[str], news: News) -> list[Point]:
    """One point for each second in which an attempt ended, oldest first.

    Args:
        models: whose points they are, in their order.
        news: its attempts with the columns `PAST_COLUMNS`.
    """
    attempts = news.attempts
    tellers = {model: _Teller() for model in models}
    counters = _CountersThen(news.calls)
    points: list[Point] = []
    second: int | None = None

    def close() -> None:
        if second is not None:
            end = second + 1.0
            samples = tuple(teller.tell(end) for teller in tellers.values())
            points.append(Point(end, 1.0, samples, counters.at(end)))

    for row in sorted(range(len(attempts["ended_at"])), key=attempts["ended_at"].__getitem__):
        model, outcome, at, latency, ttft, score = (attempts[name][row] for name in PAST_COLUMNS)
        if model not in tellers or outcome in _NEUTRAL:
            continue
        if second is not None and int(at) > second:
            close()
        second = int(at)
        tellers[model].hear(at, outcome == "ok", latency if ttft is None else ttft, score)
    close()
    return points


class _CountersThen:
    """The counters of the lab, moment by moment."""

    def __init__(self, calls: Mapping[str, Sequence[Any]]) -> None:
        self._rows = sorted(zip(*(calls[name] for name in Counters.columns), strict=True), key=lambda row: row[-1])
        self._next = 0
        self._counters = Counters()

    def at(self, moment: float) -> dict[str, Any]:
        """As they were then; moments only go forward."""
        first = self._next
        while self._next < len(self._rows) and self._rows[self._next][-1] <= moment:
            self._next += 1
        self._counters.count(self._rows[first : self._next])
        return self._counters.shown(moment)


class _Teller:
    """Tells of one model what its health told at the time."""

    def __init__(self) -> None:
        self._quality, self._latency = RollingWindow(), RollingWindow()
        self._score: float | None = None
        self._counts = [0, 0]

    def hear(self, at: float, ok: bool, latency_s: float | None, score: float | None) -> None:
        self._counts[not ok] += 1
        self._quality.record(1.0, ok, at)
        if ok and latency_s is not None:
            self._latency.record(latency_s, True, at)
        self._score = score

    def tell(self, now: float) -> Sample:
        ok, failed = self._counts
        self._counts = [0, 0]
        success = self._quality.rate(now) if self._quality.count(now) else None
        latency = self._latency.average(now) if self._latency.count(now) else None
        return Sample(self._score, success, latency, ok, failed)
