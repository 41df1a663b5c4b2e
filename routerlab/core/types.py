"""The nouns of routerlab: requests, answers, prices, and what routing sees of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routerlab.core.record import record

__all__ = [
    "CompletionRequest",
    "CompletionResponse",
    "Delta",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "Limits",
    "Message",
    "ModelInfo",
    "ModelSnapshot",
    "Needs",
    "Price",
    "TokenUsage",
    "ToolCall",
    "split_model",
]

Message = Mapping[str, Any]
"""A chat message in OpenAI's shape: ``{"role": …, "content": …}``."""

ToolCall = Mapping[str, Any]
"""A tool call in OpenAI's shape: ``{"id": …, "type": "function", "function": {"name": …, "arguments": "<json>"}}``."""


def split_model(name: str) -> tuple[str, str]:
    """Split ``provider/model`` at the first slash.

    >>> split_model("openrouter/meta/llama-3")
    ('openrouter', 'meta/llama-3')
    """
    provider, slash, model = name.partition("/")
    if not (slash and provider and model):
        raise ValueError(f"{name!r} is not a model name: expected 'provider/model', such as 'openai/gpt-4o-mini'")
    return provider, model


@record
class TokenUsage:
    """Tokens of one answer as the provider counted them; None where it did not say.

    Attributes:
        prompt_tokens: input tokens, cached ones included.
        completion_tokens: output tokens, reasoning included.
        total_tokens: their sum, or what the provider says.
        cached_tokens: the part of the prompt that was read from the provider's cache.
        reasoning_tokens: the part of the completion that was reasoning.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@record
class Price:
    """USD per million tokens.

    Attributes:
        input: for prompt tokens.
        output: for completion tokens.
        cached_input: for cached prompt tokens; None: the same as ``input``.
    """

    input: float
    output: float
    cached_input: float | None = None

    def cost_usd(self, usage: TokenUsage | None) -> float | None:
        """USD for one answer; None where the provider did not say how many tokens it was.

        >>> Price(input=1.0, output=2.0).cost_usd(TokenUsage(prompt_tokens=500_000, completion_tokens=250_000))
        1.0
        """
        if usage is None or usage.prompt_tokens is None:
            return None
        cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        cached_price = self.input if self.cached_input is None else self.cached_input
        fresh = usage.prompt_tokens - cached
        return (fresh * self.input + cached * cached_price + (usage.completion_tokens or 0) * self.output) / 1e6


@record
class Limits:
    """What a provider's headers say of the remaining allowance; None where they say nothing."""

    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    reset_requests_s: float | None = None
    reset_tokens_s: float | None = None


@record
class Needs:
    """What a request asks of a model before any strategy is consulted.

    Attributes:
        features: of `routerlab.core.features.FEATURES`; a model that declares its features must have them all.
        tokens: that the prompt surely has; 0: unknown.
    """

    features: frozenset[str] = frozenset()
    tokens: int = 0


@record
class CompletionRequest:
    """One chat request on its way to a model.

    Attributes:
        call_id: names the call in every record.
        capability: dotted name of the capability asked for.
        model: the provider's own name of the model, without the provider; the driver fills it in for each attempt.
        messages: in OpenAI's shape.
        params: ``max_tokens``, ``temperature``, ``tools``, ``extra_body``, …
        stream: whether the answer is wanted piece by piece.
        needs: what the model must be able to do.
        deadline_s: for the whole request, all attempts and waits; None: no limit.
        connect_timeout_s: for opening a connection, the one clock that a connector keeps.
    """

    call_id: str
    capability: str
    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    needs: Needs = Needs()
    deadline_s: float | None = None
    connect_timeout_s: float | None = 10.0


@record
class CompletionResponse:
    """One whole chat answer; ``raw`` is the provider's own body (None for a stream)."""

    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: TokenUsage | None = None
    finish_reason: str | None = None
    served_model: str | None = None
    limits: Limits | None = None
    raw: Any = None


@dataclass(slots=True)
class Delta:
    """One step of a streamed answer; every part may be missing. (Not frozen: one is made for each chunk.)

    ``tool_call`` is a fragment in OpenAI's shape: ``{"index": …, "id": …, "function": {"name": …, "arguments": …}}``.
    ``skipped_events`` counts malformed events that were passed over just before this one.
    """

    text: str = ""
    reasoning: str = ""
    tool_call: Mapping[str, Any] | None = None
    usage: TokenUsage | None = None
    finish_reason: str | None = None
    served_model: str | None = None
    limits: Limits | None = None
    skipped_events: int = 0


@record
class EmbeddingRequest:
    """One request for embeddings; fields as in `CompletionRequest`, ``inputs`` are the texts."""

    call_id: str
    model: str
    inputs: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float | None = None
    connect_timeout_s: float | None = 10.0
    capability: str = "representation.embedding"
    needs: Needs = Needs()
    stream: bool = False


@record
class EmbeddingResponse:
    """One vector for each input, in their order."""

    vectors: tuple[tuple[float, ...], ...]
    usage: TokenUsage | None = None
    served_model: str | None = None
    limits: Limits | None = None
    raw: Any = None


@record
class ModelInfo:
    """What is known of a model before the first call.

    Attributes:
        name: the provider's own name of it.
        capabilities: dotted names; empty: unknown.
        context_window: tokens; None: unknown.
        features: ``tools``, ``json``, ``vision``, ``prefill``, ``system``; None: unknown, so nothing is ruled out.
        price: None: unknown.
    """

    name: str
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    features: frozenset[str] | None = None
    price: Price | None = None


@dataclass(slots=True)
class ModelSnapshot:
    """What routing sees of one model at one moment. (Not frozen: the time of one that still holds is moved on.)

    Attributes:
        model: ``provider/model``.
        provider: the first part of it.
        at: the moment, in seconds of the same clock as ``now``.
        breaker: ``closed``, ``open`` or ``half_open``.
        seconds_to_probe: until an open breaker lets a probe pass; 0 otherwise.
        probe_free: the breaker is half-open and has a free probe slot.
        in_flight: attempts under way.
        score: EWMA of quality x success rate, 0…1, higher is better; None without samples.
        latency_s: mean latency of the recent successes (time to first token for streams); None without any.
        success_rate: 0…1; None without samples.
        samples: how many observations stand behind score and rate.
        price: None: unknown.
        context_window: tokens; None: unknown.
        features: None: unknown.
        cooling_until: the moment (same clock as ``now``) until which a rate limit keeps it out; 0: not cooling.
        remaining: what the provider's headers last said.
        out_because: why it is out until somebody acts (key, quota, unknown model, by hand); empty: it is not.
        out_until: the moment a quota comes back; None: unknown, or not out.
        remaining_at: the moment (same clock as ``now``) at which they said so.
        prefill: whether it carries on from a last message of the assistant's, as far as is known.
    """

    model: str
    provider: str
    at: float = 0.0
    breaker: str = "closed"
    seconds_to_probe: float = 0.0
    probe_free: bool = False
    in_flight: int = 0
    score: float | None = None
    latency_s: float | None = None
    success_rate: float | None = None
    samples: int = 0
    price: Price | None = None
    context_window: int | None = None
    features: frozenset[str] | None = None
    cooling_until: float = 0.0
    remaining: Limits | None = None
    out_because: str = ""
    out_until: float | None = None
    prefill: bool = False
    remaining_at: float = 0.0
