"""Response bodies: decompressed in small pieces, capped, turned into JSON or into errors that say what was wrong."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx

from routerlab.core.errors import BadResponseError
from routerlab.mixins.http_privacy import bare_request, plain_url

__all__ = [
    "ACCEPT_ENCODING",
    "BadBodyError",
    "DecodedBody",
    "Hide",
    "OversizedBodyError",
    "UndecodableBodyError",
    "excerpt",
    "parse_json",
    "raise_for_status",
    "read_body",
    "whole",
]

Hide = Callable[[str], str]
"""Replaces secrets in a text. Passed on in their place, so that no frame of a traceback holds them."""

MAX_BODY_BYTES = 32 * 2**20
MAX_ERROR_BYTES = 2**20
ACCEPT_ENCODING = "gzip, deflate"
_PIECE_BYTES = 2**16
_PLAIN = ("identity", "")
_EXCERPT_CHARS = 200


class BadBodyError(BadResponseError):
    """A 2xx whose body is not what was asked for; `response` holds the body as far as it was read."""

    def __init__(self, message: str, *, response: httpx.Response, **details: Any) -> None:
        super().__init__(message, status=response.status_code, **details)
        self.response = response

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), str(self), self.response, self.__dict__)


class OversizedBodyError(BadBodyError):
    """A 2xx whose body, or one event of it, is larger than the cap."""


class UndecodableBodyError(BadBodyError):
    """A body that breaks off, or makes no sense, before it is decompressed."""


def _remade(kind: type[BadBodyError], message: str, response: httpx.Response, state: dict[str, Any]) -> BadBodyError:
    error = kind(message, response=response)
    error.__dict__.update(state)
    return error


async def read_body(response: httpx.Response) -> bytes:
    """Reads an open response to its end and returns its body, decoded.

    Of an error's body (status 300 and up) at most 1 MiB is kept, and no more than came before it broke off: the status
    has said what matters.

    Raises:
        OversizedBodyError: the decoded body is larger than 32 MiB.
        UndecodableBodyError: it cannot be decompressed.
    """
    body = bytearray()
    limit = MAX_BODY_BYTES if response.is_success else MAX_ERROR_BYTES
    try:
        async for piece in DecodedBody(response):
            body += piece
            if len(body) > limit:
                break
    except (httpx.TransportError, UndecodableBodyError):
        if response.is_success:
            raise
    if len(body) > limit and response.is_success:
        message = f"{plain_url(response.url)} answered with more than {limit // 2**20} MiB"
        raise OversizedBodyError(message, response=whole(response, bytes(body[:MAX_ERROR_BYTES])))
    del body[limit:]
    return bytes(body)


class DecodedBody(AsyncIterator[bytes]):
    """The body of an open response as it arrives, decompressed; no piece is larger than 64 KiB.

    httpx's own decoders unpack each chunk whole: sixteen kilobytes can be sixteen megabytes, or far more when packed
    twice. (And no generator: each costs a tenth of a whole call.)

    Args:
        response: whose body; closing it is the caller's.

    Raises:
        UndecodableBodyError: it cannot be decompressed.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._encoding = response.headers.get("content-encoding", "identity").strip().lower()
        self._pieces: Iterator[bytes] = iter(())
        self._unpacker: _Unpacker | None = None
        if response.is_stream_consumed:  # a response made from bytes has been read, and decoded, already
            self._encoding, self._chunks = "identity", aiter(httpx.ByteStream(response.content))
        else:
            assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
            self._chunks = aiter(response.stream)

    async def __anext__(self) -> bytes:
        if self._encoding in _PLAIN:
            while not (chunk := await anext(self._chunks)):
                pass
            return chunk
        try:
            return await self._unpacked()
        except (zlib.error, EOFError):
            problem = f"{plain_url(self._response.url)} sent a body that is no valid {self._encoding!r}"
        raise UndecodableBodyError(problem, response=whole(self._response, b""))

    async def _unpacked(self) -> bytes:
        if self._unpacker is None:
            self._unpacker = _Unpacker(self._encoding)
        while (piece := next(self._pieces, None)) is None:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self._unpacker.finish()
                raise StopAsyncIteration
            self._pieces = self._unpacker.feed(chunk)
        return piece


def parse_json(response: httpx.Response, url: str, hide: Hide) -> Any:
    """Returns what the JSON body says.

    Raises:
        BadBodyError: the body is no JSON, or nested too deeply.
    """
    try:
        return response.json()
    except (ValueError, RecursionError):
        pass  # raised below, where no exception that holds the whole body hangs on the new one
    kind = response.headers.get("content-type", "no content type")
    message = f"{url} answered {response.status_code} with a body that is no JSON ({kind}): "
    raise BadBodyError(hide(message) + excerpt(response, hide), response=response)


def raise_for_status(response: httpx.Response, hide: Hide) -> None:
    """Raises what an answer other than 2xx means; does nothing for 2xx.

    Raises:
        httpx.HTTPStatusError: with the whole response; for a redirect the message names the target's host.
    """
    if response.is_success:
        return
    request = response.request
    message = f"{request.method} {request.url} answered {response.status_code} "
    if response.has_redirect_location:
        message += f"and points to {_target(response)}: redirects are not followed, check the base URL"
    else:
        message += f"{httpx.codes.get_reason_phrase(response.status_code)}: {excerpt(response, hide)}"
    raise httpx.HTTPStatusError(hide(message), request=request, response=response)


def excerpt(response: httpx.Response, hide: Hide) -> str:
    """Returns the start of a body that has been read, on one line, without secrets."""
    text = hide(response.content[: 16 * _EXCERPT_CHARS].decode("utf-8", "replace"))
    words = " ".join(text.split())
    if not words:
        return "(empty)"
    return words if len(words) <= _EXCERPT_CHARS else words[:_EXCERPT_CHARS] + "…"


def whole(response: httpx.Response, body: bytes) -> httpx.Response:
    """Returns the response with this decoded body; its request shows the method and the plain URL only."""
    headers = httpx.Headers(
        [
            (name, value)
            for name, value in response.headers.raw
            if name.lower() not in (b"content-encoding", b"content-length", b"transfer-encoding")
        ]
    )
    request = bare_request(response.request)
    return httpx.Response(
        response.status_code, headers=headers, content=body, request=request, extensions=response.extensions
    )


def _target(response: httpx.Response) -> str:
    try:
        return response.request.url.join(response.headers["location"]).host or "nowhere"
    except httpx.InvalidURL:
        return "an address that cannot be read"


class _Unpacker:
    """Decompresses gzip and deflate with bounded output."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise zlib.error(f"unknown encoding {encoding!r}")
        self._gzip = encoding.endswith("gzip")
        self._member: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None:
                self._member = zlib.decompressobj(self._window_bits(data))
            piece = self._member.decompress(data, _PIECE_BYTES)
            data = self._member.unconsumed_tail
            if self._member.eof:  # gzip may have several members
                data = self._member.unused_data
                self._member = None
            if piece:
                yield piece

    def finish(self) -> None:
        if self._member is not None:
            raise EOFError("the compressed body is cut")

    def _window_bits(self, data: bytes) -> int:
        if self._gzip:
            return zlib.MAX_WBITS | 16
        # RFC 9110 means zlib by "deflate"; some servers send it raw. A zlib header names method 8 in its low nibble.
        return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS
