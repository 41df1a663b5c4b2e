"""Answers in Cohere's format (version 2).

Source: Cohere's API reference, "Chat", "Chat with Streaming" and "Embed" of API v2.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

from routerlab.core.script import Part, Script, Step
from routerlab.core.types import TokenUsage
from routerlab.simulation.dialects.base import Envelope, WholeWriter, Writer
from routerlab.simulation.dialects.cohere_errors import error_body, identity_of
from routerlab.simulation.dialects.cohere_request import texts_of
from routerlab.simulation.dialects.parts import assemble, event, usage_of
from routerlab.simulation.dialects.problems import in_answer

__all__ = ["ChatWriter", "EmbeddingWriter"]

_REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL", "content_filter": "ERROR"}
_DONE = b"data: [DONE]\n\n"


class ChatWriter(Writer):
    """Writes chats, and the events that tell one."""

    stream_type = "text/event-stream"

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._open: str | None = None  # "content" or "tool-call"
        self._call = -1
        self._stopped = False

    def begin(self, script: Script) -> bytes:
        """The message without content."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": [],
            "tool_plan": "",
            "tool_calls": [],
            "citations": [],
        }
        return _event("message-start", id=self._identity(), delta={"message": message})

    def part(self, step: Step, script: Script) -> bytes:
        """The events that make one step."""
        match step.part:
            case Part.TEXT:
                return self._text(step.data)
            case Part.TOOL_CALL:
                return self._tool_call(step.data)
            case Part.STOPPED:
                self._stopped = True
                return b""
            case Part.FINISH:
                return self._close() + self._end(_reason(step.data, self._stopped), usage_of(script))
            case Part.DONE:
                return _DONE
            case Part.ERROR:
                return self._end("ERROR", None, error=in_answer(step.data).message)
            case Part.MALFORMED:
                return event(step.data, "content-delta")
            case _:
                return b""  # usage is told with the end

    def _text(self, text: str) -> bytes:
        opened = b""
        if self._open != "content":
            self._open = "content"
            start = {"message": {"content": {"type": "text", "text": ""}}}
            opened = _event("content-start", index=0, delta=start)
        return opened + _event("content-delta", index=0, delta={"message": {"content": {"text": text}}})

    def _tool_call(self, part: Any) -> bytes:
        if "id" not in part:
            more = {"function": {"arguments": part["function"]["arguments"]}}
            return _event("tool-call-delta", index=self._call, delta={"message": {"tool_calls": more}})
        told = self._close()
        if self._call < 0:
            told += _event("tool-plan-delta", delta={"message": {"tool_plan": _plan(part["function"]["name"])}})
        self._call += 1
        self._open = "tool-call"
        call = {"id": part["id"], "type": "function", "function": part["function"]}
        return told + _event("tool-call-start", index=self._call, delta={"message": {"tool_calls": call}})

    def _close(self) -> bytes:
        kind, self._open = self._open, None
        return b"" if kind is None else _event(f"{kind}-end", index=max(self._call, 0))

    def _end(self, reason: str | None, usage: TokenUsage | None, **more: str) -> bytes:
        told = {} if usage is None else {"usage": _usage(usage)}
        return _event("message-end", delta={**more, "finish_reason": reason, **told})

    def _identity(self) -> str:
        return identity_of(self.envelope.number)

    def whole(self, script: Script) -> Any:
        """One chat."""
        parts = assemble(script)
        if parts.error is not None:
            return error_body(in_answer(parts.error))
        message: dict[str, Any] = {"role": "assistant"}
        if parts.calls:
            message |= {"tool_plan": _plan(parts.calls[0]["function"]["name"]), "tool_calls": parts.calls}
        else:
            message["content"] = [] if parts.text is None else [{"type": "text", "text": parts.text}]
        reason = _reason(parts.finish, parts.stopped is not None)
        usage = {} if parts.usage is None else {"usage": _usage(parts.usage)}
        return {"id": self._identity(), "message": message, "finish_reason": reason, **usage}


def _event(kind: str, **content: Any) -> bytes:
    return event({"type": kind, **content}, kind)


def _reason(finish: str | None, stopped: bool) -> str | None:
    return "STOP_SEQUENCE" if stopped else _REASONS.get(finish or "", finish)


def _plan(name: str) -> str:
    return f"I will use the {name} tool."


def _usage(usage: TokenUsage) -> dict[str, Any]:
    tokens = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    return {"billed_units": tokens, "tokens": tokens}


class EmbeddingWriter(WholeWriter):
    """Writes embeddings by type."""

    def whole(self, script: Script) -> Any:
        """All vectors, in each form that is wanted."""
        parts = assemble(script)
        if parts.error is not None:
            return error_body(in_answer(parts.error))
        body, vectors = self.envelope.body, parts.vectors or ()
        forms: dict[str, Callable[[tuple[float, ...]], Any]] = {"float": list, "base64": _pack}
        wanted = body.get("embedding_types") or ["float"]
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if parts.usage is not None:
            meta["billed_units"] = {"input_tokens": parts.usage.prompt_tokens}
        return {
            "id": identity_of(self.envelope.number),
            "embeddings": {kind: [forms[kind](vector) for vector in vectors] for kind in wanted},
            "texts": texts_of(body),
            "meta": meta,
            "response_type": "embeddings_by_type",
        }


def _pack(vector: tuple[float, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
