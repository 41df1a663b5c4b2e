"""A streamed reply: pieces while it is written, the whole reply when it has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from types import TracebackType
from typing import Any, Self

from routerlab.core.errors import RouterLabError
from routerlab.session.pipe import Piece
from routerlab.session.results import CallResult
from routerlab.session.session import StreamCall
from routerlab.views.reply import Reply

__all__ = ["Stream"]


class Stream:
    """Iterate over it (``for`` or ``async for``): pieces are strings with ``.model`` and ``.restart``.

    A piece with ``restart`` set says: throw away what came before, another model has started over. Leaving the loop
    early, ``close()`` and ``with`` close the connection at once. (CPython ends a generator as soon as a ``break``
    drops it; where something else holds it, ``with`` is sure.)

    Args:
        call: the call on its way.

    Raises:
        RequestError: while iterating, where the request failed; ``partial_text`` holds what had arrived.
    """

    def __init__(self, call: StreamCall) -> None:
        self._call = call
        self._closed = False

    # -- in a thread -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Piece]:
        try:
            while (piece := self._call.pipe.get()) is not None:
                yield piece
            self._result()
        finally:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- in a loop -------------------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[Piece]:
        try:
            while (piece := await self._call.pipe.aget()) is not None:
                yield piece
            self._result()
        finally:
            self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __await__(self) -> Generator[Any, None, Self]:
        async def itself() -> Self:
            return self

        return itself().__await__()

    # -- both ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection at once, if it is still open; the call is then recorded as cancelled."""
        if not self._closed:
            self._closed = True
            if not self._call.job.done():
                self._call.cancel()

    @property
    def reply(self) -> Reply:
        """The whole reply.

        Raises:
            RouterLabError: the stream has not ended yet, or was closed before its end.
        """
        if not self._closed and not self._call.job.done():
            raise RouterLabError("the stream has not ended yet: iterate over it first")
        return Reply(self._result())

    def _result(self) -> CallResult:
        job = self._call.job
        if not job.done() or job.future.exception() is not None:
            raise RouterLabError("the stream was closed before its end")
        result = job.future.result()
        if result.error is not None:
            raise result.error
        return result

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        job = self._call.job
        state = "open" if not job.done() else "closed" if job.future.exception() else "ended"
        return f"<Stream {state}>"
