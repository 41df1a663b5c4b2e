"""The asyncio driver of a `Route`: it does what the route says, keeps the clocks and writes everything down.

The virtual-clock driver does the same without sockets; both must come to the same decisions.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from routerlab.core import moves
from routerlab.core.breaker import Permit
from routerlab.core.decisions import Pool
from routerlab.core.errors import RequestError
from routerlab.core.failures import CANCELLED, SUCCESS, Outcome, ProviderError, Verdict, classify
from routerlab.core.health import Health
from routerlab.core.route import Route
from routerlab.core.strategies import Feedback
from routerlab.core.types import (
    CompletionRequest,
    CompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    ModelSnapshot,
    TokenUsage,
)
from routerlab.providers.base import ProviderConnector
from routerlab.session.clocks import Watch
from routerlab.session.collector import Collector
from routerlab.session.journal import Journal, Record, Span, call_row
from routerlab.session.pipe import Piece
from routerlab.session.results import AttemptRecord, CallResult, CallSpec

__all__ = ["Call", "Desk", "Sink"]

Response = CompletionResponse | EmbeddingResponse


class Sink(Protocol):
    """Where the pieces of a stream go."""

    def offer(self, piece: Piece) -> bool: ...
    async def drained(self) -> None: ...


@dataclass(slots=True)
class Desk:
    """What every call of a lab works with.

    Attributes:
        health: of all models.
        connectors: by provider.
        record: takes a table's name, a row and the run that it belongs to.
        cost_usd: of an answer of a model; None: unknown.
        seed: of the lab.
        simulated: providers that are.
        drop_params: leave out what a model is known not to take.
        injected: whether a fault is put into a model on our side.
    """

    health: Health
    connectors: Mapping[str, ProviderConnector]
    record: Record
    cost_usd: Callable[[str, TokenUsage | None], float | None]
    seed: int = 0
    simulated: frozenset[str] = frozenset()
    drop_params: bool = False
    injected: Callable[[str], bool] = lambda model: False


@dataclass(slots=True)
class _Progress:
    """What one attempt has brought so far."""

    record: AttemptRecord
    started: float
    collector: Collector = field(default_factory=Collector)
    first_token: float | None = None
    response: Response | None = None


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
            request, pool, desk.seed, deadline_s=spec.deadline_s, wait_max_s=spec.wait_max_s, pinned=pinned
        )
        self._journal = Journal(desk.record, self.result)
        self._started, self._started_at = time.monotonic(), time.time()
        self._attempting: _Progress | None = None
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
                action = self._route.receive(event, self._snapshots(), time.monotonic())
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
        permit, events = self._desk.health.claim(action.model, before.at, _lease(action.clocks))
        self._journal.events(events)
        if permit is None:
            return moves.Refused()
        if action.reason != "retry":
            self._pool.learn(Feedback("chosen", action.model, before.at))
        progress = self._attempting = _Progress(self._new_record(action, before), before.at)
        verdict, error = CANCELLED, None
        try:
            progress.response = await self._send(action, progress)
            verdict = SUCCESS
        except ProviderError as failure:
            failure.__traceback__ = None  # its frames hold the request and the connector
            verdict, error = classify(failure), failure
        finally:
            self._settle(progress, permit, verdict, error)
        return moves.Failed(error) if error else moves.Succeeded()

    def _new_record(self, action: moves.Attempt, before: ModelSnapshot) -> AttemptRecord:
        waited, self._waited_s = self._waited_s, 0.0
        return AttemptRecord(
            call_id=self.result.call_id,
            run_id=self.result.spec.run_id,
            attempt=len(self.result.attempts) + 1,
            model=action.model,
            provider=before.provider,
            reason="restart" if action.mode == "restart" else action.reason,
            started_at=self._wall(before.at),
            wait_before_s=waited,
            breaker_before=before.breaker,
            score_before=before.score,
        )

    async def _send(self, action: moves.Attempt, progress: _Progress) -> Response:
        provider, _, name = action.model.partition("/")
        self._injected |= self._desk.injected(action.model)
        connector = self._desk.connectors[provider]
        request = replace(self._request, model=name, connect_timeout_s=action.clocks.connect_s)
        async with Watch(action.clocks, stream=request.stream) as watch:
            if isinstance(request, EmbeddingRequest):
                return await connector.embed(request)
            request = self._without_unknown(request, action.model)
            if not request.stream:
                return await connector.complete(request)
            return await self._read(connector, request, action, progress, watch)

    async def _read(
        self,
        connector: ProviderConnector,
        request: CompletionRequest,
        action: moves.Attempt,
        progress: _Progress,
        watch: Watch,
    ) -> CompletionResponse:
        held: list[Piece] = []
        hold = self._pool.policy.on_stream_failure == "buffer"
        restart = action.mode == "restart"
        async with contextlib.aclosing(connector.stream(request)) as deltas:
            async for delta in deltas:
                progress.collector.add(delta)
                content = bool(delta.text) or delta.tool_call is not None
                if progress.first_token is None and (content or delta.reasoning):
                    progress.first_token = time.monotonic()
                    watch.first_token()
                else:
                    watch.progress()
                if content and not progress.record.committed:
                    self._commit(progress, restart)
                if delta.text or (content and restart):
                    piece = Piece(delta.text, action.model, restart)
                    restart = False
                    held.append(piece) if hold else await self._show(piece, watch)
        for piece in held:
            await self._show(piece, watch)
        return progress.collector.response()

    def _commit(self, progress: _Progress, restart: bool) -> None:
        """The first content: from now on the route knows that something was shown."""
        progress.record.committed = True
        self._route.receive(moves.Committed(), (), time.monotonic())
        if restart:
            self._shown.clear()
        if self._first_token is None or restart:
            self._first_token = progress.first_token

    async def _show(self, piece: Piece, watch: Watch) -> None:
        if not self._shown or self._shown[-1][0] != piece.model:
            self._shown.append((piece.model, []))
        self._shown[-1][1].append(piece)
        if self._sink is not None and not self._sink.offer(piece):
            watch.pause()
            await self._sink.drained()
            watch.resume()

    def _settle(self, progress: _Progress, permit: Permit, verdict: Verdict, error: ProviderError | None) -> None:
        """Give the permit back and write the attempt down, whatever happened."""
        record, now = progress.record, time.monotonic()
        record.latency_s = now - progress.started
        record.ended_at = record.started_at + record.latency_s
        if progress.first_token is not None:
            record.ttft_s = progress.first_token - progress.started
        events = self._desk.health.settle(
            record.model,
            permit,
            verdict,
            now,
            latency_s=record.latency_s if record.ttft_s is None else record.ttft_s,
            error=error,
            limits=progress.response.limits if progress.response else progress.collector.limits,
        )
        if verdict is SUCCESS or error is not None:
            self._pool.learn(Feedback("answered" if verdict is SUCCESS else "failed", record.model, now))
        after = self._desk.health.snapshot(record.model, now)
        record.breaker_after, record.score_after = after.breaker, after.score
        self._describe(progress, verdict, error)
        self._journal.attempt(record, "" if verdict is SUCCESS else progress.collector.text)
        self._journal.events(events)

    def _describe(self, progress: _Progress, verdict: Verdict, error: ProviderError | None) -> None:
        record, response, collector = progress.record, progress.response, progress.collector
        record.outcome = verdict.outcome.value
        record.malformed_events = collector.malformed_events
        record.chars = len(response.text) if isinstance(response, CompletionResponse) else collector.chars
        usage = response.usage if response else collector.usage
        if usage is not None:
            record.prompt_tokens, record.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            record.cost_usd = self._desk.cost_usd(record.model, usage)
        if response is not None:
            record.status = 200
        elif error is None:  # cancelled
            record.maybe_billed = True
        else:
            record.status, record.retry_after_s, record.error_message = error.status, error.retry_after_s, error.message
            record.error_type = verdict.error.__name__ if verdict.error else None
            record.maybe_billed = record.committed or (error.sent and error.status is None)

    def _without_unknown(self, request: CompletionRequest, model: str) -> CompletionRequest:
        """With ``drop_params``: leave out what this model is known not to take."""
        features = self._desk.health.snapshot(model, time.monotonic()).features if self._desk.drop_params else None
        if features is None:
            return request
        needed = {"tools": "tools", "tool_choice": "tools", "response_format": "json"}
        drop = {name for name, need in needed.items() if name in request.params and need not in features}
        self._dropped |= drop
        return replace(request, params={name: value for name, value in request.params.items() if name not in drop})

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(self, finish: moves.Finish) -> None:
        result, now = self.result, time.monotonic()
        self._journal.decisions(self._route.decisions)
        if finish.outcome is Outcome.OK and self._attempting is not None:
            result.response = self._attempting.response
        result.parts = [(model, "".join(pieces)) for model, pieces in self._shown]
        if isinstance(result.response, CompletionResponse) and not self._request.stream:
            result.parts = [(finish.model or "", result.response.text)]
        text = "".join(part for _, part in result.parts)
        if finish.error is not None:
            result.error = self._complete(finish.error, text, now)
        first = None if self._first_token is None else self._wall(self._first_token)
        span = Span(self._started_at, first, self._wall(now), self._backoff_s)
        pool = None if self._pinned else self._pool.name
        row = call_row(result, self._request, finish, span, pool=pool, dropped=self._dropped)
        row["injected"] = self._injected
        row["simulated"] = any(model.partition("/")[0] in self._desk.simulated for model in self._pool.models)
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


def _lease(clocks: moves.Clocks) -> float | None:
    """How long an attempt can last at most: the life of its permit."""
    limits: list[Any] = [clocks.total_s or clocks.request_s, clocks.deadline_s]
    known = [limit for limit in limits if limit is not None]
    return min(known) + (clocks.connect_s or 0.0) + 1.0 if known else None
