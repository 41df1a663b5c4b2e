"""A rate limit as providers keep it: a bucket that refills evenly."""

from __future__ import annotations

__all__ = ["Allowance"]

_MINUTE_S = 60.0


class Allowance:
    """So many requests or tokens per minute.

    Args:
        per_minute: the bucket's size, and what flows in within a minute; positive.
        now: seconds on any clock; the bucket starts full.

    >>> bucket = Allowance(60, now=0.0)
    >>> bucket.take(60, now=0.0), bucket.take(1, now=0.5), bucket.take(1, now=1.0)
    (0.0, 0.5, 0.0)
    """

    __slots__ = ("_at", "_level", "per_minute")

    def __init__(self, per_minute: float, *, now: float) -> None:
        self.per_minute = per_minute
        self._level = float(per_minute)
        self._at = now

    def take(self, amount: float, *, now: float) -> float:
        """Take an amount out, if it is there: 0.0. Else take nothing, and return the seconds until it will be there."""
        self._refill(now)
        if self._level < amount:
            return (min(amount, self.per_minute) - self._level) * _MINUTE_S / self.per_minute
        self._level -= amount
        return 0.0

    def remaining(self, *, now: float) -> int:
        """What could be taken now, in whole numbers."""
        self._refill(now)
        return int(self._level)

    def reset_s(self, *, now: float) -> float:
        """Seconds until the bucket is full again."""
        self._refill(now)
        return (self.per_minute - self._level) * _MINUTE_S / self.per_minute

    def _refill(self, now: float) -> None:
        elapsed = max(0.0, now - self._at)
        self._level = min(self.per_minute, self._level + elapsed * self.per_minute / _MINUTE_S)
        self._at = max(self._at, now)
