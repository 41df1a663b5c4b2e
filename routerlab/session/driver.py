"""The asyncio driver of a `Route`: it does what the route says, keeps the clocks and writes everything down.

The virtual-clock driver does the same without sockets; both must come to the same decisions.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Protocol

from routerlab.core import moves
from routerlab.core.breaker import Permit
from routerlab.core.decisions import Pool
from routerlab.core.errors import RequestError
from routerlab.core.failures import CANCELLED, SUCCESS, Outcome, ProviderError, Verdict, classify
from routerlab.core.route import Route
from routerlab.core.seam import Seam
from routerlab.core.stream_mask import StreamMask, without_half
from routerlab.core.types import CompletionRequest, CompletionResponse, EmbeddingRequest, ModelSnapshot
from routerlab.session.attempt import MISTAKE, Desk, Trial
from routerlab.session.clocks import Watch
from routerlab.session.continuing import checkpoint, request_for_rest
from routerlab.session.journal import Journal, Span, call_row
from routerlab.session.pipe import Piece
from routerlab.session.privacy import conceal, masked
from routerlab.session.results import AttemptRecord, CallResult, CallSpec

__all__ = ["Call", "Sink"]


class Sink(Protocol):
    """Where the pieces of a stream go."""

    def offer(self, piece: Piece) -> bool: ...
    async def drained(self) -> None: ...


class Call:
    """One request through a pool, from the first decision to the row in ``calls``.

    Args:
        desk: what it works with.
        spec: what is asked for.
        request: the same as a connector takes it; ``model`` is filled in for each attempt.
        pool: who may answer.
        pinned: the caller chose the model.
        sink: where the pieces of a stream go; None: they are only collected.
    """

    def __init__(
        self,
        desk: Desk,
        spec: CallSpec,
        request: CompletionRequest | EmbeddingRequest,
        pool: Pool,
        *,
        pinned: bool = False,
        sink: Sink | None = None,
    ) -> None:
        self.result = CallResult(request.call_id, spec)
        self._desk, self._request, self._pool, self._pinned, self._sink = desk, request, pool, pinned, sink
        self._route = Route(
            request,
            pool,
            desk.seed,
            deadline_s=spec.deadline_s,
            wait_max_s=spec.wait_max_s,
            pinned=pinned,
            stitch=spec.stitch,
        )
        self._journal = Journal(desk.record, self.result)
        self._started, self._started_at = time.monotonic(), time.time()
        self._trial: Trial | None = None  # the latest
        self._mask = StreamMask(desk.redactor)
        self._waited_s = 0.0  # before the attempt to come
        self._backoff_s = 0.0  # in all
        self._first_token: float | None = None
        self._shown: list[tuple[str, list[str]]] = []  # who wrote what, since the last restart
        self._dropped: set[str] = set()
        self._injected = False

    async def run(self) -> CallResult:
        """Drive the route to its end. A failed request is ``result.error``; only a cancellation is raised."""
        finish = moves.Finish(Outcome.CANCELLED)
        try:
            action = self._route.start(self._snapshots(), time.monotonic())
            while not isinstance(action, moves.Finish):
                event = await self._perform(action)
                snapshots = () if isinstance(event, moves.Succeeded) else self._snapshots()  # it decides nothing more
                action = self._route.receive(event, snapshots, time.monotonic())
            finish = action
        except Exception as error:  # noqa: BLE001 - a mistake in a connector: the caller gets it as it is
            self.result.error = error
            finish = moves.Finish(Outcome.CLIENT_ERROR)
        finally:
            self._finish(finish)
        return self.result

    async def _perform(self, action: moves.Action) -> moves.Event:
        self._journal.decisions(self._route.decisions)
        if isinstance(action, moves.Attempt):
            return await self._attempt(action)
        assert isinstance(action, moves.Wait)  # noqa: S101 - `Proceed` answers `Committed` only
        await asyncio.sleep(action.seconds)
        self._waited_s += action.seconds
        self._backoff_s += action.seconds
        return moves.Waited()

    # -- one attempt -----------------------------------------------------------------------------------------------

    async def _attempt(self, action: moves.Attempt) -> moves.Event:
        before = self._desk.health.snapshot(action.model, time.monotonic())
        permit, events = self._desk.health.claim(action.model, before.at, action.clocks.lease_s)
        self._journal.events(events)
        if permit is None:
            return moves.Refused()
        if action.reason != "retry":
            self._pool.learn("chosen", action.model, before.at)
        self._injected |= self._desk.injected(action.model)
        hold = self._pool.policy.on_stream_failure == "buffer"
        self._mask = StreamMask(self._desk.redactor)
        request, seam = self._request_of(action)
        record = self._new_record(action, before)
        trial = self._trial = Trial(self._desk, action, record, before.at, hold=hold, seam=seam)
        verdict: Verdict = CANCELLED
        error: Exception | None = None
        event: moves.Event = moves.Succeeded()
        try:
            await trial.send(request, self)
            verdict = SUCCESS
        except ProviderError as failure:
            failure.__traceback__ = failure.__context__ = None  # their frames hold the request, with its key
            verdict, error = classify(failure), failure
            conceal(failure, self._desk.redactor)
            event = moves.Failed(failure, not trial.collector.any_tool_call)
        except Exception as mistake:
            verdict, error = MISTAKE, mistake
            conceal(mistake, self._desk.redactor)
            raise
        finally:
            self._settle(trial, permit, verdict, error)
        for piece in trial.held if verdict is SUCCESS else ():
            if not self.show(piece):
                await self.caught_up()
        if not self._pass_on(Piece(self._mask.end(), action.model)):
            await self.caught_up()
        if isinstance(event, moves.Failed) and event.resumable:
            event = moves.Failed(event.error, checkpoint(self.result.call_id, action.model, self._text).resumable)
        return event

    @property
    def _text(self) -> str:
        """What was shown since the last restart."""
        return "".join(piece for _, pieces in self._shown for piece in pieces)

    def _request_of(self, action: moves.Attempt) -> tuple[CompletionRequest | EmbeddingRequest, Seam | None]:
        """What to send: the request itself, or the one for the rest of its answer."""
        if action.mode != "continue" or isinstance(self._request, EmbeddingRequest):
            return self._request, None
        kept = checkpoint(self.result.call_id, action.model, self._text)
        rest = request_for_rest(self._request, kept, prefill=action.prefill)
        return rest, Seam(kept.content_buffer, exact=action.prefill)

    def _new_record(self, action: moves.Attempt, before: ModelSnapshot) -> AttemptRecord:
        waited, self._waited_s = self._waited_s, 0.0
        return AttemptRecord(
            call_id=self.result.call_id,
            run_id=self.result.spec.run_id,
            attempt=len(self.result.attempts) + 1,
            model=action.model,
            provider=before.provider,
            reason=action.reason if action.mode == "fresh" else action.mode,
            started_at=self._wall(before.at),
            wait_before_s=waited,
            breaker_before=before.breaker,
            score_before=before.score,
        )

    def committed(self, trial: Trial) -> None:
        """The first content: from now on the route knows that something was shown."""
        self._route.receive(moves.Committed(), (), time.monotonic())
        if not trial.continues:
            self._first_token = trial.first_token  # a second one starts over, or nothing was shown of the first
        if trial.restarts:
            self._shown.clear()

    def show(self, piece: Piece) -> bool:
        """Note a piece and pass it on, without secrets; False: the reader is behind, see `caught_up`."""
        text = self._mask.feed(piece)
        return self._pass_on(piece if text is piece else Piece(text, piece.model, piece.restart))

    def _pass_on(self, piece: Piece) -> bool:
        if not piece and not piece.restart:
            return True
        if not self._shown or self._shown[-1][0] != piece.model:
            self._shown.append((piece.model, []))
        self._shown[-1][1].append(piece)
        return self._sink is None or self._sink.offer(piece)

    async def caught_up(self, watch: Watch | None = None) -> None:
        """Wait for the reader; the watch stands still."""
        assert self._sink is not None  # noqa: S101 - nobody else can be behind
        if watch is not None:
            watch.pause()
        await self._sink.drained()
        if watch is not None:
            watch.resume()

    def _settle(self, trial: Trial, permit: Permit, verdict: Verdict, error: Exception | None) -> None:
        """Give the permit back and write the attempt down, whatever happened."""
        record, now = trial.record, time.monotonic()
        trial.describe(verdict, error, now)
        events = self._desk.health.settle(
            record.model,
            permit,
            verdict,
            now,
            latency_s=record.latency_s if record.ttft_s is None else record.ttft_s,
            error=error if isinstance(error, ProviderError) else None,
            limits=trial.response.limits if trial.response else trial.collector.limits,
        )
        if verdict is SUCCESS or verdict.blames_model:
            self._pool.learn("answered" if verdict is SUCCESS else "failed", record.model, now)
        record.breaker_after, record.score_after = self._desk.health.standing(record.model, now)
        partial = "" if verdict is SUCCESS else without_half(trial.collector.text, self._desk.redactor)
        self._journal.attempt(record, partial)
        self._journal.events(events)
        self._dropped |= trial.dropped

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(self, finish: moves.Finish) -> None:
        result, redactor, now = self.result, self._desk.redactor, time.monotonic()
        self._journal.decisions(self._route.decisions)
        if finish.outcome is Outcome.OK and self._trial is not None:
            result.response = masked(self._trial.response, redactor) if self._trial.response else None
        result.parts = [(model, redactor.mask("".join(pieces))) for model, pieces in self._shown]
        if isinstance(result.response, CompletionResponse) and not self._request.stream:
            result.parts = [(finish.model or "", result.response.text)]
        text = "".join(part for _, part in result.parts)
        if isinstance(result.response, CompletionResponse) and result.response.text != text:
            result.response = replace(result.response, text=text)  # what was shown
        if finish.error is not None:
            result.error = self._complete(finish.error, text, now)
        first = None if self._first_token is None else self._wall(self._first_token)
        span = Span(self._started_at, first, self._wall(now), self._backoff_s)
        pool = None if self._pinned else self._pool.name
        row = call_row(result, self._request, finish, span, pool=pool, dropped=self._dropped)
        row["injected"] = self._injected
        asked = [attempt.model for attempt in result.attempts] or self._pool.models
        row["simulated"] = any(model.partition("/")[0] in self._desk.simulated for model in asked)
        self._journal.call(row, self._request, text)

    def _complete(self, error: RequestError, text: str, now: float) -> RequestError:
        """Give an error what only the driver knows: the call, its attempts, the text, what put the models out."""
        error.call_id, error.partial_text, error.attempts = self.result.call_id, text, list(self.result.attempts)
        if error.__cause__ is None and not self.result.attempts:
            causes = (self._desk.health.out_error(model, now) for model in self._pool.models)
            error.__cause__ = next((cause for cause in causes if cause is not None), None)
        return error

    def _snapshots(self) -> list[ModelSnapshot]:
        return self._desk.health.snapshots(self._pool.models, time.monotonic())

    def _wall(self, moment: float) -> float:
        """A monotonic moment as wall-clock seconds; durations stay true while the wall clock jumps."""
        return self._started_at + (moment - self._started)
