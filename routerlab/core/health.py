"""What is known of each model: its breaker, its two windows, its cooling, and who is out until somebody acts.

One breaker counts for each model; `CircuitBreakerMixin` and `RollingWindowMixin` are faces on the same classes for
connector authors, never a second count of the same calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field

from routerlab.core.breaker import BreakerConfig, CircuitBreaker, CircuitState, Permit, Transition
from routerlab.core.failures import Count, Ejection, ProviderError, Verdict
from routerlab.core.quality import LatencyTarget, quality
from routerlab.core.record import record
from routerlab.core.types import Limits, ModelSnapshot, Price
from routerlab.core.window import RollingWindow

__all__ = ["Health", "HealthEvent", "LatencyTarget", "ModelSettings", "quality"]

_COOLING_FIRST_S = 1.0  # after a 429 that does not say how long; doubled for each further one in a row
_COOLING_MAX_S = 60.0
_CLOSED, _OPEN, _HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
_NEUTRAL, _FAILURE = Count.NEUTRAL, Count.FAILURE


@record
class ModelSettings:
    """One model as a lab knows it; the latency target is shared by the models of a pool."""

    model: str
    provider: str
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    target: LatencyTarget = field(default_factory=LatencyTarget)
    price: Price | None = None
    context_window: int | None = None
    features: frozenset[str] | None = None
    window_size: int = 100
    window_s: float = 300.0
    prefill: bool = False


@record
class HealthEvent:
    """Something that changed: a breaker moved (``breaker``), a model went ``out``, came ``back``, or is ``cooling``."""

    kind: str
    model: str
    provider: str
    old: str
    new: str
    cause: str


@record
class _Out:
    """Why somebody is out, by which error, and until when."""

    because: str
    error: ProviderError | None = None
    until: float | None = None

    def over(self, now: float) -> bool:
        return self.until is not None and now >= self.until


class _Model:
    """The state of one model."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.breaker = CircuitBreaker(settings.breaker)
        self.quality = RollingWindow(settings.window_size, settings.window_s)
        self.latency = RollingWindow(settings.window_size, settings.window_s)
        self.in_flight = 0
        self.cooling_until = 0.0
        self.cooling_streak = 0
        self.remaining: Limits | None = None
        self.remaining_at = 0.0
        self.seen: ModelSnapshot | None = None  # the latest, while nothing but the time has changed since
        self.seen_until = 0.0  # when the first sample behind it gets too old


