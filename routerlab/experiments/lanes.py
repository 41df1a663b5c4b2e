"""The order in which a run's units are sent: item by item, all arms of one together; a lane whose model is out rests.

An outage fails nothing. A lane rests until its model may be tried again, lets one unit go ahead as a scout, and goes on
when that one succeeds. Without a success for `give_up_after_s` seconds, or after a fatal error, it ends; its units stay
pending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from routerlab.experiments.order import Order
from routerlab.experiments.strikes import Strikes

__all__ = ["Lanes", "Rest", "Unit"]


_BACKOFF_MAX_S = 60.0
_SCOUT_POLL_S = 0.05
_NO_ROOM_S = 60.0  # what makes room for a call is told at once, no need to look
_FAILURES = 3  # in a row until a lane rests: one may be the item's own fault
_TAIL_S = 15.0  # at a lane's end nobody is left to succeed meanwhile: then a blip of the model has to be shorter


@dataclass(frozen=True, slots=True)
class Unit:
    """One item for one arm, once; all three are positions. `due`: when it was to be sent, on the lanes' clock."""

    item: int
    arm: int
    repeat: int
    due: float | None = None

    @property
    def key(self) -> tuple[int, int, int]:
        """Item, arm, repeat."""
        return self.item, self.arm, self.repeat


@dataclass(frozen=True, slots=True)
class Rest:
    """Why a lane sends nothing.

    Attributes:
        arm: its position.
        why: in our own words.
        resumes_in_s: seconds until it is tried again; None: it has ended, what is left stays pending.
    """

    arm: int
    why: str
    resumes_in_s: float | None


@dataclass(slots=True)
class _Lane:
    left: int  # units that nobody holds and that have no row
    next: int = 0
    again: deque[Unit] = field(default_factory=deque)  # could not be sent
    struck: deque[Unit] = field(default_factory=deque)  # met a failure
    resumes_at: float = 0.0
    pauses: int = 0  # in a row without a success
    failures: int = 0  # the same
    since: float | None = None  # when its trouble began
    why: str = ""
    ended: bool = False
    scout: Unit | None = None  # the one unit that is out to see whether the model is back
    sent: dict[Unit, int] = field(default_factory=dict)  # units that are out, and the lane's successes before


