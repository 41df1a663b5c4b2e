"""For connectors of one's own on `HttpClientMixin`: whatever goes wrong leaves as one `ProviderError`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.redact import Redactor
from routerlab.mixins.http import HttpClientMixin
from routerlab.mixins.http_body import BadBodyError, OversizedBodyError, UndecodableBodyError
from routerlab.mixins.http_privacy import is_sendable, secrets_in
from routerlab.providers.answers import Answer, error_of, read_error
from routerlab.providers.presenting import MESSAGE_CHARS, redacted
from routerlab.providers.reading import parsed
from routerlab.providers.transport import transport_error

# ruff: noqa: SLF001 - the mixin's documented names carry a private underscore

__all__ = ["chunks", "no_error", "one_error"]

_DRAIN_S = 0.05  # for the end of the body after [DONE]: a connection read to its end is used again
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.LocalProtocolError,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class one_error:  # noqa: N801 - a context manager reads like a function
    """``with one_error(self):`` around the body of `complete` or `stream`.

    An error status, a lost connection, a body that is no JSON, an answer that lacks what was looked for in it
    (`KeyError`, `IndexError`, `TypeError`, …): each leaves as one `ProviderError` that the fault table knows, with the
    status, the code and the ``Retry-After`` of the provider. Its message is capped, without the key and the secrets
    of the headers, and no frame or context of the first error stays with it. Cancellation passes as it is.

    Args:
        connector: whose HTTP client is used in the block.

    Example:
        >>> class Mine(HttpClientMixin): ...
        >>> with one_error(Mine()):
        ...     {"choices": []}["choices"][0]
        Traceback (most recent call last):
        routerlab.core.failures.ProviderError: the answer is not what was expected: IndexError: list index out of range
    """

    def __init__(self, connector: HttpClientMixin) -> None:
        self._connector = connector

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not isinstance(error, Exception):  # a cancellation, the end of the generator
            return
        failure = self._presentable(error)
        del error, at  # the frames of the first error may hold keys
        try:
            raise failure
        finally:
            failure.__context__ = None

    def _presentable(self, error: Exception) -> ProviderError:
        connector, redactor = self._connector, self._redactor()
        host = urlsplit(connector._http_base_url).hostname or "the server"
        failure = _failure(error, host, sendable=is_sendable(connector._http_auth_token or "-"))
        message = redactor.excerpt(failure.message, MESSAGE_CHARS)
        return redacted(failure, redactor, cause=error, message=message, refreshable=failure.refreshable)

    def _redactor(self) -> Redactor:
        headers = getattr(self._connector, "_http_headers", httpx.Headers())
        return Redactor([self._connector._http_auth_token or "", *secrets_in(headers)])


def no_error(body: Any) -> Any:
    """The parsed body of a success, unless it is an error object; for use within `one_error`.

    Raises:
        ProviderError: the error that it is, by its own status and code.

    >>> no_error({"choices": []})
    {'choices': []}
    """
    error = read_error(body)
    if error is not None:
        raise error_of(error)
    return body


async def chunks(events: AsyncGenerator[str, None]) -> AsyncGenerator[Any, None]:
    """The JSON values of a stream of events; for use within `one_error` and `contextlib.aclosing`.

    Args:
        events: of `HttpClientMixin._http_stream`. Closed with this generator.

    Yields:
        One value for each event, up to ``[DONE]`` or the end; a malformed event is skipped.

    Raises:
        ProviderError: an event is an error object.
    """
    async with aclosing(events):
        async for data in events:
            if data == "[DONE]":
                break
            try:
                chunk = parsed(data.strip())
            except (ValueError, RecursionError):
                continue
            yield no_error(chunk)
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(_DRAIN_S):
                await anext(events, None)


def _failure(error: Exception, host: str, *, sendable: bool) -> ProviderError:
    """What went wrong, uncut and not redacted yet."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, OversizedBodyError | UndecodableBodyError):
        return transport_error(error, host, received=True)
    if isinstance(error, httpx.HTTPStatusError | BadBodyError):
        return _failure_of(error.response)
    if isinstance(error, httpx.TransportError) and not isinstance(error, _UNSENT):
        words = str(error) or type(error).__name__  # the headers may have come or not
        return ProviderError(f"{host} broke off before its answer was complete: {words}", fault=Fault.BROKEN)
    if isinstance(error, (*_UNSENT, RuntimeError)) or not sendable:  # a client that is closed, a key with a line break
        return transport_error(error, host, received=False)
    message = f"the answer is not what was expected: {type(error).__name__}: {error}"
    return ProviderError(message, fault=Fault.BAD_RESPONSE)


def _failure_of(response: httpx.Response) -> ProviderError:
    """What an error status means, or a success that is no answer."""
    text = response.content.decode("utf-8", "replace")
    answer = Answer(response.status_code, dict(response.headers.items()), text, time.time())
    try:
        answer.json()
    except ProviderError as failure:
        return failure
    return answer.senseless("is no event stream")
