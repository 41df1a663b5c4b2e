"""OpenAI's stream: events in, deltas out, no I/O. What is missing, doubled or malformed is put right here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.sse import ServerSentEvent
from routerlab.core.types import Delta, Limits
from routerlab.providers.answers import ErrorBody, blocked, content_filtered, error_of, read_error
from routerlab.providers.openai_wire import Choice, read_choice, read_usage
from routerlab.providers.reading import parsed
from routerlab.providers.shapes import arguments_text, new_call_id

__all__ = ["StreamReader"]

_NOTHING = Choice()


class StreamReader:
    """Reads the events of one streamed answer.

    Attributes:
        limits: what the headers said of the remaining allowance; goes out with the first delta.
        finished: the finish reason has come; only usage and ``[DONE]`` may follow.
        done: ``[DONE]`` has come.
    """

    def __init__(self) -> None:
        self.limits: Limits | None = None
        self.finished = False
        self.done = False
        self._served_model = ""
        self._content = False  # some text or tool call has come
        self._refusal = ""
        self._skipped = 0
        self._calls = _ToolCalls()

    def read(self, event: ServerSentEvent) -> list[Delta]:
        """The deltas of one event; none for a keep-alive, a malformed event, or what follows the end.

        Raises:
            ProviderError: the event is an error, or the finish reason of an answer that is none.
        """
        data = event.data.strip()
        self.done = self.done or data == "[DONE]"
        if self.done:
            return []
        failed = event.event == "error"
        try:
            chunk = parsed(data)
            if not failed and (text := self._only_text(chunk)):
                self._content = True
                return [Delta(text)]
        except (ValueError, RecursionError):
            chunk = data if failed else None
        error = read_error(chunk, failed=failed)
        if error is not None:
            return self._fail(error)
        try:
            return self._read_chunk(chunk)
        except ValueError:
            self._skipped += 1
            return []

    def end(self) -> list[Delta]:
        """What is still to be said after the last event.

        Raises:
            ProviderError: the stream was cut, or nothing came in it.
        """
        last = Delta()
        if not self.finished:
            if not self.done:
                message = "the stream ended without a finish reason and without [DONE]"
                raise ProviderError(message, fault=Fault.TRUNCATED, status=200)
            last.finish_reason = self._finish(Choice(finish_reason="stop"))
        last.skipped_events, self._skipped = self._skipped, 0
        return [last] if last != Delta() else []

    def _only_text(self, chunk: Any) -> str:
        """The text of a chunk that says nothing else, as all but a few do; empty where it may say more."""
        try:
            (choice,) = chunk["choices"]
            delta = choice["delta"]
            text = delta["content"]
        except (KeyError, TypeError, ValueError):
            return ""
        more = len(delta) > 1 or choice.get("finish_reason") or choice.get("index") or choice.get("error")
        more = more or chunk.get("error") or chunk.get("usage") or chunk.get("x_groq") or chunk.get("object") == "error"
        news = chunk.get("model", self._served_model) != self._served_model or self.limits is not None or self._skipped
        return "" if more or news or not isinstance(text, str) else text

    def _fail(self, error: ErrorBody) -> list[Delta]:
        if self.finished:
            return []  # the answer was complete before it
        raise error_of(error)

    def _read_chunk(self, chunk: Any) -> list[Delta]:
        if not isinstance(chunk, dict):
            raise ValueError("an object was expected")
        choice = read_choice(chunk, "delta") or _NOTHING
        usage = read_usage(chunk)
        deltas = [Delta(text=choice.text, reasoning=choice.reasoning)] if choice.text or choice.reasoning else []
        deltas += [Delta(tool_call=self._calls.place(raw)) for raw in choice.tool_calls]
        self._content = self._content or bool(choice.text or choice.tool_calls)
        self._refusal += choice.refusal
        if not deltas and (chunk.get("choices") or usage):
            deltas = [Delta()]
        if deltas:
            self._complete_first(deltas[0], chunk.get("model"))
            deltas[-1].usage = usage
            if choice.finish_reason and not self.finished:
                deltas[-1].finish_reason = self._finish(choice)
        return deltas

    def _complete_first(self, delta: Delta, model: Any) -> None:
        delta.limits, self.limits = self.limits, None
        delta.skipped_events, self._skipped = self._skipped, 0
        if model != self._served_model and model and isinstance(model, str):
            delta.served_model = self._served_model = model

    def _finish(self, choice: Choice) -> str | None:
        reason = choice.reason(tools=self._calls.any)
        self.finished = True
        if not self._content:
            if self._refusal or reason == "content_filter":
                raise content_filtered(self._refusal, blocked(choice.filters))
            if reason != "length":
                message = "the stream ended with neither text nor a tool call"
                raise ProviderError(message, fault=Fault.BAD_RESPONSE, status=200)
        return reason


class _ToolCalls:
    """Gives every fragment the index and every call the id that OpenAI's format promises.

    Mistral leaves the index out, Gemini says 0 for all, some servers send no id.
    """

    def __init__(self) -> None:
        self._count = 0
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int | None, int] = {}  # the provider's index (None where it gives none) to ours

    @property
    def any(self) -> bool:
        return self._count > 0

    def place(self, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fragment in OpenAI's shape."""
        function = raw.get("function")
        function = function if isinstance(function, dict) else {}
        name, call_id, given = function.get("name"), str(raw.get("id") or ""), raw.get("index")
        given = given if isinstance(given, int) else None
        known = self._by_id.get(call_id) if call_id else self._by_index.get(given)
        if given is None and name and not call_id:
            known = None  # without index and id, only a name tells where a call begins
        fragment: dict[str, Any] = {"function": {"arguments": arguments_text(function.get("arguments"))}}
        if name:
            fragment["function"]["name"] = name
        if known is None:
            known = self._begin(call_id or new_call_id(), fragment)
        self._by_index[given] = known
        return {"index": known, **fragment}

    def _begin(self, call_id: str, fragment: dict[str, Any]) -> int:
        fragment.update(id=call_id, type="function")
        index = self._by_id[call_id] = self._count
        self._count += 1
        return index
