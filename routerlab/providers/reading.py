"""Answers, streamed and whole: what the readers of all formats promise, and what most of them share."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.sse import ServerSentEvent
from routerlab.core.types import CompletionResponse, Delta, Limits, TokenUsage, ToolCall
from routerlab.providers.answers import Answer, content_filtered, error_of, read_error, read_limits
from routerlab.providers.shapes import text

__all__ = ["ChunkReader", "Reader", "check_content", "finish_reason", "parsed", "whole_answer"]

_decode = json.JSONDecoder().raw_decode


class Reader(Protocol):
    """Reads the events of one streamed answer.

    Attributes:
        limits: what the headers said of the remaining allowance; goes out with the first delta.
        finished: the finish reason has come; only usage and the mark of the end may follow.
        done: the mark of the end has come.
    """

    limits: Limits | None
    finished: bool
    done: bool

    def read(self, event: ServerSentEvent) -> list[Delta]:
        """The deltas of one event; none for a keep-alive, a malformed event, or what follows the end."""

    def end(self) -> list[Delta]:
        """What is still to be said after the last event; raises a `ProviderError` where the stream was cut."""


# The four reasons in every provider's words, in lower case; what is not here ended by itself.
_REASONS = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "context_length"), "length"),
    "model_context_window_exceeded": "length",
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "content_filtered", "safety", "recitation", "refusal"), "content_filter"),
    **dict.fromkeys(("blocklist", "prohibited_content", "spii", "sensitive", "language"), "content_filter"),
    **dict.fromkeys(("image_safety", "image_prohibited_content", "image_recitation", "model_armor"), "content_filter"),
}
# Reasons that mean: broken off by the server (Mistral and OpenRouter, Z.ai, DeepSeek, vLLM, Cohere).
_BROKEN_OFF = ("error", "network_error", "insufficient_system_resource", "abort", "timeout")


def finish_reason(word: str) -> str | None:
    """Why an answer ended, from the provider's own word: ``stop``, ``length``, ``tool_calls``, ``content_filter``.

    Returns:
        None where nothing is said (yet).

    Raises:
        ProviderError: the server broke the answer off.

    >>> finish_reason("MAX_TOKENS"), finish_reason("end_turn"), finish_reason("")
    ('length', 'stop', None)
    """
    word = word.lower()
    if word in _BROKEN_OFF:
        raise ProviderError(f"the provider broke the answer off: {word}", status=503, code=word)
    return _REASONS.get(word, "stop") if word else None


class ChunkReader:
    """Reads the JSON objects of one streamed answer: the base of every reader but OpenAI's own.

    A subclass reads one object at a time; what is malformed is skipped and counted here, the limits of the headers go
    out with the first delta, and an end without a finish reason is a failure.

    Attributes:
        limits: see `Reader`.
        finished: see `Reader`.
        done: see `Reader`.
    """

    def __init__(self) -> None:
        self.limits: Limits | None = None
        self.finished = False
        self.done = False
        self.content = False  # some text or tool call has come
        self.calls = 0  # tool calls begun
        self._served_model = ""
        self._skipped = 0
        self._plain = False  # nothing waits for the next delta

    def read(self, event: ServerSentEvent) -> list[Delta]:
        """The deltas of one event; see `Reader.read`."""
        if self.done:
            return []
        try:
            chunk = parsed(event.data.strip())
            if self._plain and (text := self._only_text(chunk)):
                return [Delta(text)]
            deltas = self._read_object(chunk, event)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            if event.event == "error":
                return self._fail(event.data)
            self._skipped += event.data.strip() != "[DONE]"
            self._plain = self._plain and not self._skipped
            return []
        self._plain = self.content
        if deltas and (self.limits is not None or self._skipped):
            deltas[0].limits, self.limits = self.limits, None
            deltas[0].skipped_events, self._skipped = self._skipped, 0
        return deltas

    def end(self) -> list[Delta]:
        """What is still to be said after the last event; see `Reader.end`."""
        if not self.finished:
            raise ProviderError("the stream ended without a finish reason", fault=Fault.TRUNCATED, status=200)
        skipped, self._skipped = self._skipped, 0
        return [Delta(skipped_events=skipped)] if skipped else []

    @abstractmethod
    def _chunk(self, chunk: Mapping[str, Any]) -> list[Delta]:
        """The deltas of one object. Errors of Python mean that it is malformed."""

    def _only_text(self, chunk: Any) -> str:
        """The text of an object that says nothing else, where that can be told quickly; empty where it may say more.

        Not asked before the first text, nor while something else is to be passed on with the next delta.
        """
        return ""

    def _read_object(self, chunk: Any, event: ServerSentEvent) -> list[Delta]:
        if not isinstance(chunk, dict):
            raise ValueError("an object was expected")
        if (event.event == "error" or "error" in chunk) and read_error(chunk, failed=event.event == "error"):
            return self._fail(chunk)
        return self._chunk(chunk)

    def _fail(self, body: Any) -> list[Delta]:
        """Raise the error that came in place of a part, unless the answer was complete before it."""
        error = None if self.finished else read_error(body, failed=True)
        if error is not None:
            raise error_of(error)
        return []

    def _model(self, name: Any) -> str | None:
        """The served model's name, the first time that it comes."""
        if not isinstance(name, str) or name == self._served_model or not name:
            return None
        self._served_model = name
        return name

    def _text(self, text: str) -> Delta:
        if not isinstance(text, str):
            raise TypeError("a text was expected")
        self.content = True
        return Delta(text)

    def _call_begins(self, name: str, call_id: str, arguments: str = "", **more: Any) -> Delta:
        """The first fragment of a tool call."""
        self.content, self.calls = True, self.calls + 1
        function = {"name": name, "arguments": arguments}
        return Delta(
            tool_call={"index": self.calls - 1, "id": call_id, "type": "function", "function": function, **more}
        )

    def _call_goes_on(self, index: int, arguments: str) -> Delta:
        return Delta(tool_call={"index": index, "function": {"arguments": arguments}})

    def _finish(self, word: str, usage: TokenUsage | None, refusal: str = "") -> Delta:
        """The end of the answer, from the provider's word for its reason."""
        reason = finish_reason(word) or "stop"
        self.finished = True
        check_content(reason, refusal, content=self.content)
        return Delta(usage=usage, finish_reason="tool_calls" if self.calls and reason == "stop" else reason)


