"""Requests in OpenAI's chat format: what is wrong with them, and what they mean.

Source: OpenAI's API reference (chat completions, embeddings) and the errors that its servers send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from routerlab.core.checks import is_whole
from routerlab.core.simulated import SimulatedRequest, read_chat, read_embedding
from routerlab.simulation.dialects.checks import is_texts, is_within
from routerlab.simulation.dialects.problems import Problem

__all__ = [
    "chat_problem",
    "embedding_problem",
    "missing",
    "model_problem",
    "named_in_path",
    "read_chat_body",
    "read_embedding_body",
    "wrong",
]

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}


def named_in_path(body: dict[str, Any], request: Request) -> None:
    """The model that Azure's addresses name."""
    name = request.path_params.get("name")
    if name:
        body["model"] = name


def model_problem(body: Any) -> Problem | None:
    """Whether a body is one at all, and names a model."""
    if not isinstance(body, dict):
        return Problem(400, "We could not parse the JSON body of your request.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        return Problem(400, "you must provide a model parameter", param="model")
    return None


def chat_problem(body: Any) -> Problem | None:
    """What is wrong with a chat request; None: nothing."""
    problem = model_problem(body)
    if problem:
        return problem
    messages = body.get("messages")
    if messages is None:
        return missing("messages")
    if not isinstance(messages, list) or not messages:
        return wrong("messages", "an array with at least 1 element")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return wrong(f"messages[{index}].role", f"one of {', '.join(_ROLES)}")
        if "content" not in message and "tool_calls" not in message:
            return missing(f"messages[{index}].content")
    return _parameter_problem(body)


def _parameter_problem(body: Mapping[str, Any]) -> Problem | None:
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is not None and not is_within(value, low, high):
            return wrong(name, f"a number between {low} and {high}")
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and not is_whole(value):
            return wrong(name, "a whole number of at least 1")
    tools = body.get("tools")
    if tools is not None and not (isinstance(tools, list) and all(_is_tool(tool) for tool in tools)):
        return wrong("tools", "an array of functions, each with a name")
    if "tool_choice" in body and not tools:
        return Problem(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    return None


def _is_tool(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def embedding_problem(body: Any) -> Problem | None:
    """What is wrong with a request for embeddings; None: nothing."""
    problem = model_problem(body)
    if problem:
        return problem
    texts = body.get("input")
    if texts is None:
        return missing("input")
    if not is_texts([texts] if isinstance(texts, str) else texts):
        return wrong("input", "a text, or an array of texts that are not empty")
    size = body.get("dimensions")
    if size is not None and not (is_whole(size) and size <= 10_000):
        return wrong("dimensions", "a whole number of at least 1")
    return None


def missing(name: str) -> Problem:
    """A parameter that must be there is not."""
    return Problem(400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)


def wrong(name: str, expected: str) -> Problem:
    """A parameter has a value that it may not have."""
    return Problem(400, f"Invalid value for '{name}': expected {expected}.", code="invalid_value", param=name)


def read_chat_body(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a chat request means."""
    options = body.get("stream_options") or {}
    stream = bool(body.get("stream"))
    return read_chat(body["messages"], body, stream=stream, usage=not stream or bool(options.get("include_usage")))


def read_embedding_body(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a request for embeddings means."""
    return read_embedding([body["input"]] if isinstance(body["input"], str) else body["input"], body)
