"""Break simulated models while they run: ``lab.faults``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from routerlab.core.checks import is_number
from routerlab.core.errors import ConfigurationError
from routerlab.core.fault_kinds import FAULT_KINDS
from routerlab.core.simulated_faults import ScheduledFault
from routerlab.core.suggest import nearest

__all__ = ["FaultController", "InjectedFault"]

OnChange = Callable[[str, str, str], None]
"""Called with what happened (``fault_injected``, ``fault_cleared``), the model, and details in words."""


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """One fault of the schedule as it stands now.

    Attributes:
        model: ``provider/model``.
        kind: the kind of fault.
        starts_in_s: seconds until it begins; 0: it is active.
        ends_in_s: seconds until it ends; None: only `FaultController.clear` ends it.
        probability: of striking a request.
        options: of its kind.
    """

    model: str
    kind: str
    starts_in_s: float
    ends_in_s: float | None
    probability: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


class FaultController:
    """The schedule of faults of all simulated models of a lab. May be used from any thread; works at once.

    Args:
        clock: seconds; faults begin and end by it.
        on_change: see `OnChange`; called in the thread that changes the schedule.

    A model is named ``sim/alpha``, or ``alpha`` where only one provider has it. Times are in seconds: `after` from now
    on, `duration` from then on (None: until `clear`).
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, on_change: OnChange | None = None) -> None:
        self.on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._faults: dict[str, tuple[ScheduledFault, ...]] = {}

    def attach(self, provider: str, models: Iterable[str]) -> None:
        """Make a provider's models known."""
        with self._lock:
            for model in models:
                self._faults.setdefault(f"{provider}/{model}", ())

    @property
    def models(self) -> list[str]:
        """The names of all models that can be broken here."""
        return sorted(self._faults)

    def outage(
        self,
        model: str,
        *,
        how: Literal["unavailable", "reset", "close", "stall", "server_error"] = "unavailable",
        after: float = 0.0,
        duration: float | None = None,
    ) -> None:
        """Take a model down: it answers 503, or breaks or ignores every connection, as `how` says."""
        self.inject(model, how, after=after, duration=duration)

    def slow(
        self,
        model: str,
        *,
        factor: float = 1.0,
        extra_s: float = 0.0,
        after: float = 0.0,
        duration: float | None = None,
    ) -> None:
        """Slow a model down: all its delays times `factor`, and `extra_s` seconds more before each answer."""
        self.inject(model, "slow", after=after, duration=duration, factor=factor, extra_s=extra_s)

    def rate_limit(
        self,
        model: str,
        *,
        retry_after: float | str | None = None,
        after: float = 0.0,
        duration: float | None = None,
    ) -> None:
        """Have a model answer 429; `retry_after` in seconds (or the header as it is; None: without one)."""
        self.inject(model, "rate_limit", after=after, duration=duration, retry_after=retry_after)

    def cut_streams(
        self, model: str, *, after_tokens: int = 3, after: float = 0.0, duration: float | None = None
    ) -> None:
        """End a model's streams after so many tokens, without a word."""
        self.inject(model, "cut_stream", after=after, duration=duration, after_tokens=after_tokens)

    def inject(
        self,
        model: str,
        kind: str,
        *,
        after: float = 0.0,
        duration: float | None = None,
        probability: float = 1.0,
        **options: Any,
    ) -> None:
        """Put any kind of fault on the schedule (`routerlab.core.fault_kinds.FAULT_KINDS` lists them).

        Args:
            model: who is struck.
            kind: the kind of fault.
            after: seconds until it begins.
            duration: seconds that it lasts; None: until it is cleared.
            probability: of striking a request, 0 to 1.
            options: of this kind.

        Raises:
            ConfigurationError: an unknown model, kind or option (the nearest is named), or a value out of range.
        """
        if not is_number(after) or not after >= 0:
            raise ConfigurationError(f"after: expected 0 or more seconds, a number, not {after!r}")
        if duration is not None and (not is_number(duration) or not duration > 0):
            raise ConfigurationError(
                f"duration: expected a positive number of seconds, or None until it is cleared, not {duration!r}"
            )
        start_s = self._clock() + after
        end_s = None if duration is None else start_s + duration
        fault = ScheduledFault(kind, start_s, end_s, probability, options)
        with self._lock:
            name = self._resolve(model)
            self._faults[name] = (*self._living(name), fault)
        self._tell("fault_injected", name, _in_words(kind, after, duration, probability, options))

    def clear(self, model: str | None = None) -> None:
        """Take the faults of a model, or of all models, off the schedule."""
        with self._lock:
            names = list(self._faults) if model is None else [self._resolve(model)]
            struck = [name for name in names if self._living(name)]
            for name in names:
                self._faults[name] = ()
        for name in struck:
            self._tell("fault_cleared", name, "")

    def active(self) -> list[InjectedFault]:
        """What is on the schedule: active now, or still to come."""
        with self._lock:
            living = [(name, fault) for name in sorted(self._faults) for fault in self._living(name)]
        now = self._clock()
        return [
            InjectedFault(
                name,
                fault.kind,
                max(0.0, fault.start_s - now),
                None if fault.end_s is None else fault.end_s - now,
                fault.probability,
                dict(fault.options),
            )
            for name, fault in living
        ]

    def faults_for(self, model: str) -> tuple[ScheduledFault, ...]:
        """The faults that are active now for ``provider/model``; none for one that is not attached."""
        faults = self._faults.get(model)
        if not faults:  # the usual case, on the way of every request
            return ()
        now = self._clock()
        return tuple(fault for fault in faults if fault.is_active(now))

    def __repr__(self) -> str:
        return f"FaultController({len(self._faults)} models, {len(self.active())} faults)"

    def _living(self, name: str) -> tuple[ScheduledFault, ...]:
        now = self._clock()
        return tuple(fault for fault in self._faults[name] if fault.end_s is None or fault.end_s > now)

    def _resolve(self, model: str) -> str:
        if model in self._faults:
            return model
        matches = [name for name in self._faults if name.partition("/")[2] == model]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ConfigurationError(f"{model!r} is ambiguous: write one of {', '.join(sorted(matches))}")
        hint = nearest(model if "/" in model else f"sim/{model}", sorted(self._faults))
        raise ConfigurationError(f"no simulated model {model!r}{hint}")

    def _tell(self, what: str, model: str, details: str) -> None:
        if self.on_change is not None:
            self.on_change(what, model, details)


def _in_words(kind: str, after: float, duration: float | None, probability: float, options: dict[str, Any]) -> str:
    given = {name: value for name, value in options.items() if value != FAULT_KINDS[kind].options[name]}
    parts = [kind, *(f"{name}={value!r}" for name, value in given.items())]
    if probability < 1:
        parts.append(f"for {probability:.0%} of the requests")
    if after:
        parts.append(f"after {after:g} s")
    if duration is not None:
        parts.append(f"for {duration:g} s")
    return " ".join(parts)
