"""Recorded exchanges of many providers, byte by byte: what they said is what the connector understands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Fault, Outcome, ProviderError, classify
from routerlab.core.types import EmbeddingRequest, TokenUsage

DATA = Path(__file__).parents[2].parent / "shared" / "data"
RECORDINGS = sorted((DATA / "wire").glob("*_chat-completions_*.json"))
FINISH_REASONS = {"eos": "stop"}

pytestmark = pytest.mark.skipif(not RECORDINGS, reason="the recorded exchanges are not here (../shared/data/wire)")


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


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    expected = json.loads((DATA / "wire_expected.json").read_text())
    return json.loads(path.read_text()), expected.get(path.stem)


def response(recording: dict[str, Any], sizes: tuple[int, ...] = (1,)) -> httpx.Response:
    recorded = recording["response"]
    headers = {k: v for k, v in recorded["headers"].items() if k.lower() not in ("content-length", "content-encoding")}
    if "sse_lines" in recorded:
        body = "\n".join(recorded["sse_lines"]).encode()
    else:
        body = json.dumps(recorded["body"], ensure_ascii=False).encode()
    return httpx.Response(recorded["status"], headers=headers, stream=Cut(body, sizes))


def usage(expected: dict[str, Any]) -> TokenUsage | None:
    if "usage" not in expected:
        return None
    counts = expected["usage"]
    return TokenUsage(*(counts[name] for name in ("input", "output", "total", "cached", "reasoning")))


def calls(expected: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(call["id"], call["name"], call["arguments"]) for call in expected.get("tool_calls", [])]


def finish(expected: dict[str, Any]) -> str | None:
    word = expected.get("finish_reason")
    return FINISH_REASONS.get(word, word) if word else None


def check_error(error: ProviderError, expected: dict[str, Any]) -> None:
    assert " ".join(expected["message"].split()) in error.message
    assert error.code == str(expected.get("code") or expected["type"])


@pytest.mark.parametrize("path", [p for p in RECORDINGS if "stream" not in p.stem], ids=lambda p: p.stem)
def test_a_recorded_answer(path: Path, scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    recording, expected = load(path)
    provider = scripted(response(recording, sizes=(1, 7, 64)))
    if "error" in expected:
        with pytest.raises(ProviderError) as caught:
            asyncio.run(provider.complete(chat()))
        assert caught.value.status == expected["status"]
        check_error(caught.value, expected["error"])
        return
    answer = asyncio.run(provider.complete(chat()))
    assert answer.text == expected.get("text", "")
    assert answer.reasoning == expected.get("reasoning", "")
    found = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in answer.tool_calls]
    assert found == calls(expected)
    assert answer.finish_reason == finish(expected)
    assert answer.usage == usage(expected)
    assert answer.served_model == expected["model"]
    assert answer.raw == recording["response"]["body"]


@pytest.mark.parametrize("path", [p for p in RECORDINGS if "stream" in p.stem], ids=lambda p: p.stem)
@pytest.mark.parametrize("sizes", [(1,), (3, 1, 40), (65_536,)], ids=["bytes", "crumbs", "whole"])
def test_a_recorded_stream(
    path: Path,
    sizes: tuple[int, ...],
    scripted: Callable[..., Any],
    chat: Callable[..., Any],
    receive: Callable[..., Any],
) -> None:
    recording, expected = load(path)
    stream = asyncio.run(receive(scripted(response(recording, sizes)), chat()))
    assert stream.text == expected.get("text", "")
    assert stream.reasoning == expected.get("reasoning", "")
    assert [tuple(call.values()) for call in stream.tool_calls] == calls(expected)
    assert stream.finish_reasons == ([finish(expected)] if finish(expected) else [])
    assert stream.usage == usage(expected)
    assert stream.served_model == expected["model"]
    assert stream.skipped == 0
    if "error" in expected:
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


@pytest.mark.parametrize("path", [p for p in RECORDINGS if "_200_stream" in p.stem], ids=lambda p: p.stem)
def test_a_recorded_stream_cut_in_the_middle_is_truncated(
    path: Path, scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    recording, _ = load(path)
    lines = recording["response"]["sse_lines"]
    recording["response"]["sse_lines"] = [*lines[: len(lines) // 4], lines[len(lines) // 4][:20]]
    stream = asyncio.run(receive(scripted(response(recording, (4096,))), chat()))
    assert stream.error is not None
    assert stream.error.fault is Fault.TRUNCATED
    assert stream.finish_reasons == []
