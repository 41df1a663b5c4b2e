"""httpx on aiohttp's connections: the same API, eight times the calls at high concurrency.

Beyond httpx-aiohttp, which it builds on: exactly one layer retries (aiohttp repeats a GET by itself when a connection
that it kept alive was dropped), the number of connections is not capped behind the caller's back, failures come out
as the httpx exceptions that they are, and no exception holds on to frames or request data with a key in them.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import ipaddress
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from httpx_aiohttp import AiohttpTransport, HttpxAiohttpClient

__all__ = ["HttpClient", "HttpTransport"]

_log = logging.getLogger("httpx")
_PIECE_BYTES = 2**16
_FAILURES = (httpx.TransportError, aiohttp.ClientError, OSError)
_KINDS: tuple[tuple[type[BaseException], type[httpx.TransportError], str], ...] = (  # the first that fits counts
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError, "cannot connect to the proxy"),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError, "the proxy refused"),
    (aiohttp.ClientSSLError, httpx.ConnectError, "no secure connection"),
    (aiohttp.ClientConnectorError, httpx.ConnectError, "cannot connect"),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout, "no connection in time"),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout, "no data in time"),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError, "the connection was closed before an answer"),
    (aiohttp.ClientPayloadError, httpx.ReadError, "the connection broke within the body"),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError, "the answer breaks the rules of HTTP"),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol, "the URL cannot be used"),
    (Exception, httpx.ReadError, "the connection broke"),
)
_HARMLESS = (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)


class HttpClient(HttpxAiohttpClient):
    """The `httpx.AsyncClient` of the mixin; proxies and certificates from the environment work.

    A proxy from the environment is not for loopback, whatever ``NO_PROXY`` says; one that was given is for every host.
    """

    def _get_proxy_map(self, proxy: Any, allow_env_proxies: bool) -> dict[str, httpx.Proxy | None]:
        return super()._get_proxy_map(proxy, allow_env_proxies and not _is_loopback(self.base_url.host))

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """Sends a request, as httpx does; a plain one (streamed, no redirects, no login) straight to its transport.

        That leaves out what every request pays for and no API needs: flows of logins and redirects, hooks, cookies.
        """
        plain = stream and options == {"follow_redirects": False} and not (self.is_closed or self.auth)
        if not plain or request.url.userinfo or any(self.event_hooks.values()):
            return await super().send(request, stream=stream, **options)
        response = await self._transport_for_url(request.url).handle_async_request(request)
        response.request = request
        words = request.method, request.url, response.http_version, response.status_code, response.reason_phrase
        _log.info('HTTP Request: %s %s "%s %d %s"', *words)
        return response

    def _init_transport(self, **options: Any) -> httpx.AsyncBaseTransport:  # type: ignore[override]
        return options.pop("transport", None) or HttpTransport(**options)

    def _init_proxy_transport(self, proxy: httpx.Proxy, **options: Any) -> httpx.AsyncBaseTransport:  # type: ignore[override]
        if proxy.url.scheme.startswith("socks"):  # not aiohttp's; httpx knows them, with its extra "socks"
            return httpx.AsyncHTTPTransport(proxy=proxy, **options)
        return HttpTransport(proxy=_with_login_as_header(proxy), **options)


class HttpTransport(AiohttpTransport):
    """One pool of connections, for one event loop."""

    def get_client(self) -> aiohttp.ClientSession:
        """Makes the session, on first use."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self.ssl_context, keepalive_timeout=self.limits.keepalive_expiry)
        connector._factory = functools.partial(_Protocol, loop=connector._loop)  # type: ignore[assignment]
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        session._retry_connection = False  # as aiohttp's own test client does; there is no public switch
        return session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; returns its response with the body still to be read."""
        if self.proxy is not None and request.url.scheme == "http":  # no tunnel: the proxy reads this very request
            request.headers.update(self.proxy.headers)
        try:
            answer = await self._send(request)
            if self.proxy is None or answer.status != 407:
                return httpx.Response(
                    answer.status,
                    headers=answer.raw_headers,
                    stream=_Body(answer, request),
                    request=request,
                    extensions={"http_version": b"HTTP/1.1", "reason_phrase": (answer.reason or "").encode()},
                )
            answer.close()
            failure: httpx.TransportError = httpx.ProxyError(f"{request.url.host}: {_refusal(407)}")
            cause: BaseException | None = None
        except _FAILURES as error:
            failure, cause = _translated(error, request)
        raise failure from cause  # out of the handler: what was caught there must not hang on as its context

    async def aclose(self) -> None:
        """Closes all connections, and sees them closed."""
        await super().aclose()
        await asyncio.sleep(0)  # a transport lets go of its socket in the step after its end

    async def _send(self, request: httpx.Request) -> aiohttp.ClientResponse:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        timeout = request.extensions.get("timeout", {})
        encoding = request.headers.encoding
        return await self.client.request(
            request.method,
            str(request.url),
            headers=[(name.decode(encoding), value.decode(encoding)) for name, value in request.headers.raw],
            data=_content(request),
            allow_redirects=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                connect=timeout.get("pool"), sock_connect=timeout.get("connect"), sock_read=timeout.get("read")
            ),
            server_hostname=request.extensions.get("sni_hostname"),
            proxy=str(self.proxy.url) if self.proxy else None,
            proxy_headers=self.proxy.headers if self.proxy else None,
        )


class _Protocol(ResponseHandler):
    """aiohttp's, with its ends put right.

    Its C parser forgets the body that a bad chunk breaks (3.14): the reader would wait for ever. And a reset would pass
    for the end of a body without a length. Source: RFC 9112, section 8.

    Closing TLS politely waits up to 30 s for the other side's goodbye, and nobody waits for that: a stream given up
    would keep its socket, perhaps past the end of its loop. A client that closes has nothing left to say.
    """

    def close(self) -> None:
        self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        body = self._payload
        if isinstance(exc, ConnectionError):
            _break_off(body)
        super().connection_lost(exc)
        _break_off(body)


def _break_off(body: aiohttp.StreamReader | None) -> None:
    if body is not None and not body.is_eof() and body.exception() is None:
        body.set_exception(aiohttp.ClientPayloadError("Response payload is not completed"))


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        body = self._answer.content
        try:
            # aiohttp gives out nothing more as soon as it knows of a break; but what came before it has come
            rest = body._read_nowait(_PIECE_BYTES) if body.exception() is not None else b""
            piece = rest or await body.read(_PIECE_BYTES)
        except _FAILURES as error:
            failure, cause = _translated(error, self._request)
        else:
            if piece:
                return piece
            raise StopAsyncIteration
        raise failure from cause

    async def aclose(self) -> None:
        await self._answer.__aexit__(None, None, None)


def _content(request: httpx.Request) -> bytes | httpx.AsyncByteStream | None:
    try:
        return request.content or None
    except httpx.RequestNotRead:
        request.headers.pop("transfer-encoding", None)  # aiohttp sets it
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
        return request.stream


def _with_login_as_header(proxy: httpx.Proxy) -> httpx.Proxy:
    """Returns the same proxy as aiohttp will take it; its own type for logins is deprecated."""
    if proxy.auth is None:
        return proxy
    login = base64.b64encode(":".join(proxy.auth).encode()).decode()
    return httpx.Proxy(proxy.url, headers={**proxy.headers, "Proxy-Authorization": f"Basic {login}"})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _translated(error: Exception, request: httpx.Request) -> tuple[httpx.TransportError, BaseException | None]:
    """Returns the httpx exception for a failure, and the cause that may be shown with it."""
    original = error.__cause__ if isinstance(error, httpx.TransportError) and error.__cause__ else error
    kind, what = next((kind, what) for known, kind, what in _KINDS if isinstance(original, known))
    if isinstance(original, aiohttp.ClientHttpProxyError):
        what = _refusal(original.status)
    cause = _presentable(original)
    host = request.url.host
    return kind(f"{host}: {what} ({cause})" if cause is not None and str(cause) else f"{host}: {what}"), cause


def _refusal(status: int) -> str:
    """Returns what to say of a proxy that answers itself, in place of the host."""
    return "the proxy asks for a login, or for another one (407)" if status == 407 else f"the proxy refused ({status})"


def _presentable(error: BaseException) -> BaseException | None:
    """Returns what may be shown of a cause: most of aiohttp's own carry headers, the proxy's login or the whole URL."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = getattr(error, "certificate_error", error.os_error)
    elif isinstance(error, aiohttp.ClientOSError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, aiohttp.ClientError) and not isinstance(error, _HARMLESS):
        return None
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error
