"""Requests in Ollama's own format: what is wrong with them, and what they mean in OpenAI's shape.

Source: Ollama's API documentation ("Generate a chat completion", "Generate embeddings").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from routerlab.core.checks import is_whole
from routerlab.core.simulated import SimulatedRequest, read_chat, read_embedding
from routerlab.simulation.dialects.checks import is_texts
from routerlab.simulation.dialects.problems import Problem

__all__ = ["chat_problem", "embedding_problem", "read", "read_texts"]

_ROLES = ("system", "user", "assistant", "tool")


def chat_problem(body: Any) -> Problem | None:
    """What is wrong with a chat request; None: nothing."""
    return _model_problem(body) or _first(_complaints(body))


def _model_problem(body: Any) -> Problem | None:
    if not isinstance(body, dict):
        return Problem(400, "invalid character looking for beginning of value")
    return Problem(400, "model is required") if not body.get("model") else None


def _first(complaints: Iterator[str]) -> Problem | None:
    complaint = next(complaints, None)
    return None if complaint is None else Problem(400, complaint)


def _complaints(body: Mapping[str, Any]) -> Iterator[str]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        # a real server loads the model, and says nothing
        yield "[] is too short - 'messages'"
        return
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            yield f"invalid role: {role}, role must be one of [{', '.join(_ROLES)}]"
        elif not isinstance(message.get("content", ""), str):
            yield _mismatch("array", "ChatRequest.messages.content", "string")
        for call in message.get("tool_calls") or () if isinstance(message, dict) else ():
            if not isinstance((call.get("function") or {}).get("arguments", {}), dict):
                yield _mismatch(
                    "string", "ChatRequest.messages.tool_calls.function.arguments", "map[string]interface {}"
                )
    options = body.get("options")
    if options is not None and not isinstance(options, dict):
        yield _mismatch("value", "ChatRequest.options", "map[string]interface {}")
    elif options and options.get("num_predict") is not None and not is_whole(options["num_predict"], -2):
        yield 'option "num_predict" must be of type integer'
    wish = body.get("format")
    if wish not in (None, "", "json") and not isinstance(wish, dict):
        yield 'invalid format: expected "json" or a JSON schema'


def _mismatch(found: str, field: str, expected: str) -> str:
    """In the words of Go's decoder."""
    return f"json: cannot unmarshal {found} into Go struct field {field} of type {expected}"


def read(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a chat request means. It streams unless it says otherwise."""
    return read_chat([_message(one) for one in body["messages"]], _params(body), stream=body.get("stream") is not False)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content: Any = message.get("content", "")
    images = message.get("images") or ()
    if images:
        content = [{"type": "text", "text": content}, *({"type": "image_url"} for _ in images)]
    calls = message.get("tool_calls")
    return {"role": message["role"], "content": content, **({"tool_calls": calls} if calls else {})}


def _params(body: Mapping[str, Any]) -> dict[str, Any]:
    options = body.get("options") or {}
    most = options.get("num_predict")
    wish = body.get("format")
    params: dict[str, Any] = {
        "max_tokens": most if is_whole(most) else None,  # -1 and -2: without end
        "stop": options.get("stop"),
        "seed": options.get("seed"),
        "tools": body.get("tools"),
    }
    if isinstance(wish, Mapping):
        params["response_format"] = {"type": "json_schema", "json_schema": {"schema": wish}}
    elif wish == "json":
        params["response_format"] = {"type": "json_object"}
    return params


def embedding_problem(body: Any) -> Problem | None:
    """What is wrong with a request for embeddings; None: nothing."""
    problem = _model_problem(body)
    if problem:
        return problem
    return None if is_texts(_texts(body)) else Problem(400, "invalid input type")


def _texts(body: Mapping[str, Any]) -> Any:
    given = body.get("input")
    return [given] if isinstance(given, str) else given


def read_texts(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a request for embeddings means."""
    return read_embedding(_texts(body), body)
