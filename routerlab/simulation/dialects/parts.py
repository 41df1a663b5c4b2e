"""What the wire formats share: JSON, events of a stream, and the assembled parts of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routerlab.core.script import Part, Script
from routerlab.core.types import TokenUsage

__all__ = ["Whole", "assemble", "dump", "encode", "event", "line", "parsed_arguments", "usage_of"]

dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def event(content: Any, name: str | None = None) -> bytes:
    """One server-sent event.

    Source: the HTML standard, section 9.2.5.
    """
    head = "" if name is None else f"event: {name}\n"
    text = content if isinstance(content, str) else dump(content)
    return f"{head}data: {text}\n\n".encode()


def line(content: Any) -> bytes:
    """One line of newline-delimited JSON."""
    return f"{content if isinstance(content, str) else dump(content)}\n".encode()


def encode(content: Any) -> tuple[str, bytes]:
    """A body: its content type and its bytes. A text goes out as it is."""
    if not isinstance(content, str):
        return "application/json", dump(content).encode()
    kind = "text/html" if content.lstrip().startswith(("<html", "<!DOCTYPE")) else "text/plain; charset=utf-8"
    return ("application/json" if content.startswith(("{", "[")) else kind), content.encode()


@dataclass(slots=True)
class Whole:
    """The parts of an answer, put together.

    Attributes:
        text: None: there is none.
        calls: of tools, in OpenAI's shape, each with its whole arguments.
        finish: the finish reason; None: none came.
        stopped: the stop sequence that ended the text; None: none did.
        usage: None: it is not told.
        error: in OpenAI's shape; the answer is this error. None: it is an answer.
        vectors: embeddings; None: it is a chat.
    """

    text: str | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish: str | None = None
    stopped: str | None = None
    usage: TokenUsage | None = None
    error: Mapping[str, Any] | None = None
    vectors: tuple[tuple[float, ...], ...] | None = None


def assemble(script: Script) -> Whole:
    """Put the steps of a script together. What only a stream has is left out."""
    whole = Whole()
    for step in script.steps:
        match step.part:
            case Part.TEXT:
                whole.text = (whole.text or "") + step.data
            case Part.TOOL_CALL:
                _join_call(whole.calls, step.data)
            case Part.FINISH:
                whole.finish = step.data
            case Part.STOPPED:
                whole.stopped = step.data
            case Part.USAGE:
                whole.usage = step.data
            case Part.VECTORS:
                whole.vectors = step.data
            case Part.ERROR:
                whole.error = step.data
            case _:
                pass  # a whole answer has no events, so none that could be malformed, and no end mark
    return whole


def _join_call(calls: list[dict[str, Any]], part: Mapping[str, Any]) -> None:
    if part["index"] == len(calls):
        calls.append({"id": part["id"], "type": "function", "function": dict(part["function"])})
    else:
        calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]


def usage_of(script: Script) -> TokenUsage | None:
    """The usage that a script tells, or will tell; None: it tells none."""
    return next((step.data for step in reversed(script.steps) if step.part is Part.USAGE), None)


def parsed_arguments(call: Mapping[str, Any]) -> Any:
    """The arguments of a call as an object, for the formats that have them so; a call that was cut off has none."""
    try:
        return json.loads(call["function"]["arguments"] or "{}")
    except ValueError:
        return {}
