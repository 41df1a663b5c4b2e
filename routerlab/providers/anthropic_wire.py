"""Answers of Anthropic's Messages API, whole and streamed.

Source: Anthropic's API reference (Create a Message, Streaming Messages), and what its servers send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.types import CompletionResponse, Delta, TokenUsage
from routerlab.providers.answers import Answer
from routerlab.providers.reading import ChunkReader, finish_reason, whole_answer
from routerlab.providers.shapes import arguments_text, listed, mapping, text, tokens, tool_call

__all__ = ["MessageReader", "read_message"]


def read_message(answer: Answer) -> CompletionResponse:
    """Read a whole answer.

    Raises:
        ProviderError: an error status, an error inside a success, a refusal, or an answer that makes no sense.
    """
    body = answer.json()
    if not isinstance(body, dict) or body.get("type", "message") != "message" or "content" not in body:
        raise answer.senseless("is no message")
    try:
        blocks = listed(body["content"], "content")
    except ValueError:
        raise answer.senseless("is no message") from None
    calls = tuple(
        tool_call(text(block.get("name")), block.get("input") or {}, text(block.get("id")))
        for block in blocks
        if block.get("type") == "tool_use"
    )
    words = "".join(text(block.get("text")) for block in blocks if block.get("type") == "text")
    reason = finish_reason(text(body.get("stop_reason")))
    thoughts = "".join(text(block.get("thinking")) for block in blocks if block.get("type") == "thinking")
    usage = _usage(mapping(body.get("usage")))
    return whole_answer(
        answer, body, words, reason, reasoning=thoughts, calls=calls, usage=usage, model=body.get("model")
    )


class MessageReader(ChunkReader):
    """Reads one streamed message: blocks begin, grow and end; the tools of the provider's own servers are passed over.

    See `routerlab.providers.reading.Reader`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, Any] = {}
        self._places: dict[Any, int] = {}  # of the block of a tool call: our index of the call
        self._empty: dict[Any, str] = {}  # arguments that came with the block's start, until others follow

    def _chunk(self, chunk: Mapping[str, Any]) -> list[Delta]:
        match chunk["type"]:
            case "content_block_delta":
                return self._grow(chunk["index"], chunk["delta"])
            case "content_block_start":
                return self._begin(chunk["index"], chunk["content_block"])
            case "content_block_stop":
                arguments = self._empty.pop(chunk["index"], "")
                return [self._call_goes_on(self._places[chunk["index"]], arguments)] if arguments else []
            case "message_start":
                message = chunk["message"]
                self._counts |= mapping(message.get("usage"))
                return [Delta(served_model=self._model(message.get("model")), usage=_usage(self._counts))]
            case "message_delta":
                self._counts |= {k: v for k, v in mapping(chunk.get("usage")).items() if v is not None}
                reason = text(mapping(chunk.get("delta")).get("stop_reason"))
                return [self._finish(reason, _usage(self._counts))] if reason and not self.finished else []
            case "message_stop":
                self.done = self.finished
                return []
            case "error":
                return self._fail(chunk)
            case _:  # ping, and what is to come
                return []

    def _begin(self, index: Any, block: Mapping[str, Any]) -> list[Delta]:
        match block["type"]:
            case "text":
                return [self._text(block["text"])] if block.get("text") else []
            case "thinking":
                return [Delta(reasoning=block["thinking"])] if block.get("thinking") else []
            case "tool_use":
                self._places[index] = self.calls
                self._empty[index] = arguments_text(block.get("input") or {})
                return [self._call_begins(text(block.get("name")), text(block.get("id")))]
            case _:
                return []

    def _grow(self, index: Any, delta: Mapping[str, Any]) -> list[Delta]:
        match delta["type"]:
            case "text_delta":
                return [self._text(delta["text"])] if delta["text"] else []
            case "thinking_delta":
                return [Delta(reasoning=delta["thinking"])] if delta["thinking"] else []
            case "input_json_delta" if index in self._places and delta["partial_json"]:
                self._empty.pop(index, None)
                return [self._call_goes_on(self._places[index], delta["partial_json"])]
            case _:
                return []


def _usage(usage: Mapping[str, Any]) -> TokenUsage | None:
    """The counts; the cached part of the prompt is told apart from the fresh one, and both are the prompt."""
    fresh, output = tokens(usage, "input_tokens"), tokens(usage, "output_tokens")
    if fresh is None and output is None:
        return None
    cached, written = tokens(usage, "cache_read_input_tokens"), tokens(usage, "cache_creation_input_tokens")
    prompt = (fresh or 0) + (cached or 0) + (written or 0)
    thinking = tokens(mapping(usage.get("output_tokens_details")), "thinking_tokens")
    return TokenUsage(prompt, output, prompt + (output or 0), cached, thinking)
