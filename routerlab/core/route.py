"""One request on its way through a pool: a state machine that decides and does nothing else.

The driver calls `Route.start`, does what the action says, and comes back with what happened:

    state        event                  next
    NEW          start                  TRYING (Attempt), WAITING (Wait) or DONE (Finish)
    TRYING       Committed              TRYING (Proceed)
    TRYING       Succeeded              DONE
    TRYING       Failed                 WAITING (a retry, or a cooling model), TRYING (a fresh key, without the prefill
                                        that was refused, or the next model) or DONE
    TRYING       Refused                TRYING (the next model), WAITING or DONE
    WAITING      Waited                 TRYING, WAITING or DONE
    any but NEW and DONE: Cancelled     DONE

Any other event raises `IllegalMove` and changes nothing. A *turn* is one model's first try, its immediate retries, one
try more where a refused key can be had anew, and one more where it refused a prefill; a model has one turn per request,
so that a route always ends: models are finite, retries are bounded by the policy, and all waits for cooling models
together by ``wait_max``.

The route knows no clock, opens nothing and waits for nothing. Text does not pass through it. What it chose, and why,
stands in `decisions`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Literal

from routerlab.core import endings, moves
from routerlab.core.chance import Chance
from routerlab.core.decisions import Decision, Pool, decide, shut, why_not
from routerlab.core.errors import ContentFilterError, ContextWindowError, InvalidRequestError, RequestError
from routerlab.core.failures import Outcome, ProviderError, Verdict, classify
from routerlab.core.retry import backoff_s
from routerlab.core.strategies import Request
from routerlab.core.types import ModelSnapshot

__all__ = ["IllegalMove", "Route", "RouteState"]

_SLACK_S = 0.02  # a timer may fire this much early (Windows), and sums of floats are not exact


class RouteState(Enum):
    """Where a route stands."""

    NEW = "new"
    TRYING = "trying"
    WAITING = "waiting"
    DONE = "done"

    __hash__ = object.__hash__  # Enum's own is written in Python


class IllegalMove(RuntimeError):  # noqa: N818 - h11's word for it; it is the driver's mistake, not the user's
    """The driver sent an event that this state does not know; the route is as it was."""


_NEW, _TRYING, _WAITING, _DONE = RouteState  # a member by its name costs more than all else in a move, before 3.12
_OK = Outcome.OK

_LEGAL: dict[RouteState, tuple[type, ...]] = {
    _NEW: (),
    _TRYING: (moves.Committed, moves.Succeeded, moves.Failed, moves.Refused, moves.Cancelled),
    _WAITING: (moves.Waited, moves.Cancelled),
    _DONE: (),
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
        stitch: whether an answer may be written by several models, one after the other; False: ``continue`` is
            ``restart``.
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
        stitch: bool = True,
    ) -> None:
        self.request = request
        self.pool = pool
        self.policy = pool.policy
        self.seed = seed
        self.state: RouteState = _NEW
        self.decisions: list[Decision] = []
        self.tries: list[endings.Try] = []
        self._pinned = pinned
        self._deadline_s = pool.policy.deadline if deadline_s is None else deadline_s
        self._wait_left = pool.policy.wait_max if wait_max_s is None else wait_max_s
        self._deadline_at: float | None = None
        self._model: str | None = None  # whose turn it is
        self._retries = 0  # of this turn
        self._refreshed = False  # this turn has had its try with a fresh key
        self._tried: list[str] = []  # models that had or have their turn
        self._committed = False  # this attempt has shown content
        self._mode: Literal["fresh", "restart", "continue"] = "fresh"
        self._stitch = stitch
        self._prefill = False  # this attempt carries on by prefill
        self._no_prefill: set[str] = set()  # models that refused one
        self._min_window = 0
        self._choosing = False  # the wait is for a cooling model, not for a retry

    # -- moves -----------------------------------------------------------------------------------------------------

    def start(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        """The first action; `snapshots` are the pool's models in its order, `now` any monotonic second."""
        if self.state is not _NEW:
            raise IllegalMove(f"the route has been started already and is {self.state.value}")
        self._deadline_at = None if self._deadline_s is None else now + self._deadline_s
        return self._next(snapshots, now)

    def receive(self, event: moves.Event, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        """The next action after an event. `snapshots` already show what the event did to the model's health.

        Raises:
            IllegalMove: this state does not know the event.
        """
        if not isinstance(event, _LEGAL[self.state]) or (self._committed and isinstance(event, moves.Committed)):
            raise IllegalMove(f"{type(event).__name__} is not possible while the route is {self.state.value}")
        if isinstance(event, moves.Succeeded):
            return self._finish(_OK)
        if isinstance(event, moves.Committed):
            self._committed = True
            return moves.Proceed()
        if isinstance(event, moves.Cancelled):
            return self._finish(Outcome.CANCELLED)
        if isinstance(event, moves.Waited):
            return self._next(snapshots, now) if self._choosing else self._retry(snapshots, now)
        if isinstance(event, moves.Refused):
            return self._next(snapshots, now)
        return self._failed(event, snapshots, now)

    # -- after a failure -------------------------------------------------------------------------------------------

    def _failed(self, event: moves.Failed, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        error = event.error
        verdict = classify(error)
        broke_off, self._committed = self._committed, False
        if self._mode == "continue" and verdict.error is InvalidRequestError and not broke_off:
            return self._refused_to_go_on(snapshots, now)
        self.tries.append(endings.Try(self._model or "", error, verdict))
        if verdict.outcome is Outcome.CANCELLED:
            return self._late()
        if broke_off:
            if self.policy.on_stream_failure == "error":
                return self._finish(verdict.outcome, endings.interrupted(self.tries[-1]))
            self._mode = self._mode_after(event)
        if verdict.error is ContextWindowError:
            self._min_window = max(self._min_window, self._own(snapshots).context_window or 0)
        if not self._moves_on(verdict):
            return self._finish(verdict.outcome, endings.error_of_last(self.tries))
        if verdict.refreshes and not (self._refreshed or broke_off):
            self._refreshed = True
            return self._retry(snapshots, now)
        pause = self._pause(error, verdict, broke_off, snapshots, now)
        if pause is None:
            return self._next(snapshots, now)
        self._retries += 1
        return self._wait(pause, choosing=False)

    def _mode_after(self, event: moves.Failed) -> Literal["fresh", "restart", "continue"]:
        """How to go on after a stream that broke off; what was not shown needs no mode."""
        if self.policy.on_stream_failure == "continue":
            return "continue" if event.resumable and self._stitch else "restart"
        return "restart" if self.policy.on_stream_failure == "restart" else self._mode

    def _refused_to_go_on(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        """The request was good when the first model took it: the way of going on was refused, and is no outcome."""
        if self._prefill and not shut(self._own(snapshots)) and self._in_time(0.0, now):
            self._no_prefill.add(self._model or "")
            return self._attempt("retry", snapshots, now)
        return self._next(snapshots, now)

    def _moves_on(self, verdict: Verdict) -> bool:
        """A refusal of the request ends it, unless an earlier model failed: an outage must not hide behind it."""
        if verdict.error is ContentFilterError:
            return self.policy.on_content_filter == "move_on"
        if verdict.error is InvalidRequestError:
            return len(endings.models_of(self.tries)) > 1
        return verdict.moves_on

    def _pause(
        self,
        error: ProviderError,
        verdict: Verdict,
        broke_off: bool,
        snapshots: Sequence[ModelSnapshot],
        now: float,
    ) -> float | None:
        """Seconds until the same model is tried again; None: its turn is over."""
        own, others_in = self._own(snapshots), self._others_in(snapshots, now)
        if self._retries >= self._retries_allowed(error, verdict, broke_off) or shut(own):
            return None
        if broke_off and others_in == 0:
            return None
        asked = max(error.retry_after_s or 0.0, own.cooling_until - now)
        does_not_say = verdict.cools and error.retry_after_s is None
        if does_not_say or asked > self.policy.retry.retry_after_max + _SLACK_S:
            return self._sit_out(asked, others_in, now)
        pause = max(asked, 0.0) if error.retry_after_s is not None else max(asked, self._backoff())
        return pause if self._in_time(pause, now) else None

    def _retries_allowed(self, error: ProviderError, verdict: Verdict, broke_off: bool) -> int:
        allowed = self.policy.retry.max_retries
        if verdict.retries is None or (broke_off and error.clock == "idle"):  # silence after content: as a reset
            return allowed
        return min(allowed, verdict.retries)

    def _backoff(self) -> float:
        retry = self.policy.retry
        rng = Chance(self.seed, self.request.call_id, "backoff", len(self.tries))
        return backoff_s(
            self._retries,
            retry.initial_delay,
            max_s=retry.max_delay,
            jitter_s=retry.initial_delay / 4,  # callers that failed together do not come back together
            rng=rng.random,
        )

    def _sit_out(self, cooling_s: float, others_in: float, now: float) -> float | None:
        """The pause for a cooling of the own model: all of it, where no other model can serve before; else None."""
        if others_in < cooling_s or not self._may_wait(cooling_s, now):
            return None
        self._wait_left -= cooling_s
        return max(0.0, cooling_s)

    def _retry(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        """The turn goes on, unless other requests have closed, emptied or cooled its model in the meantime."""
        own = self._own(snapshots)
        if shut(own) or not self._in_time(0.0, now):
            return self._next(snapshots, now)
        cooling_s = own.cooling_until - now
        if cooling_s <= _SLACK_S:
            return self._attempt("retry", snapshots, now)
        pause = self._sit_out(cooling_s, self._others_in(snapshots, now), now)
        return self._next(snapshots, now) if pause is None else self._wait(pause, choosing=False)

    # -- the next model --------------------------------------------------------------------------------------------

    def _next(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        if not self._in_time(0.0, now):
            return self._late()
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
        self._model, self._retries, self._refreshed = decision.chosen, 0, False
        self._tried.append(decision.chosen)
        reason = "failover" if self.tries else "cooled" if waited else "selected"
        return self._attempt("probe" if decision.strategy == "probe" else reason, snapshots, now)

    def _attempt(self, reason: str, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Action:
        self.state, self._committed = _TRYING, False
        if self._mode == "continue":
            self._prefill = self._own(snapshots).prefill and self._model not in self._no_prefill
        return moves.Attempt(self._model or "", self._clocks(snapshots, now), self._mode, reason, self._prefill)

    def _clocks(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Clocks:
        left = None if self._deadline_at is None else max(0.0, self._deadline_at - now)
        timeouts, takeover = self.policy.timeouts, self.policy.takeover_after
        if not self.request.stream:
            if left is None:
                return self.pool.whole_clocks
            return moves.Clocks(timeouts.connect, timeouts.request, deadline_s=left)
        if takeover is not None and self._others_in(snapshots, now) > 0:
            takeover = None  # nobody is free to take over
        return moves.Clocks(timeouts.connect, None, timeouts.first_token, timeouts.idle, timeouts.total, left, takeover)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _wait(self, seconds: float, *, choosing: bool) -> moves.Wait:
        self.state, self._choosing = _WAITING, choosing
        return moves.Wait(seconds)

    def _wait_for_cooling(self, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Wait | None:
        """A cooling model is waited for where no other can serve; a breaker never."""
        seconds = self._others_in(snapshots, now)
        if math.isinf(seconds) or not self._may_wait(seconds, now):
            return None
        self._wait_left -= seconds
        return self._wait(seconds, choosing=True)

    def _others_in(self, snapshots: Sequence[ModelSnapshot], now: float) -> float:
        """Seconds until a model that had no turn can serve: 0 now, infinite where none will by itself."""
        waits = [math.inf]
        for snapshot in snapshots:
            reason = self._why_not(snapshot)
            if not reason:
                return 0.0
            if reason.startswith("cooling"):
                waits.append(snapshot.cooling_until - now)
        return min(waits)

    def _may_wait(self, seconds: float, now: float) -> bool:
        return seconds <= self._wait_left + _SLACK_S and self._in_time(seconds, now)

    def _in_time(self, seconds: float, now: float) -> bool:
        """Whether the deadline leaves something after so many seconds: no sleep that it cannot hold."""
        return self._deadline_at is None or now + seconds < self._deadline_at

    def _why_not(self, snapshot: ModelSnapshot) -> str:
        return why_not(self.request, snapshot, tried=self._tried, min_window=self._min_window)

    def _own(self, snapshots: Sequence[ModelSnapshot]) -> ModelSnapshot:
        return next(snapshot for snapshot in snapshots if snapshot.model == self._model)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _give_up(self, decision: Decision, snapshots: Sequence[ModelSnapshot], now: float) -> moves.Finish:
        self.decisions.append(decision)
        retry_after_s = endings.free_in(self.request, snapshots, now)
        if self.tries:
            return self._finish(self.tries[-1].verdict.outcome, endings.exhausted(self.tries, retry_after_s))
        error = endings.none_available(self.pool.name, self.request, snapshots, decision, retry_after_s)
        return self._finish(Outcome.REJECTED, error)

    def _finish(self, outcome: Outcome, error: RequestError | None = None) -> moves.Finish:
        self.state = _DONE
        return moves.Finish(outcome, self._model, error)

    def _late(self) -> moves.Finish:
        error = endings.timed_out(self._deadline_s or 0.0, self._model or "", self.tries)
        return self._finish(Outcome.CANCELLED, error)
