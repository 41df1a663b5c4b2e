"""Requests in Cohere's format (version 2): what is wrong with them, and what they mean in OpenAI's shape.

Source: Cohere's API reference, "Chat" and "Embed" of API v2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from routerlab.core.checks import is_whole
from routerlab.core.simulated import SimulatedRequest, read_chat, read_embedding
from routerlab.simulation.dialects.checks import is_texts, is_within
from routerlab.simulation.dialects.problems import Problem

__all__ = ["chat_problem", "embedding_problem", "read", "read_texts", "texts_of"]

_ROLES = ("assistant", "system", "tool", "user")
_CHOICES = {"REQUIRED": "required", "NONE": "none"}
_INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
_EMBEDDING_TYPES = ("float", "base64")


def chat_problem(body: Any) -> Problem | None:
    """What is wrong with a chat request; None: nothing."""
    return _first(_complaints(body))


def _first(complaints: Iterator[str]) -> Problem | None:
    complaint = next(complaints, None)
    return None if complaint is None else Problem(400, f"invalid request: {complaint}")


def _complaints(body: Any) -> Iterator[str]:
    yield from _complaints_of_any(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        yield "messages must have at least one message."
        return
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            yield f"messages[{index}].role must be one of {', '.join(_ROLES)}."
        elif message["role"] == "tool" and "tool_call_id" not in message:
            yield f"messages[{index}].tool_call_id is required."
        elif not message.get("content") and not message.get("tool_calls"):
            yield f"messages[{index}].content must not be empty."
    if body.get("temperature") is not None and not is_within(body["temperature"], 0, 1):
        yield "temperature must be between 0 and 1.0 inclusive."
    if body.get("p") is not None and not is_within(body["p"], 0.01, 0.99):
        yield "p must be between 0.01 and 0.99 inclusive."
    if body.get("max_tokens") is not None and not is_whole(body["max_tokens"]):
        yield "max_tokens must be at least 1."
    if body.get("tool_choice") is not None and body["tool_choice"] not in _CHOICES:
        yield "tool_choice must be one of REQUIRED, NONE."
    for index, tool in enumerate(body.get("tools") or ()):
        if not isinstance((tool.get("function") or {}).get("name"), str):
            yield f"tools[{index}].function.name is required."


def _complaints_of_any(body: Any) -> Iterator[str]:
    if not isinstance(body, dict):
        yield "the body must be valid JSON."
    elif not body.get("model"):
        yield "model is required."


def read(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a chat request means; its messages have OpenAI's shape already."""
    choice = body.get("tool_choice")
    params: dict[str, Any] = {
        "max_tokens": body.get("max_tokens"),
        "stop": body.get("stop_sequences"),
        "seed": body.get("seed"),
        "tools": body.get("tools"),
        "tool_choice": _CHOICES[choice] if choice else "auto",
    }
    wish = body.get("response_format") or {}
    schema = wish.get("json_schema") or wish.get("schema")
    if schema:
        params["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    elif wish.get("type") == "json_object":
        params["response_format"] = wish
    return read_chat(body["messages"], params, stream=bool(body.get("stream")))


def embedding_problem(body: Any) -> Problem | None:
    """What is wrong with a request for embeddings; None: nothing."""
    return _first(_complaints_of_embedding(body))


def _complaints_of_embedding(body: Any) -> Iterator[str]:
    yield from _complaints_of_any(body)
    if not is_texts(texts_of(body)):
        yield "texts must have at least one text, none of them empty."
    if body.get("input_type") not in _INPUT_TYPES:
        yield f"input_type must be one of {', '.join(_INPUT_TYPES)}."
    for kind in body.get("embedding_types") or ():
        if kind not in _EMBEDDING_TYPES:
            yield f"embedding_types must be of {', '.join(_EMBEDDING_TYPES)}."
    if body.get("output_dimension") is not None and not is_whole(body["output_dimension"]):
        yield "output_dimension must be a positive integer."


def texts_of(body: Mapping[str, Any]) -> Any:
    """The texts to embed: as they are, or as the contents of inputs."""
    if "inputs" not in body:
        return body.get("texts")
    return ["".join(str(part.get("text", "")) for part in one.get("content") or ()) for one in body["inputs"]]


def read_texts(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a request for embeddings means."""
    return read_embedding(texts_of(body), {"dimensions": body.get("output_dimension")})
