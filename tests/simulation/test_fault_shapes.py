"""Every kind of fault over real HTTP: what a plain client sees, and that the pure reading of its script agrees."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from contextlib import nullcontext
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

from routerlab.core.failures import ProviderError, classify
from routerlab.core.fault_kinds import FAULT_KINDS
from routerlab.core.script import outcome
from routerlab.core.simulated import play, read_chat
from routerlab.core.simulated_errors import ERRORS
from routerlab.core.simulated_faults import ScheduledFault
from routerlab.core.types import CompletionRequest
from routerlab.simulation.options import read_models
from routerlab.simulation.provider import SimulatedProvider

ANSWER = "Paris, on the river Seine, as everybody knows."
START = "Paris, on"  # three tokens
BOTH = [pytest.param(False, id="whole"), pytest.param(True, id="stream")]


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("kind", sorted(ERRORS))
def test_statuses_come_with_their_real_bodies(serve: Any, ask: Any, kind: str, stream: bool) -> None:
    server = serve()
    server.faults.inject("alpha", kind)
    seen = ask(server, stream=stream)
    status, body = ERRORS[kind]
    assert seen.status == status
    if isinstance(body, str):
        assert seen.body.decode() == body
        assert seen.headers["content-type"].startswith("text/")
    else:
        assert seen.json == body
        assert seen.headers["content-type"] == "application/json"


def test_any_other_status_body_and_header(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "status", status=418, body={"detail": "teapot"}, headers={"x-tea": "green"})
    seen = ask(server)
    assert (seen.status, seen.json, seen.headers["x-tea"]) == (418, {"detail": "teapot"}, "green")


def test_redirect(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "redirect", location="https://other.invalid/v1")
    seen = ask(server)
    assert (seen.status, seen.headers["location"]) == (307, "https://other.invalid/v1")


def test_rate_limit_headers_of_every_form(serve: Any, ask: Any) -> None:
    server = serve()
    date = formatdate(time.time() + 30, usegmt=True)
    for given, sent in ((2, "2"), (0.25, "0.25"), (date, date), ("soon", "soon"), (None, None)):
        server.faults.rate_limit("alpha", retry_after=given)
        seen = ask(server)
        assert seen.status == 429
        assert seen.json["error"]["code"] == "rate_limit_exceeded"
        assert seen.headers.get("retry-after") == sent
        server.faults.clear()
    server.faults.inject("alpha", "rate_limit", headers={"retry-after-ms": "1500"})
    assert ask(server).headers["retry-after-ms"] == "1500"


@pytest.mark.parametrize("stream", BOTH)
def test_reset_before_the_headers_is_a_real_reset(serve: Any, ask: Any, stream: bool) -> None:
    server = serve()
    server.faults.inject("alpha", "reset")
    seen = ask(server, stream=stream)
    assert seen.status is None
    assert isinstance(seen.error, httpx.ReadError)
    assert "reset" in str(seen.error).lower()


@pytest.mark.parametrize("stream", BOTH)
def test_close_before_the_headers(serve: Any, ask: Any, stream: bool) -> None:
    server = serve()
    server.faults.inject("alpha", "close")
    seen = ask(server, stream=stream)
    assert seen.status is None
    assert isinstance(seen.error, httpx.RemoteProtocolError)
    assert "without sending a response" in str(seen.error)


def test_reset_in_mid_stream_after_what_was_sent(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "reset_midway")
    seen = ask(server, stream=True)
    assert (seen.status, seen.text) == (200, START)
    assert isinstance(seen.error, httpx.ReadError)
    assert "reset" in str(seen.error).lower()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells what a client has not read")
@pytest.mark.parametrize("fault", ["reset_midway", "bad_chunk"])
def test_a_break_waits_until_the_client_has_read_what_was_sent(serve: Any, fault: str) -> None:
    """A busy client would lose it else: a reset throws away what lies there unread."""
    server = serve()
    server.faults.inject("alpha", fault)
    host, port = server.url().split("/")[2].split(":")
    body = b'{"model": "alpha", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )
        client.recv(1, socket.MSG_PEEK)
        time.sleep(0.3)
        first = client.recv(2**16)
        assert b"content" in first
        assert b"zz" not in first
        with pytest.raises(ConnectionResetError) if fault == "reset_midway" else nullcontext():
            assert client.recv(2**16).startswith(b"zz")


def test_reset_in_mid_body(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "reset_midway")
    seen = ask(server)
    assert seen.status == 200
    assert isinstance(seen.error, httpx.ReadError)
    assert 0 < len(seen.body) < int(seen.headers["content-length"])


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("kind", ["short_body", "bad_chunk"])
def test_broken_framing(serve: Any, ask: Any, kind: str, stream: bool) -> None:
    server = serve()
    server.faults.inject("alpha", kind)
    seen = ask(server, stream=stream)
    assert seen.status == 200
    assert isinstance(seen.error, httpx.RemoteProtocolError)
    assert seen.body
    if stream:
        assert seen.text == START


@pytest.mark.parametrize(
    ("kind", "stream", "status", "text"),
    [
        ("stall", False, None, ""),
        ("stall", True, None, ""),
        ("stall_first_token", True, 200, ""),
        ("stall_midway", True, 200, START),
    ],
)
def test_stalls(
    serve: Any, ask: Any, until_silence: Any, kind: str, stream: bool, status: int | None, text: str
) -> None:
    server = serve()
    server.faults.inject("alpha", kind)
    seen = until_silence(ask, server, stream=stream, enough=lambda seen: (seen.status, seen.text) == (status, text))
    assert isinstance(seen.error, httpx.ReadTimeout)
    assert (seen.status, seen.text) == (status, text)


def test_a_role_comes_before_a_stalled_first_token(serve: Any, ask: Any, until_silence: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "stall_first_token")
    (chunk,) = until_silence(ask, server, stream=True, enough=lambda seen: seen.chunks).chunks
    assert chunk["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_slow_first_token_sends_headers_first(serve: Any) -> None:
    server = serve()
    body = {"model": "alpha", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    server.faults.inject("alpha", "slow_first_token", extra_s=60)
    with httpx.stream("POST", f"{server.url()}/chat/completions", json=body, timeout=30) as response:
        assert response.status_code == 200
    server.faults.clear()
    server.faults.inject("alpha", "slow_first_token", extra_s=0.1)
    started = time.perf_counter()
    httpx.post(f"{server.url()}/chat/completions", json=body)
    assert time.perf_counter() - started >= 0.1


def test_slow_and_drip(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.slow("alpha", extra_s=0.1)
    started = time.perf_counter()
    assert ask(server).status == 200
    assert time.perf_counter() - started >= 0.1
    server.faults.clear()
    server.faults.inject("alpha", "drip", byte_delay_s=0.02)
    body = {"model": "alpha", "messages": [{"role": "user", "content": "hi"}]}
    started = time.perf_counter()
    with httpx.stream("POST", f"{server.url()}/chat/completions", json=body) as response:
        pieces = [piece for piece, _ in zip(response.iter_raw(), range(5), strict=False)]
    assert time.perf_counter() - started >= 0.02 * (len(b"".join(pieces)) - 1)


def test_cut_stream_ends_in_good_order_but_unfinished(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.cut_streams("alpha", after_tokens=3)
    seen = ask(server, stream=True)
    assert (seen.error, seen.text) == (None, START)
    assert "[DONE]" not in seen.events
    assert all(choice["finish_reason"] is None for chunk in seen.chunks for choice in chunk["choices"])


def test_malformed_event_between_good_ones(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "malformed_event", data="{oops")
    seen = ask(server, stream=True)
    assert seen.events[2] == "{oops"
    assert seen.events[-1] == "[DONE]"


@pytest.mark.parametrize(("after_tokens", "before"), [(0, ""), (3, START)])
def test_error_event(serve: Any, ask: Any, after_tokens: int, before: str) -> None:
    server = serve()
    server.faults.inject("alpha", "error_event", after_tokens=after_tokens, message="overheated", code="overloaded")
    seen = ask(server, stream=True)
    assert seen.text == before
    assert seen.chunks[-1]["error"] == {
        "message": "overheated",
        "type": "server_error",
        "param": None,
        "code": "overloaded",
    }
    assert ask(server).json["error"]["message"] == "overheated"


def test_missing_done_and_missing_usage(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "no_done")
    seen = ask(server, stream=True)
    assert (seen.text, seen.chunks[-1]["choices"][0]["finish_reason"]) == (ANSWER, "stop")
    assert "[DONE]" not in seen.events
    server.faults.clear()
    server.faults.inject("alpha", "no_usage")
    assert "usage" not in ask(server).json
    streamed = ask(server, stream=True, stream_options={"include_usage": True})
    assert all("usage" not in chunk for chunk in streamed.chunks)


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize(
    ("kind", "content_type", "start"),
    [
        ("not_json", "text/plain", b"upstream"),
        ("broken_json", "application/json", b'{"id"'),
        ("empty_body", "text/plain", b""),
        ("html_page", "text/html", b"<!DOCTYPE html>"),
        ("deep_json", "application/json", b"[[[["),
        ("error_in_200", "application/json", b'{"error"'),
        ("no_choices", "application/json", b'{"id"'),
    ],
)
def test_200_but_wrong(serve: Any, ask: Any, kind: str, content_type: str, start: bytes, stream: bool) -> None:
    server = serve()
    server.faults.inject("alpha", kind)
    seen = ask(server, stream=stream)
    assert (seen.status, seen.error) == (200, None)
    assert seen.headers["content-type"].startswith(content_type)
    assert seen.body.startswith(start)
    assert bool(seen.body) is bool(start)


def test_null_content_and_finish_reasons(serve: Any, ask: Any) -> None:
    server = serve()
    expected = {
        "null_content": (None, "stop"),
        "finish_content_filter": (None, "content_filter"),
        "finish_length": ("Paris,", "length"),
    }
    for kind, (text, finish) in expected.items():
        server.faults.inject("alpha", kind)
        choice = ask(server).json["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (text, finish)
        server.faults.clear()


def test_huge_body_and_gzip_bomb(serve: Any) -> None:
    server = serve()
    size = 3 * 1024 * 1024
    body = {"model": "alpha", "messages": [{"role": "user", "content": "hi"}]}
    server.faults.inject("alpha", "huge_body", size=size)
    assert len(httpx.post(f"{server.url()}/chat/completions", json=body).content) > size
    server.faults.clear()
    server.faults.inject("alpha", "huge_body", size=size, gzip=True)
    with httpx.stream("POST", f"{server.url()}/chat/completions", json=body) as response:
        packed = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    assert len(packed) < size / 100
    assert len(gzip.decompress(packed)) > size


# Kinds that only a clock of the driver ends, or that take as long as they promise.
# (An empty body where a stream was wanted is a broken one to the connector; both are a failure that is tried again.)
TIMED = {"stall", "stall_first_token", "stall_midway", "drip", "slow_first_token", "huge_body"}


@pytest.mark.parametrize("stream", BOTH)
def test_the_connector_over_http_and_the_pure_reading_agree(stream: bool) -> None:
    model = {"ttft_s": 0, "tokens_per_s": 0, "answers": {"Hello?": ANSWER}}
    messages = ({"role": "user", "content": "Hello?"},)
    kinds = sorted(set(FAULT_KINDS) - TIMED)

    async def ask_all() -> dict[str, tuple[str, ProviderError | None]]:
        provider = SimulatedProvider("sim", {"models": {"alpha": {**model, "script": kinds}}})
        try:
            return {kind: await asyncio.wait_for(_ask(provider, messages, stream), 30.0) for kind in kinds}
        finally:
            await provider.close()

    (alpha,) = read_models({"alpha": model})
    for kind, (text, error) in asyncio.run(ask_all()).items():
        read = outcome(play(alpha, read_chat(messages, {}, stream=stream), faults=[ScheduledFault(kind)]))
        assert (kind, text) == (kind, read.text)
        assert (kind, error is None) == (kind, read.error is None)
        if error is not None and read.error is not None and (kind, stream) != ("empty_body", True):
            assert (kind, error.status, error.code) == (kind, read.error.status, read.error.code)
            assert (kind, classify(error)) == (kind, classify(read.error))


async def _ask(
    provider: SimulatedProvider, messages: tuple[dict[str, str], ...], stream: bool
) -> tuple[str, ProviderError | None]:
    request = CompletionRequest("call", "chat-completion", "alpha", messages, stream=stream)
    text = ""
    try:
        if not stream:
            return (await provider.complete(request)).text, None
        async for delta in provider.stream(request):
            text += delta.text
    except ProviderError as error:
        return text, error
    return text, None
