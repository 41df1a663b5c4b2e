"""How good a success was: its time against a latency target, given or found out."""

from __future__ import annotations

from bisect import insort

__all__ = ["LatencyTarget", "quality"]

_FROZEN_AT = 20  # successes after which an automatic latency target stays as it is


def quality(target_s: float, seconds: float) -> float:
    """How good a success was, 0…1, higher is better: ``target / (target + t)``.

    >>> quality(2.0, 2.0)
    0.5
    """
    total = target_s + seconds
    return target_s / total if total > 0 else 0.5  # no time at all is what was aimed at


class LatencyTarget:
    """The latency that scores 0.5: given, or the running median of the first successes, frozen at the 20th.

    Args:
        fixed: seconds; None: found out (``auto``).
    """

    def __init__(self, fixed: float | None = None) -> None:
        self.seconds = fixed
        self._seen: list[float] | None = [] if fixed is None else None

    @property
    def frozen(self) -> bool:
        """Whether it will stay as it is."""
        return self._seen is None

    def observe(self, seconds: float) -> float:
        """Take in one success; returns the target that it is measured by."""
        if self._seen is not None:
            insort(self._seen, seconds)
            middle = len(self._seen) // 2
            self.seconds = self._seen[middle] if len(self._seen) % 2 else sum(self._seen[middle - 1 : middle + 1]) / 2
            if len(self._seen) >= _FROZEN_AT:
                self._seen = None
        return self.seconds or 0.0