class Health:
    """The health of all models of a lab. One owner, no lock; the time is passed in (monotonic seconds).

    Args:
        models: their settings.
    """

    def __init__(self, models: Iterable[ModelSettings]) -> None:
        self._models = {settings.model: _Model(settings) for settings in models}
        self._out: dict[str, _Out] = {}  # by model or by provider

    # -- reading: changes nothing ----------------------------------------------------------------------------------

    def snapshots(self, models: Sequence[str], now: float) -> list[ModelSnapshot]:
        """What routing sees of these models, in their order."""
        return [self.snapshot(model, now) for model in models]

    def snapshot(self, model: str, now: float) -> ModelSnapshot:
        """What routing sees of one model; while nothing happens to it, the same object with its time moved on."""
        state = self._models[model]
        seen = state.seen
        if seen is not None and seen.at <= now <= state.seen_until and not self._out:
            seen.at = now
            return seen
        return self._look(state, now)

    def _look(self, state: _Model, now: float) -> ModelSnapshot:
        settings, breaker = state.settings, state.breaker
        samples, latencies = state.quality.count(now), state.latency.count(now)
        position = breaker.state(now)
        out = self._is_out(settings, now)
        snapshot = ModelSnapshot(
            settings.model,
            settings.provider,
            now,
            position._value_,  # `value` is a property written in Python before 3.12
            breaker.remaining(now) if position is _OPEN else 0.0,
            position is _HALF_OPEN and breaker.free_probe_slots(now) > 0,
            state.in_flight,
            state.quality.score(now) if samples else None,
            state.latency.average(now) if latencies else None,
            state.quality.rate(now) if samples else None,
            samples,
            settings.price,
            settings.context_window,
            settings.features,
            state.cooling_until,
            state.remaining,
            out.because if out else "",
            out.until if out else None,
            settings.prefill,
            state.remaining_at,
        )
        if position is _CLOSED and state.cooling_until <= now:  # what else moves with the time
            state.seen, state.seen_until = snapshot, min(state.quality.steady_until, state.latency.steady_until)
        return snapshot

    def standing(self, model: str, now: float) -> tuple[str, float | None]:
        """One model's breaker state and `score`: what the record of an attempt notes."""
        return self._models[model].breaker.state(now)._value_, self.score(model, now)

    def score(self, model: str, now: float) -> float | None:
        """The EWMA score of one model; None without samples."""
        window = self._models[model].quality
        return window.score(now) if window.count(now) else None

    def breaker(self, model: str) -> CircuitBreaker:
        """The breaker of one model, for reading."""
        return self._models[model].breaker

    def target(self, model: str) -> LatencyTarget:
        """The latency that scores 0.5 for this model."""
        return self._models[model].settings.target

    def out_error(self, model: str, now: float) -> ProviderError | None:
        """What put a model out; None where it is not out."""
        out = self._is_out(self._models[model].settings, now)
        return out.error if out else None

    def _is_out(self, settings: ModelSettings, now: float) -> _Out | None:
        if not self._out:
            return None
        for name in (settings.model, settings.provider):
            out = self._out.get(name)
            if out is not None and not out.over(now):
                return out
        return None

    # -- an attempt ------------------------------------------------------------------------------------------------

    def claim(self, model: str, now: float, lease_s: float | None = None) -> tuple[Permit | None, list[HealthEvent]]:
        """A permit for one attempt, or None where the breaker has none; every permit goes back through `settle`.

        Args:
            model: ``provider/model``.
            now: monotonic seconds.
            lease_s: seconds after which a permit that never came back counts as lost; None: the breaker's default.
        """
        state = self._models[model]
        permit = state.breaker.try_acquire(now, lease_s)
        if permit is None:
            return None, []
        state.seen = None
        state.in_flight += 1
        return permit, self._moved(state, permit.transition)

    def settle(
        self,
        model: str,
        permit: Permit,
        verdict: Verdict,
        now: float,
        *,
        latency_s: float = 0.0,
        error: ProviderError | None = None,
        limits: Limits | None = None,
    ) -> list[HealthEvent]:
        """Take the outcome of an attempt, and its permit back; a second time changes nothing.

        Args:
            model: ``provider/model``.
            permit: from `claim`.
            verdict: what the outcome means.
            now: monotonic seconds.
            latency_s: of a success: to the first token where it was streamed, else to the end.
            error: of a failure.
            limits: what the headers said.
        """
        if permit.settled:
            return []
        state = self._models[model]
        state.seen = None
        state.in_flight -= 1
        said = limits or (error.limits if error else None)
        if said is not None:
            state.remaining, state.remaining_at = said, now
        events = self._count(state, permit, verdict, latency_s, now)
        if error is not None:
            events += self._cool(state, verdict, error, now) + self._eject(state, verdict, error, now)
        return events

    def _count(
        self, state: _Model, permit: Permit, verdict: Verdict, latency_s: float, now: float
    ) -> list[HealthEvent]:
        if verdict.count is _NEUTRAL:
            state.breaker.release(permit, now)
            return []
        if verdict.count is _FAILURE:
            state.quality.record(0.0, False, now)
            return self._moved(state, state.breaker.record_failure(permit, now))
        state.quality.record(quality(state.settings.target.observe(latency_s), latency_s), True, now)
        state.latency.record(latency_s, True, now)
        state.cooling_streak = 0
        return self._moved(state, state.breaker.record_success(permit, now))

    def _cool(self, state: _Model, verdict: Verdict, error: ProviderError, now: float) -> list[HealthEvent]:
        """A rate limit, or an outage that names its end, keeps a model out; a shorter value shortens nothing."""
        if not (verdict.cools or verdict.count is _FAILURE):
            return []
        was_cooling = state.cooling_until > now
        seconds = error.retry_after_s or 0.0
        if verdict.cools and not was_cooling:  # else it answers a request from before: not another one in a row
            if error.retry_after_s is None:
                seconds = min(_COOLING_MAX_S, _COOLING_FIRST_S * 2.0 ** min(state.cooling_streak, 10))
            state.cooling_streak += 1
        if now + seconds <= max(now, state.cooling_until):
            return []
        old = "cooling" if was_cooling else "ready"
        state.cooling_until = now + seconds
        return [self._event(state, "cooling", old, f"{seconds:.1f} s", error.message)]

    def _eject(self, state: _Model, verdict: Verdict, error: ProviderError, now: float) -> list[HealthEvent]:
        if verdict.ejects is None:
            return []
        settings = state.settings
        name = settings.model if verdict.ejects is Ejection.MODEL else settings.provider
        known = self._out.get(name)
        if known is not None and not known.over(now):
            return []
        because = {
            Ejection.MODEL: "the provider does not know this model",
            Ejection.PROVIDER: "the provider refused the key",
            Ejection.QUOTA: "no credit or quota left",
        }[verdict.ejects]
        until = now + error.retry_after_s if verdict.ejects is Ejection.QUOTA and error.retry_after_s else None
        self._out[name] = _Out(because, error, until)
        return [self._event(state, "out", "in", because, error.message)]

    # -- by hand ---------------------------------------------------------------------------------------------------

    def reset(self, name: str, now: float) -> list[HealthEvent]:
        """Bring a model (``provider/model``) or a whole provider back: in again, not cooling, breaker closed."""
        states = [s for s in self._models.values() if name in (s.settings.model, s.settings.provider)]
        if not states:
            raise KeyError(name)
        events = []
        for state in states:
            settings, state.seen = state.settings, None
            gone = [self._out.pop(key, None) for key in (settings.model, settings.provider)]
            state.cooling_until, state.cooling_streak = 0.0, 0
            if any(gone):
                events.append(self._event(state, "back", "out", "in", "reset by hand"))
            events += self._moved(state, state.breaker.reset(now))
        return events

    def open_breaker(self, model: str, now: float) -> list[HealthEvent]:
        """Open a model's breaker by hand, for a full timeout."""
        state = self._models[model]
        state.seen = None
        return self._moved(state, state.breaker.force_open(now))

    def close_breaker(self, model: str, now: float) -> list[HealthEvent]:
        """Close a model's breaker by hand."""
        state = self._models[model]
        state.seen = None
        return self._moved(state, state.breaker.force_close(now))

    def _moved(self, state: _Model, transition: Transition | None) -> list[HealthEvent]:
        if transition is None:
            return []
        return [self._event(state, "breaker", transition.old.value, transition.new.value, transition.cause.value)]

    @staticmethod
    def _event(state: _Model, kind: str, old: str, new: str, cause: str) -> HealthEvent:
        return HealthEvent(kind, state.settings.model, state.settings.provider, old, new, cause)
