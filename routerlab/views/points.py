"""The past of a few models as points in time: second by second, the older the coarser, never more than fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Point", "Points", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One model at one point.

    Attributes:
        score: the EWMA score, 0 to 1; None: no data.
        success: share of successes in the model's window, 0 to 1; None: no data.
        latency_s: mean latency of its successes; None: no data.
        ok, failed: attempts that ended in this stretch of time.
    """

    score: float | None
    success: float | None
    latency_s: float | None
    ok: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """All models over one stretch of time, which ends at `at` (epoch seconds) and is `width` seconds long.

    `counters` are those of the whole lab at its end.
    """

    at: float
    width: float
    samples: tuple[Sample, ...]
    counters: Mapping[str, Any] = field(default_factory=dict)

    def merged(self, later: Point) -> Point:
        """This stretch and the next one as one: the later values, the sum of the counts."""
        samples = tuple(
            Sample(b.score, b.success, b.latency_s, a.ok + b.ok, a.failed + b.failed)
            for a, b in zip(self.samples, later.samples, strict=True)
        )
        return Point(later.at, later.at - self.at + self.width, samples, later.counters)


class Points:
    """A bounded line of points. When it is full, the older half is merged in pairs: old times keep their shape.

    Args:
        limit: the most points kept, at least 8.
    """

    def __init__(self, limit: int = 600) -> None:
        self._limit = max(8, limit)
        self._points: list[Point] = []

    def add(self, point: Point) -> None:
        """Add the newest point."""
        self._points.append(point)
        if len(self._points) > self._limit:
            old = self._limit // 2
            self._points = [*_pairs(self._points[:old]), *self._points[old:]]

    def newest(self, most: int) -> list[Point]:
        """All points in at most `most`: the newest as they are, the older ones merged."""
        points = self._points
        while len(points) > most:
            old = min(len(points), 2 * (len(points) - most))
            points = [*_pairs(points[:old]), *points[old:]]
        return list(points)

    def __len__(self) -> int:
        return len(self._points)


def _pairs(points: Sequence[Point]) -> list[Point]:
    """Neighbours as one; an odd one out at the end stays."""
    joined = [a.merged(b) for a, b in zip(points[::2], points[1::2], strict=False)]
    return joined + list(points[len(joined) * 2 :])
