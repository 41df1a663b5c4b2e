"""One attempt: a request and its answer, under a time limit. No retries here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn, TypeVar

import httpx

from routerlab.core.ndjson import LineDecoder
from routerlab.core.record import record
from routerlab.core.sse import ServerSentEvent, SSEDecoder
from routerlab.mixins.http_body import (
    BadBodyError,
    DecodedBody,
    Hide,
    OversizedBodyError,
    excerpt,
    raise_for_status,
    read_body,
    whole,
)
from routerlab.mixins.http_privacy import bare_request

__all__ = ["EVENT_STREAM", "JSON_LINES", "Exchange", "Framing", "OnResponse"]

T = TypeVar("T")
OnResponse = Callable[[httpx.Response], None]

_HEAD_BYTES = 4096
_UNSURE = ("text/plain", "")  # the first event shows what they are
_NO_EVENTS = (b"{", b"[", b"<")  # how JSON and HTML begin, and no line of an event stream that says anything


@record
class Framing:
    """How a stream is cut into events.

    Attributes:
        kinds: its content types.
        decoder: made anew for each stream.
    """

    kinds: tuple[str, ...]
    decoder: type[SSEDecoder | LineDecoder]


EVENT_STREAM = Framing(("text/event-stream",), SSEDecoder)
JSON_LINES = Framing(("application/x-ndjson", "application/ndjson", "application/jsonl"), LineDecoder)


class Exchange:
    """A request that is ready to be sent, once.

    Args:
        client: of the running loop.
        request: to send.
        limit_s: seconds for a whole answer; of a stream, for its headers and for each wait for data. None: no limit.
        hide: replaces secrets in messages.
        options: of `httpx.AsyncClient.send`.
    """

    def __init__(
        self, client: httpx.AsyncClient, request: httpx.Request, *, limit_s: float | None, hide: Hide, **options: Any
    ) -> None:
        self._client = client
        self._request = request
        self._limit_s = limit_s
        self._hide = hide
        self._options = options

    async def whole(self, on_response: OnResponse | None = None) -> httpx.Response:
        """Returns a 2xx response, read to its end; raises as `HttpClientMixin._http_get` says."""
        response = whole(*await self.read(on_response))
        raise_for_status(response, self._hide)
        return response

    async def read(self, on_response: OnResponse | None = None) -> tuple[httpx.Response, bytes]:
        """Returns the head of the answer, whatever its status, and its decoded body."""
        return await self._within_limit(self._send_and_read(on_response))

    async def events(self, on_response: OnResponse | None = None) -> AsyncGenerator[ServerSentEvent, None]:
        """Yields the events of the answer as they arrive; raises as `HttpClientMixin._http_stream` says."""
        async with aclosing(self.batches(on_response)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def batches(
        self, on_response: OnResponse | None = None, framing: Framing = EVENT_STREAM
    ) -> AsyncGenerator[list[ServerSentEvent], None]:
        """Yields what `events` does, those together that arrive together."""
        response = await self._within_limit(self._send())
        try:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if not response.is_success or kind not in (*framing.kinds, *_UNSURE):
                self._refuse(whole(response, await self._within_limit(read_body(response))))
            if on_response is not None:
                on_response(response)
            decoder, pieces = framing.decoder(), DecodedBody(response)
            head, any_event = b"", False
            while piece := await self._within_limit(anext(pieces, b"")):
                if events := self._feed(decoder, piece, response):
                    any_event = True
                    yield events
                if not any_event:
                    head += piece[: _HEAD_BYTES - len(head)]
            if events := decoder.end():
                any_event = True
                yield events
            if not any_event and (kind in _UNSURE or head.lstrip().startswith(_NO_EVENTS)):
                self._refuse(whole(response, head))
        finally:
            await response.aclose()

    def _feed(self, decoder: SSEDecoder | LineDecoder, piece: bytes, response: httpx.Response) -> list[ServerSentEvent]:
        try:
            return decoder.feed(piece)
        except ValueError as error:
            message = f"{bare_request(self._request).url}: {error}"
            raise OversizedBodyError(message, response=whole(response, b"")) from None

    async def _send(self) -> httpx.Response:
        return await self._client.send(self._request, stream=True, follow_redirects=False, **self._options)

    async def _send_and_read(self, on_response: OnResponse | None) -> tuple[httpx.Response, bytes]:
        response = await self._send()
        try:
            if on_response is not None:
                on_response(response)
            return response, await read_body(response)
        finally:
            await response.aclose()

    async def _within_limit(self, awaitable: Awaitable[T]) -> T:
        try:
            if self._limit_s is None:
                return await awaitable
            async with asyncio.timeout(self._limit_s) as clock:
                return await awaitable
        except httpx.TransportError as error:
            error.request = bare_request(self._request)
            raise
        except TimeoutError:
            if self._limit_s is None or not clock.expired():
                raise
        # Out of the handler: the frames of what was cancelled hold the headers.
        request = bare_request(self._request)
        raise httpx.ReadTimeout(f"{request.url}: no data within {self._limit_s:g} s", request=request)

    def _refuse(self, response: httpx.Response) -> NoReturn:
        """Raises what an answer means that is no event stream."""
        raise_for_status(response, self._hide)
        kind = response.headers.get("content-type", "no content type")
        message = f"{response.request.url} answered {response.status_code} with no event stream ({kind}): "
        raise BadBodyError(self._hide(message) + excerpt(response, self._hide), response=response)
