"""Answers in Gemini's format.

Source: Google's "Gemini API reference" (GenerateContentResponse, EmbedContentResponse).
"""

from __future__ import annotations

from typing import Any

from routerlab.core.script import Part, Script, Step
from routerlab.core.types import TokenUsage
from routerlab.simulation.dialects.base import Envelope, WholeWriter, Writer
from routerlab.simulation.dialects.gemini_errors import error_body
from routerlab.simulation.dialects.gemini_request import ALT
from routerlab.simulation.dialects.parts import assemble, dump, parsed_arguments, usage_of
from routerlab.simulation.dialects.problems import in_answer

__all__ = ["BLOCKED", "ContentWriter", "VectorWriter"]

BLOCKED = "prompt_blocked"
"""The finish reason of a script whose prompt is refused for what it says."""

_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


class ContentWriter(Writer):
    """Writes content: whole, as server-sent events, or as one array that grows."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._is_array = envelope.body.get(ALT) != "sse"
        self._is_first = True
        self._fragments: list[Step] = []  # of calls: each goes out as a whole

    def content_type(self) -> str:
        """Without ``alt=sse`` a stream is an array of JSON."""
        return "application/json; charset=UTF-8" if self._is_array else "text/event-stream"

    def begin(self, script: Script) -> bytes:
        """Nothing: the first chunk is the first text."""
        return b""

    def part(self, step: Step, script: Script) -> bytes:
        """One chunk, or none."""
        match step.part:
            case Part.TEXT:
                return self._chunk(self._answer([{"text": step.data}], None, None))
            case Part.TOOL_CALL:
                self._fragments.append(step)
                return b""
            case Part.FINISH:
                calls = _calls(assemble(Script(steps=tuple(self._fragments))).calls)
                last = self._answer(calls or [{"text": ""}], step.data, usage_of(script))
                return self._chunk(last) + self._end()
            case Part.ERROR:
                return self._chunk(error_body(in_answer(step.data))) + self._end()
            case Part.MALFORMED:
                return self._chunk(step.data)
            case _:
                return b""  # usage is told with the end, and there is no mark after it

    def _chunk(self, content: Any) -> bytes:
        text = content if isinstance(content, str) else dump(content)
        if not self._is_array:
            return f"data: {text}\r\n\r\n".encode()
        head = "[" if self._is_first else ",\r\n"
        self._is_first = False
        return f"{head}{text}\r\n".encode()

    def _end(self) -> bytes:
        return b"]" if self._is_array else b""

    def _answer(self, parts: list[dict[str, Any]], finish: str | None, usage: TokenUsage | None) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        if finish == BLOCKED:
            answer["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
            count = self.envelope.seen.prompt_tokens
            answer["usageMetadata"] = {"promptTokenCount": count, "totalTokenCount": count}
        elif parts or finish:
            candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
            if finish == "content_filter":
                candidate["content"] = {"role": "model"}  # what was cut is not there, and neither is an empty text
            if finish is not None:
                candidate["finishReason"] = _REASONS.get(finish, finish)
            answer["candidates"] = [candidate]
        if usage is not None:
            answer["usageMetadata"] = _usage(usage)
        return {**answer, "modelVersion": self.envelope.model, "responseId": self.envelope.identity("")}

    def whole(self, script: Script) -> Any:
        """One answer."""
        parts = assemble(script)
        if parts.error is not None:
            return error_body(in_answer(parts.error))
        said = [] if parts.text is None else [{"text": parts.text}]
        answer = self._answer([*said, *_calls(parts.calls)], parts.finish, parts.usage)
        if said and parts.finish == "content_filter":
            answer["candidates"][0]["content"]["parts"] = said
        return answer


def _calls(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"functionCall": {"name": call["function"]["name"], "args": parsed_arguments(call)}} for call in calls]


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": usage.completion_tokens,
        "totalTokenCount": usage.total_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt_tokens}],
    }


class VectorWriter(WholeWriter):
    """Writes embeddings: one, or those of a batch."""

    def whole(self, script: Script) -> Any:
        """All vectors."""
        parts = assemble(script)
        if parts.error is not None:
            return error_body(in_answer(parts.error))
        vectors = [{"values": vector} for vector in parts.vectors or ()]
        if "requests" in self.envelope.body:
            return {"embeddings": vectors}
        return {"embedding": vectors[0]} if vectors else {}
