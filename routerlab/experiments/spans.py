"""Calls as OpenTelemetry spans: one per call, and below it one per attempt.

Attributes have the names of the GenAI conventions, and ``routerlab.…`` for what those do not know. What a call used and
cost stands at the call alone under the conventions' names, so that sums over all spans count it once. A call is a trace
of its own; trace and span ids are made of the call's id, so that what is exported twice is there once.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (names),
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding (shape: ids in hexadecimal, 64-bit numbers in strings)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from routerlab.experiments.spantext import input_messages, output_messages

__all__ = ["RunAbout", "call_spans"]

Row = Mapping[str, Any]

_CLIENT, _ERROR = 3, 2  # a span's kind, a span's status
_UNBOUNDED = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}  # in the JSON of protocol buffers
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "openai_responses": "openai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}  # what the conventions call them, where they say something else
_OPERATIONS = {"chat-completion": "chat", "text-completion": "text_completion", "embedding": "embeddings"}
_PARAMS = {
    "frequency_penalty": float,
    "max_tokens": int,
    "presence_penalty": float,
    "seed": int,
    "temperature": float,
    "top_k": float,
    "top_p": float,
}
_CALL = (
    *("purpose", "pool", "capability", "model", "outcome", "attempts", "failovers", "cost_usd", "cached"),
    *("queue_s", "backoff_s", "truncated", "dropped_params", "injected", "simulated"),
)
_ATTEMPT = (
    *("attempt", "model", "reason", "outcome", "breaker_before", "breaker_after", "score_before", "score_after"),
    *("wait_before_s", "retry_after_s", "ttft_s", "committed", "chars", "prompt_tokens", "completion_tokens"),
    *("cost_usd", "maybe_billed", "malformed_events"),
)


@dataclass(frozen=True, slots=True)
class RunAbout:
    """What all spans of a run share.

    Attributes:
        run_id, name: of the run.
        kind: the purpose of the calls that answer its items.
        params: parameters of those calls, by arm.
        scores: of the items' answers: call id to name to score.
        texts: call id to request and final reply; empty: no text goes into a span, a provider's words neither.
    """

    run_id: str
    name: str
    kind: str
    params: Mapping[str, Row] = field(default_factory=dict)
    scores: Mapping[str, Row] = field(default_factory=dict)
    texts: Mapping[str, tuple[Any, str | None]] = field(default_factory=dict)


def call_spans(calls: Iterable[Row], attempts: Iterable[Row], about: RunAbout) -> Iterator[list[dict[str, Any]]]:
    """The spans of each call, its own first, in the shape of OTLP's JSON.

    Args:
        calls: rows of the table ``calls``; one that never began has no span.
        attempts: rows of ``attempts`` of these calls.
        about: the run.
    """
    by_call: dict[str, list[Row]] = {}
    for row in attempts:
        by_call.setdefault(row["call_id"], []).append(row)
    for call in calls:
        own = by_call.get(call["call_id"], [])
        times = [call["started_at"], call["ended_at"], *(row["started_at"] for row in own)]
        known = [at for at in times if at is not None]
        if known:
            yield [_call_span(call, own, min(known), max(known), about), *(_attempt_span(row, about) for row in own)]


def _call_span(call: Row, attempts: list[Row], start: float, end: float, about: RunAbout) -> dict[str, Any]:
    provider, model = _names(call["model"] or call["requested_model"] or (attempts[-1]["model"] if attempts else ""))
    operation = _OPERATIONS.get((call["capability"] or "").rpartition(".")[2], "chat")
    answers_item = call["purpose"] in (about.kind, None)
    attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.request.stream": call["streamed"] or None,
        **(_request(about.params.get(call["variant"], {})) if answers_item else {}),
        "gen_ai.response.model": call["served_model"],
        "gen_ai.response.finish_reasons": [call["finish_reason"]] if call["finish_reason"] else None,
        "gen_ai.response.time_to_first_chunk": call["ttft_s"],
        "gen_ai.usage.input_tokens": call["prompt_tokens"],
        "gen_ai.usage.output_tokens": call["completion_tokens"],
        "gen_ai.usage.cache_read.input_tokens": call["cached_tokens"],
        "gen_ai.usage.reasoning.output_tokens": call["reasoning_tokens"],
        "error.type": call["error_type"],
        **_own(call, about),
        "routerlab.run.name": about.name,
        **{f"routerlab.item.{name}": call[key] for name, key in (("id", "item_id"), ("repeat", "repeat"))},
        "routerlab.variant": call["variant"],
        **{f"routerlab.{name}": call[name] for name in _CALL},
        **{f"routerlab.score.{name}": value for name, value in about.scores.get(call["call_id"], {}).items()},
        **_texts(call, about),
    }
    span = _span(f"{operation} {model}".strip(), start, end, attributes, call["call_id"])
    return span | {"spanId": _id(call["call_id"], 8)} | _status(call["error_type"], None)


def _attempt_span(row: Row, about: RunAbout) -> dict[str, Any]:
    provider, model = _names(row["model"])
    failed = row["outcome"] not in {"ok", "cancelled"}
    attributes = {
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "http.response.status_code": row["status"],
        "error.type": (row["error_type"] or row["outcome"]) if failed else None,
        **_own(row, about),
        **{f"routerlab.attempt.{'number' if name == 'attempt' else name}": row[name] for name in _ATTEMPT},
    }
    start, end = row["started_at"], row["ended_at"] or row["started_at"]
    span = _span(f"attempt {model}".strip(), start, end, attributes, row["call_id"])
    own = {"spanId": _id(f"{row['call_id']}/{row['attempt']}", 8), "parentSpanId": _id(row["call_id"], 8)}
    return span | own | _status(failed, row["error_message"] if about.texts else None)


def _span(name: str, start: float, end: float, attributes: Row, call_id: str) -> dict[str, Any]:
    return {
        "traceId": _id(f"trace {call_id}", 16),
        "name": name,
        "kind": _CLIENT,
        "startTimeUnixNano": _nanoseconds(start),
        "endTimeUnixNano": _nanoseconds(max(start, end)),
        "attributes": [
            {"key": key, "value": _any_value(value)} for key, value in attributes.items() if value is not None
        ],
    }


def _own(row: Row, about: RunAbout) -> dict[str, Any]:
    return {"routerlab.run.id": about.run_id, "routerlab.call.id": row["call_id"]}


def _names(model: str) -> tuple[str, str]:
    """The provider as the conventions call it, and the model as the provider does."""
    provider, _, name = model.partition("/")
    return _PROVIDERS.get(provider, provider) or "unknown", name


def _request(params: Row) -> dict[str, Any]:
    """Parameters that have a name in the conventions; stop words are somebody's words and stay out."""
    return {
        f"gen_ai.request.{name}": kind(params[name])
        for name, kind in _PARAMS.items()
        if isinstance(params.get(name), int | float) and not isinstance(params[name], bool)
    }


def _texts(call: Row, about: RunAbout) -> dict[str, Any]:
    request, reply = about.texts.get(call["call_id"], (None, None))
    found = {
        "gen_ai.input.messages": input_messages(request),
        "gen_ai.output.messages": output_messages(reply, call["finish_reason"]),
    }
    return {key: json.dumps(value, ensure_ascii=False, default=str) for key, value in found.items() if value}


def _status(failed: Any, message: str | None) -> dict[str, Any]:
    """An error's status; that of a success is left unset, as the conventions want it."""
    if not failed:
        return {}
    return {"status": {"code": _ERROR, "message": message} if message else {"code": _ERROR}}


def _id(text: str, size: int) -> str:
    return sha256(f"routerlab {text}".encode()).digest()[:size].hex()


def _nanoseconds(seconds: float) -> str:
    return str(round(seconds * 1e6) * 1000)


def _any_value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _UNBOUNDED[str(value)]}
        case list() | tuple():
            return {"arrayValue": {"values": [_any_value(inner) for inner in value]}}
    return {"stringValue": str(value)}
