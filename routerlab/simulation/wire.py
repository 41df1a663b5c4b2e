"""OpenAI's wire format, the server's side: requests are checked, scripts become bytes.

Source: OpenAI's API reference (chat completions, embeddings, streaming) and the errors that its servers send.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from routerlab.core.script import Part, Script, Step
from routerlab.core.simulated_errors import error_body
from routerlab.core.types import TokenUsage

__all__ = ["Envelope", "body_of", "chat_problem", "embedding_problem", "events_of"]

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
_INVALID = "invalid_request_error"


class Envelope:
    """What stands around every answer to one request.

    Args:
        identity: of the answer.
        model: as the answer names it.
        created: seconds since the epoch.
        base64_vectors: whether embeddings go out packed, as OpenAI's own client asks for them.
    """

    def __init__(self, identity: str, model: str, created: int, *, base64_vectors: bool = False) -> None:
        self.identity = identity
        self.model = model
        self.created = created
        self.base64_vectors = base64_vectors

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        """One event of a stream."""
        head = {"id": self.identity, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
        return _event({**head, "choices": choices, **more})

    def delta(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        """One event that carries a part of the answer."""
        return self.chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])


def events_of(script: Script, envelope: Envelope) -> Iterator[tuple[float, bytes]]:
    """The events of a stream, each with the seconds to wait before it."""
    yield 0.0, envelope.delta({"role": "assistant", "content": ""})
    for step in script.steps:
        yield step.delay_s, _event_of(step, envelope)


def _event_of(step: Step, envelope: Envelope) -> bytes:
    match step.part:
        case Part.TEXT:
            return envelope.delta({"content": step.data})
        case Part.TOOL_CALL:
            return envelope.delta({"tool_calls": [step.data]})
        case Part.FINISH:
            return envelope.delta({}, step.data)
        case Part.USAGE:
            return envelope.chunk([], usage=_usage(step.data))
        case Part.ERROR:
            return _event(step.data)
        case Part.MALFORMED:
            return f"data: {step.data}\n\n".encode()
        case Part.DONE:
            return b"data: [DONE]\n\n"
        case _:
            return b""  # what ended the text is not told


def body_of(script: Script, envelope: Envelope) -> tuple[str, bytes]:
    """A whole answer: its content type and its bytes."""
    content = script.body if script.body is not None else _whole(script, envelope)
    if not isinstance(content, str):
        return "application/json", json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    kind = "text/html" if content.lstrip().startswith(("<html", "<!DOCTYPE")) else "text/plain; charset=utf-8"
    return ("application/json" if content.startswith(("{", "[")) else kind), content.encode()


def _whole(script: Script, envelope: Envelope) -> Mapping[str, Any]:
    if any(step.part is Part.VECTORS for step in script.steps):
        return _embeddings(script, envelope)
    text: str | None = None
    calls: dict[int, dict[str, Any]] = {}
    finish: str | None = None
    usage: dict[str, Any] = {}
    for step in script.steps:
        match step.part:
            case Part.TEXT:
                text = (text or "") + step.data
            case Part.TOOL_CALL:
                _join_call(calls, step.data)
            case Part.FINISH:
                finish = step.data
            case Part.USAGE:
                usage = {"usage": _usage(step.data)}
            case Part.ERROR:
                error: Mapping[str, Any] = step.data
                return error
            case _:
                pass  # a whole answer has no events, so none that could be malformed, and no end mark
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message["tool_calls"] = list(calls.values())
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    head = {"id": envelope.identity, "object": "chat.completion", "created": envelope.created, "model": envelope.model}
    return {**head, "choices": [choice], **usage, "system_fingerprint": "fp_simulated"}


def _join_call(calls: dict[int, dict[str, Any]], part: Mapping[str, Any]) -> None:
    known = calls.get(part["index"])
    if known is None:
        calls[part["index"]] = {
            "id": part["id"],
            "type": "function",
            "function": dict(part["function"]),
        }
    else:
        known["function"]["arguments"] += part["function"]["arguments"]


def _embeddings(script: Script, envelope: Envelope) -> dict[str, Any]:
    vectors = next(step.data for step in script.steps if step.part is Part.VECTORS)
    pack = _pack if envelope.base64_vectors else list
    data = [{"object": "embedding", "index": index, "embedding": pack(vector)} for index, vector in enumerate(vectors)]
    whole: dict[str, Any] = {"object": "list", "data": data, "model": envelope.model}
    for step in script.steps:
        if step.part is Part.USAGE:
            whole["usage"] = {"prompt_tokens": step.data.prompt_tokens, "total_tokens": step.data.total_tokens}
    return whole


def _pack(vector: tuple[float, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }


def _event(content: Any) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def chat_problem(body: Any) -> Mapping[str, Any] | None:
    """What is wrong with a chat request, as an error body; None: nothing."""
    if not isinstance(body, dict):
        return error_body("We could not parse the JSON body of your request.", _INVALID)
    if not isinstance(body.get("model"), str) or not body["model"]:
        return error_body("you must provide a model parameter", _INVALID, None, "model")
    messages = body.get("messages")
    if messages is None:
        return _missing("messages")
    if not isinstance(messages, list) or not messages:
        return _wrong("messages", "an array with at least 1 element")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return _wrong(f"messages[{index}].role", f"one of {', '.join(_ROLES)}")
        if "content" not in message and "tool_calls" not in message:
            return _missing(f"messages[{index}].content")
    return _parameter_problem(body)


def _parameter_problem(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is not None and not (_is_number(value) and low <= value <= high):
            return _wrong(name, f"a number between {low} and {high}")
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and not (isinstance(value, int) and _is_number(value) and value >= 1):
            return _wrong(name, "a whole number of at least 1")
    tools = body.get("tools")
    if tools is not None and not (isinstance(tools, list) and all(_is_tool(tool) for tool in tools)):
        return _wrong("tools", "an array of functions, each with a name")
    if "tool_choice" in body and not tools:
        return error_body("'tool_choice' is only allowed when 'tools' are specified.", _INVALID, None, "tool_choice")
    return None


def embedding_problem(body: Any) -> Mapping[str, Any] | None:
    """What is wrong with a request for embeddings, as an error body; None: nothing."""
    if not isinstance(body, dict):
        return error_body("We could not parse the JSON body of your request.", _INVALID)
    if not isinstance(body.get("model"), str) or not body["model"]:
        return error_body("you must provide a model parameter", _INVALID, None, "model")
    texts = body.get("input")
    if texts is None:
        return _missing("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        return _wrong("input", "a text, or an array of texts that are not empty")
    size = body.get("dimensions")
    if size is not None and not (isinstance(size, int) and _is_number(size) and 1 <= size <= 10_000):
        return _wrong("dimensions", "a whole number of at least 1")
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_tool(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _missing(name: str) -> dict[str, Any]:
    return error_body(f"Missing required parameter: '{name}'.", _INVALID, "missing_required_parameter", name)


def _wrong(name: str, expected: str) -> dict[str, Any]:
    return error_body(f"Invalid value for '{name}': expected {expected}.", _INVALID, "invalid_value", name)
