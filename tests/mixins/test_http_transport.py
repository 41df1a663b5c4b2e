"""The HTTP mixin against real sockets: what servers and networks do to a connection."""

import asyncio
import gc
import gzip
import logging
import socket
import ssl
import struct
import time
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
import trustme

from routerlab.core.errors import BadResponseError
from routerlab.mixins import HttpClientMixin, TimeoutMixin
from routerlab.mixins.http_transport import HttpTransport

TOKEN = "sk-very-secret-0123456789"
PASSWORD = "hidden-pass"
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Client(HttpClientMixin):
    def __init__(self, url: str, *, timeout: float | None = 60.0, max_retries: int = 0, **options: Any) -> None:
        self.slept: list[float] = []
        self._sleep = self._note
        self._init_http_client(url, timeout=timeout, max_retries=max_retries, **options)
        self._http_auth_token = TOKEN

    async def _note(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Wire:
    """One connection of the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Ends the connection with a TCP reset."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()

    async def gone(self) -> None:
        """Returns when the client has closed the connection."""
        while await self.reader.read(4096):
            pass


@dataclass
class Server:
    url: str = ""
    requests: list[bytes] = field(default_factory=list, repr=False)
    connections: int = 0


Answer = Callable[[Wire, int], Awaitable[object]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    """Serves on loopback; `answer(wire, n)` handles the n-th request, returning True keeps the connection."""
    state = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        try:
            keep: object = True
            while keep and (head := await reader.readuntil(b"\r\n\r\n")):
                length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
                state.requests.append(head + await reader.readexactly(length))
                keep = await answer(Wire(reader, writer), len(state.requests))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(connected(reader, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, backlog=256)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*answers: bytes) -> Answer:
    """Answers request after request with these bytes, the last one for ever, and keeps the connection."""

    async def answer(wire: Wire, number: int) -> bool:
        await wire.send(answers[min(number, len(answers)) - 1])
        return b"Connection: close" not in answers[min(number, len(answers)) - 1]

    return answer


def failing(answer: Answer, kind: type[BaseException], call: str = "get", **options: Any) -> BaseException:
    """Makes one call to a server that answers so; returns the exception, which must be of that kind.

    A short timeout may be over before a busy machine has asked: then the server has not shown what it does, and is
    asked once more.
    """

    async def main() -> BaseException:
        async with serving(answer) as server:
            client = Client(server.url, **options)
            for _ in range(20):
                with pytest.raises(kind) as caught:
                    await (client._http_get("/x") if call == "get" else collect(client))
                if server.requests:
                    break
            assert len(server.requests) == 1
            await client._close_http_client()
            return caught.value

    return asyncio.run(main())


async def collect(client: HttpClientMixin) -> list[str]:
    return [data async for data in client._http_stream("/x", json={})]


def test_a_call_goes_through(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with serving(answering(OK)) as server:
            client = Client(server.url + "/v1/", headers={"X-Team": "nlp"})
            assert await client._http_get("/models", params={"a": "b c"}) == {"ok": True}
            assert await client._http_post("chat", json={"x": "é"}) == {"ok": True}
            await client._close_http_client()
        first, second = server.requests
        assert first.startswith(b"GET /v1/models?a=b+c HTTP/1.1\r\n")
        assert b"authorization: bearer " + TOKEN.encode() in first.lower()
        assert b"x-team: nlp" in first.lower()
        assert second.startswith(b"POST /v1/chat HTTP/1.1\r\n")
        assert second.endswith('{"x":"é"}'.encode())
        assert server.connections == 1

    asyncio.run(main())
    assert "/v1/models" in caplog.text
    assert TOKEN not in caplog.text


async def close_before_headers(wire: Wire, _: int) -> None: ...


async def reset_before_headers(wire: Wire, _: int) -> None:
    wire.reset()


async def reset_within_body(wire: Wire, _: int) -> None:
    await wire.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"ok"')
    await asyncio.sleep(0.02)
    wire.reset()


CUT = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (close_before_headers, httpx.RemoteProtocolError),
        (reset_before_headers, httpx.ReadError),
        (reset_within_body, httpx.ReadError),
        (answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 30\r\n\r\n{}"), httpx.ReadError),
        (answering(CUT + b"2\r\n{}\r\nzz\r\nConnection: close"), httpx.TransportError),
        (answering(CUT + b"2\r\n{}\r\nConnection: close"), httpx.TransportError),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\nConnection: close\r\n\r\n"), httpx.RemoteProtocolError),
        (
            answering(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\nConnection: close\r\n\r\n"),
            httpx.RemoteProtocolError,
        ),
    ],
)
@pytest.mark.parametrize("call", ["get", "stream"])
def test_a_broken_answer_is_a_transport_error(answer: Answer, kind: type[httpx.TransportError], call: str) -> None:
    error = failing(answer, kind, call)
    assert "127.0.0.1" in str(error)
    assert_hidden(TOKEN, error)


def assert_hidden(secret: str, error: BaseException) -> None:
    shown = everything_shown(error)
    assert secret not in shown


def everything_shown(error: BaseException) -> str:
    """The exception as loggers and notebooks may show it, with the locals of our frames and below."""
    shown, seen, queue = [], set(), [error]
    while queue:
        one = queue.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        queue += [other for other in (one.__cause__, one.__context__) if other is not None]
        shown += [repr(one), str(one), repr(vars(one))]
        shown += traceback.TracebackException.from_exception(one, capture_locals=True).format()
    return "\n".join(shown)


def test_refused_and_unknown_hosts() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def main(url: str) -> BaseException:
            client = Client(url)
            with pytest.raises(httpx.ConnectError) as caught:
                await client._http_get("/x")
            await client._close_http_client()
            return caught.value

        refused = asyncio.run(main(f"http://127.0.0.1:{port}"))
        assert isinstance(refused.__cause__, OSError)
        assert_hidden(TOKEN, refused)
        assert "no-such-host.invalid" in str(asyncio.run(main("http://no-such-host.invalid")))


def test_tls_failure() -> None:
    async def main() -> BaseException:
        def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example.com ESMTP\r\n")
            writer.close()

        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            client = Client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            with pytest.raises(httpx.ConnectError, match=r"127\.0\.0\.1: no secure connection") as caught:
                await client._http_get("/x")
            await client._close_http_client()
            return caught.value

    error = asyncio.run(main())
    assert isinstance(error.__cause__, ssl.SSLError)
    assert_hidden(TOKEN, error)


def test_connect_timeout_comes_from_the_timeout_mixin() -> None:
    class Both(Client, TimeoutMixin): ...

    async def main() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            others = [socket.socket() for _ in range(4)]
            for other in others:  # fill the backlog: a further connection gets no answer
                other.setblocking(False)
                other.connect_ex(full.getsockname())
            client = Both(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=None)
            client.configure_timeout(connect=0.1)
            started = time.monotonic()
            with pytest.raises(httpx.ConnectTimeout):
                await client._http_get("/x")
            assert time.monotonic() - started < 20
            await client._close_http_client()
            for other in others:
                other.close()

    asyncio.run(main())


def test_a_dropped_connection_is_not_repeated_behind_our_back() -> None:
    """aiohttp repeats a GET by itself when the connection that it kept was dropped."""

    async def answer(wire: Wire, number: int) -> bool:
        if number == 1:
            await wire.send(OK)
        return number == 1

    async def main() -> None:
        async with serving(answer) as server:
            client = Client(server.url)
            await client._http_get("/x")
            with pytest.raises(httpx.TransportError):
                await client._http_get("/x")
            assert len(server.requests) == 2
            await client._close_http_client()

    asyncio.run(main())


def test_a_dropped_connection_is_retried_by_us() -> None:
    async def answer(wire: Wire, number: int) -> bool:
        if number != 2:
            await wire.send(OK)
        return number != 2

    async def main() -> None:
        async with serving(answer) as server:
            client = Client(server.url, max_retries=1)
            await client._http_get("/x")
            assert await client._http_get("/x") == {"ok": True}
            assert len(client.slept) == 1
            await client._close_http_client()

    asyncio.run(main())


def test_the_timeout_limits_the_whole_request() -> None:
    async def drip(wire: Wire, _: int) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await wire.send(b"x")
            await asyncio.sleep(0.01)

    started = time.monotonic()
    error = failing(drip, httpx.TimeoutException, timeout=0.5)
    assert time.monotonic() - started < 20
    assert "0.5 s" in str(error)
    assert_hidden(TOKEN, error)


def test_no_headers_in_time() -> None:
    async def silent(wire: Wire, _: int) -> None:
        await wire.gone()

    failing(silent, httpx.TimeoutException, timeout=0.1)
    failing(silent, httpx.TimeoutException, "stream", timeout=0.1)


def test_a_stream_may_take_longer_than_the_timeout_but_not_fall_silent() -> None:
    async def slow(wire: Wire, _: int) -> None:
        await wire.send(SSE)
        for i in range(8):
            await wire.send(b"data: %d\n\n" % i)
            await asyncio.sleep(0.3)
        await wire.gone()

    async def main() -> None:
        async with serving(slow) as server:
            client = Client(server.url, timeout=2.0, max_retries=3)
            stream = client._http_stream("/x")
            assert [await anext(stream) for _ in range(8)] == [str(i) for i in range(8)]
            with pytest.raises(httpx.TimeoutException):
                await anext(stream)
            assert len(server.requests) == 1
            await client._close_http_client()

    asyncio.run(main())


def test_a_timeout_for_one_call() -> None:
    async def silent(wire: Wire, _: int) -> None:
        await wire.gone()

    async def main() -> None:
        async with serving(silent) as server:
            client = Client(server.url, timeout=None)
            for timeout in (0.05, httpx.Timeout(0.05)):
                with pytest.raises(httpx.TimeoutException):
                    await client._http_get("/x", timeout=timeout)
            await client._close_http_client()

    asyncio.run(main())


def test_events_arrive_as_they_are_sent_and_closing_closes_at_once() -> None:
    async def main() -> None:
        sent, gone = asyncio.Event(), asyncio.Event()

        async def answer(wire: Wire, _: int) -> None:
            await wire.send(SSE + b"data: one\n\n")
            await sent.wait()
            await wire.send(b"data: two\n\n")
            await wire.gone()
            gone.set()

        async with serving(answer) as server:
            client = Client(server.url)
            async with aclosing(client._http_stream("/x", json={"a": 1})) as stream:
                assert await anext(stream) == "one"
                sent.set()
                assert await anext(stream) == "two"
            await asyncio.wait_for(gone.wait(), 30)
            await client._close_http_client()

    asyncio.run(main())


@asynccontextmanager
async def deaf_relay(port: int, *, tunnel: bool) -> AsyncIterator[tuple[int, asyncio.Event, asyncio.Event]]:
    """Passes bytes on to a port, or is a proxy that does; yields its own port, what makes it deaf, and the end."""
    deaf, gone = asyncio.Event(), asyncio.Event()

    async def back(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if tunnel:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 Go on\r\n\r\n")
        answers, there = await asyncio.open_connection("127.0.0.1", port)
        returning = asyncio.create_task(back(answers, writer))
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not deaf.is_set():
                    there.write(data)
        gone.set()
        returning.cancel()
        for end in (there, writer):
            end.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as relay:
        yield relay.sockets[0].getsockname()[1], deaf, gone


@pytest.mark.parametrize("tunnel", [False, True])
def test_a_stream_over_tls_that_is_given_up_waits_for_no_goodbye(tunnel: bool) -> None:
    """asyncio would wait 30 s for it; a loop that ends before that leaves the socket to the garbage collector."""
    authority = trustme.CA()
    own, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(own)
    authority.configure_trust(trusted)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SSE + b"data: one\n\n")
        await reader.read()
        writer.transport.abort()

    async def main() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=own) as server:
            port = server.sockets[0].getsockname()[1]
            async with deaf_relay(port, tunnel=tunnel) as (entrance, deaf, gone):
                way = {"proxy": f"http://127.0.0.1:{entrance}"} if tunnel else {"trust_env": False}
                client = Client(f"https://127.0.0.1:{port if tunnel else entrance}", verify=trusted, **way)
                async with aclosing(client._http_stream("/x", json={})) as stream:
                    assert await anext(stream) == "one"
                    deaf.set()
                await asyncio.wait_for(gone.wait(), 30)
                await client._close_http_client()

    asyncio.run(main())
    gc.collect()


def test_a_stream_that_breaks_after_its_first_event_is_not_retried() -> None:
    seen = asyncio.Event()

    async def answer(wire: Wire, _: int) -> None:
        await wire.send(CUT + b"b\r\ndata: one\n\n\r\n")
        await seen.wait()
        wire.reset()

    async def main() -> None:
        async with serving(answer) as server:
            client = Client(server.url, max_retries=3)
            stream = client._http_stream("/x")
            assert await anext(stream) == "one"
            seen.set()
            with pytest.raises(httpx.TransportError):
                await anext(stream)
            assert len(server.requests) == 1
            await client._close_http_client()

    asyncio.run(main())


def test_what_came_before_a_break_is_read_though_the_break_is_known() -> None:
    async def answer(wire: Wire, _: int) -> None:
        await wire.send(CUT + b"b\r\ndata: one\n\n\r\n")

    async def main() -> None:
        async with serving(answer) as server:
            client = Client(server.url)
            assert client._http_client is not None
            asked = client._http_client.build_request("GET", server.url)
            response = await client._http_client.send(asked, stream=True, follow_redirects=False)
            while response.stream._answer.content.exception() is None:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)
            pieces = response.aiter_raw()
            assert await anext(pieces) == b"data: one\n\n"
            with pytest.raises(httpx.ReadError):
                await anext(pieces)
            await response.aclose()
            await client._close_http_client()

    asyncio.run(main())


def test_a_stream_is_retried_until_its_first_event() -> None:
    async def answer(wire: Wire, number: int) -> None:
        if number == 1:
            wire.reset()
        elif number == 2:
            await wire.send(CUT + b"8\r\n: ping\n\n\r\n")
        elif number == 3:
            await wire.send(b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        else:
            await wire.send(SSE + b"data: one\n\ndata: [DONE]\n\n")

    async def main() -> None:
        async with serving(answer) as server:
            client = Client(server.url, max_retries=3)
            assert await collect(client) == ["one", "[DONE]"]
            assert len(server.requests) == 4
            await client._close_http_client()

    asyncio.run(main())


def packed(body: bytes, encoding: str) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {encoding}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "answer",
    [
        packed(gzip.compress(b'{"ok":true}'), "gzip"),
        packed(gzip.compress(b'{"ok":') + gzip.compress(b"true}"), "GZIP"),
        packed(zlib.compress(b'{"ok":true}'), "deflate"),
        packed(raw_deflate(b'{"ok":true}'), "deflate"),
        packed(b'{"ok":true}', "identity"),
    ],
)
def test_compressed_bodies(answer: bytes) -> None:
    async def main() -> None:
        async with serving(answering(answer)) as server:
            client = Client(server.url)
            assert await client._http_get("/x") == {"ok": True}
            response = await client._request_with_retry("GET", "/x")
            assert response.text == '{"ok":true}'
            await client._close_http_client()

    asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [
        packed(gzip.compress(b'{"ok":true}')[:-3], "gzip"),
        packed(b"not gzip at all", "gzip"),
        packed(b"{}", "br"),
        packed(gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
    ],
)
def test_a_body_that_cannot_be_unpacked(answer: bytes) -> None:
    assert "no valid" in str(failing(answering(answer), BadResponseError))


def test_a_gzip_bomb_ends_early() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"0" * 2**20) for _ in range(400)) + packer.flush()
    tracemalloc.start()
    error = failing(answering(packed(bomb, "gzip")), BadResponseError)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "32 MiB" in str(error)
    assert peak < 120 * 2**20  # 400 MiB unpacked


def test_an_endless_body_ends() -> None:
    async def endless(wire: Wire, _: int) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            await wire.send(b" " * 2**20)

    assert "32 MiB" in str(failing(endless, BadResponseError))


def test_an_endless_error_body_is_cut() -> None:
    async def endless(wire: Wire, _: int) -> None:
        await wire.send(b"HTTP/1.1 400 No\r\n\r\n")
        while True:
            await wire.send(b"y" * 2**16)

    for call in ("get", "stream"):
        error = failing(endless, httpx.HTTPStatusError, call)
        assert isinstance(error, httpx.HTTPStatusError)
        assert len(error.response.content) == 2**20


def test_an_endless_event_ends() -> None:
    async def endless(wire: Wire, _: int) -> None:
        await wire.send(SSE + b"data: ")
        while True:
            await wire.send(b"y" * 2**20)

    assert "event" in str(failing(endless, BadResponseError, "stream"))


def test_two_loops_one_after_the_other() -> None:
    """A notebook may call `asyncio.run` twice; nothing is left open, so no ResourceWarning either."""
    clients = []

    async def main(client: Client) -> None:
        async with serving(answering(OK)) as server:
            client._http_base_url = server.url
            assert await client._http_get("/x") == {"ok": True}
            assert await client._http_get("/x") == {"ok": True}
            assert server.connections == 1
            clients.append(client._http_client)

    client = Client("http://127.0.0.1:1")
    asyncio.run(main(client))
    asyncio.run(main(client))
    assert clients[0] is not clients[1]
    assert all(used.is_closed for used in clients)
    del client
    gc.collect()


def test_two_loops_at_the_same_time() -> None:
    async def main() -> None:
        async with serving(answering(OK)) as server:
            client = Client(server.url)
            await client._http_get("/x")
            here = client._http_client

            async def elsewhere() -> httpx.AsyncClient | None:
                assert await client._http_get("/x") == {"ok": True}
                return client._http_client

            there = await asyncio.to_thread(asyncio.run, elsewhere())
            assert await client._http_get("/x") == {"ok": True}
            assert client._http_client is here is not there
            assert server.connections == 2
            await client._close_http_client()
            assert here.is_closed

    asyncio.run(main())


def test_a_forgotten_client_closes_its_connections() -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def answer(wire: Wire, _: int) -> None:
            await wire.send(OK)
            await wire.gone()
            gone.set()

        async with serving(answer) as server:
            client = Client(server.url)
            await client._http_get("/x")
            del client
            gc.collect()
            await asyncio.wait_for(gone.wait(), 30)

    asyncio.run(main())


def test_more_than_a_hundred_at_a_time() -> None:
    async def main() -> None:
        everyone = asyncio.Barrier(130)

        async def answer(wire: Wire, _: int) -> bool:
            await everyone.wait()
            await wire.send(OK)
            return False

        async with serving(answer) as server:
            client = Client(server.url)
            await asyncio.gather(*(client._http_get("/x") for _ in range(130)))
            await client._close_http_client()

    asyncio.run(main())


def clear_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_proxies(monkeypatch)

    async def main() -> None:
        async with serving(answering(OK)) as proxy, serving(answering(OK)) as direct:
            monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:pass@"))
            client = Client("http://model.invalid/v1")
            assert await client._http_get("/x") == {"ok": True}
            assert proxy.requests[0].startswith(b"GET http://model.invalid/v1/x HTTP/1.1")
            assert b"proxy-authorization: basic" in proxy.requests[0].lower()
            await client._close_http_client()

            local = Client(direct.url)  # never through a proxy
            assert await local._http_get("/x") == {"ok": True}
            await local._close_http_client()
            assert (len(proxy.requests), len(direct.requests)) == (1, 1)

            monkeypatch.setenv("no_proxy", "model.invalid")
            excepted = Client("http://model.invalid/v1")
            with pytest.raises(httpx.ConnectError):
                await excepted._http_get("/x")
            await excepted._close_http_client()
            assert len(proxy.requests) == 1

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]", "LOCALHOST"])
def test_loopback_knows_no_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_proxies(monkeypatch)
    monkeypatch.setenv("all_proxy", "http://proxy.invalid:3128")
    client = Client(f"http://{host}:8000")._http_client
    assert client is not None
    assert client._transport_for_url(httpx.URL(f"http://{host}:8000/x")) is client._transport
    elsewhere = Client("http://example.com")._http_client
    assert elsewhere is not None
    assert elsewhere._transport_for_url(httpx.URL("http://example.com/")) is not elsewhere._transport


def test_a_proxy_that_is_down_or_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_proxies(monkeypatch)

    async def main() -> None:
        refusal = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        async with serving(answering(refusal)) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url.replace("//", f"//user:{PASSWORD}@"))
            client = Client("https://model.invalid")
            with pytest.raises(httpx.ProxyError) as caught:
                await client._http_get("/x")
            assert proxy.requests[0].startswith(b"CONNECT model.invalid:443")
            assert TOKEN.encode() not in proxy.requests[0]
            assert_hidden(PASSWORD, caught.value)
            await client._close_http_client()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            monkeypatch.setenv("https_proxy", f"http://user:{PASSWORD}@127.0.0.1:{unused.getsockname()[1]}")
            client = Client("https://model.invalid")
            with pytest.raises(httpx.ProxyError) as caught:
                await client._http_get("/x")
            assert_hidden(PASSWORD, caught.value)
            await client._close_http_client()

    asyncio.run(main())


def test_certificates_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    end = "-----END CERTIFICATE-----\n"
    one = tmp_path / "one.pem"
    one.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    monkeypatch.setenv("SSL_CERT_FILE", str(one))
    for proxy in ("", "http://proxy.invalid:3128"):
        monkeypatch.setenv("https_proxy", proxy)
        client = Client("https://model.invalid")._http_client
        assert client is not None
        transport = client._transport_for_url(httpx.URL("https://model.invalid"))
        assert isinstance(transport, HttpTransport)
        assert len(transport.ssl_context.get_ca_certs()) == 1
        assert transport.ssl_context.verify_mode is ssl.CERT_REQUIRED
