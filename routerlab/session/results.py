"""What a call leaves behind, as plain data: its attempts, its decisions, its answer or its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from routerlab.core.types import CompletionResponse, EmbeddingResponse, Message

__all__ = ["AttemptRecord", "CallResult", "CallSpec"]


@dataclass(frozen=True, slots=True)
class CallSpec:
    """One call as a verb or a run asks for it.

    Attributes:
        messages: the chat; empty for embeddings.
        inputs: texts to embed; empty for chats.
        params: ``max_tokens``, ``temperature``, …
        capability: full dotted name.
        pool: name of a pool; None: the capability's own.
        model: ``provider/model`` to pin the call to; None: the pool routes.
        stream: whether the answer is wanted piece by piece.
        deadline_s: the caller's limit for the whole call; None: the pool's.
        run_id, item_id, repeat, variant, purpose: where the call belongs; None outside a run.
        wait_max_s: how long the call may wait for a cooling model; None: the pool's rule.
        stitch: whether an answer may be written by several models, one after the other; not in a comparison.
        scheduled_at: wall-clock second at which a traffic generator meant to send it; None: now.
    """

    messages: tuple[Message, ...] = field(default=(), repr=False)
    inputs: tuple[str, ...] = field(default=(), repr=False)
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    capability: str = "generation.text-generation.chat-completion"
    pool: str | None = None
    model: str | None = None
    stream: bool = False
    deadline_s: float | None = None
    run_id: str | None = None
    item_id: str | None = None
    repeat: int | None = None
    variant: str | None = None
    purpose: str | None = None
    wait_max_s: float | None = None
    stitch: bool = True
    scheduled_at: float | None = None


@dataclass(slots=True)
class AttemptRecord:
    """One request that was sent: the columns of the table ``attempts``, in their order.

    Times are wall-clock seconds since the epoch, durations seconds. ``reason`` says why this model:
    ``selected``, ``probe``, ``retry``, ``failover``, ``cooled`` (after a wait for a cooling model); after a stream
    broke off ``restart`` or ``continue`` (the text that was shown is carried on).
    """

    call_id: str
    run_id: str | None
    attempt: int
    model: str
    provider: str
    reason: str
    started_at: float
    ended_at: float = 0.0
    latency_s: float = 0.0
    ttft_s: float | None = None
    outcome: str = ""
    status: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    retry_after_s: float | None = None
    wait_before_s: float = 0.0
    breaker_before: str = "closed"
    breaker_after: str = "closed"
    score_before: float | None = None
    score_after: float | None = None
    committed: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    chars: int = 0
    maybe_billed: bool = False
    malformed_events: int = 0


@dataclass(slots=True)
class CallResult:
    """A finished call. Exactly one of ``response`` and ``error`` is set.

    Attributes:
        call_id: names it in every record.
        spec: what was asked.
        row: the call's row of the table ``calls`` (times as epoch seconds).
        response: the answer.
        error: what the verb raises.
        attempts: every request sent, in order.
        decisions: rows of ``decisions``, each with ``candidates`` (rows of that table) in it.
        parts: who wrote what of the final text: ``(model, text)``.
        events: rows of ``events`` that this call caused (breaker transitions, models taken out).
    """

    call_id: str
    spec: CallSpec
    row: dict[str, Any] = field(default_factory=dict)
    response: CompletionResponse | EmbeddingResponse | None = None
    error: BaseException | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without what was asked: prompts may be private, and the records know how to keep them."""
        bare = replace(self.spec, messages=(), inputs=(), params={})
        values = {field.name: getattr(self, field.name) for field in fields(self)} | {"spec": bare}
        return CallResult, tuple(values.values())
