"""Messages and tools in OpenAI's shape, taken apart for other APIs.

What is no message at all is a `ValueError` with its place; a part of an unknown type passes through unchanged, so that
a provider's own ones can be used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "arguments_of",
    "chosen_tool",
    "data_url",
    "functions_of",
    "image_url",
    "json_schema",
    "parts_of",
    "split_system",
    "text_of",
    "tool_names",
]

Message = Mapping[str, Any]


def split_system(messages: Sequence[Message]) -> tuple[list[Any], list[Message]]:
    """The contents of the system (and developer) messages, and all others."""
    system, others = [], []
    for place, message in enumerate(messages):
        role = message.get("role")
        if role in ("system", "developer"):
            system.append(message.get("content") or "")
        elif role in ("user", "assistant", "tool"):
            others.append(message)
        else:
            raise ValueError(f"messages[{place}].role: expected system, user, assistant or tool, not {role!r}")
    return system, others


def parts_of(content: Any) -> list[Mapping[str, Any]]:
    """A content as its parts; a text is one part, none and an empty text are no part."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    if not all(isinstance(part, Mapping) for part in parts):
        raise ValueError("content: a text or a list of parts such as {'type': 'text', 'text': '…'} was expected")
    return parts


def text_of(content: Any) -> str:
    """All text of a content."""
    return "".join(str(part.get("text", "")) for part in parts_of(content) if part.get("type") in ("text", None))


def image_url(part: Mapping[str, Any]) -> str:
    """The address in an ``image_url`` part."""
    image = part["image_url"]
    url = image if isinstance(image, str) else image["url"]
    if not isinstance(url, str):
        raise ValueError("image_url: a text was expected")
    return url


def data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 data of a ``data:`` URL; None for any other."""
    if not url.startswith("data:"):
        return None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        raise ValueError("image_url: a data URL was expected to be base64: 'data:image/png;base64,…'")
    return head.removesuffix(";base64").partition(";")[0] or "text/plain", data


def arguments_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a tool call as an object."""
    arguments = call["function"].get("arguments") or "{}"
    parsed = json.loads(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(parsed, dict):
        raise ValueError(f"arguments of {call['function'].get('name')}: a JSON object was expected")
    return parsed


def tool_names(messages: Iterable[Message]) -> dict[str, str]:
    """The names of the functions that were called, by the ids of the calls."""
    return {
        str(call.get("id")): str(call["function"]["name"])
        for message in messages
        for call in message.get("tool_calls") or ()
    }


def functions_of(tools: Any) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The functions of a list of tools, and the tools that are none (a provider's own)."""
    functions = [tool["function"] for tool in tools or () if tool.get("type") == "function" and "function" in tool]
    return functions, [tool for tool in tools or () if "function" not in tool]


def chosen_tool(choice: Any) -> str | None:
    """The name of the one function that must be called; None where ``tool_choice`` is a word."""
    return None if isinstance(choice, str) or not choice else str(choice["function"]["name"])


def json_schema(wanted: Any) -> tuple[str, Mapping[str, Any] | None]:
    """``response_format`` as a kind and a schema: ``text``, ``json`` (any object), ``schema``."""
    if wanted in (None, "text") or (isinstance(wanted, Mapping) and wanted.get("type") == "text"):
        return "text", None
    if wanted in ("json", "json_object") or (isinstance(wanted, Mapping) and wanted.get("type") == "json_object"):
        return "json", None
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        return "schema", wanted["json_schema"].get("schema") or {"type": "object"}
    raise ValueError("response_format: expected 'json' or {'type': 'json_object' | 'json_schema', …}")
