"""The server's side of one connection: uvicorn's protocol, with a way to break it.

ASGI knows no resets; a handler finds its connection in ``scope["extensions"]`` and breaks it there.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Connection", "lies_unread"]

_EXTENSION = "routerlab.connection"
_MOMENT_S = 0.01  # for what was sent to arrive, and to be read where the system does not tell whether it is
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Connection(H11Protocol):
    """One connection of a client."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.access_log = False
        self._handle: ASGIApp = self.app
        self.app = self._call
        self._lost: asyncio.Future[None] = self.loop.create_future()

    @staticmethod
    def of(scope: Scope) -> Connection:
        """The connection that a request came by."""
        connection: Connection = scope["extensions"][_EXTENSION]
        return connection

    async def pause(self, seconds: float | None) -> bool:
        """Wait; whether the client is still there afterwards.

        Args:
            seconds: None: until the client has gone.
        """
        if seconds is None or seconds > 0:
            await asyncio.wait((self._lost,), timeout=seconds)
        return not self._lost.done()

    async def taken(self) -> None:
        """Wait until the client has read what was sent: a reset takes back what it has not."""
        while await self.pause(_MOMENT_S) and (self.transport.get_write_buffer_size() or lies_unread(self.transport)):
            pass

    async def reset(self) -> None:
        """Break the connection: the client gets ECONNRESET."""
        # a close that lingers for 0 seconds sends RST in place of FIN: RFC 9293, section 3.10.4; socket(7)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        self.transport.abort()
        await self._lost

    async def leave(self) -> None:
        """Close the connection in good order, after what was written."""
        self.transport.close()
        await self._lost

    def write(self, data: bytes) -> None:
        """Write bytes past the framing of HTTP."""
        self.transport.write(data)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        # asyncio does this only for sockets that name their protocol; else each answer waits 40 ms for an ACK
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self._lost.done():
            self._lost.set_result(None)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[_EXTENSION] = self
        await self._handle(scope, receive, send)


def lies_unread(transport: asyncio.BaseTransport) -> bool:
    """Whether bytes that were sent to a client on this machine wait there to be read; False where nothing tells.

    Source: Documentation/networking/proc_net_tcp.rst of Linux.
    """
    ours, theirs = (f":{transport.get_extra_info(name)[1]:04X}" for name in ("sockname", "peername"))
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for row in table.read_text().splitlines()[1:] if table.exists() else ():
            _, local, remote, _, queues, *_ = row.split()
            if local.endswith(theirs) and remote.endswith(ours) and not queues.endswith(":00000000"):
                return True
    return False
