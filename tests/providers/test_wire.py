"""Recorded exchanges of many providers, byte by byte: what they said is what the connector understands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Fault, Outcome, ProviderError, classify
from routerlab.core.types import EmbeddingRequest, TokenUsage

DATA = Path(__file__).parents[2].parent / "shared" / "data"
ALL = sorted((DATA / "wire").glob("*.json"))
FINISH_REASONS = {
    **dict.fromkeys(("eos", "end_turn", "pause_turn", "completed", "STOP"), "stop"),
    "tool_use": "tool_calls",
}
OTHER_APIS = ("bedrock", "cohere_v1", "openai_completions", "openai_embeddings")
RECORDINGS = [path for path in ALL if not path.stem.startswith(OTHER_APIS)]


def kind_of(path: Path) -> str:
    """The kind of provider that speaks this format."""
    api = path.stem.split("_")[1]
    formats = {"responses": "openai_responses", "api-chat": "ollama", "v2-chat": "cohere"}
    if path.stem.startswith("anthropic"):
        return "anthropic"
    return "gemini" if api.endswith("enerateContent") else formats.get(api, "openai")


pytestmark = pytest.mark.skipif(not ALL, reason="the recorded exchanges are not here (../shared/data/wire)")


def is_stream(path: Path) -> bool:
    """Whether a stream was asked for (one of them was answered by an array of JSON all the same)."""
    return "stream" in path.stem


class Cut(httpx.AsyncByteStream):
    """A body in pieces of the given sizes, in turn."""

    def __init__(self, body: bytes, sizes: tuple[int, ...]) -> None:
        self._body = body
        self._sizes = sizes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        start = turn = 0
        while start < len(self._body):
            size = self._sizes[turn % len(self._sizes)]
            yield self._body[start : start + size]
            start, turn = start + size, turn + 1


# Judged here: the file of expectations has no entry for it.
COHERE_STREAM = {
    "text": "",
    "reasoning": "I will search for the current time and weather in Tokyo.",
    "tool_calls": [
        {"id": "get_time_dg5wwc00d8v5", "name": "get_time", "arguments": '{\n    "location": "Tokyo"\n}'},
        {"id": "get_weather_bc8241gkqss5", "name": "get_weather", "arguments": '{\n    "location": "Tokyo"\n}'},
    ],
    "finish_reason": "tool_calls",
    "usage": {"input": 62, "output": 28},
    "model": None,
}


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    expected = json.loads((DATA / "wire_expected.json").read_text())
    return json.loads(path.read_text()), expected.get(path.stem, COHERE_STREAM)


def response(recording: dict[str, Any], sizes: tuple[int, ...] = (1,)) -> httpx.Response:
    recorded = recording["response"]
    headers = {k: v for k, v in recorded["headers"].items() if k.lower() not in ("content-length", "content-encoding")}
    lines = recorded.get("sse_lines") or recorded.get("ndjson_lines")
    if lines:
        body = "\n".join(lines).encode()
    else:
        body = json.dumps(recorded["body"], ensure_ascii=False).encode()
    return httpx.Response(recorded["status"], headers=headers, stream=Cut(body, sizes))


def usage(expected: dict[str, Any]) -> TokenUsage | None:
    """Prompt and completion in our sense: cached and written tokens are prompt, thoughts are completion."""
    if "usage" not in expected:
        return None
    counts = expected["usage"]
    prompt = counts["input"] + (counts.get("cache_read") or 0) + (counts.get("cache_write") or 0)
    completion = counts["output"] + (counts.get("thoughts") or 0)
    return TokenUsage(
        prompt,
        completion,
        counts.get("total", prompt + completion),
        counts.get("cached", counts.get("cache_read")),
        counts.get("reasoning", counts.get("thoughts")),
    )


def agrees(found: TokenUsage | None, expected: dict[str, Any], path: Path) -> bool:
    if path.stem == "anthropic_messages_200_stream-thinking_3":  # it also says how many of them were thoughts
        return found == replace(usage(expected) or TokenUsage(), reasoning_tokens=261)
    return found == usage(expected)


def calls(expected: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(call["id"], call["name"], call["arguments"]) for call in expected.get("tool_calls", [])]


def finish(expected: dict[str, Any]) -> str | None:
    word = expected.get("finish_reason")
    if word == "completed" and expected.get("tool_calls"):
        return "tool_calls"
    return FINISH_REASONS.get(word, word) if word else None


def check_error(error: ProviderError, expected: dict[str, Any]) -> None:
    assert " ".join(expected["message"].split()) in error.message
    code = expected.get("code") or expected.get("type")
    assert error.code == str(expected.get("status") or code if isinstance(code, int) else code)


@pytest.mark.parametrize("path", [p for p in RECORDINGS if not is_stream(p)], ids=lambda p: p.stem)
def test_a_recorded_answer(path: Path, scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    recording, expected = load(path)
    provider = scripted(response(recording, sizes=(1, 7, 64)), kind_of(path))
    if "error" in expected:
        with pytest.raises(ProviderError) as caught:
            asyncio.run(provider.complete(chat()))
        assert caught.value.status == expected["status"]
        error = expected["error"]
        check_error(caught.value, {"message": error, "type": ""} if isinstance(error, str) else error)
        return
    answer = asyncio.run(provider.complete(chat()))
    assert answer.text == expected.get("text", "")
    assert answer.reasoning == expected.get("reasoning", "")
    found = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in answer.tool_calls]
    assert found == calls(expected)
    assert answer.finish_reason == finish(expected)
    assert agrees(answer.usage, expected, path)
    assert answer.served_model == expected["model"]
    assert answer.raw == recording["response"]["body"]


@pytest.mark.parametrize("path", [p for p in RECORDINGS if is_stream(p)], ids=lambda p: p.stem)
@pytest.mark.parametrize("sizes", [(1,), (3, 1, 40), (65_536,)], ids=["bytes", "crumbs", "whole"])
def test_a_recorded_stream(
    path: Path,
    sizes: tuple[int, ...],
    scripted: Callable[..., Any],
    chat: Callable[..., Any],
    receive: Callable[..., Any],
) -> None:
    recording, expected = load(path)
    stream = asyncio.run(receive(scripted(response(recording, sizes), kind_of(path)), chat()))
    assert stream.text == expected.get("text", "")
    assert stream.reasoning == expected.get("reasoning", "")
    assert [tuple(call.values()) for call in stream.tool_calls] == calls(expected)
    assert stream.finish_reasons == ([finish(expected)] if finish(expected) else [])
    assert agrees(stream.usage, expected, path)
    assert stream.served_model == expected["model"]
    assert stream.skipped == 0
    if "error" in expected:
        assert stream.error is not None
        check_error(stream.error, expected["error"])
        assert stream.error.status == 400
        assert classify(stream.error).outcome is Outcome.CLIENT_ERROR
    else:
        assert stream.error is None


def test_a_recorded_429_is_a_rate_limit_whatever_its_body_says(
    scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    recording, _ = load(DATA / "wire" / "openrouter_chat-completions_429.json")
    with pytest.raises(ProviderError) as caught:
        asyncio.run(scripted(response(recording)).complete(chat()))
    assert classify(caught.value).cools
    assert "temporarily rate-limited upstream" in caught.value.message


def test_recorded_headers_tell_the_remaining_allowance(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    recording, _ = load(DATA / "wire" / "groq_chat-completions_200.json")
    limits = asyncio.run(scripted(response(recording)).complete(chat())).limits
    assert (limits.remaining_requests, limits.remaining_tokens) == (14399, 29987)
    assert (limits.reset_requests_s, limits.reset_tokens_s) == pytest.approx((6.0, 0.026))


def test_recorded_embeddings(scripted: Callable[..., Any]) -> None:
    recording, _ = load(DATA / "wire" / "openai_embeddings_200.json")
    body = recording["response"]["body"]
    inputs = tuple("x" for _ in body["data"])
    answer = asyncio.run(scripted(response(recording)).embed(EmbeddingRequest("c1", body["model"], inputs)))
    assert answer.vectors == tuple(tuple(row["embedding"]) for row in body["data"])
    assert answer.usage.prompt_tokens == body["usage"]["prompt_tokens"]
    assert answer.served_model == body["model"]


def body_of(recording: dict[str, Any]) -> bytes:
    lines = recording["response"].get("sse_lines") or recording["response"]["ndjson_lines"]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("path", [p for p in RECORDINGS if "_200_stream" in p.stem], ids=lambda p: p.stem)
def test_a_recorded_stream_that_breaks_off_anywhere_is_whole_or_a_failure(
    path: Path, scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    recording, expected = load(path)
    body = body_of(recording)
    headers = {"content-type": "application/x-ndjson" if kind_of(path) == "ollama" else "text/event-stream"}
    ends = [*range(0, len(body), max(1, len(body) // 40)), *range(len(body) - 20, len(body))]
    answers = (httpx.Response(200, headers=headers, stream=Cut(body[:end], (4096,))) for end in ends)
    provider = scripted(lambda _: next(answers), kind_of(path))

    async def read_all() -> None:
        for _ in ends:
            stream = await receive(provider, chat())
            if stream.error is None:
                assert stream.text == expected.get("text", "")
                assert stream.finish_reasons == [finish(expected)]
            else:
                assert stream.finish_reasons == []
                fault = stream.error.fault
                assert fault in (Fault.TRUNCATED, Fault.BAD_RESPONSE) or "error" in expected

    asyncio.run(read_all())


@pytest.mark.parametrize("kind", ["openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere"])
@pytest.mark.parametrize("path", [p for p in ALL if p.stem.startswith(OTHER_APIS)], ids=lambda p: p.stem)
def test_an_answer_of_another_api_is_an_error_never_a_wrong_answer(
    path: Path, kind: str, scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    recording, _ = load(path)
    stream = asyncio.run(receive(scripted(response(recording, (4096,)), kind), chat()))
    assert stream.error is not None
    assert stream.text == ""
    if "sse_lines" not in recording["response"]:
        with pytest.raises(ProviderError) as caught:
            asyncio.run(scripted(response(recording), kind).complete(chat()))
        assert caught.value.message


@pytest.mark.parametrize("path", [p for p in RECORDINGS if "_200" in p.stem], ids=lambda p: p.stem)
def test_an_answer_in_another_kinds_format_is_never_a_wrong_answer(
    path: Path, scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    recording, _ = load(path)
    for kind in {"openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere"} - {kind_of(path)}:
        if is_stream(path):
            stream = asyncio.run(receive(scripted(response(recording, (4096,)), kind), chat()))
            assert stream.error is not None
            assert stream.finish_reasons == []
        else:
            with pytest.raises(ProviderError):
                asyncio.run(scripted(response(recording), kind).complete(chat()))


def test_recorded_headers_of_anthropic_tell_the_remaining_allowance(
    scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    recording, _ = load(DATA / "wire" / "anthropic_messages_200.json")
    provider = scripted(response(recording), "anthropic")
    provider._wall_clock = lambda: 1750674400.0
    limits = asyncio.run(provider.complete(chat())).limits
    assert (limits.remaining_requests, limits.remaining_tokens) == (3999, 480000)
    assert (limits.reset_requests_s, limits.reset_tokens_s) == pytest.approx((13.0, 13.0))
