"""Answers of OpenAI's Responses API, whole and streamed.

Source: OpenAI's API reference (the Response object, streaming events), and what its servers send.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from routerlab.core.failures import ProviderError
from routerlab.core.types import CompletionResponse, Delta, TokenUsage
from routerlab.providers.answers import Answer, error_of, read_error
from routerlab.providers.reading import ChunkReader, finish_reason, whole_answer
from routerlab.providers.shapes import listed, mapping, text, tokens, tool_call

__all__ = ["ResponseReader", "read_response"]


def read_response(answer: Answer) -> CompletionResponse:
    """Read a whole answer.

    Raises:
        ProviderError: an error status, a response that failed, a refusal, or an answer that makes no sense.
    """
    body = answer.json()
    if not isinstance(body, dict) or "output" not in body:
        raise answer.senseless("is no response")
    try:
        items = listed(body["output"], "output")
        words = "".join(_pieces(items, "message", "output_text", "text"))
        refusal = "".join(_pieces(items, "message", "refusal", "refusal"))
        reasoning = "".join(_thoughts(items))
    except (ValueError, TypeError, AttributeError):
        raise answer.senseless("is no response") from None
    calls = tuple(
        tool_call(text(item.get("name")), item.get("arguments"), text(item.get("call_id")))
        for item in items
        if item.get("type") == "function_call"
    )
    return whole_answer(
        answer,
        body,
        words,
        _reason(body),
        reasoning=reasoning,
        calls=calls,
        usage=_usage(mapping(body.get("usage"))),
        model=body.get("model"),
        refusal=refusal,
    )


class ResponseReader(ChunkReader):
    """Reads one streamed response; see `routerlab.providers.reading.Reader`."""

    def __init__(self) -> None:
        super().__init__()
        self._refusal = ""
        self._places: dict[Any, int] = {}  # of the output item of a call: our index of the call
        self._unsent: dict[Any, bool] = {}  # calls of which no arguments have come yet

    def _chunk(self, chunk: Mapping[str, Any]) -> list[Delta]:
        match chunk["type"]:
            case "response.output_text.delta":
                return [self._text(chunk["delta"])] if chunk["delta"] else []
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return [Delta(reasoning=chunk["delta"])]
            case "response.refusal.delta":
                self._refusal += chunk["delta"]
                return []
            case "response.output_item.added":
                return self._begin(chunk["output_index"], chunk["item"])
            case "response.function_call_arguments.delta":
                self._unsent[chunk["output_index"]] = False
                return [self._call_goes_on(self._places[chunk["output_index"]], chunk["delta"])]
            case "response.output_item.done":
                return self._end_item(chunk["output_index"], chunk["item"])
            case "response.created":
                return [Delta(served_model=self._model(chunk["response"].get("model")))]
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                return self._end(chunk["response"])
            case "error":
                return self._fail({"error": mapping(chunk.get("error")) or {**chunk, "type": None}})
            case _:
                return []

    def _begin(self, index: Any, item: Mapping[str, Any]) -> list[Delta]:
        if item.get("type") != "function_call":
            return []
        self._places[index], arguments = self.calls, text(item.get("arguments"))
        self._unsent[index] = not arguments
        return [self._call_begins(text(item.get("name")), text(item.get("call_id")), arguments)]

    def _end_item(self, index: Any, item: Mapping[str, Any]) -> list[Delta]:
        if not self._unsent.pop(index, False) or not text(item.get("arguments")):
            return []
        return [self._call_goes_on(self._places[index], item["arguments"])]

    def _end(self, response: Mapping[str, Any]) -> list[Delta]:
        reason = _reason(response)
        last = self._finish(reason, _usage(mapping(response.get("usage"))), self._refusal)
        last.served_model = self._model(response.get("model"))
        self.done = True
        return [last]


def _reason(response: Mapping[str, Any]) -> str:
    """Why it ended.

    Raises:
        ProviderError: it failed, or it has not ended.
    """
    status = text(response.get("status")) or "completed"
    if status == "completed":
        return "stop"
    if status == "incomplete":
        word = text(mapping(response.get("incomplete_details")).get("reason")) or "length"
        return finish_reason(word) or "length"
    error = read_error({"error": response.get("error") or {"message": f"the response is {status}"}})
    if error is None or status != "failed":
        raise ProviderError(f"the response is {status}", status=503, code=status)
    raise error_of(error)


def _pieces(items: Any, kind: str, part: str, key: str) -> Iterator[str]:
    for item in items:
        if item.get("type") == kind:
            for one in listed(item.get("content"), "content"):
                if one.get("type") == part:
                    yield text(one.get(key))


def _thoughts(items: Any) -> Iterator[str]:
    """The summary of the reasoning, or (of open models) the reasoning itself."""
    for item in items:
        if item.get("type") == "reasoning":
            summary = [text(one.get("text")) for one in listed(item.get("summary"), "summary")]
            yield from summary or [text(one.get("text")) for one in listed(item.get("content"), "content")]


def _usage(usage: Mapping[str, Any]) -> TokenUsage | None:
    prompt, output = tokens(usage, "input_tokens"), tokens(usage, "output_tokens")
    if prompt is None:
        return None
    total = tokens(usage, "total_tokens")
    return TokenUsage(
        prompt,
        output,
        prompt + (output or 0) if total is None else total,
        tokens(mapping(usage.get("input_tokens_details")), "cached_tokens"),
        tokens(mapping(usage.get("output_tokens_details")), "reasoning_tokens"),
    )
