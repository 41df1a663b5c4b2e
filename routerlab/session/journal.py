"""What a call writes down: its decisions, attempts, events, its row and its texts, each once."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routerlab.core.decisions import Decision
from routerlab.core.health import HealthEvent
from routerlab.core.moves import Finish
from routerlab.core.types import CompletionRequest, CompletionResponse, EmbeddingRequest
from routerlab.session.results import AttemptRecord, CallResult

__all__ = ["Journal", "Record", "Span", "call_row", "decision_row", "event_row"]

Record = Callable[[str, Mapping[str, Any] | AttemptRecord, str | None], None]


@dataclass(frozen=True, slots=True)
class Span:
    """When a call ran (wall-clock seconds) and what it cost in time (seconds)."""

    started_at: float
    first_token_at: float | None
    ended_at: float
    backoff_s: float


class Journal:
    """Writes one call into the records and keeps the rows for its result.

    Args:
        record: takes a table's name, a row and the run that it belongs to.
        result: where the rows are kept.
    """

    def __init__(self, record: Record, result: CallResult) -> None:
        self._to = record
        self._result = result
        self._written = 0

    def _record(self, table: str, row: Mapping[str, Any] | AttemptRecord) -> None:
        self._to(table, row, self._result.spec.run_id)

    def decisions(self, decisions: Sequence[Decision]) -> None:
        """Write those that are not written yet."""
        for decision in decisions[self._written :]:
            row = decision_row(decision, self._result.call_id)
            self._result.decisions.append(row)
            self._record("decisions", {name: value for name, value in row.items() if name != "candidates"})
            for candidate in row["candidates"]:
                self._record("candidates", candidate)
        self._written = len(decisions)

    def events(self, events: Sequence[HealthEvent]) -> None:
        """Write what an attempt changed."""
        for event in events:
            row = event_row(event, self._result.call_id)
            self._record("events", row)
            self._result.events.append(row)

    def attempt(self, attempt: AttemptRecord, partial_text: str = "") -> None:
        """Write one attempt; `partial_text` is what a failed stream had brought."""
        self._result.attempts.append(attempt)
        self._record("attempts", attempt)
        if partial_text:
            text = {"call_id": attempt.call_id, "attempt": attempt.attempt, "request": None, "reply": partial_text}
            self._record("texts", text)

    def call(self, row: dict[str, Any], request: CompletionRequest | EmbeddingRequest, text: str) -> None:
        """Write the call itself and its texts."""
        self._result.row = row
        self._record("calls", row)
        self._record("texts", {"call_id": row["call_id"], "attempt": None, "request": _asked(request), "reply": text})


def decision_row(decision: Decision, call_id: str | None) -> dict[str, Any]:
    """A decision as a row of the table ``decisions``, with the rows of ``candidates`` under that name."""
    call: dict[str, Any] = {"call_id": call_id, "step": decision.step}
    candidates = [
        call
        | {
            "model": candidate.model,
            "score": candidate.score,
            "eligible": candidate.eligible,
            "excluded_because": candidate.excluded_because or None,
        }
        for candidate in decision.candidates
    ]
    return call | {
        "chosen": decision.chosen,
        "probability": decision.probability,
        "strategy": decision.strategy,
        "seed": decision.seed,
        "candidates": candidates,
    }


def event_row(event: HealthEvent, call_id: str | None) -> dict[str, Any]:
    """An event as a row of the table ``events``."""
    names = ("kind", "model", "provider", "old", "new", "cause")
    return {"at": time.time(), **{name: getattr(event, name) for name in names}, "call_id": call_id}


def call_row(
    result: CallResult,
    request: CompletionRequest | EmbeddingRequest,
    finish: Finish,
    span: Span,
    *,
    pool: str | None,
    dropped: Collection[str] = (),
) -> dict[str, Any]:
    """A finished call as a row of the table ``calls``; ``injected`` and ``simulated`` are the driver's to add."""
    spec, response = result.spec, result.response
    usage = response.usage if response else None
    model = finish.model if response else None
    finish_reason = response.finish_reason if isinstance(response, CompletionResponse) else None
    first = span.first_token_at
    return {
        "call_id": result.call_id,
        "run_id": spec.run_id,
        "item_id": spec.item_id,
        "repeat": spec.repeat,
        "variant": spec.variant,
        "purpose": spec.purpose,
        "pool": pool,
        "capability": spec.capability,
        "requested_model": spec.model,
        "model": model,
        "provider": model.partition("/")[0] if model else None,
        "served_model": response.served_model if response else None,
        "streamed": request.stream,
        "outcome": finish.outcome.value,
        "error_type": type(result.error).__name__ if result.error else None,
        "finish_reason": finish_reason,
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "cached_tokens": usage.cached_tokens if usage else None,
        "reasoning_tokens": usage.reasoning_tokens if usage else None,
        "cost_usd": result.attempts[-1].cost_usd if response and result.attempts else None,
        "cached": False,
        "attempts": len(result.attempts),
        "failovers": max(0, len({attempt.model for attempt in result.attempts}) - 1),
        "scheduled_at": spec.scheduled_at,
        "started_at": span.started_at,
        "first_token_at": first,
        "ended_at": span.ended_at,
        "queue_s": None if spec.scheduled_at is None else max(0.0, span.started_at - spec.scheduled_at),
        "ttft_s": None if first is None else first - span.started_at,
        "latency_s": span.ended_at - span.started_at,
        "backoff_s": span.backoff_s,
        "truncated": finish_reason == "length",
        "dropped_params": sorted(dropped) or None,
    }


def _asked(request: CompletionRequest | EmbeddingRequest) -> dict[str, Any]:
    if isinstance(request, EmbeddingRequest):
        return {"inputs": list(request.inputs), "params": dict(request.params)}
    return {"messages": [dict(message) for message in request.messages], "params": dict(request.params)}
