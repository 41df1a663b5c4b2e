"""Requests in OpenAI's Responses format: what is wrong with them, and what they mean in the shape of its chat format.

Source: OpenAI's API reference, "Create a model response".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from routerlab.core.simulated import SimulatedRequest, read_chat
from routerlab.simulation.dialects.checks import is_within
from routerlab.simulation.dialects.openai_request import missing, model_problem, wrong
from routerlab.simulation.dialects.problems import Problem

__all__ = ["problem_of", "read"]

_ROLES = ("assistant", "system", "developer", "user")
_FORMATS = ("text", "json_object", "json_schema")
_RANGES = {"temperature": (0, 2), "top_p": (0, 1)}
_LEAST_TOKENS = 16


def problem_of(body: Any) -> Problem | None:
    """What is wrong with a request; None: nothing."""
    return model_problem(body) or next(_problems(body), None)


def _problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _problems_of_input(body.get("input"))
    for name, (low, high) in _RANGES.items():
        if body.get(name) is not None and not is_within(body[name], low, high):
            yield wrong(name, f"a number between {low} and {high}")
    most = body.get("max_output_tokens")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool)):
        yield wrong("max_output_tokens", "an integer")
    elif most is not None and most < _LEAST_TOKENS:
        message = (
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {_LEAST_TOKENS}, but got "
            f"{most} instead."
        )
        yield Problem(400, message, code="integer_below_min_value", param="max_output_tokens")
    for index, tool in enumerate(body.get("tools") or ()):
        if not isinstance(tool, dict) or "type" not in tool:
            yield missing(f"tools[{index}].type")
        elif tool["type"] == "function" and not isinstance(tool.get("name"), str):
            yield missing(f"tools[{index}].name")
    for name in ("messages", "max_tokens", "response_format", "stop"):  # of the other format
        if name in body:
            yield Problem(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    kind = _format(body).get("type", "text")
    if kind not in _FORMATS:
        yield wrong("text.format.type", f"one of {', '.join(_FORMATS)}")


def _problems_of_input(given: Any) -> Iterator[Problem]:
    if given is None:
        yield missing("input")
    elif not isinstance(given, str | list) or not given:
        yield wrong("input", "a text, or an array with at least 1 element")
    elif isinstance(given, list):
        for index, item in enumerate(given):
            kind = item.get("type", "message") if isinstance(item, dict) else None
            if kind is None:
                yield wrong(f"input[{index}]", "an object")
            elif kind == "message" and item.get("role") not in _ROLES:
                yield wrong(f"input[{index}].role", f"one of {', '.join(_ROLES)}")
            elif kind == "message" and "content" not in item:
                yield missing(f"input[{index}].content")
            elif kind in ("function_call", "function_call_output") and "call_id" not in item:
                yield missing(f"input[{index}].call_id")
        yield from _calls_without_result(given)


def _calls_without_result(items: list[Any]) -> Iterator[Problem]:
    results = {item.get("call_id") for item in items if item.get("type") == "function_call_output"}
    for item in items:
        if item.get("type") == "function_call" and item.get("call_id") not in results:
            yield Problem(400, f"No tool output found for function call {item.get('call_id')}.", param="input")


def _format(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (body.get("text") or {}).get("format") or {}
    return found


def read(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a request means."""
    messages: list[dict[str, Any]] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": str(body["instructions"])})
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    messages += (message for item in items for message in _message(item))
    return read_chat(messages or [{"role": "user", "content": ""}], _params(body), stream=bool(body.get("stream")))


def _message(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match item.get("type", "message"):
        case "message":
            content = item["content"]
            parts = content if isinstance(content, list) else None
            yield {"role": item["role"], "content": content if parts is None else [_part(part) for part in parts]}
        case "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            yield {"role": "assistant", "content": None, "tool_calls": [{"id": item["call_id"], "function": function}]}
        case "function_call_output":
            yield {"role": "tool", "tool_call_id": item["call_id"], "content": item.get("output")}
        case _:
            return  # reasoning and the like say nothing that a simulated model reads


def _part(part: Any) -> Mapping[str, Any]:
    return {"type": "image_url"} if isinstance(part, Mapping) and part.get("type") == "input_image" else part


def _params(body: Mapping[str, Any]) -> dict[str, Any]:
    tools = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, Mapping):
        choice = {"type": "function", "function": {"name": choice.get("name")}}
    wish = _format(body)
    if wish.get("type") == "json_schema":
        wish = {"type": "json_schema", "json_schema": {"schema": wish.get("schema") or {}}}
    return {
        "max_tokens": body.get("max_output_tokens"),
        "tools": [{"function": {"name": tool["name"], "parameters": tool.get("parameters")}} for tool in tools],
        "tool_choice": choice,
        "response_format": wish,
    }