class Lanes:
    """One lane per arm. The one that is furthest behind goes first, so that a run that stops leaves whole items.

    Args:
        items, arms, repeats: how many there are.
        seed: of the items' order; None: their own.
        done: the keys of units that have their row already.
        strikes: of a run that goes on.
        give_up_after_s: without a success for so long, a lane ends.
        lead: units that a lane may be ahead of the others, so that a run that stops has whole items. None: as far as
            it gets.
        lead_patience_s: for so long the others wait for a lane that is in trouble; then they go on without it.
        arrivals: seconds at which one item after the other is sent, to all arms, and its repeats likewise; None: as
            soon as there is room.
    """

    def __init__(
        self,
        items: int,
        arms: int,
        repeats: int,
        *,
        seed: int | None = None,
        done: Container[tuple[int, int, int]] = frozenset(),
        strikes: Strikes | None = None,
        give_up_after_s: float = 1800.0,
        lead: int | None = None,
        lead_patience_s: float = 0.0,
        arrivals: Sequence[float] | None = None,
    ) -> None:
        self.total = items * arms * repeats
        self.strikes = strikes or Strikes(arms)
        self._order, self._repeats = Order(items, repeats, seed), repeats
        self._size = self._order.size
        self._done, self._give_up_s = done, give_up_after_s
        self._lead, self._patience_s = lead, lead_patience_s
        self._arrivals, self._began = arrivals, 0.0
        self._lanes = [_Lane(self._open_units(arm, items)) for arm in range(arms)]

    def _open_units(self, arm: int, items: int) -> int:
        if not self._done:
            return self._size
        return sum((item, arm, r) not in self._done for item in range(items) for r in range(self._repeats))

    @property
    def left(self) -> int:
        """Units that nobody holds and that have no row."""
        return sum(lane.left for lane in self._lanes)

    def begin(self, now: float) -> None:
        """The next arrival is now: of a run that goes on, the first that has not been served."""
        if self._arrivals is not None:
            reached = [self._next_open(arm, lane) for arm, lane in enumerate(self._lanes)]
            first = min(reached)
            self._began = now - (self._arrivals[first] if first < self._size else 0.0)

    def take(self, now: float, room: Callable[[int], bool] = lambda arm: True) -> tuple[Unit | None, float | None]:
        """The next unit.

        Args:
            now: seconds.
            room: whether an arm may send one more call.

        Returns:
            It; or None and the seconds until there may be one; or None twice: nothing is to be done.
        """
        waits, ready = [], None
        furthest = self._size if self._lead is None else self._slowest(now) + self._lead
        for arm, lane in enumerate(self._lanes):
            if lane.ended or not lane.left:
                continue
            if lane.since is not None and now - lane.since >= self._give_up_s:
                lane.ended = True
            elif lane.resumes_at > now or lane.scout is not None:
                waits.append(max(lane.resumes_at - now, _SCOUT_POLL_S))
            elif lane.next > furthest or not room(arm):
                waits.append(_NO_ROOM_S)
            elif self._arrivals is not None and (ahead := self._arrives_in(arm, lane, now)) > 0:
                waits.append(ahead)
            elif ready is None or lane.next < self._lanes[ready].next:
                ready = arm
        if ready is None:
            return None, min(waits, default=None)
        lane = self._lanes[ready]
        unit = self._pop(ready, lane, now)
        lane.left -= 1
        lane.sent[unit] = self.strikes.successes(ready)
        if lane.pauses:
            lane.scout = unit
        return unit, None

    def _slowest(self, now: float) -> int:
        """How far the last of the lanes is that get on."""
        going = [lane for lane in self._lanes if lane.left and not lane.ended]
        sound = (lane.next for lane in going if lane.since is None or now - lane.since < self._patience_s)
        return min(sound, default=self._size)

    def _pop(self, arm: int, lane: _Lane, now: float) -> Unit:
        if lane.again:
            return lane.again.popleft()
        if lane.struck and self.strikes.confirmed(lane.struck[0].key):
            return lane.struck.popleft()
        place = self._next_open(arm, lane)
        if place == self._size:
            return lane.struck.popleft()
        due = None if self._arrivals is None else self._began + self._arrivals[place]
        if due is not None and due > now:
            return lane.struck.popleft()
        lane.next += 1
        item, repeat = self._order.at(place)
        return Unit(item, arm, repeat, due)

    def _next_open(self, arm: int, lane: _Lane) -> int:
        """The place of the lane's next unit that has no row; the lanes' size where there is none."""
        while self._done and lane.next < self._size:
            item, repeat = self._order.at(lane.next)
            if (item, arm, repeat) not in self._done:
                break
            lane.next += 1
        return lane.next

    def _arrives_in(self, arm: int, lane: _Lane, now: float) -> float:
        """Seconds until the lane has something to send; 0 or less: it has."""
        assert self._arrivals is not None  # noqa: S101 - else nobody asks
        place = self._next_open(arm, lane)
        if lane.again or lane.struck or place == self._size:
            return 0.0
        return self._began + self._arrivals[place] - now

    def untake(self, unit: Unit) -> None:
        """Give a unit back that was not sent after all."""
        lane, _ = self._let_go(unit)
        lane.again.appendleft(unit)
        lane.left += 1

    def condemned(self, unit: Unit, now: float) -> bool:
        """Whether a unit that was taken need not be sent: it is at fault, not its model.

        It met failures in three rounds while others of its lane succeeded. Where all others have their rows, it met
        three failures, the first of them while others succeeded, and the lane has had no success for a while.
        """
        if self.strikes.condemned(unit.key):
            return True
        lane = self._lanes[unit.arm]
        alone = lane.next == self._size and not lane.again and all(self.strikes.waits(other.key) for other in lane.sent)
        suspect = alone and self.strikes.suspect(unit.key)
        return suspect and lane.since is not None and now - lane.since >= _TAIL_S

    def put_back(self, unit: Unit, seconds: float | None, why: str, now: float, *, struck: bool = False) -> None:
        """Take a unit back whose model gave no answer.

        Args:
            unit: that was sent, or could not be.
            seconds: until its model may be tried again; None: nobody knows.
            why: in our own words.
            now: on the same clock as `take`.
            struck: it was sent and met a failure: it may be the item, so that the lane rests only if that goes on.
        """
        lane, sent = self._let_go(unit)
        (lane.struck if struck else lane.again).append(unit)
        lane.left += 1
        lane.since = now if lane.since is None else lane.since
        lane.why = why
        if struck:
            self.strikes.struck(unit.key, sent)
            lane.failures += 1
            if lane.failures < _FAILURES and not lane.pauses:
                return
        if lane.resumes_at <= now:  # not one of several that failed together
            lane.pauses += 1
        unsure = seconds is None or lane.pauses > 1
        rest = max(seconds or 0.0, min(_BACKOFF_MAX_S, 2.0 ** (lane.pauses - 1)) if unsure else 0.0)
        lane.resumes_at = max(lane.resumes_at, now + rest)
        lane.ended = lane.ended or lane.resumes_at - lane.since >= self._give_up_s

    def lost(self, unit: Unit, why: str) -> None:
        """A unit's model will never answer: its lane ends."""
        self.untake(unit)
        lane = self._lanes[unit.arm]
        lane.ended, lane.why = True, why

    def settled(self, unit: Unit, *, ok: bool) -> None:
        """A unit has its row; a success makes the lane's trouble forgotten."""
        lane, _ = self._let_go(unit)
        self.strikes.cleared(unit.key)
        if ok:
            self.strikes.succeeded(unit.arm)
            lane.pauses, lane.failures, lane.since, lane.scout = 0, 0, None, None

    def _let_go(self, unit: Unit) -> tuple[_Lane, int]:
        """A unit's lane, and the lane's successes when it was sent."""
        lane = self._lanes[unit.arm]
        if lane.scout == unit:
            lane.scout = None
        return lane, lane.sent.pop(unit, 0)

    def rests(self, now: float) -> list[Rest]:
        """The lanes that send nothing though something is left for them, and why."""
        found = []
        for arm, lane in enumerate(self._lanes):
            if lane.ended and lane.left:
                found.append(Rest(arm, lane.why, None))
            elif lane.left and lane.resumes_at > now:
                found.append(Rest(arm, lane.why, lane.resumes_at - now))
        return found

    def late_s(self, now: float) -> float:
        """How long the next unit has waited since its arrival; 0: nothing is due."""
        if self._arrivals is None:
            return 0.0
        places = [lane.next for lane in self._lanes if not lane.ended]  # any thread may ask, so nothing moves
        due = [self._began + self._arrivals[place] for place in places if place < self._size]
        return max(0.0, now - min(due, default=now))

    def left_of(self, arm: int) -> int:
        """Units of one lane that nobody holds and that have no row."""
        return self._lanes[arm].left
