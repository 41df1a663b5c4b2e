"""Requests in Anthropic's Messages format: what is wrong with them, and what they mean in OpenAI's shape.

Source: Anthropic's API reference, "Messages"; its servers say what is wrong as ``path: complaint``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from routerlab.core.checks import is_whole
from routerlab.core.simulated import SimulatedRequest, read_chat
from routerlab.simulation.dialects.checks import is_within
from routerlab.simulation.dialects.problems import Problem

__all__ = ["problem_of", "read"]

_BLOCKS = (
    "document",
    "image",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "text",
    "thinking",
    "tool_result",
    "tool_use",
    "web_search_tool_result",
)
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def problem_of(body: Any) -> Problem | None:
    """What is wrong with a request; None: nothing."""
    complaint = next(_complaints(body), None)
    return None if complaint is None else Problem(400, complaint)


def _complaints(body: Any) -> Iterator[str]:
    if not isinstance(body, dict):
        yield "The request body is not valid JSON"
        return
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model: Field required" if "model" not in body else "model: Input should be a valid string"
    if "max_tokens" not in body:
        yield "max_tokens: Field required"
    elif not is_whole(body["max_tokens"]):
        yield "max_tokens: Input should be greater than or equal to 1"
    yield from _complaints_of_messages(body.get("messages"))
    for name in ("temperature", "top_p"):
        if body.get(name) is not None and not is_within(body[name], 0, 1):
            yield f"{name}: range: 0..1"
    system = body.get("system")
    if system is not None and not isinstance(system, str | list):
        yield "system: Input should be a valid string or list"
    for index, tool in enumerate(body.get("tools") or ()):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            yield f"tools.{index}.name: Field required"
        elif "type" not in tool and "input_schema" not in tool:
            yield f"tools.{index}.custom.input_schema: Field required"
    if body.get("tool_choice") and not body.get("tools"):
        yield "tool_choice may only be specified while providing tools."


def _complaints_of_messages(messages: Any) -> Iterator[str]:
    if not isinstance(messages, list):
        yield "messages: Field required" if messages is None else "messages: Input should be a valid list"
        return
    if not messages:
        yield "messages: at least one message is required"
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "system":
            yield (
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not '
                '"system" as an input message role.'
            )
        elif role not in ("user", "assistant"):
            yield f"messages.{index}.role: Input should be 'user' or 'assistant'"
        else:
            yield from _complaints_of_content(
                message.get("content"), f"messages.{index}", role, index == len(messages) - 1
            )


def _complaints_of_content(content: Any, path: str, role: str, is_last: bool) -> Iterator[str]:
    if content is None:
        yield f"{path}.content: Field required"
        return
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        yield f"{path}.content: Input should be a valid list"
        return
    final = is_last and role == "assistant"
    if not blocks or (not final and blocks[0] == {"type": "text", "text": ""}):
        yield f"{path}: all messages must have non-empty content except for the optional final assistant message"
    for number, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in _BLOCKS:
            tags = ", ".join(f"'{tag}'" for tag in _BLOCKS)
            yield (
                f"{path}.content.{number}: Input tag {kind!r} found using 'type' does not match any of the expected "
                f"tags: {tags}"
            )
        elif kind == "text" and not isinstance(block.get("text"), str):
            yield f"{path}.content.{number}.text.text: Field required"
        elif kind == "tool_result" and "tool_use_id" not in block:
            yield f"{path}.content.{number}.tool_result.tool_use_id: Field required"
    if final and blocks and str(blocks[-1].get("text", ""))[-1:].isspace():
        yield "messages: final assistant content cannot end with trailing whitespace"


def read(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a request means."""
    messages: list[dict[str, Any]] = []
    if body.get("system"):
        messages.append({"role": "system", "content": _text(body["system"])})
    for message in body["messages"]:
        messages += _messages(message)
    return read_chat(messages, _params(body), stream=bool(body.get("stream")))


def _messages(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One message may be several in OpenAI's shape: results of tools stand by themselves there."""
    blocks = message["content"]
    if isinstance(blocks, str):
        yield {"role": message["role"], "content": blocks}
        return
    said: list[dict[str, Any]] = []
    calls, results = [], []
    for block in blocks:
        match block["type"]:
            case "text":
                said.append({"type": "text", "text": block["text"]})
            case "image":
                said.append({"type": "image_url"})
            case "tool_use":
                function = {"name": block.get("name"), "arguments": json.dumps(block.get("input"))}
                calls.append({"id": block.get("id"), "type": "function", "function": function})
            case "tool_result":
                content = _text(block.get("content") or "")
                results.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": content})
    yield from results
    if said or not results:
        yield {"role": message["role"], "content": said, **({"tool_calls": calls} if calls else {})}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content if isinstance(block, Mapping))


def _params(body: Mapping[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {"max_tokens": body["max_tokens"], "stop": body.get("stop_sequences")}
    # tools that Anthropic runs itself have a type and no schema; nobody calls them back
    tools = [tool for tool in body.get("tools") or () if "input_schema" in tool]
    params["tools"] = [
        {"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}} for tool in tools
    ]
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "tool":
        params["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    else:
        params["tool_choice"] = _CHOICES.get(choice.get("type", "auto"), "auto")
    wish = body.get("output_format") or (body.get("output_config") or {}).get("format") or {}
    if wish.get("type") == "json_schema":
        params["response_format"] = {"type": "json_schema", "json_schema": {"schema": wish.get("schema") or {}}}
    return params
