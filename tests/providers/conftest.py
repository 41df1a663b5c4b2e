"""Providers over a scripted transport, and raw servers on loopback where the transport itself matters."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from routerlab.core.failures import ProviderError
from routerlab.core.types import CompletionRequest, Delta, TokenUsage
from routerlab.providers.http_provider import HttpProvider
from routerlab.session.kinds import KINDS, load_kind

KEY = "sk-canary-0123456789abcdef"


@dataclass
class Received:
    """A stream, put together again."""

    deltas: list[Delta] = field(default_factory=list)
    error: ProviderError | None = None

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def reasoning(self) -> str:
        return "".join(delta.reasoning for delta in self.deltas)

    @property
    def tool_calls(self) -> list[dict[str, str]]:
        calls: dict[int, dict[str, str]] = {}
        for fragment in (delta.tool_call for delta in self.deltas if delta.tool_call):
            call = calls.setdefault(fragment["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += fragment.get("id", "")
            call["name"] += fragment["function"].get("name", "")
            call["arguments"] += fragment["function"]["arguments"]
        return [calls[index] for index in sorted(calls)]

    @property
    def usage(self) -> TokenUsage | None:
        return next((delta.usage for delta in reversed(self.deltas) if delta.usage), None)

    @property
    def finish_reasons(self) -> list[str]:
        return [delta.finish_reason for delta in self.deltas if delta.finish_reason]

    @property
    def served_model(self) -> str | None:
        return next((delta.served_model for delta in self.deltas if delta.served_model), None)

    @property
    def skipped(self) -> int:
        return sum(delta.skipped_events for delta in self.deltas)


class Scripted(HttpProvider):
    """A connector over a transport that answers from a function and keeps the requests; mixed into a kind's class."""

    answer_with: Callable[[httpx.Request], httpx.Response]
    requests: list[httpx.Request]

    def _make_http_client(self, **kwargs: Any) -> httpx.AsyncClient:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return type(self).answer_with(request)

        return httpx.AsyncClient(transport=httpx.MockTransport(handle), **kwargs)

    @property
    def sent(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body


@pytest.fixture(scope="session")
def one_authority(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with one certificate: all the usual ones take 20 ms to load, in every connector anew."""
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def scripted(one_authority: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """Make a provider from an answer (a response, or a function of the request), a name (also its kind) and options."""
    monkeypatch.setenv("SSL_CERT_FILE", one_authority)

    def make(
        answer: httpx.Response | Callable[[httpx.Request], httpx.Response], name: str = "openai", **config: Any
    ) -> Scripted:
        config.setdefault("api_key", KEY)
        respond = staticmethod(answer if callable(answer) else lambda _: answer)
        kind = load_kind(config.get("kind") or (name if name in KINDS else "openai"))
        made: type[Scripted] = type("Scripted", (Scripted, kind), {"answer_with": respond, "requests": []})
        return made(name, config)

    return make


@pytest.fixture
def chat() -> Callable[..., CompletionRequest]:
    """Make a chat request."""

    def make(model: str = "gpt-4o-mini", *, connect_timeout_s: float = 5.0, **params: Any) -> CompletionRequest:
        messages = ({"role": "user", "content": "Hello"},)
        return CompletionRequest("c1", "chat-completion", model, messages, params, connect_timeout_s=connect_timeout_s)

    return make


@pytest.fixture
def receive() -> Callable[[HttpProvider, CompletionRequest], Awaitable[Received]]:
    """Read a stream to its end, or to its error."""

    async def read(provider: HttpProvider, request: CompletionRequest) -> Received:
        received = Received()
        try:
            async for delta in provider.stream(request):
                received.deltas.append(delta)
        except ProviderError as error:
            received.error = error
        return received

    return read


@pytest.fixture
def loopback() -> Callable[..., Any]:
    """A raw server: each connection's request is read, then the script writes what it likes."""

    @asynccontextmanager
    async def serve(script: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                await reader.readexactly(length)
                await script(writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client hung up, which is what some of these tests are about
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            server.close()

    return serve


ANSWER = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()


@pytest.fixture
def shown() -> Callable[[BaseException], str]:
    """Everything that a log, a debugger or a notebook shows of an exception: texts, frames with locals, its chain."""

    def everything(error: BaseException) -> str:
        seen: list[str] = []
        queue: list[BaseException | None] = [error]
        while queue:
            one = queue.pop()
            if one is None:
                continue
            queue += [one.__cause__, one.__context__]
            seen += [repr(one), str(one), repr(vars(one)), repr(one.args)]
            frames = [frame for frame, _ in traceback.walk_tb(one.__traceback__)]
            ours = [frame for frame in frames if "/tests/" not in frame.f_code.co_filename]
            seen += [f"{name}={value!r}" for frame in ours for name, value in frame.f_locals.items()]
        seen += traceback.TracebackException.from_exception(error).format()
        return "\n".join(seen)

    return everything


@dataclass
class Gateway:
    """A server with a certificate, and all requests that it has read."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    def url(self, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}/v1"


@dataclass
class ConnectProxy:
    """A proxy that opens tunnels; every host leads to this machine."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs the certificates of these tests."""
    return trustme.CA()


@pytest.fixture
def ca_bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """The file with the authority's certificate."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def gateway(authority: trustme.CA) -> Callable[..., Any]:
    """A server over TLS; with ``clients`` it asks for a certificate that this authority has signed."""

    @asynccontextmanager
    async def serve(
        certificate: trustme.LeafCert | None = None,
        *,
        clients: trustme.CA | None = None,
        answer: Callable[[bytes], bytes] = lambda request: ANSWER,
        latest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> AsyncIterator[Gateway]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = latest
        (certificate or authority.issue_cert("127.0.0.1", "gateway.test")).configure_cert(context)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            clients.configure_trust(context)
        found = Gateway()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(
                ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError
            ):
                while request := await _read_request(reader):
                    found.requests.append(request)
                    body = answer(request)
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                    writer.write(b"content-length: %d\r\n\r\n%s" % (len(body), body))
                    await writer.drain()
            writer.transport.abort()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        found.port = server.sockets[0].getsockname()[1]
        try:
            yield found
        finally:
            server.close()

    return serve


@pytest.fixture
def connect_proxy() -> Callable[..., Any]:
    """A proxy; with ``login`` (``Basic …``) it lets nobody else through."""

    @asynccontextmanager
    async def serve(login: str = "") -> AsyncIterator[ConnectProxy]:
        found = ConnectProxy()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                request = await _read_request(reader)
                found.requests.append(request)
                if login and f"proxy-authorization: {login}".lower() not in request.decode().lower():
                    writer.write(b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                elif request.startswith(b"CONNECT "):
                    await _tunnel(request, reader, writer)
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER))
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        found.port = server.sockets[0].getsockname()[1]
        try:
            yield found
        finally:
            server.close()

    return serve


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body; empty at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return head + await reader.readexactly(int(lengths[0]) if lengths else 0)


async def _tunnel(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    port = int(request.split()[1].rpartition(b":")[2])
    there, back = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    await asyncio.gather(pump(reader, back), pump(there, writer))
