"""Answers in Anthropic's Messages format.

Source: Anthropic's API reference, "Messages" and "Streaming Messages".
"""

from __future__ import annotations

from typing import Any

from routerlab.core.script import Part, Script, Step
from routerlab.core.types import TokenUsage
from routerlab.simulation.dialects.anthropic_errors import error_body
from routerlab.simulation.dialects.base import Envelope, Writer
from routerlab.simulation.dialects.parts import assemble, event, parsed_arguments, usage_of
from routerlab.simulation.dialects.problems import in_answer

__all__ = ["MessageWriter"]

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_CACHES = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
_PING = event({"type": "ping"}, "ping")


class MessageWriter(Writer):
    """Writes messages, and the events that tell one block by block."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._block = -1  # the one that is open, or the last one
        self._is_open = False
        self._pinged = False
        self._stopped: str | None = None

    def headers(self) -> list[tuple[str, str]]:
        """The request's identity."""
        return [("request-id", self.envelope.identity("req_"))]

    def begin(self, script: Script) -> bytes:
        """The message without content; the tokens of the request are known by now."""
        message = self._message([], None, None)
        if "no_usage" not in script.faults:
            message["usage"] = {"input_tokens": self.envelope.seen.prompt_tokens, **_CACHES, "output_tokens": 1}
        return _event({"type": "message_start", "message": message})

    def part(self, step: Step, script: Script) -> bytes:
        """The events that make one step."""
        match step.part:
            case Part.TEXT:
                opened = b"" if self._is_open else self._open({"type": "text", "text": ""})
                return opened + self._delta({"type": "text_delta", "text": step.data})
            case Part.TOOL_CALL:
                return self._call(step.data)
            case Part.STOPPED:
                self._stopped = step.data
                return b""
            case Part.FINISH:
                return self._close() + self._finish(step.data, script)
            case Part.DONE:
                return _event({"type": "message_stop"})
            case Part.ERROR:
                return event(error_body(in_answer(step.data)), "error")
            case Part.MALFORMED:
                return event(step.data, "content_block_delta")
            case _:
                return b""  # usage is told with the end

    def _call(self, part: Any) -> bytes:
        if "id" not in part:
            return self._delta({"type": "input_json_delta", "partial_json": part["function"]["arguments"]})
        name = part["function"]["name"]
        block = {"type": "tool_use", "id": _tool_id(part["id"]), "name": name, "input": {}}
        return self._close() + self._open(block) + self._delta({"type": "input_json_delta", "partial_json": ""})

    def _open(self, block: dict[str, Any]) -> bytes:
        self._block += 1
        self._is_open = True
        ping = b"" if self._pinged else _PING
        self._pinged = True
        return _event({"type": "content_block_start", "index": self._block, "content_block": block}) + ping

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event({"type": "content_block_delta", "index": self._block, "delta": delta})

    def _close(self) -> bytes:
        if not self._is_open:
            return b""
        self._is_open = False
        return _event({"type": "content_block_stop", "index": self._block})

    def _finish(self, reason: str, script: Script) -> bytes:
        delta = {"stop_reason": _reason(reason, self._stopped), "stop_sequence": self._stopped}
        usage = usage_of(script)
        told = {} if usage is None else {"usage": _usage(usage)}
        return _event({"type": "message_delta", "delta": delta, **told})

    def _message(self, content: list[dict[str, Any]], reason: str | None, stopped: str | None) -> dict[str, Any]:
        return {
            "id": self.envelope.identity("msg_"),
            "type": "message",
            "role": "assistant",
            "model": self.envelope.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": stopped,
        }

    def whole(self, script: Script) -> Any:
        """One message."""
        parts = assemble(script)
        if parts.error is not None:
            return error_body(in_answer(parts.error))
        content: list[dict[str, Any]] = [] if parts.text is None else [{"type": "text", "text": parts.text}]
        for call in parts.calls:
            name, arguments = call["function"]["name"], parsed_arguments(call)
            content.append({"type": "tool_use", "id": _tool_id(call["id"]), "name": name, "input": arguments})
        message = self._message(content, _reason(parts.finish, parts.stopped), parts.stopped)
        if parts.usage is not None:
            message["usage"] = {**_usage(parts.usage), "service_tier": "standard"}
        return message


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {"input_tokens": usage.prompt_tokens, **_CACHES, "output_tokens": usage.completion_tokens}


def _reason(finish: str | None, stopped: str | None) -> str | None:
    return "stop_sequence" if stopped is not None else _REASONS.get(finish or "", finish)


def _tool_id(identity: str) -> str:
    return identity.replace("call_", "toolu_", 1)


def _event(content: dict[str, Any]) -> bytes:
    return event(content, content["type"])
