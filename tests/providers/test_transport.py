"""Real sockets that refuse, reset, cut, stall and drip."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Count, Fault, ProviderError, classify
from routerlab.providers import http_provider
from routerlab.providers.openai_compatible import OpenAICompatibleProvider

KEY = "sk-canary-0123456789abcdef"
CHUNK = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
ANSWER = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


def head(*headers: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, b"content-type: " + kind, *headers, b"", b""])


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM_HEAD = head(b"transfer-encoding: chunked", kind=b"text/event-stream")


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side sees a reset."""
    plug = writer.get_extra_info("socket")
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def says(*parts: bytes, then_reset: bool = False) -> Script:
    async def script(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)  # for each part to arrive by itself
            for _ in range(50):  # and for all that follows from it in the client, which lives in the same loop
                await asyncio.sleep(0)
        if then_reset:
            reset(writer)

    return script


@pytest.fixture
def outcome(
    loopback: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> Callable[..., tuple[str, ProviderError | None]]:
    """Text and error of one request to a raw server, in one piece or streamed."""

    async def run(script: Script, streamed: bool) -> tuple[str, ProviderError | None]:
        async with loopback(script) as base_url:
            provider = OpenAICompatibleProvider("raw", {"base_url": base_url, "api_key": KEY})
            try:
                if streamed:
                    got = await receive(provider, chat())
                    return got.text, got.error
                return (await provider.complete(chat())).text, None
            except ProviderError as error:
                return "", error
            finally:
                await provider.close()

    return lambda script, *, streamed=False: asyncio.run(run(script, streamed))


LENGTH = b"content-length: %d" % len(ANSWER)


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (says(then_reset=True), Fault.CONNECT),
        (says(), Fault.CONNECT),
        (says(b"HTTP/1.1 200 OK\r\ncont"), Fault.CONNECT),
        (says(b"SSH-2.0-OpenSSH_9.6\r\n"), Fault.CONNECT),
        (says(head(LENGTH), ANSWER[:9], then_reset=True), Fault.BROKEN),
        (says(head(LENGTH), ANSWER[:9]), Fault.BROKEN),
        (says(head(b"content-length: 2000000"), ANSWER), Fault.BROKEN),
        (says(head(), ANSWER, then_reset=True), Fault.BROKEN),
        (says(head(b"transfer-encoding: chunked"), chunked(ANSWER)), Fault.BROKEN),
        (says(head(b"transfer-encoding: chunked"), b"9999\r\n" + ANSWER), Fault.BROKEN),
        (says(head(b"content-encoding: gzip", LENGTH), ANSWER), Fault.BROKEN),
        (says(head(b"content-encoding: gzip", b"content-length: 30"), gzip.compress(ANSWER)[:30]), Fault.BROKEN),
    ],
    ids=[
        "reset before headers", "close before headers", "cut headers", "no HTTP", "reset in the body", "short body",
        "a whole answer in a short body", "reset without a length", "no last chunk", "cut chunk", "no gzip", "cut gzip",
    ],
)  # fmt: skip
def test_a_broken_answer(script: Script, fault: Fault, outcome: Callable[..., Any]) -> None:
    text, error = outcome(script)
    assert text == ""
    assert error.fault is fault
    assert error.sent
    assert "127.0.0.1" in error.message
    verdict = classify(error)
    assert (verdict.count, verdict.retries) == (Count.FAILURE, None)


@pytest.mark.parametrize(
    ("script", "fault", "text"),
    [
        (says(then_reset=True), Fault.CONNECT, ""),
        (says(), Fault.CONNECT, ""),
        (says(STREAM_HEAD, then_reset=True), Fault.BROKEN, ""),
        (says(STREAM_HEAD, chunked(CHUNK), then_reset=True), Fault.BROKEN, "Hi"),
        (says(STREAM_HEAD, chunked(CHUNK)), Fault.BROKEN, "Hi"),
        (says(STREAM_HEAD, chunked(CHUNK), b"zz\r\n"), Fault.BROKEN, "Hi"),
        (says(STREAM_HEAD, chunked(CHUNK), b"0\r\n\r\n"), Fault.TRUNCATED, "Hi"),
        (says(STREAM_HEAD, b"0\r\n\r\n"), Fault.TRUNCATED, ""),
        (says(head(kind=b"text/event-stream"), CHUNK), Fault.TRUNCATED, "Hi"),
    ],
    ids=[
        "reset before headers", "close before headers", "reset after headers", "reset after content", "close in chunks",
        "bad chunk", "clean end", "empty", "close without a length",
    ],
)  # fmt: skip
def test_a_broken_stream(script: Script, fault: Fault, text: str, outcome: Callable[..., Any]) -> None:
    shown, error = outcome(script, streamed=True)
    assert shown == text
    assert error.fault is fault


