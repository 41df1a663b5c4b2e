"""Plays a script to a client: waits, sends, breaks off."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from routerlab.core.script import Ending, Script
from routerlab.simulation.connection import Connection
from routerlab.simulation.dialects.base import Writer
from routerlab.simulation.dialects.parts import encode

__all__ = ["Playback"]

_BLOCK = 64 * 1024


class Playback(Response):
    """The answer of a simulated model.

    Args:
        script: what happens.
        writer: of the answer, in the format of the request.
        headers: that go with every answer.
    """

    def __init__(self, script: Script, writer: Writer, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__()
        self._script = script
        self._writer = writer
        self._with_headers = [*writer.headers(), *headers, *script.headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer by the connection of the request."""
        connection, script = Connection.of(scope), self._script
        if not script.headed:
            await connection.pause(script.delay_s)
            await self._end(connection)
        elif script.stream and script.body is None:
            await self._stream(connection, send)
        else:
            await self._whole(connection, send)

    async def _stream(self, connection: Connection, send: Send) -> None:
        if not await connection.pause(self._script.delay_s):
            return
        await self._start(send, self._writer.content_type())
        unsent = b""
        for delay_s, data in self._writer.events(self._script):
            if delay_s > 0:
                await self._write(connection, send, unsent)
                unsent = b""
                if not await connection.pause(delay_s):
                    return
            unsent += data
        await self._write(connection, send, unsent)
        await self._finish(connection, send)

    async def _whole(self, connection: Connection, send: Send) -> None:
        script = self._script
        if not await connection.pause(script.delay_s + sum(step.delay_s for step in script.steps)):
            return
        kind, data = encode(self._writer.whole(script) if script.body is None else script.body)
        if script.padding:
            await self._start(send, kind, None, gzip=script.gzip)
            for block in _padded(data, script.padding, gzip=script.gzip):
                await self._write(connection, send, block)
        else:
            broken = script.ending is not Ending.COMPLETE
            # without a length the body goes out in chunks, so that a bad one can follow
            await self._start(send, kind, None if script.ending is Ending.BAD_CHUNK else len(data))
            await self._write(connection, send, data[: len(data) // 2] if broken else data)
        await self._finish(connection, send)

    async def _start(self, send: Send, kind: str, length: int | None = None, *, gzip: bool = False) -> None:
        headers = [("content-type", kind), *self._with_headers]
        if length is not None:
            headers.append(("content-length", str(length)))
        if gzip:
            headers.append(("content-encoding", "gzip"))
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
        await send({"type": "http.response.start", "status": self._script.status, "headers": raw})

    async def _write(self, connection: Connection, send: Send, data: bytes) -> None:
        byte_delay_s = self._script.byte_delay_s
        for piece in [data[i : i + 1] for i in range(len(data))] if byte_delay_s else [data]:
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if byte_delay_s and not await connection.pause(byte_delay_s):
                return

    async def _finish(self, connection: Connection, send: Send) -> None:
        if self._script.ending is Ending.COMPLETE:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if self._script.ending in (Ending.RESET, Ending.BAD_CHUNK):
            await connection.taken()
        await self._end(connection)

    async def _end(self, connection: Connection) -> None:
        match self._script.ending:
            case Ending.STALL:
                await connection.pause(None)
            case Ending.RESET:
                await connection.reset()
            case Ending.BAD_CHUNK:
                connection.write(b"zz\r\nthis is no chunk\r\n")
                await connection.leave()
            case _:
                await connection.leave()


def _padded(data: bytes, padding: int, *, gzip: bool) -> Iterator[bytes]:
    blocks = (b" " * min(_BLOCK, padding - start) for start in range(0, padding, _BLOCK))
    if not gzip:
        yield from blocks
        yield data
        return
    packer = zlib.compressobj(wbits=31)  # 31: with gzip's header
    for block in blocks:
        yield packer.compress(block)
    yield packer.compress(data) + packer.flush()
