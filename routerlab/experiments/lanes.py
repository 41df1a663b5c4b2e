"""The order in which a run's units are sent: fair between arms; an arm whose models are all busy rests for a while."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Lanes", "Unit"]

_PAUSE_MAX_S = 60.0
_SCOUT_POLL_S = 0.05
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
    scout: Unit | None = None  # the one unit that is out to see whether the model is back


class Lanes:
    """One lane per arm; each gives its units repeat by repeat, item by item. Nothing is laid out in advance.

    After a rest a lane lets one unit go ahead, as the breaker behind it lets one probe pass; the others follow once
    that one has succeeded.

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
            if lane.resumes_at > now or lane.scout is not None:
                waits.append(max(lane.resumes_at - now, _SCOUT_POLL_S))
                continue
            self._turn = arm + 1
            unit = self._pop(arm, lane)
            if 0 < lane.pauses < _PAUSES_MAX:
                lane.scout = unit
            return unit, None
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
        if lane.scout == unit:
            lane.scout = None
        if seconds is None or seconds > _PAUSE_MAX_S:
            return False
        if lane.resumes_at <= now:  # not one of several that failed together
            if lane.pauses >= _PAUSES_MAX:
                return False
            lane.pauses += 1
        lane.resumes_at = max(lane.resumes_at, now + seconds)
        lane.returned.append(unit)
        return True

    def ended(self, unit: Unit, *, ok: bool) -> None:
        """A unit has its row; a success makes the lane's pauses forgotten."""
        lane = self._lanes[unit.arm]
        if lane.scout == unit:
            lane.scout = None
        if ok:
            lane.pauses, lane.scout = 0, None