@pytest.mark.parametrize(
    "script",
    [
        says(STREAM_HEAD, chunked(CHUNK), chunked(STOP), then_reset=True),
        says(STREAM_HEAD, chunked(CHUNK + STOP)),
        says(STREAM_HEAD, chunked(CHUNK + STOP + b"data: [DONE]\n\n"), then_reset=True),
        says(head(kind=b"text/event-stream"), CHUNK + STOP),
        says(head(b"content-encoding: gzip", kind=b"text/event-stream"), gzip.compress(CHUNK + STOP)),
    ],
    ids=["reset after the finish", "close after the finish", "reset after [DONE]", "no length", "gzip"],
)
def test_a_stream_that_is_whole_all_the_same(script: Script, outcome: Callable[..., Any]) -> None:
    assert outcome(script, streamed=True) == ("Hi", None)


def test_events_arrive_one_by_one_and_are_not_held_back(loopback: Callable[..., Any], chat: Callable[..., Any]) -> None:
    go_on = asyncio.Event()

    async def script(writer: asyncio.StreamWriter) -> None:
        for byte in STREAM_HEAD + chunked(CHUNK):
            writer.write(bytes([byte]))
            await writer.drain()
        await go_on.wait()
        writer.write(chunked(STOP) + b"0\r\n\r\n")

    async def run() -> None:
        async with loopback(script) as base_url:
            provider = OpenAICompatibleProvider("raw", {"base_url": base_url})
            deltas = provider.stream(chat())
            assert (await anext(deltas)).text == "Hi"  # while the server still waits
            go_on.set()
            assert [delta.finish_reason async for delta in deltas] == ["stop"]
            await provider.close()

    asyncio.run(run())


def test_leaving_a_stream_hangs_up_at_once(chat: Callable[..., Any]) -> None:
    hung_up = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(CHUNK))
        await reader.read()  # to the end of what the client sends
        hung_up.set()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        provider = OpenAICompatibleProvider("raw", {"base_url": f"http://127.0.0.1:{port}"})
        deltas = provider.stream(chat())
        await anext(deltas)
        assert not hung_up.is_set()
        await deltas.aclose()
        await asyncio.wait_for(hung_up.wait(), 30)
        await provider.close()
        server.close()

    asyncio.run(run())


