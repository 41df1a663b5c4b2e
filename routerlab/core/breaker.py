"""A circuit breaker as a pure state machine: the time is passed in, every legal move stands in one table.

How it works. A request needs a *permit* (``try_acquire``) and hands it back exactly once: ``record_success``,
``record_failure`` or, where the outcome says nothing about the other side, ``release``.

- CLOSED lets everything pass and counts failures in a row; ``failure_threshold`` of them open the circuit.
- OPEN lets nothing pass for ``reset_timeout`` seconds. Then it reads HALF_OPEN. Nothing moves by reading, though: the
  move is made, and reported, when the first probe is admitted.
- HALF_OPEN has ``half_open_max`` slots. A probe holds one until it is handed back or its lease ends, so a probe whose
  outcome never comes cannot wedge the circuit. ``success_threshold`` successes close it; one failure opens it anew.

Every move starts a new *epoch*, and a permit counts only within its own: a request admitted before the break that
reports during it neither closes nor extends anything. Refused and late calls change nothing, reading never does.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from routerlab.core.circuit import (
    MOVES,
    BreakerConfig,
    Cause,
    CircuitState,
    Permit,
    Transition,
    require_seconds,
)
from routerlab.core.errors import CircuitOpenError

__all__ = ["MOVES", "BreakerConfig", "Cause", "CircuitBreaker", "CircuitState", "Permit", "Transition"]

_MIN_LEASE_S = 300.0
_CLOSED, _OPEN, _HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


class CircuitBreaker:
    """One circuit. It has one owner and no lock; whoever shares it between threads adds one.

    Args:
        config: the parameters; the defaults of ``BreakerConfig`` when left out.

    >>> breaker = CircuitBreaker(BreakerConfig(failure_threshold=1, reset_timeout=10.0))
    >>> breaker.record_failure(breaker.acquire(now=0.0), now=1.0).new.value
    'open'
    >>> breaker.try_acquire(now=2.0), breaker.remaining(now=2.0), breaker.state(now=11.0).value
    (None, 9.0, 'half_open')
    >>> breaker.record_success(breaker.acquire(now=11.0), now=12.0).new.value
    'closed'
    """

    __slots__ = (
        "_epoch",
        "_failures",
        "_lease_s",
        "_open_for",
        "_open_until",
        "_probes",
        "_state",
        "_successes",
        "config",
    )

    def __init__(self, config: BreakerConfig | None = None) -> None:
        self.config = config or BreakerConfig()
        self._state = _CLOSED
        self._epoch = object()
        self._failures = 0
        self._successes = 0
        self._open_until = self._open_for = 0.0
        self._lease_s = max(self.config.reset_timeout, _MIN_LEASE_S)
        self._probes: dict[Permit, None] = {}  # a dict for its order: the oldest probe comes first

    def try_acquire(self, now: float, lease_s: float | None = None) -> Permit | None:
        """Ask whether a request may go.

        Args:
            now: the time in seconds.
            lease_s: how long a probe may hold its slot, in seconds, above 0; by default ``reset_timeout``, at least
                300 s. Who knows when the request must have ended passes that limit.

        Returns:
            A permit, or None: then nothing has changed.

        Raises:
            ConfigurationError: (a ``ValueError``) the lease is not a positive finite number.
        """
        if lease_s is None:
            lease_s = self._lease_s
        else:
            require_seconds("lease_s", lease_s)
        if self._state is _CLOSED:
            return Permit(self._epoch, _CLOSED)
        if not self.free_probe_slots(now):
            return None
        moved = self._move(Cause.PROBE_ADMITTED, now) if self._state is _OPEN else None
        self._probes = {probe: None for probe in self._probes if now < probe.lease_end}
        permit = Permit(self._epoch, _HALF_OPEN, now + lease_s, moved)
        self._probes[permit] = None
        return permit

    def acquire(self, now: float, lease_s: float | None = None, *, name: str = "") -> Permit:
        """Like ``try_acquire``, but a refusal is an error.

        Args:
            now: the time in seconds.
            lease_s: as for ``try_acquire``.
            name: whose circuit this is, for the message.

        Returns:
            A permit.

        Raises:
            CircuitOpenError: no request may go now; ``remaining`` says for how long.
        """
        if self._state is _CLOSED and lease_s is None:  # the usual way, without a second call
            return Permit(self._epoch, _CLOSED)
        permit = self.try_acquire(now, lease_s)
        if permit is None:
            raise CircuitOpenError(self.remaining(now), name)
        return permit

    def record_success(self, permit: Permit | None, now: float) -> Transition | None:
        """The request succeeded.

        Args:
            permit: its permit; None where nobody knows which it was: CLOSED counts it, OPEN ignores it, HALF_OPEN
                takes it for the oldest probe in flight.
            now: the time in seconds.

        Returns:
            The move that this caused, if any.
        """
        if permit is not None and permit.state is _CLOSED and permit.epoch is self._epoch and not permit.settled:
            permit.settled = True  # the usual way: what `_settle` would say
            self._failures = 0
            return None
        if not self._settle(permit, now):
            return None
        self._failures = 0
        if self._state is _CLOSED:
            return None
        self._successes += 1
        if self._successes < self.config.success_threshold:
            return None
        return self._move(Cause.PROBES_SUCCEEDED, now)

    def record_failure(self, permit: Permit | None, now: float) -> Transition | None:
        """The request failed in a way that speaks against the provider.

        Args:
            permit: as for ``record_success``.
            now: the time in seconds.

        Returns:
            The move that this caused, if any.
        """
        if not self._settle(permit, now):
            return None
        self._failures += 1
        if self._state is _HALF_OPEN:
            return self._move(Cause.PROBE_FAILED, now)
        if self._failures < self.config.failure_threshold:
            return None
        return self._move(Cause.FAILURES, now)

    def release(self, permit: Permit | None, now: float) -> None:
        """The request ended in a way that says nothing (cancelled, the caller's own error): no counter changes.

        Args:
            permit: as for ``record_success``.
            now: the time in seconds.
        """
        self._settle(permit, now)

    # The two usual steps for an owner with a lock: they read and write in an order that lets them go without it.

    def pass_closed(self) -> Permit | None:
        """A permit where the circuit is closed; None: ask `acquire`, under the lock.

        The epoch is read before the state: if the circuit moves in between, the permit belongs to a stretch that is
        over, and counts for nothing.
        """
        epoch = self._epoch
        return Permit(epoch, _CLOSED) if self._state is _CLOSED else None

    def changes_nothing(self, permit: Permit) -> bool:
        """Take a permit back whose success leaves every count as it is; False: tell `record_success`, under the lock.

        So it is while no failure has been counted since the circuit closed or the last success.
        """
        if self._failures or permit.state is not _CLOSED or permit.settled:
            return False
        permit.settled = True
        return True

    def reset(self, now: float) -> Transition | None:
        """Close the circuit and clear all counts.

        Returns:
            The move, or None if the circuit was closed.
        """
        return self._close(Cause.RESET, now)

    def force_close(self, now: float) -> Transition | None:
        """Close the circuit by hand; like ``reset``, told apart in the records."""
        return self._close(Cause.FORCED_CLOSED, now)

    def force_open(self, now: float, duration_s: float | None = None) -> Transition | None:
        """Open the circuit by hand; one that is open already starts its time anew.

        Args:
            now: the time in seconds.
            duration_s: for how long, in seconds, above 0; ``reset_timeout`` by default.

        Returns:
            The move, or None if the circuit was open.

        Raises:
            ConfigurationError: (a ``ValueError``) the duration is not a positive finite number.
        """
        if duration_s is not None:
            require_seconds("duration_s", duration_s)
        moved = None if self._state is _OPEN else self._move(Cause.FORCED_OPEN, now)
        self._stay_open(now, duration_s or self.config.reset_timeout)
        return moved

    # Reading. Nothing from here to `stats` changes anything.

    def state(self, now: float) -> CircuitState:
        """The state; OPEN whose time is over reads HALF_OPEN."""
        if self._state is _OPEN and now >= self._open_until:
            return _HALF_OPEN
        return self._state

    def remaining(self, now: float) -> float:
        """Seconds until a probe may be tried; 0.0 when that does not depend on the time."""
        if self.state(now) is not _OPEN:
            return 0.0
        return min(self._open_until - now, self._open_for)  # a clock that went backwards does not extend the break

    def free_probe_slots(self, now: float) -> int:
        """How many probes would be admitted now; 0 unless the circuit is half-open."""
        if self.state(now) is not _HALF_OPEN:
            return 0
        return self.config.half_open_max - self.probes_in_flight(now)

    def probes_in_flight(self, now: float) -> int:
        """How many probes hold a slot; those whose lease has ended do not count."""
        return sum(now < probe.lease_end for probe in self._probes)

    def stats(self, now: float) -> dict[str, Any]:
        """Everything that can be read, as plain data.

        Returns:
            ``state`` (its value), ``failure_count`` (failures in a row), ``success_count`` (successful probes since
            half-open), ``remaining``, ``probes_in_flight``, ``free_probe_slots`` and ``config`` (the parameters).
        """
        return {
            "state": self.state(now).value,
            "failure_count": self._failures,
            "success_count": self._successes,
            "remaining": self.remaining(now),
            "probes_in_flight": self.probes_in_flight(now),
            "free_probe_slots": self.free_probe_slots(now),
            "config": asdict(self.config),
        }

    def _settle(self, permit: Permit | None, now: float) -> bool:
        """Take a permit back, free its slot, and tell whether its outcome counts."""
        if permit is None:
            if self._state is not _HALF_OPEN:
                return self._state is _CLOSED
            permit = next((probe for probe in self._probes if now < probe.lease_end), None)
        if permit is None or permit.settled:
            return False
        permit.settled = True
        if permit.epoch is not self._epoch:
            return False
        if permit.state is _CLOSED:
            return True
        self._probes.pop(permit, None)
        return now < permit.lease_end  # later, its slot may be another probe's: a lost probe stays lost

    def _close(self, cause: Cause, now: float) -> Transition | None:
        self._failures = self._successes = 0
        return None if self._state is _CLOSED else self._move(cause, now)

    def _move(self, cause: Cause, now: float) -> Transition:
        moved = Transition(self._state, MOVES[self._state, cause], cause, now)
        self._state = moved.new
        self._epoch = object()
        self._probes = {}
        self._successes = 0
        if moved.new is _CLOSED:
            self._failures = 0
        elif moved.new is _OPEN:
            self._stay_open(now, self.config.reset_timeout)
        return moved

    def _stay_open(self, now: float, duration_s: float) -> None:
        self._open_for = duration_s
        self._open_until = now + duration_s
