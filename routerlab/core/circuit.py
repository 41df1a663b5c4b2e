"""The words of a circuit breaker: its states, the legal moves between them, its parameters, a request's permit."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from enum import Enum

from routerlab.core.checks import is_whole
from routerlab.core.errors import ConfigurationError
from routerlab.core.record import record

__all__ = ["MOVES", "BreakerConfig", "Cause", "CircuitState", "Permit", "Transition", "require_seconds"]


class CircuitState(Enum):
    """Whether requests may pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Cause(Enum):
    """Why a circuit moved."""

    FAILURES = "failures"
    PROBE_ADMITTED = "probe_admitted"
    PROBE_FAILED = "probe_failed"
    PROBES_SUCCEEDED = "probes_succeeded"
    RESET = "reset"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"


_CLOSED, _OPEN, _HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN

# Every legal move. What is not here does not happen: a success in OPEN, say, is late and is ignored.
MOVES: dict[tuple[CircuitState, Cause], CircuitState] = {
    (_CLOSED, Cause.FAILURES): _OPEN,
    (_OPEN, Cause.PROBE_ADMITTED): _HALF_OPEN,
    (_HALF_OPEN, Cause.PROBE_FAILED): _OPEN,
    (_HALF_OPEN, Cause.PROBES_SUCCEEDED): _CLOSED,
    (_OPEN, Cause.RESET): _CLOSED,
    (_HALF_OPEN, Cause.RESET): _CLOSED,
    (_CLOSED, Cause.FORCED_OPEN): _OPEN,
    (_HALF_OPEN, Cause.FORCED_OPEN): _OPEN,
    (_OPEN, Cause.FORCED_CLOSED): _CLOSED,
    (_HALF_OPEN, Cause.FORCED_CLOSED): _CLOSED,
}


@record
class Transition:
    """One move of a circuit: from where, to where, why, and when (seconds on the owner's clock)."""

    old: CircuitState
    new: CircuitState
    cause: Cause
    at: float


@record
class BreakerConfig:
    """The parameters of a circuit breaker.

    Args:
        failure_threshold: failures in a row that open the circuit, at least 1.
        reset_timeout: seconds that it stays open before a probe may be tried, above 0.
        half_open_max: probes in flight at the same time, at least 1; 1 asks the least of a weak provider.
        success_threshold: successful probes that close the circuit, at least 1.

    Raises:
        ConfigurationError: (a ``ValueError``) a parameter is out of its range.
    """

    failure_threshold: int = 5
    reset_timeout: float = 60.0
    half_open_max: int = 1
    success_threshold: int = 1

    def __post_init__(self) -> None:
        for name in ("failure_threshold", "half_open_max", "success_threshold"):
            value = getattr(self, name)
            if not is_whole(value):
                raise ConfigurationError(f"{name} must be a whole number of at least 1, got {value!r}")
        require_seconds("reset_timeout", self.reset_timeout)


@dataclass(eq=False, slots=True)
class Permit:
    """The right to send one request; hand it back exactly once.

    Attributes:
        epoch: marks the stretch between two moves in which it was given; it counts only within that.
        state: CLOSED, or HALF_OPEN for a probe.
        lease_end: when a probe's slot is free again, whatever becomes of the permit (seconds on the owner's clock);
            infinite for others, which hold none.
        transition: the move that this permit caused, if it is the first probe after a break.
        settled: whether it has been handed back; a second time is ignored.
    """

    epoch: object = field(repr=False)
    state: CircuitState
    lease_end: float = math.inf
    transition: Transition | None = None
    settled: bool = False

    @property
    def is_probe(self) -> bool:
        """Whether the request tests a circuit that was open."""
        return self.state is _HALF_OPEN


def require_seconds(name: str, value: float) -> None:
    """Raise a `ConfigurationError` where a value is not a positive finite number."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)  # written out: leases are often
    if not is_number or not 0 < value <= sys.float_info.max:
        raise ConfigurationError(f"{name} must be a positive finite number of seconds, got {value!r}")
