"""The order in which a run's units are sent: fair between arms; an arm whose models are all busy rests for a while."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Lanes", "Unit"]

_PAUSE_MAX_S = 60.0
_PAUSES_MAX = 3  # in a row without a success; then failures count, or a dead provider would hold the run for ever


@dataclass(frozen=True, slots=True)
class Unit:
    """One item for one arm, once; all three are positions."""

    item: int
    arm: int
    repeat: int

    @property
    def key(self) -> tuple[int, int, int]:
        """Item, arm, repeat."""
        return self.item, self.arm, self.repeat


@dataclass(slots=True)
class _Lane:
    next: int
    returned: deque[Unit]
    resumes_at: float = 0.0
    pauses: int = 0


class Lanes:
    """One lane per arm; each gives its units repeat by repeat, item by item. Nothing is laid out in advance.

    Args:
        items, arms, repeats: how many there are.
    """

    def __init__(self, items: int, arms: int, repeats: int) -> None:
        self.total = items * arms * repeats
        self._items, self._size = items, items * repeats
        self._lanes = [_Lane(0, deque()) for _ in range(arms)]
        self._turn = 0

    @property
    def left(self) -> int:
        """Units that nobody holds."""
        return sum(self._size - lane.next + len(lane.returned) for lane in self._lanes)

    def take(self, now: float) -> tuple[Unit | None, float | None]:
        """The next unit; or None and the seconds until a resting lane goes on; or None twice: nothing is left."""
        waits = []
        for step in range(len(self._lanes)):
            arm = (self._turn + step) % len(self._lanes)
            lane = self._lanes[arm]
            if lane.next == self._size and not lane.returned:
                continue
            if lane.resumes_at > now:
                waits.append(lane.resumes_at - now)
                continue
            self._turn = arm + 1
            return self._pop(arm, lane), None
        return None, min(waits, default=None)

    def _pop(self, arm: int, lane: _Lane) -> Unit:
        if lane.returned:
            return lane.returned.popleft()
        repeat, item = divmod(lane.next, self._items)
        lane.next += 1
        return Unit(item, arm, repeat)

    def pause(self, unit: Unit, seconds: float | None, now: float) -> bool:
        """Take a unit back and let its lane rest.

        Args:
            unit: that could not be served.
            seconds: until it may be tried again; None: nobody knows.
            now: on the same clock as `take`.

        Returns:
            Whether it was taken back; not where the wait is unknown or long, or the lane rested often enough already.
        """
        lane = self._lanes[unit.arm]
        if seconds is None or seconds > _PAUSE_MAX_S:
            return False
        if lane.resumes_at <= now:  # not one of several that failed together
            if lane.pauses >= _PAUSES_MAX:
                return False
            lane.pauses += 1
        lane.resumes_at = max(lane.resumes_at, now + seconds)
        lane.returned.append(unit)
        return True

    def succeeded(self, arm: int) -> None:
        """A call of this arm succeeded: its pauses are forgotten."""
        self._lanes[arm].pauses = 0
