"""From the lab's loop to a reader in any thread or loop, piece by piece, bounded: a slow reader slows the socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from routerlab.session.loop import refuse_own_loop, ticking

__all__ = ["Piece", "Pipe"]

_ROOM = 256  # pieces that may wait for the reader
_SLICE_S = 0.2


class Piece(str):
    """A piece of streamed text.

    Attributes:
        model: ``provider/model`` that wrote it.
        restart: throw away what came before: another model has started over.
    """

    __slots__ = ("model", "restart")

    model: str
    restart: bool

    def __new__(cls, text: str, model: str = "", restart: bool = False) -> Self:
        piece = super().__new__(cls, text)
        piece.model, piece.restart = model, restart
        return piece

    def __reduce__(self) -> tuple[Any, ...]:
        return (Piece, (str(self), self.model, self.restart))


class Pipe:
    """A bounded queue with one writer in the lab's loop and one reader anywhere.

    Args:
        loop: the writer's loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._pieces: deque[Piece] = deque()
        self._ended = False
        self._wake: Callable[[], None] | None = None  # the reader waits
        self._drained: asyncio.Future[None] | None = None  # the writer waits

    # -- the writer, in the lab's loop -----------------------------------------------------------------------------

    def offer(self, piece: Piece) -> bool:
        """Add a piece; False: the pipe is full now, wait for `drained` before the next one."""
        with self._lock:
            self._pieces.append(piece)
            wake, self._wake = self._wake, None
            room = len(self._pieces) < _ROOM
        if wake:
            wake()
        return room

    async def drained(self) -> None:
        """Wait until the reader has taken half of what was waiting."""
        with self._lock:
            if len(self._pieces) <= _ROOM // 2:
                return
            self._drained = self._loop.create_future()
        await self._drained

    def end(self) -> None:
        """No further piece will come."""
        with self._lock:
            self._ended = True
            wake, self._wake = self._wake, None
        if wake:
            wake()

    # -- the reader, anywhere --------------------------------------------------------------------------------------

    def get(self) -> Piece | None:
        """The next piece, waited for; None: the stream has ended.

        Raises:
            RouterLabError: called in the writer's loop, which would wait for itself.
        """
        refuse_own_loop(self._loop)
        event = threading.Event()
        while True:
            piece, ended = self._take(event.set)
            if piece is not None or ended:
                return piece
            while not event.wait(_SLICE_S):  # in slices: on some systems an interrupt does not end a longer wait
                pass
            event.clear()

    async def aget(self) -> Piece | None:
        """The next piece, awaited in the reader's own loop; None: the stream has ended."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        while True:
            piece, ended = self._take(lambda: _call_in(loop, event.set))
            if piece is not None or ended:
                return piece
            with ticking(loop):
                await event.wait()
            event.clear()

    def _take(self, wake: Callable[[], object]) -> tuple[Piece | None, bool]:
        with self._lock:
            if self._pieces:
                piece = self._pieces.popleft()
                if self._drained is not None and len(self._pieces) <= _ROOM // 2:
                    drained, self._drained = self._drained, None
                    _call_in(self._loop, lambda: _resolve(drained))
                return piece, False
            if not self._ended:
                self._wake = wake  # type: ignore[assignment]  # what it returns is of no interest
            return None, self._ended


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
        loop.call_soon_threadsafe(callback)
