"""Answers of Cohere's v2 API, whole and streamed.

Source: Cohere's API reference (Chat, Chat with Streaming, Embed), and what its servers send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.checks import is_number
from routerlab.core.types import CompletionResponse, Delta, EmbeddingResponse, TokenUsage
from routerlab.providers.answers import Answer, read_limits
from routerlab.providers.lists import read_vectors
from routerlab.providers.reading import ChunkReader, finish_reason, whole_answer
from routerlab.providers.shapes import listed, mapping, text, tool_call

__all__ = ["ChatReader", "read_chat", "read_embeddings"]


def read_chat(answer: Answer) -> CompletionResponse:
    """Read a whole answer.

    Raises:
        ProviderError: an error status, or an answer that makes no sense.
    """
    body = answer.json()
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, dict):
        raise answer.senseless("is no chat answer")
    try:
        parts = listed(message.get("content"), "content")
        raw_calls = listed(message.get("tool_calls"), "tool_calls")
    except ValueError:
        raise answer.senseless("is no chat answer") from None
    functions = [(mapping(raw.get("function")), text(raw.get("id"))) for raw in raw_calls]
    calls = tuple(tool_call(text(f.get("name")), f.get("arguments"), call_id) for f, call_id in functions)
    words = "".join(text(part.get("text")) for part in parts if part.get("type") == "text")
    thoughts = "".join(text(part.get("thinking")) for part in parts if part.get("type") == "thinking")
    reason = finish_reason(text(body.get("finish_reason")))
    thoughts = thoughts or text(message.get("tool_plan"))
    usage = _usage(mapping(body.get("usage")))
    return whole_answer(answer, body, words, reason, reasoning=thoughts, calls=calls, usage=usage)


class ChatReader(ChunkReader):
    """Reads one streamed answer; see `routerlab.providers.reading.Reader`."""

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[Any, int] = {}  # of Cohere's index of a call: ours

    def _chunk(self, chunk: Mapping[str, Any]) -> list[Delta]:
        message = mapping(mapping(chunk.get("delta")).get("message"))
        match chunk["type"]:
            case "content-start" | "content-delta":
                content = mapping(message.get("content"))
                if thinking := text(content.get("thinking")):
                    return [Delta(reasoning=thinking)]
                return [self._text(content["text"])] if content.get("text") else []
            case "tool-plan-delta":
                return [Delta(reasoning=text(message.get("tool_plan")))]
            case "tool-call-start":
                self._places[chunk["index"]] = self.calls
                call, function = _call(message)
                return [self._call_begins(text(function.get("name")), text(call.get("id")), _arguments(function))]
            case "tool-call-delta":
                return [self._call_goes_on(self._places[chunk["index"]], _arguments(_call(message)[1]))]
            case "message-end":
                return self._end(chunk["delta"])
            case _:  # message-start, content-end, tool-call-end, citations
                return []

    def _end(self, delta: Mapping[str, Any]) -> list[Delta]:
        if delta.get("error"):
            return self._fail({"error": delta["error"]})
        return [self._finish(text(delta.get("finish_reason")), _usage(mapping(delta.get("usage"))))]


def _call(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    call = message["tool_calls"]
    call = call[0] if isinstance(call, list) else call
    return call, mapping(call.get("function"))


def _arguments(function: Mapping[str, Any]) -> str:
    return text(function.get("arguments"))


def read_embeddings(answer: Answer, count: int) -> EmbeddingResponse:
    """Read an answer of ``/embed``.

    Raises:
        ProviderError: an error status, or an answer without exactly one vector for each input.
    """
    body = answer.json()
    vectors = read_vectors(answer, count, lambda: _vectors(body["embeddings"]))
    usage = _usage({"billed_units": mapping(mapping(body.get("meta")).get("billed_units"))})
    return EmbeddingResponse(vectors, usage, limits=read_limits(answer.headers, answer.now_wall), raw=body)


def _vectors(rows: Any) -> Any:
    return rows["float"] if isinstance(rows, dict) else rows


def _usage(usage: Mapping[str, Any]) -> TokenUsage | None:
    """The tokens that are billed; the model has seen some more, of Cohere's own."""
    counted = mapping(usage.get("billed_units")) or mapping(usage.get("tokens"))
    prompt, output = _whole(counted.get("input_tokens")), _whole(counted.get("output_tokens"))
    if prompt is None:
        return None
    return TokenUsage(prompt, output, prompt + (output or 0), _whole(usage.get("cached_tokens")))


def _whole(count: Any) -> int | None:
    """Cohere counts in floats."""
    return int(count) if is_number(count) and count >= 0 else None
