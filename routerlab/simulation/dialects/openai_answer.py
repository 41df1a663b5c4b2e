"""Answers in OpenAI's chat format.

Source: OpenAI's API reference (chat completions, embeddings, streaming).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

from routerlab.core.script import Part, Script, Step
from routerlab.core.types import TokenUsage
from routerlab.simulation.dialects.base import Envelope, WholeWriter, Writer
from routerlab.simulation.dialects.parts import assemble, event, usage_of

__all__ = ["ChatWriter", "EmbeddingWriter"]

_DONE = b"data: [DONE]\n\n"


class ChatWriter(Writer):
    """Writes chat completions and their chunks."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._identity = envelope.identity("chatcmpl-")
        self._created = int(envelope.created)

    def headers(self) -> list[tuple[str, str]]:
        """The answer's identity."""
        return [("x-request-id", self._identity)]

    def begin(self, script: Script) -> bytes:
        """The role, before anything is said."""
        return self._delta({"role": "assistant", "content": ""})

    def part(self, step: Step, script: Script) -> bytes:
        """One chunk."""
        match step.part:
            case Part.TEXT:
                return self._delta({"content": step.data})
            case Part.TOOL_CALL:
                return self._delta({"tool_calls": [step.data]})
            case Part.FINISH:
                return self._delta({}, step.data)
            case Part.USAGE:
                return self._chunk([], usage=_usage(step.data))
            case Part.ERROR | Part.MALFORMED:
                return event(step.data)
            case Part.DONE:
                return _DONE
            case _:
                return b""  # what ended the text is not told

    def _delta(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return event({**self._head("chat.completion.chunk"), "choices": choices, **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._identity, "object": kind, "created": self._created, "model": self.envelope.model}

    def whole(self, script: Script) -> Any:
        """One completion."""
        parts = assemble(script)
        if parts.error is not None:
            return parts.error
        message: dict[str, Any] = {"role": "assistant", "content": parts.text, "refusal": None}
        if parts.calls:
            message["tool_calls"] = parts.calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": parts.finish}
        usage = {} if parts.usage is None else {"usage": _usage(parts.usage)}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            **usage,
            "system_fingerprint": "fp_simulated",
        }


class EmbeddingWriter(WholeWriter):
    """Writes embeddings."""

    def headers(self) -> list[tuple[str, str]]:
        """The answer's identity."""
        return [("x-request-id", self.envelope.identity("embd-"))]

    def whole(self, script: Script) -> Any:
        """All vectors, packed where the client asks for that, as OpenAI's own does."""
        parts = assemble(script)
        if parts.error is not None:
            return parts.error
        pack = _pack if self.envelope.body.get("encoding_format") == "base64" else list
        data = [
            {"object": "embedding", "index": index, "embedding": pack(vector)}
            for index, vector in enumerate(parts.vectors or ())
        ]
        whole: dict[str, Any] = {"object": "list", "data": data, "model": self.envelope.model}
        usage = usage_of(script)
        if usage is not None:
            whole["usage"] = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.total_tokens}
        return whole


def _pack(vector: tuple[float, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }
