"""A shared asynchronous HTTP client with retries, timeouts and an Authorization header."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from routerlab.core.redact import Private, Redactor
from routerlab.core.retry import backoff_s, parse_retry_after
from routerlab.core.sse import ServerSentEvent
from routerlab.mixins.http_body import ACCEPT_ENCODING, BadBodyError, parse_json
from routerlab.mixins.http_exchange import Exchange, OnResponse
from routerlab.mixins.http_loops import LoopClients
from routerlab.mixins.http_privacy import (
    checked_headers,
    is_sendable,
    join_url,
    parsed_url,
    plain_url,
    secrets_in,
)
from routerlab.mixins.timeout import TimeoutMixin

__all__ = ["BadBodyError", "HttpClientMixin"]

_BACKOFF_S = 1.0
_JITTER_S = 0.5
_RETRY_AFTER_MAX_S = 60.0
_OWN_FAULTS = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)


class HttpClientMixin:
    """GET, POST and Server-Sent Events over one `httpx.AsyncClient`.

    Call `_init_http_client` first. All `**kwargs` go to httpx (`params`, `headers`, `timeout`, `auth`, ...). Attempts
    that met a connection failure, a timeout or one of `RETRYABLE_STATUS_CODES` are repeated after 1 s, 2 s, 4 s, ...
    with up to 0.5 s of jitter, or after what ``Retry-After`` asks for, if that is longer and no more than 60 s.

    The timeout limits a whole attempt, to the last byte; on a stream the wait for headers and each wait for data.
    With `TimeoutMixin` in the same class, its `connect` limits connecting.

    Override points:
        `_request_with_retry(method, path, **kwargs)` returns an `httpx.Response` with a 2xx status, read to its end.
        `_make_http_client(**kwargs)` returns an `httpx.AsyncClient`; a test passes a transport through it:
        ``return httpx.AsyncClient(transport=httpx.MockTransport(handler), **kwargs)``.

    Attributes:
        RETRYABLE_STATUS_CODES: statuses that another try may cure; a subclass may replace it.
        _http_client: None before setup and after closing.
        _http_base_url: without a trailing slash.
        _http_max_retries: retries after the first try.
        _http_auth_token: sent as ``Authorization: Bearer ...`` where set; read anew for every attempt.
        _sleep: waits between attempts (seconds); replace it on an instance to test without waiting.
        _random: numbers in [0, 1) for the jitter: a function like `random.random`, or a `random.Random`.
    """

    RETRYABLE_STATUS_CODES: Collection[int] = frozenset({429, 500, 502, 503})

    _http_client: httpx.AsyncClient | None = None
    _http_base_url: str = ""
    _http_max_retries: int = 3
    _http_auth_token: str | None = None
    _sleep: Callable[[float], Awaitable[object]] = staticmethod(asyncio.sleep)
    _random: Callable[[], float] | random.Random = random.random

    _http_timeout: float | None
    _http_headers: httpx.Headers
    _http_options: dict[str, Any]
    _http_loops: LoopClients

    def _init_http_client(
        self,
        base_url: str,
        timeout: float | None = 30.0,
        max_retries: int = 3,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """Makes the client; no event loop needs to run.

        Args:
            base_url: http or https, with a host; every path is below it.
            timeout: seconds for a whole attempt; None: no limit.
            max_retries: retries after the first try; 0 where another layer retries.
            headers: sent with every request.
            options: of `httpx.AsyncClient` (`verify`, `cert`, `proxy`, `trust_env`, ...).

        Raises:
            ValueError: an argument cannot be used.
        """
        self._http_base_url = _checked_base(base_url)
        if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
            raise ValueError(f"timeout must be a positive number of seconds or None, not {timeout!r}")
        if max_retries < 0:
            raise ValueError(f"max_retries must be at least 0, not {max_retries!r}")
        self._http_timeout = timeout
        self._http_max_retries = max_retries
        self._http_headers = checked_headers(headers)
        self._http_options = Private(
            {"base_url": self._http_base_url, "timeout": timeout, "headers": self._http_headers, **options}
        )
        self._http_client = self._http_make()
        self._http_loops = LoopClients()

    def _make_http_client(self, **kwargs: Any) -> httpx.AsyncClient:
        """Makes the client from arguments of `httpx.AsyncClient`; override it to pass a transport."""
        from routerlab.mixins.http_transport import HttpClient  # aiohttp costs more than httpx

        return HttpClient(**kwargs)

    async def _close_http_client(self) -> None:
        """Closes the client; calling it again does nothing."""
        client, self._http_client = self._http_client, None
        if client is not None:
            await self._http_loops.close(client)

    async def _http_get(self, path: str, **kwargs: Any) -> Any:
        """GETs `base_url + path` and returns the parsed JSON body.

        Raises:
            httpx.HTTPStatusError: an answer other than 2xx, a redirect included.
            httpx.TransportError: no whole answer: connection failed or broke, or the time ran out.
            BadBodyError: a 2xx whose body is no JSON, or too large.
            ValueError: the path or the key cannot be used; nothing was sent.
        """
        return self._http_json(path, await self._request_with_retry("GET", path, **kwargs))

    async def _http_post(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        """POSTs a JSON body and returns the parsed JSON body; raises as `_http_get` does."""
        return self._http_json(path, await self._request_with_retry("POST", path, json=json, **kwargs))

    async def _http_stream(self, path: str, json: Any = None, **kwargs: Any) -> AsyncGenerator[str, None]:
        """POSTs a JSON body and yields the data of each event as it arrives, the terminator ``[DONE]`` too.

        Raises:
            httpx.HTTPStatusError: an answer other than 2xx; the body of its `response` is readable.
            httpx.TransportError: the stream broke or fell silent.
            BadBodyError: a 2xx that is no event stream; the body of its `response` is readable.
            ValueError: the path or the key cannot be used; nothing was sent.
        """
        async with aclosing(self._http_events(path, json, **kwargs)) as events:
            async for event in events:
                yield event.data

    async def _http_events(
        self, path: str, json: Any = None, *, on_response: OnResponse | None = None, **kwargs: Any
    ) -> AsyncGenerator[ServerSentEvent, None]:
        """Does what `_http_stream` does, with whole events.

        Args:
            path: below the base URL.
            json: the body.
            on_response: called with the open response (status, headers) before its first event, once per attempt.
            kwargs: for httpx.
        """
        started = False
        for attempt in itertools.count():
            try:
                exchange = await self._http_exchange("POST", path, {"json": json, **kwargs})
                async with aclosing(exchange.events(on_response)) as events:
                    async for event in events:
                        started = True
                        yield event
                return
            except (httpx.HTTPStatusError, httpx.TransportError) as error:
                delay = None if started else self._http_retry_delay(error, attempt)
                if delay is None:
                    raise
            await self._sleep(delay)

    async def _request_with_retry(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Sends a request until it succeeds or no retry is left; returns a 2xx response, read to its end."""
        for attempt in itertools.count():
            try:
                exchange = await self._http_exchange(method, path, dict(kwargs))
                return await exchange.whole()
            except (httpx.HTTPStatusError, httpx.TransportError) as error:
                delay = self._http_retry_delay(error, attempt)
                if delay is None:
                    raise
            await self._sleep(delay)
        raise AssertionError("unreachable")

    def _http_retry_delay(self, error: httpx.HTTPError, attempt: int) -> float | None:
        """Returns the seconds until the next try, or None where there is none."""
        if attempt >= self._http_max_retries or isinstance(error, _OWN_FAULTS):
            return None
        draw = self._random.random if isinstance(self._random, random.Random) else self._random
        backoff = backoff_s(attempt, _BACKOFF_S, jitter_s=_JITTER_S, rng=draw)
        if not isinstance(error, httpx.HTTPStatusError):
            return backoff
        if error.response.status_code not in self.RETRYABLE_STATUS_CODES:
            return None
        asked = parse_retry_after(error.response.headers, time.time()) or 0.0
        return max(backoff, asked) if asked <= _RETRY_AFTER_MAX_S else None

    async def _http_exchange(self, method: str, path: str, kwargs: dict[str, Any]) -> Exchange:
        """Returns one attempt, with everything checked and nothing sent yet."""
        if self._http_client is None:
            raise RuntimeError("the HTTP client is not set up (or was closed): call _init_http_client(base_url) first")
        if kwargs.pop("follow_redirects", False):
            raise ValueError("redirects are not followed: the key must not travel to another host")
        url = parsed_url(join_url(self._http_base_url, path))
        headers = self._http_request_headers(kwargs.pop("headers", None))
        timeout = self._http_limits(kwargs.pop("timeout", self._http_timeout))
        options = {"auth": kwargs.pop("auth")} if "auth" in kwargs else {}
        self._http_client = client = await self._http_loops.here(self._http_client, self._http_make)
        request = client.build_request(method, url, headers=headers, timeout=timeout, **kwargs)
        return Exchange(client, request, limit_s=timeout.read, hide=self._http_hide, **options)

    def _http_make(self) -> httpx.AsyncClient:
        return self._make_http_client(**self._http_options)

    def _http_request_headers(self, own: Mapping[str, str] | None) -> httpx.Headers:
        headers = self._http_headers.copy()  # here as well: an overridden _make_http_client may not take them
        headers.setdefault("Accept-Encoding", ACCEPT_ENCODING)
        if self._http_auth_token:
            if not is_sendable(self._http_auth_token):
                raise ValueError("the key must be one line of ASCII text (was it read with its line break?)")
            headers["Authorization"] = f"Bearer {self._http_auth_token}"
        for name, value in checked_headers(own).items():
            headers[name] = value
        return headers

    def _http_limits(self, timeout: Any) -> httpx.Timeout:
        if isinstance(timeout, httpx.Timeout):
            return timeout
        connect = (self._timeout_connect or None) if isinstance(self, TimeoutMixin) else timeout
        return httpx.Timeout(timeout, connect=connect, pool=connect)  # aiohttp counts name lookups as "pool"

    def _http_hide(self, text: str) -> str:
        return Redactor([self._http_auth_token or "", *secrets_in(self._http_headers)]).redact(text)

    def _http_json(self, path: str, response: httpx.Response) -> Any:
        return parse_json(response, plain_url(join_url(self._http_base_url, path)), self._http_hide)


def _checked_base(base_url: str) -> str:
    """Returns the base URL without a trailing slash."""
    url = parsed_url(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must be an http or https URL with a host")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("base_url must be without user, query and fragment: pass headers, or params with a request")
    return base_url.rstrip("/")
