"""How many calls each provider may have in flight: fewer after a 429, the same after a 5xx, more again after successes.

As TCP does it: a limit is halved when a provider says that it is too much, once for all calls that were on their way
together, and grows by one for each round of successes; but slowly where it met the last 429, so that few calls are
refused to find out. No clock and no waiting here: times are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from routerlab.session.results import CallResult

__all__ = ["Held", "Limit", "Pace"]

_SHRINK = 0.5
_CAREFUL = 8  # rounds of successes instead of one, near the limit that was too much
_PAUSE_S = 10.0  # a provider in trouble gets no more calls at once than it has
_TOO_MANY, _TROUBLE = 429, 500


@dataclass(frozen=True, slots=True)
class Held:
    """A provider that gets fewer calls at once than it may, because it answered 429.

    Attributes:
        provider: its name, or that of a pool.
        limit: calls in flight at most, now.
        most: the same without its 429s.
    """

    provider: str
    limit: int
    most: int


class Limit:
    """The calls that one provider may have in flight.

    Args:
        name: of the provider.
        most: where it starts, and what it never exceeds; at least 1.

    >>> limit = Limit("sim", 8)
    >>> limit.too_many(sent_at=0.0, now=1.0)
    >>> limit.now
    4
    >>> for _ in range(5):
    ...     limit.succeeded(now=2.0)
    >>> limit.now
    5
    """

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most = name, most
        self.in_flight = 0
        self.refused = 0  # attempts that met a 429
        self.least = most  # the lowest that it ever was
        self._limit = float(most)
        self._too_much = 0  # the limit that met the last 429
        self._shrunk_at = self._grows_at = float("-inf")

    @property
    def now(self) -> int:
        """Calls in flight at most."""
        return int(self._limit)

    @property
    def room(self) -> bool:
        """Whether one more call may go."""
        return self.in_flight < int(self._limit)

    def too_many(self, sent_at: float, now: float) -> None:
        """An attempt met a 429; one that was sent before the limit last shrank tells nothing new."""
        self.refused += 1
        if sent_at >= self._shrunk_at:
            self._too_much = self.now
            self._limit, self._shrunk_at = max(1.0, self._limit * _SHRINK), now
            self.least = min(self.least, self.now)

    def in_trouble(self, now: float) -> None:
        """An attempt met a 5xx: nothing grows for a while."""
        self._grows_at = now + _PAUSE_S

    def succeeded(self, now: float) -> None:
        """An attempt was answered: as many successes as are in flight make room for one more."""
        if self._limit < self.most and now >= self._grows_at:
            rounds = _CAREFUL if self.now in (self._too_much - 1, self._too_much) else 1
            self._limit = min(float(self.most), self._limit + 1.0 / self.now / rounds)


class Pace:
    """The limits of a run's arms; arms of one provider share theirs, a routed pool has its own.

    Args:
        names: of each arm: its provider, or its pool.
        most: calls in flight at most, by such a name.
        routed: of each arm: whether a pool routes it. What one of its models refused and another answered is then no
            reason to hold back.
    """

    def __init__(self, names: Sequence[str], most: Callable[[str], int], routed: Sequence[bool]) -> None:
        self._limits = {name: Limit(name, most(name)) for name in names}
        self._of = [self._limits[name] for name in names]
        self._routed = routed

    @property
    def most(self) -> int:
        """Calls in flight at most, all together."""
        return sum(limit.most for limit in self._limits.values())

    def room(self, arm: int) -> bool:
        """Whether an arm may send one more call."""
        return self._of[arm].room

    def took(self, arm: int) -> None:
        """An arm sends a call."""
        self._of[arm].in_flight += 1

    def gave_back(self, arm: int) -> None:
        """A call is over and done with."""
        self._of[arm].in_flight -= 1

    def learn(self, arm: int, result: CallResult, sent_at: float, now: float) -> None:
        """Take note of what a provider answered.

        Args:
            arm: whose call it was.
            result: how it ended.
            sent_at, now: when it was sent and when it ended, on one clock.
        """
        limit, attempts = self._of[arm], result.attempts
        for attempt in attempts[-1:] if self._routed[arm] else attempts:
            if attempt.status == _TOO_MANY:
                limit.too_many(sent_at + attempt.started_at - attempts[0].started_at, now)
            elif attempt.status is not None and attempt.status >= _TROUBLE:
                limit.in_trouble(now)
        if attempts and result.error is None:  # without any it came from a cache
            limit.succeeded(now)

    def held(self) -> Iterator[Held]:
        """The providers that get fewer calls at once than they may."""
        for limit in self._limits.values():
            if limit.now < limit.most:
                yield Held(limit.name, limit.now, limit.most)

    def remarks(self) -> Iterator[str]:
        """What was held back so far, in words."""
        for limit in self._limits.values():
            if limit.refused:
                times = "once" if limit.refused == 1 else f"{limit.refused:,} times"
                fewer = f": it got fewer calls at once, down to {limit.least} of {limit.most}"
                yield f"{limit.name} answered 429 {times}{fewer if limit.least < limit.most else ''}"