def check_content(reason: str, refusal: str = "", *, content: bool) -> None:
    """Refuse an answer without text and tool calls, unless its length is the reason.

    Raises:
        ProviderError: the model declined, a filter left nothing of the answer, or it makes no sense.
    """
    if content or (reason == "length" and not refusal):
        return
    if refusal or reason == "content_filter":
        raise content_filtered(refusal)
    raise ProviderError("the answer has neither text nor a tool call", fault=Fault.BAD_RESPONSE, status=200)


def whole_answer(
    answer: Answer,
    body: Any,
    words: str,
    reason: str | None,
    *,
    reasoning: str = "",
    calls: Sequence[ToolCall] = (),
    usage: TokenUsage | None = None,
    model: Any = None,
    refusal: str = "",
) -> CompletionResponse:
    """A whole answer from what was read in it.

    Args:
        answer: as it came.
        body: its JSON.
        words: its text.
        reason: from `finish_reason`; providers that call a tool may say ``stop`` all the same.
        reasoning: the model's own thinking.
        calls: whole tool calls.
        usage: what was counted.
        model: the name that the answer gives itself, where it is one.
        refusal: the words with which the model declined.

    Raises:
        ProviderError: as `check_content`.
    """
    check_content(reason or "stop", refusal, content=bool(words or calls))
    return CompletionResponse(
        text=words,
        reasoning=reasoning,
        tool_calls=tuple(calls),
        usage=usage,
        finish_reason="tool_calls" if calls and reason == "stop" else reason,
        served_model=text(model) or None,
        limits=read_limits(answer.headers, answer.now_wall),
        raw=body,
    )


def parsed(text: str) -> Any:
    """What a JSON text says; half the cost of `json.loads`, which looks for spaces and encodings first."""
    value, end = _decode(text)
    if end < len(text):
        raise ValueError("something follows the JSON")
    return value
