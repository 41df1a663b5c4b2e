"""One request on its way through a pool: a state machine that decides and does nothing else.

The driver calls `Route.start`, does what the action says, and comes back with what happened:

    state        event                  next
    NEW          start                  TRYING (Attempt), WAITING (Wait) or DONE (Finish)
    TRYING       Committed              TRYING (Proceed)
    TRYING       Succeeded              DONE
    TRYING       Failed                 WAITING (a retry, or a cooling model), TRYING (the next model) or DONE
    TRYING       Refused                TRYING (the next model), WAITING or DONE
    WAITING      Waited                 TRYING, WAITING or DONE
    any but NEW and DONE: Cancelled     DONE

Any other event raises `IllegalMove` and changes nothing. A *turn* is one model's first try and its immediate retries;
a model has one turn per request, so that a route always ends: models are finite, retries are bounded by the policy,
and all waits for cooling models together by ``wait_max``.

The route knows no clock, opens nothing and waits for nothing. Text does not pass through it. What it chose, and why,
stands in `decisions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from routerlab.core import errors, moves
from routerlab.core.chance import Chance
from routerlab.core.decisions import Decision, Pool, decide, why_not
from routerlab.core.failures import Outcome, ProviderError, Verdict, classify
from routerlab.core.retry import backoff_s
from routerlab.core.strategies import Request
from routerlab.core.types import ModelSnapshot

__all__ = ["IllegalMove", "Route", "RouteState", "Try"]


class RouteState(Enum):
    """Where a route stands."""

    NEW = "new"
    TRYING = "trying"
    WAITING = "waiting"
    DONE = "done"


class IllegalMove(RuntimeError):  # noqa: N818 - h11's word for it; it is the driver's mistake, not the user's
    """The driver sent an event that this state does not know; the route is as it was."""


@dataclass(frozen=True, slots=True)
class Try:
    """One failed try, kept for the final error."""

    model: str
    error: ProviderError
    verdict: Verdict


_LEGAL: dict[RouteState, tuple[type, ...]] = {
    RouteState.NEW: (),
    RouteState.TRYING: (moves.Committed, moves.Succeeded, moves.Failed, moves.Refused, moves.Cancelled),
    RouteState.WAITING: (moves.Waited, moves.Cancelled),
    RouteState.DONE: (),
}


class Route:
    """The way of one request.

    Args:
        request: what is asked for.
        pool: its models, strategy and policy.
        seed: of the lab; every choice draws from a generator made of it, the call and the step.
        deadline_s: the caller's own limit; None: the pool's.
        wait_max_s: seconds to wait for cooling models, all waits together; None: the pool's.
        pinned: the caller chose the model (the pool then holds that one).
    """

    def __init__(
        self,
        request: Request,
        pool: Pool,
        seed: int = 0,
        *,
        deadline_s: float | None = None,
        wait_max_s: float | None = None,
        pinned: bool = False,
    ) -> None:
        self.request = request
        self.pool = pool
        self.policy = pool.policy
        self.seed = seed
        self.state = RouteState.NEW
        self.decisions: list[Decision] = []
        self.tries: list[Try] = []
        self._pinned = pinned
        self._deadline_s = pool.policy.deadline if deadline_s is None else deadline_s
        self._wait_left = pool.policy.wait_max if wait_max_s is None else wait_max_s
        self._deadline_at: float | None = None
        self._model: str | None = None  # whose turn it is
        self._retries = 0  # of this turn
        self._tried: list[str] = []  # models that had or have their turn
        self._committed = False  # this attempt has shown content
        self._mode: Literal["fresh", "restart"] = "fresh"
        self._min_window = 0
        self._choosing = False  # the wait is for a cooling model, not for a retry

    # -- moves -----------------------------------------------------------------------------------------------------

    def start(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        """The first action; `snapshots` are the pool's models in its order, `now` any monotonic second."""
        if self.state is not RouteState.NEW:
            raise IllegalMove(f"the route has been started already and is {self.state.value}")
        self._deadline_at = None if self._deadline_s is None else now + self._deadline_s
        return self._next(snapshots, now)

    def receive(self, event: moves.Event, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        """The next action after an event. `snapshots` already show what the event did to the model's health.

        Raises:
            IllegalMove: this state does not know the event.
        """
        name = type(event).__name__
        if not isinstance(event, _LEGAL[self.state]) or (isinstance(event, moves.Committed) and self._committed):
            raise IllegalMove(f"{name} is not possible while the route is {self.state.value}")
        if isinstance(event, moves.Committed):
            self._committed = True
            return moves.Proceed()
        if isinstance(event, moves.Succeeded):
            return self._finish(Outcome.OK)
        if isinstance(event, moves.Cancelled):
            return self._finish(Outcome.CANCELLED)
        if isinstance(event, moves.Waited):
            return self._next(snapshots, now) if self._choosing else self._attempt("retry", snapshots, now)
        if isinstance(event, moves.Refused):
            return self._next(snapshots, now)
        return self._failed(event.error, snapshots, now)

    # -- after a failure -------------------------------------------------------------------------------------------

    def _failed(self, error: ProviderError, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        verdict = classify(error)
        model = self._model or ""
        self.tries.append(Try(model, error, verdict))
        interrupted = self._committed and self.policy.on_stream_failure != "buffer"
        self._committed = False
        if interrupted and verdict.outcome is not Outcome.CANCELLED:
            if self.policy.on_stream_failure == "error":
                return self._finish(verdict.outcome, self._interrupted(error))
            self._mode = "restart"
        if verdict.error is errors.ContextWindowError:
            self._min_window = max(self._min_window, self._of(model, snapshots).context_window or 0)
        if not self._moves_on(verdict):
            return self._finish(verdict.outcome, self._exhausted())
        delay = self._retry_delay(error, verdict, interrupted, snapshots, now)
        if delay is None:
            return self._next(snapshots, now)
        if delay > self.policy.retry.max_delay:  # a cooling that is sat out, because no other model can serve
            self._wait_left -= delay
        self._retries += 1
        self.state, self._choosing = RouteState.WAITING, False
        return moves.Wait(delay)

    def _moves_on(self, verdict: Verdict) -> bool:
        """A refusal of the request ends it, unless an earlier model failed: an outage must not hide behind it."""
        if verdict.error is errors.ContentFilterError:
            return self.policy.on_content_filter == "move_on"
        if verdict.error is errors.InvalidRequestError:
            return len(self._models_failed()) > 1
        return verdict.moves_on

    def _retry_delay(
        self,
        error: ProviderError,
        verdict: Verdict,
        interrupted: bool,
        snapshots: Sequence[ModelSnapshot],
        now: float,
    ) -> float | None:
        """Seconds until the same model is tried again; None: its turn is over."""
        allowed = self.policy.retry.max_retries
        if self._retries >= (allowed if verdict.retries is None else min(allowed, verdict.retries)):
            return None
        own = self._of(self._model or "", snapshots)
        if own.out_because or own.breaker == "open" or (own.breaker == "half_open" and not own.probe_free):
            return None  # no permit would be had
        others = any(not self._why_not(snapshot) for snapshot in snapshots)
        if interrupted and others:
            return None
        delay = self._pause(error, verdict, own, now)
        short = delay <= self.policy.retry.retry_after_max and not (verdict.cools and error.retry_after_s is None)
        asked = verdict.cools or error.retry_after_s is not None
        if asked and not short and (others or delay > self._wait_left):
            return None
        if self._deadline_at is not None and now + delay >= self._deadline_at:
            return None  # no sleep that the deadline cannot hold
        return delay

    def _pause(self, error: ProviderError, verdict: Verdict, own: ModelSnapshot, now: float) -> float:
        """What the provider asked for, or what is left of the cooling that its answer began, or the backoff."""
        cooling = max(0.0, own.cooling_until - now)
        if verdict.cools or error.retry_after_s is not None:
            return max(error.retry_after_s or 0.0, cooling)
        retry = self.policy.retry
        rng = Chance(self.seed, self.request.call_id, "backoff", len(self.tries))
        return backoff_s(
            self._retries,
            retry.initial_delay,
            max_s=retry.max_delay,
            jitter_s=retry.initial_delay / 4,  # callers that failed together do not come back together
            rng=rng.random,
        )

    # -- the next model --------------------------------------------------------------------------------------------

    def _next(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        if self._deadline_at is not None and now >= self._deadline_at:
            return self._finish(Outcome.CANCELLED, self._timed_out())
        decision = decide(
            self.request,
            self.pool,
            snapshots,
            seed=self.seed,
            step=len(self.decisions),
            tried=self._tried,
            min_window=self._min_window,
            pinned=self._pinned,
        )
        if decision.chosen is None:
            return self._wait_for_cooling(snapshots, now) or self._give_up(decision, snapshots, now)
        waited, self._choosing = self._choosing, False
        self.decisions.append(decision)
        self._model, self._retries = decision.chosen, 0
        self._tried.append(decision.chosen)
        reason = "failover" if self.tries else "cooled" if waited else "selected"
        return self._attempt("probe" if decision.strategy == "probe" else reason, snapshots, now)

    def _attempt(self, reason: str, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        self.state, self._committed = RouteState.TRYING, False
        return moves.Attempt(self._model or "", self._clocks(snapshots, now), self._mode, reason)

    def _clocks(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Clocks:
        timeouts, takeover = self.policy.timeouts, self.policy.takeover_after
        left = None if self._deadline_at is None else max(0.0, self._deadline_at - now)
        if not self.request.stream:
            return moves.Clocks(timeouts.connect, timeouts.request, deadline_s=left)
        if takeover is not None and all(self._why_not(snapshot) for snapshot in snapshots):
            takeover = None  # nobody is free to take over
        return moves.Clocks(timeouts.connect, None, timeouts.first_token, timeouts.idle, timeouts.total, left, takeover)

    def _wait_for_cooling(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action | None:
        """A cooling model is waited for where no other can serve; a breaker never."""
        ends = [s.cooling_until for s in snapshots if s.cooling_until > now and self._only_cooling(s)]
        if not ends:
            return None
        delay = min(ends) - now
        if delay > self._wait_left or (self._deadline_at is not None and now + delay >= self._deadline_at):
            return None
        self._wait_left -= delay
        self.state, self._choosing = RouteState.WAITING, True
        return moves.Wait(delay)

    def _only_cooling(self, snapshot: ModelSnapshot) -> bool:
        return self._why_not(snapshot).startswith("cooling")

    def _why_not(self, snapshot: ModelSnapshot) -> str:
        return why_not(self.request, snapshot, tried=self._tried, min_window=self._min_window)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _give_up(self, decision: Decision, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        self.decisions.append(decision)
        if self.tries:
            return self._finish(self.tries[-1].verdict.outcome, self._exhausted())
        reasons = "; ".join(f"{c.model}: {c.excluded_because}" for c in decision.candidates) or "the pool has no models"
        waits = [wait for snapshot in snapshots if (wait := _seconds_until_free(snapshot, now)) is not None]
        message = f"no model of pool {self.pool.name!r} can take this request now ({reasons})"
        return self._finish(
            Outcome.REJECTED, errors.NoModelAvailableError(message, retry_after_s=min(waits, default=None))
        )

    def _finish(self, outcome: Outcome, error: errors.RequestError | None = None) -> moves.Finish:
        self.state = RouteState.DONE
        return moves.Finish(outcome, self._model, error)

    def _exhausted(self) -> errors.RequestError:
        """The table's error where one model was tried, else all of them in one."""
        last = self.tries[-1]
        tried = self._models_failed()
        if last.verdict.outcome is Outcome.CANCELLED:
            error: errors.RequestError = self._timed_out()
        elif len(tried) == 1:
            kind = last.verdict.error or errors.ProviderUnavailableError
            error = kind(
                _story([last]), model=last.model, status=last.error.status, retry_after_s=last.error.retry_after_s
            )
        else:
            each = [[t for t in self.tries if t.model == model][-1] for model in tried]
            error = errors.FailoverExhaustedError(
                f"all {len(tried)} models that could be tried failed: {_story(each)}",
                model=last.model,
                status=last.error.status,
            )
        error.__cause__ = last.error
        return error

    def _interrupted(self, error: ProviderError) -> errors.RequestError:
        message = f"the stream of {self._model} broke after its first text: {error.message}"
        interrupted = errors.StreamInterruptedError(message, model=self._model or "", status=error.status)
        interrupted.__cause__ = error
        return interrupted

    def _timed_out(self) -> errors.RequestTimeoutError:
        limit = self._deadline_s or 0.0
        story = f" (so far: {_story(self.tries)})" if self.tries else ""
        return errors.RequestTimeoutError(
            limit, "deadline", f"the request's own limit of {limit:g} s ran out{story}", model=self._model or ""
        )

    def _models_failed(self) -> list[str]:
        return list(dict.fromkeys(failed.model for failed in self.tries))

    @staticmethod
    def _of(model: str, snapshots: Sequence[ModelSnapshot]) -> ModelSnapshot:
        return next(snapshot for snapshot in snapshots if snapshot.model == model)


def _story(tries: Sequence[Try]) -> str:
    return "; ".join(f"{t.model}: {t.error.message}" for t in tries)


def _seconds_until_free(snapshot: ModelSnapshot, now: float) -> float | None:
    """Seconds until a model may be tried; None where only the user can help."""
    if snapshot.out_because:
        return None if snapshot.out_until is None else max(0.0, snapshot.out_until - now)
    return max(snapshot.seconds_to_probe, snapshot.cooling_until - now, 0.0)
