"""The virtual-clock driver of one `Route`: what the asyncio driver does, with a heap of timed events and no sockets."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Any

from routerlab.core import moves
from routerlab.core.breaker import Permit
from routerlab.core.decisions import Decision, Pool
from routerlab.core.failures import CANCELLED, SUCCESS, ProviderError, Verdict, classify
from routerlab.core.health import Health, HealthEvent
from routerlab.core.route import Route
from routerlab.core.types import CompletionRequest, ModelSnapshot
from routerlab.session.results import AttemptRecord
from routerlab.simulation.plays import Play, cut

__all__ = ["VirtualCall", "VirtualClock"]


_SUCCEEDED = moves.Succeeded()


class VirtualClock:
    """A clock that jumps from event to event.

    Args:
        now: seconds that it shows at first.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = itertools.count()  # what is due at the same moment happens in the order of its planning

    def at(self, moment: float, do: Callable[..., object], *args: Any) -> None:
        """Plan ``do(*args)``; an infinite moment never comes, a past one is now."""
        if not math.isinf(moment):
            heapq.heappush(self._heap, (max(self.now, moment), next(self._order), do, args))

    def run(self, until: float) -> None:
        """Let everything happen up to a moment, that one included."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until:
            self.now, _, do, args = pop(heap)
            do(*args)


class VirtualCall:
    """One call: a handle while it runs, and what became of it. All moments are virtual seconds.

    Args:
        route: its way.
        request: what is asked.
        pool: who may answer.
        health: of the models.
        clock: the world's.
        play: what a model does with this request, asked once for each attempt.
        on_end: called with this call when it has ended.

    Attributes:
        started_at, ended_at: None: not yet.
        finish: how it ended.
        attempts: one record for each request sent.
        waits: seconds of each pause, in order.
        transitions: what it changed in the models' health: breakers, cooling, who is out.
    """

    def __init__(
        self,
        route: Route,
        request: CompletionRequest,
        pool: Pool,
        *,
        health: Health,
        clock: VirtualClock,
        play: Callable[[CompletionRequest, str], Play],
        on_end: Callable[[VirtualCall], object] | None = None,
    ) -> None:
        self.route, self.request, self.pool = route, request, pool
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.finish: moves.Finish | None = None
        self.attempts: list[AttemptRecord] = []
        self.waits: list[float] = []
        self.transitions: list[HealthEvent] = []
        self._health, self._clock, self._play, self._on_end = health, clock, play, on_end
        self._sent: tuple[AttemptRecord, Permit] | None = None  # the attempt under way
        self._step = 0  # counts actions: what was planned before the last one is void
        self._waited_s = 0.0  # since the last attempt

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.finish is not None and self.finish.outcome is SUCCESS.outcome

    @property
    def elapsed_s(self) -> float:
        """Seconds from start to end; infinite where it did not end."""
        if self.started_at is None or self.ended_at is None:
            return math.inf
        return self.ended_at - self.started_at

    @property
    def decisions(self) -> list[Decision]:
        """What was chosen, and why."""
        return self.route.decisions

    def start(self) -> None:
        """Begin; the clock must be at the right moment."""
        self.started_at = self._clock.now
        self._act(self.route.start(self._snapshots(), self._clock.now))

    def cancel(self) -> None:
        """The caller gives up; a call that has ended or not begun is left alone."""
        if self.started_at is None or self.ended_at is not None:
            return
        if self._sent is not None:
            self._settle(*self._sent, CANCELLED, None)
        self._receive(moves.Cancelled())

    # -- actions ---------------------------------------------------------------------------------------------------

    def _act(self, action: moves.Action) -> None:
        self._step += 1
        while isinstance(action, moves.Attempt) and not self._send(action):
            action = self.route.receive(moves.Refused(), self._snapshots(), self._clock.now)
        if isinstance(action, moves.Wait):
            self.waits.append(action.seconds)
            self._waited_s += action.seconds
            self._later(action.seconds, self._receive, moves.Waited())
        elif isinstance(action, moves.Finish):
            self._finish(action)

    def _receive(self, event: moves.Event) -> None:
        snapshots = () if isinstance(event, moves.Succeeded) else self._snapshots()  # it decides nothing more
        self._act(self.route.receive(event, snapshots, self._clock.now))

    def _later(self, seconds: float, do: Callable[..., object], *args: Any) -> None:
        self._clock.at(self._clock.now + seconds, self._due, self._step, do, args)

    def _due(self, step: int, do: Callable[..., object], args: tuple[Any, ...]) -> None:
        if step == self._step:
            do(*args)

    def _snapshots(self) -> list[ModelSnapshot]:
        return self._health.snapshots(self.pool.models, self._clock.now)

    # -- one attempt -----------------------------------------------------------------------------------------------

    def _send(self, action: moves.Attempt) -> bool:
        """Start an attempt; False: the breaker had no permit."""
        model, now = action.model, self._clock.now
        breaker, score = self._health.standing(model, now)
        permit, events = self._health.claim(model, now, action.clocks.lease_s)
        self.transitions += events
        if permit is None:
            return False
        if action.reason != "retry":
            self.pool.learn("chosen", model, now)
        record = self._new_record(action, breaker, score)
        self._sent = record, permit
        play = self._play(self.request, model)
        seconds, error = cut(play, action.clocks, stream=self.request.stream)
        if self.request.stream and play.content_s is not None and play.content_s <= seconds:
            self._later(play.content_s, self._commit, record)
        failed = moves.Failed(error, play.resumable) if error else None
        self._later(seconds, self._end, record, permit, failed)
        return True

    def _new_record(self, action: moves.Attempt, breaker: str, score: float | None) -> AttemptRecord:
        waited, self._waited_s = self._waited_s, 0.0
        return AttemptRecord(
            call_id=self.request.call_id,
            run_id=None,
            attempt=len(self.attempts) + 1,
            model=action.model,
            provider=action.model.partition("/")[0],
            reason=action.reason if action.mode == "fresh" else action.mode,
            started_at=self._clock.now,
            wait_before_s=waited,
            breaker_before=breaker,
            score_before=score,
        )

    def _commit(self, record: AttemptRecord) -> None:
        record.committed, record.ttft_s = True, self._clock.now - record.started_at
        self.route.receive(moves.Committed(), (), self._clock.now)

    def _end(self, record: AttemptRecord, permit: Permit, failed: moves.Failed | None) -> None:
        error = failed.error if failed else None
        self._settle(record, permit, classify(error) if error else SUCCESS, error)
        self._receive(failed or _SUCCEEDED)

    def _settle(self, record: AttemptRecord, permit: Permit, verdict: Verdict, error: ProviderError | None) -> None:
        """Give the permit back and write the attempt down."""
        self._sent, now = None, self._clock.now
        record.ended_at, record.latency_s = now, now - record.started_at
        latency_s = record.latency_s if record.ttft_s is None else record.ttft_s
        self.transitions += self._health.settle(record.model, permit, verdict, now, latency_s=latency_s, error=error)
        if verdict is SUCCESS or verdict.blames_model:
            self.pool.learn("answered" if verdict is SUCCESS else "failed", record.model, now)
        record.outcome = verdict.outcome._value_  # `value` is a property written in Python before 3.12
        record.breaker_after, record.score_after = self._health.standing(record.model, now)
        record.status = 200 if verdict is SUCCESS else None
        if error is not None:
            record.status, record.retry_after_s, record.error_message = error.status, error.retry_after_s, error.message
            record.error_type = verdict.error.__name__ if verdict.error else None
            record.maybe_billed = record.committed or error.maybe_billed
        elif verdict is CANCELLED:
            record.maybe_billed = True
        self.attempts.append(record)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(self, finish: moves.Finish) -> None:
        self.finish, self.ended_at = finish, self._clock.now
        if finish.error is not None:
            finish.error.call_id, finish.error.attempts = self.request.call_id, list(self.attempts)
            if finish.error.__cause__ is None and not self.attempts:
                causes = (self._health.out_error(model, self._clock.now) for model in self.pool.models)
                finish.error.__cause__ = next((cause for cause in causes if cause is not None), None)
        if self._on_end is not None:
            self._on_end(self)

    def __repr__(self) -> str:
        state = self.finish.outcome.value if self.finish else "running" if self.started_at is not None else "planned"
        return f"VirtualCall({self.request.call_id}, {state}, {len(self.attempts)} attempts)"
