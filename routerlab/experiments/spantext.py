"""A request and a reply as the messages of OpenTelemetry's GenAI conventions.

Source: https://github.com/open-telemetry/semantic-conventions-genai (``gen-ai-input-messages.json`` and
``gen-ai-output-messages.json``)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["input_messages", "output_messages"]


def input_messages(request: Any) -> list[dict[str, Any]]:
    """The messages of a request, as the table ``texts`` keeps it; nothing where it has none."""
    messages = request.get("messages") if isinstance(request, Mapping) else None
    return [{"role": message.get("role", "user"), "parts": list(_parts(message))} for message in messages or ()]


def output_messages(reply: str | None, finish_reason: str | None) -> list[dict[str, Any]]:
    """The reply as a message; nothing where there is none.

    >>> output_messages("Lisbon", "stop")
    [{'role': 'assistant', 'parts': [{'type': 'text', 'content': 'Lisbon'}], 'finish_reason': 'stop'}]
    """
    if reply is None:
        return []
    reason = {"tool_calls": "tool_call", None: "error"}.get(finish_reason, finish_reason)
    return [{"role": "assistant", "parts": [{"type": "text", "content": reply}], "finish_reason": reason}]


def _parts(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        yield {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return
    if isinstance(content, str):
        yield {"type": "text", "content": content}
    elif isinstance(content, list):
        yield from map(_part, content)
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        told = {"name": function.get("name"), "arguments": _arguments(function.get("arguments"))}
        yield {"type": "tool_call", "id": call.get("id"), **told}


def _part(part: Any) -> dict[str, Any]:
    """One part of a content; what the conventions have no name for goes as it is."""
    if not isinstance(part, Mapping):
        return {"type": "text", "content": str(part)}
    match part.get("type"):
        case "text":
            return {"type": "text", "content": part.get("text", "")}
        case "image_url":
            image = part.get("image_url")
            return {
                "type": "uri",
                "modality": "image",
                "uri": image.get("url") if isinstance(image, Mapping) else image,
            }
    return {"type": "unknown", **part}


def _arguments(given: Any) -> Any:
    """A tool call's arguments as data where they are JSON, else as they are."""
    try:
        return json.loads(given)
    except (TypeError, ValueError):
        return given
