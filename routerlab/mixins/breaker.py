"""A thread-safe circuit breaker for a connector: the documented face of ``core.breaker``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

from routerlab.core.breaker import BreakerConfig, CircuitBreaker, CircuitState, Permit
from routerlab.core.errors import CircuitOpenError

__all__ = ["CircuitBreakerMixin", "CircuitOpenError", "CircuitState", "Permit"]


class CircuitBreakerMixin:
    """Stops sending to what keeps failing, and probes it carefully after a while.

    Hand the permit of ``check_circuit`` back with the outcome. Left out, it is the one that this task took last.

    Attributes:
        _clock: returns the time in seconds; monotonic.

    >>> class Provider(CircuitBreakerMixin): ...
    >>> provider = Provider()
    >>> provider.configure_circuit_breaker(failure_threshold=1)
    >>> permit = provider.check_circuit()
    >>> provider.record_failure(permit)
    >>> provider.circuit_state.value
    'open'
    """

    _clock: Callable[[], float] = time.monotonic
    _circuit: _SharedCircuit | None = None  # each instance gets its own

    def configure_circuit_breaker(
        self,
        failure_threshold: int = 5,
        reset_timeout: float = 60.0,
        half_open_max: int = 1,
        success_threshold: int = 1,
    ) -> None:
        """Set the parameters and start with a closed circuit; permits given before no longer count.

        Args:
            failure_threshold: failures in a row that open the circuit, at least 1.
            reset_timeout: seconds that it stays open before a probe may be tried, above 0.
            half_open_max: probes in flight at the same time, at least 1.
            success_threshold: successful probes that close the circuit, at least 1.

        Raises:
            ConfigurationError: (a ``ValueError``) a parameter is out of its range; nothing has changed.
        """
        config = BreakerConfig(failure_threshold, reset_timeout, half_open_max, success_threshold)
        self._circuit = _SharedCircuit(config)

    def check_circuit(self) -> Permit:
        """Ask whether a request may go.

        Returns:
            The permit to hand back.

        Raises:
            CircuitOpenError: no request may go now; ``remaining`` is how many seconds until a probe may be tried.
        """
        circuit = self._circuit or self._new_circuit()
        permit = circuit.breaker.pass_closed()
        if permit is None:
            with circuit.lock:
                permit = circuit.breaker.acquire(self._clock())
        circuit.last_taken.set(permit)
        return permit

    def record_success(self, permit: Permit | None = None) -> None:
        """The request succeeded.

        Args:
            permit: its permit; None: the one that this task took last. Without any, a closed circuit counts the
                outcome, an open one ignores it, a half-open one takes it for the oldest probe in flight.
        """
        circuit = self._circuit or self._new_circuit()
        if permit is not None and circuit.breaker.changes_nothing(permit):
            return
        with circuit.lock:
            circuit.breaker.record_success(permit or circuit.last(), self._clock())

    def record_failure(self, permit: Permit | None = None) -> None:
        """The request failed in a way that speaks against the provider.

        Args:
            permit: as for ``record_success``.
        """
        circuit = self._circuit or self._new_circuit()
        with circuit.lock:
            circuit.breaker.record_failure(permit or circuit.last(), self._clock())

    def release_circuit(self, permit: Permit | None = None) -> None:
        """The request ended in a way that says nothing (cancelled, the caller's own error): frees the slot only.

        Args:
            permit: as for ``record_success``.
        """
        circuit = self._circuit or self._new_circuit()
        with circuit.lock:
            circuit.breaker.release(permit or circuit.last(), self._clock())

    def reset_circuit(self) -> None:
        """Close the circuit and clear all counts."""
        circuit = self._circuit or self._new_circuit()
        with circuit.lock:
            circuit.breaker.reset(self._clock())

    def circuit_breaker_stats(self) -> dict[str, Any]:
        """What the circuit looks like now.

        Returns:
            ``state`` (the value string), ``failure_count`` (failures in a row), ``success_count`` (successful probes
            since half-open), ``remaining`` (seconds), ``probes_in_flight``, ``free_probe_slots``, and ``config`` (the
            four parameters).
        """
        circuit = self._circuit or self._new_circuit()
        with circuit.lock:
            return circuit.breaker.stats(self._clock())

    @property
    def circuit_state(self) -> CircuitState:
        """The state now; OPEN whose time is over reads HALF_OPEN."""
        circuit = self._circuit or self._new_circuit()
        with circuit.lock:
            return circuit.breaker.state(self._clock())

    def _new_circuit(self) -> _SharedCircuit:
        # never configured; setdefault, so that all threads get the same one
        return cast("_SharedCircuit", self.__dict__.setdefault("_circuit", _SharedCircuit(BreakerConfig())))


class _SharedCircuit:
    """A breaker, the lock around it, and which permit the running task took last."""

    def __init__(self, config: BreakerConfig) -> None:
        self.breaker = CircuitBreaker(config)
        self.lock = threading.Lock()
        self.last_taken: ContextVar[Permit | None] = ContextVar("last_taken", default=None)

    def last(self) -> Permit | None:
        """The permit that a call without one means; None if this task has none that is still out."""
        last = self.last_taken.get()
        return None if last is None or last.settled else last