def test_a_connection_serves_many_calls(
    chat: Callable[..., Any], receive: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_provider, "_DRAIN_S", 30.0)
    connections = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                length = int(request.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                streamed = b'"stream":true' in await reader.readexactly(length)
                if streamed:
                    writer.write(STREAM_HEAD + chunked(CHUNK + STOP + b"data: [DONE]\n\n"))
                    await writer.drain()
                    await asyncio.sleep(0.005)
                    writer.write(b"0\r\n\r\n")
                else:
                    writer.write(head(LENGTH) + ANSWER)
        except asyncio.IncompleteReadError:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        provider = OpenAICompatibleProvider("raw", {"base_url": f"http://127.0.0.1:{port}"})
        for _ in range(3):
            assert (await provider.complete(chat())).text == "Hi"
            assert (await receive(provider, chat())).text == "Hi"
        await provider.close()
        server.close()

    asyncio.run(run())
    assert connections == 1


def failure(base_url: str, request: Any) -> ProviderError:
    async def run() -> None:
        provider = OpenAICompatibleProvider("raw", {"base_url": base_url, "api_key": KEY})
        try:
            await provider.complete(request)
        finally:
            await provider.close()

    with pytest.raises(ProviderError) as caught:
        asyncio.run(run())
    return caught.value


def test_refused(chat: Callable[..., Any]) -> None:
    with socket.socket() as plug:  # nobody listens, and nobody else will
        plug.bind(("127.0.0.1", 0))
        error = failure(f"http://127.0.0.1:{plug.getsockname()[1]}", chat())
    assert (error.fault, error.sent) == (Fault.CONNECT, False)
    assert error.message == "no connection to 127.0.0.1: connection refused"
    assert isinstance(error.__cause__, httpx.ConnectError)
    assert error.__cause__.__traceback__ is error.__cause__.__cause__ is error.__cause__.__context__ is None


def test_an_unknown_host(chat: Callable[..., Any]) -> None:
    error = failure("http://no-such-host.invalid/v1", chat())
    assert (error.fault, error.sent) == (Fault.CONNECT, False)
    assert "no-such-host.invalid: the host's name is not known" in error.message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connecting_has_a_limit(scheme: str, chat: Callable[..., Any]) -> None:
    with socket.socket() as full, socket.socket() as first:  # a queue of one, taken: the next one is not answered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        started = time.monotonic()
        error = failure(f"{scheme}://127.0.0.1:{full.getsockname()[1]}", chat(connect_timeout_s=0.05))
    assert (error.fault, error.sent) == (Fault.CONNECT_TIMEOUT, False)
    assert time.monotonic() - started < 20


def test_a_handshake_that_stalls_is_connecting_too(chat: Callable[..., Any]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        error = failure(f"https://127.0.0.1:{silent.getsockname()[1]}", chat(connect_timeout_s=0.05))
    assert (error.fault, error.sent) == (Fault.CONNECT_TIMEOUT, False)


def test_no_clock_but_the_one_for_connecting(loopback: Callable[..., Any], chat: Callable[..., Any]) -> None:
    async def script(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.5)
        writer.write(head(LENGTH) + ANSWER)

    async def run() -> str:
        async with loopback(script) as base_url:
            provider = OpenAICompatibleProvider("raw", {"base_url": base_url})
            text: str = (await provider.complete(chat(connect_timeout_s=1.0))).text
            await provider.close()
            return text

    assert asyncio.run(run()) == "Hi"


@pytest.mark.parametrize(
    "cause",
    [
        ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed"),
        ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
    ],
)
def test_tls_names_the_host_and_nothing_to_switch_off(
    cause: ssl.SSLError, scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no TLS") from cause

    with pytest.raises(ProviderError) as caught:
        asyncio.run(scripted(answer).complete(chat()))
    error = caught.value
    assert (error.fault, error.sent) == (Fault.TLS, False)
    assert "api.openai.com" in error.message
    assert not any(word in error.message.lower() for word in ("disable", "verify=", "insecure", "ssl=false"))
    assert classify(error).retries == 0


def test_plain_http_behind_https_is_a_tls_fault(loopback: Callable[..., Any], chat: Callable[..., Any]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> ProviderError:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        provider = OpenAICompatibleProvider("raw", {"base_url": f"https://127.0.0.1:{port}"})
        try:
            await provider.complete(chat())
        except ProviderError as error:
            return error
        finally:
            await provider.close()
            server.close()
        raise AssertionError("no error")

    error = asyncio.run(run())
    assert error.fault is Fault.TLS
    assert "127.0.0.1" in error.message


def test_a_bomb_does_not_go_off(outcome: Callable[..., Any]) -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    script = says(head(b"content-encoding: gzip", b"content-length: %d" % len(bomb)), bomb)
    _, error = outcome(script)
    assert (error.fault, error.status) == (Fault.TOO_LARGE, 200)
    assert classify(error).retries == 0


def test_an_endless_event_is_too_large(outcome: Callable[..., Any]) -> None:
    line = gzip.compress(b"data: " + bytes(40 * 2**20))
    script = says(head(b"content-encoding: gzip", kind=b"text/event-stream"), line)
    assert outcome(script, streamed=True)[1].fault is Fault.TOO_LARGE


def test_a_long_line_is_not(outcome: Callable[..., Any]) -> None:
    text = "x" * 2 * 2**20
    event = b'data: {"choices":[{"delta":{"content":"%s"},"finish_reason":"stop"}]}\n\n' % text.encode()
    assert outcome(says(head(kind=b"text/event-stream"), event), streamed=True) == (text, None)


@pytest.mark.parametrize("key", ["two\nlines-0123456789", "clé-0123456789", "ends-in-a-break-0123456789\n"])
@pytest.mark.parametrize("name", ["openai", "azure"])
def test_a_key_that_cannot_be_sent_is_refused_first(
    name: str, key: str, scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    provider = scripted(httpx.Response(200), name, api_key=key, base_url="https://example.com")
    error = asyncio.run(receive(provider, chat())).error
    assert (error.fault, error.sent) == (Fault.LOCAL, False)
    assert "one line of ASCII" in error.message
    assert key.strip() not in error.message
    assert provider.requests == []


def test_a_closed_provider_says_so(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    provider = scripted(httpx.Response(200))

    async def run() -> None:
        await provider.close()
        await provider.close()
        await provider.complete(chat())

    with pytest.raises(ProviderError, match="closed") as caught:
        asyncio.run(run())
    assert caught.value.fault is Fault.LOCAL


def test_a_second_event_loop_is_fine(loopback: Callable[..., Any], chat: Callable[..., Any]) -> None:
    provider = OpenAICompatibleProvider("raw", {"base_url": "http://127.0.0.1:1"})

    async def run() -> str:
        async with loopback(says(head(LENGTH), ANSWER)) as base_url:
            provider._http_base_url = base_url
            text: str = (await provider.complete(chat())).text
            return text

    assert [asyncio.run(run()), asyncio.run(run())] == ["Hi", "Hi"]
