"""One attempt: a request sent to one model under its clocks, what came back, and its record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from routerlab.core.failures import Outcome, ProviderError, Verdict
from routerlab.core.health import Health
from routerlab.core.moves import Attempt
from routerlab.core.redact import Redactor
from routerlab.core.seam import Seam
from routerlab.core.types import (
    CompletionRequest,
    CompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    TokenUsage,
)
from routerlab.providers.base import ProviderConnector
from routerlab.session.clocks import Watch
from routerlab.session.collector import Collector
from routerlab.session.journal import Record
from routerlab.session.pipe import Piece
from routerlab.session.results import AttemptRecord

__all__ = ["MISTAKE", "Desk", "Response", "Trial", "Viewer"]

Response = CompletionResponse | EmbeddingResponse

MISTAKE = Verdict(Outcome.CLIENT_ERROR, moves_on=False)
"""A connector raised what it must not raise: that says nothing about the model."""

_NEEDED = {"tools": "tools", "tool_choice": "tools", "response_format": "json"}


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
        redactor: knows what must not be shown.
    """

    health: Health
    connectors: Mapping[str, ProviderConnector]
    record: Record
    cost_usd: Callable[[str, TokenUsage | None], float | None]
    seed: int = 0
    simulated: frozenset[str] = frozenset()
    drop_params: bool = False
    injected: Callable[[str], bool] = lambda model: False
    redactor: Redactor = field(default_factory=Redactor)


class Viewer(Protocol):
    """Who looks on while a stream comes in."""

    def committed(self, trial: Trial) -> None:
        """The first content is here."""

    def show(self, piece: Piece) -> bool:
        """Pass a piece on; False: the reader is behind."""

    async def caught_up(self, watch: Watch | None) -> None:
        """Wait for a reader who is behind; the watch stands still."""


class Trial:
    """One attempt under way.

    Args:
        desk: what it works with.
        action: which model, under which clocks.
        record: filled in as it goes.
        started: monotonic second.
        hold: keep the pieces of a stream back (in ``held``) until it is complete.
        seam: cuts from a continuation what it repeats; None: it is none.

    Attributes:
        first_token: monotonic second of the first text, tool call or reasoning of a stream.
        response: the answer, once it is whole.
        dropped: names of the parameters that were left out.
    """

    def __init__(
        self,
        desk: Desk,
        action: Attempt,
        record: AttemptRecord,
        started: float,
        *,
        hold: bool,
        seam: Seam | None = None,
    ) -> None:
        self.action, self.record, self.started = action, record, started
        self.collector = Collector()
        self.first_token: float | None = None
        self.response: Response | None = None
        self.held: list[Piece] = []
        self.dropped: set[str] = set()
        self._desk, self._hold, self._seam = desk, hold, seam

    @property
    def continues(self) -> bool:
        """Whether its text carries on from what was shown before."""
        return self.action.mode == "continue"

    @property
    def restarts(self) -> bool:
        """Whether its text replaces what was shown before."""
        return self.action.mode == "restart"

    async def send(self, request: CompletionRequest | EmbeddingRequest, viewer: Viewer) -> None:
        """Send the request and wait for the whole answer.

        Raises:
            ProviderError: it failed, or a clock ran out.
        """
        provider, _, name = self.record.model.partition("/")
        connector = self._desk.connectors[provider]
        clocks = self.action.clocks
        async with Watch(clocks, stream=request.stream) as watch:
            if isinstance(request, EmbeddingRequest):
                request = replace(request, model=name, connect_timeout_s=clocks.connect_s)
                self.response = await connector.embed(request)
                return
            request = replace(request, model=name, connect_timeout_s=clocks.connect_s)
            request = self._without_refused(request, connector)
            if request.stream:
                await self._read(connector, request, viewer, watch)
                self.response = self.collector.response()
            else:
                self.response = await connector.complete(request)

    def _without_refused(self, request: CompletionRequest, connector: ProviderConnector) -> CompletionRequest:
        """With ``drop_params``: leave out what this model is known not to take (else its connector refuses it)."""
        if not self._desk.drop_params:
            return request
        self.dropped = set(connector.refused_params(request))
        features = self._desk.health.snapshot(self.record.model, self.started).features
        if features is not None:
            self.dropped |= {name for name, need in _NEEDED.items() if need not in features} & set(request.params)
        if not self.dropped:
            return request
        return replace(request, params={k: v for k, v in request.params.items() if k not in self.dropped})

    async def _read(
        self, connector: ProviderConnector, request: CompletionRequest, viewer: Viewer, watch: Watch
    ) -> None:
        restart = self.restarts
        async with contextlib.aclosing(connector.stream(request)) as deltas:
            async for delta in deltas:
                self.collector.add(delta)
                content = bool(delta.text) or delta.tool_call is not None
                if self.first_token is None and (content or delta.reasoning):
                    self.first_token = time.monotonic()
                    watch.first_token()
                else:
                    watch.progress()
                if content and not self.record.committed:
                    self.record.committed = True
                    viewer.committed(self)
                text = delta.text if self._seam is None else self._seam.feed(delta.text)
                if text or (content and restart):
                    piece = Piece(text, self.record.model, restart)
                    restart = False
                    if self._hold:
                        self.held.append(piece)
                    elif not viewer.show(piece):
                        await viewer.caught_up(watch)
        if self._seam is not None and (rest := self._seam.end()) and not viewer.show(Piece(rest, self.record.model)):
            await viewer.caught_up(watch)

    def describe(self, verdict: Verdict, error: Exception | None, now: float) -> None:
        """Fill in what is known of the record now that it has ended."""
        record, response, collector = self.record, self.response, self.collector
        record.latency_s = now - self.started
        record.ended_at = record.started_at + record.latency_s
        record.ttft_s = None if self.first_token is None else self.first_token - self.started
        record.outcome = verdict.outcome.value
        record.malformed_events = collector.malformed_events
        record.chars = len(response.text) if isinstance(response, CompletionResponse) else collector.chars
        usage = response.usage if response else collector.usage
        if usage is not None:
            record.prompt_tokens, record.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            record.cost_usd = self._desk.cost_usd(record.model, usage)
        if response is not None:
            record.status = 200
        elif isinstance(error, ProviderError):
            record.status, record.retry_after_s, record.error_message = error.status, error.retry_after_s, error.message
            record.error_type = verdict.error.__name__ if verdict.error else None
            record.maybe_billed = record.committed or error.maybe_billed
        else:  # cancelled, or the connector's mistake
            record.error_type = type(error).__name__ if error else None
            record.maybe_billed = True
