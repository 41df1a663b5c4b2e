"""Time limits for coroutines and for streams."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any, TypeVar

from routerlab.core.errors import RequestTimeoutError

__all__ = ["RequestTimeoutError", "TimeoutMixin"]

T = TypeVar("T")


class TimeoutMixin:
    """Limits how long a request or a stream may take.

    Works without setup, with the defaults of `configure_timeout`. `HttpClientMixin` in the same class takes its limit
    for connecting from here.

    Attributes:
        _clock: monotonic seconds; replace it on an instance to steer the limit of a whole stream.
    """

    _clock: Callable[[], float] = time.monotonic
    _timeout_default: float | None = 30.0
    _timeout_streaming: float | None = 60.0
    _timeout_streaming_total: float | None = 300.0
    _timeout_connect: float | None = 10.0

    def configure_timeout(
        self,
        default: float | None = 30.0,
        streaming: float | None = 60.0,
        streaming_total: float | None = 300.0,
        connect: float | None = 10.0,
    ) -> None:
        """Sets the limits, in seconds; 0 or None switches one off.

        Args:
            default: of a request; half a minute is what most chat completions need.
            streaming: until the first chunk of a stream; queueing at a busy provider happens here.
            streaming_total: of a whole stream, the time that its reader takes included.
            connect: for opening a connection (used by `HttpClientMixin`).

        Raises:
            ValueError: a limit is negative or no finite number.
        """
        self._timeout_default = _checked("default", default)
        self._timeout_streaming = _checked("streaming", streaming)
        self._timeout_streaming_total = _checked("streaming_total", streaming_total)
        self._timeout_connect = _checked("connect", connect)

    async def with_timeout(self, coro: Awaitable[T], timeout: float | None = None, operation: str = "request") -> T:
        """Awaits `coro` and returns its result; at the limit it is cancelled.

        Args:
            coro: what to wait for.
            timeout: seconds; None: the configured default; 0: no limit.
            operation: named by the error.

        Raises:
            RequestTimeoutError: the limit ran out. A `TimeoutError` of `coro` itself passes as it is.
        """
        limit = self._timeout_default if timeout is None else timeout
        if not limit:
            return await coro
        return await _within(limit, coro, RequestTimeoutError(limit, operation))

    async def with_stream_timeout(
        self,
        aiter: AsyncIterable[T],  # noqa: A002 - the documented name
        first_chunk_timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> AsyncGenerator[T, None]:
        """Yields the items of `aiter`, which is closed in the end, also when the reader stops early.

        Args:
            aiter: the stream.
            first_chunk_timeout: seconds until its first item; None: as configured; 0: no limit.
            total_timeout: seconds until its end; None: as configured; 0: no limit.

        Raises:
            RequestTimeoutError: a limit ran out; its `operation` is ``"first chunk"`` or ``"stream total"``.
        """
        first = (self._timeout_streaming if first_chunk_timeout is None else first_chunk_timeout) or math.inf
        total = (self._timeout_streaming_total if total_timeout is None else total_timeout) or math.inf
        deadline = self._clock() + total
        iterator = aiter.__aiter__()
        waiting = True
        try:
            while True:
                left = deadline - self._clock()
                if waiting and first < left:
                    left, expired = first, RequestTimeoutError(first, "first chunk")
                else:
                    expired = RequestTimeoutError(total, "stream total")
                try:
                    item = await _within(left, iterator.__anext__(), expired)
                except StopAsyncIteration:
                    return
                waiting = False
                yield item
        finally:
            await _close(iterator)


async def _within(seconds: float, awaitable: Awaitable[T], expired: RequestTimeoutError) -> T:
    """Awaits for so long; then cancels it and raises `expired`. Errors of the awaitable pass as they are."""
    own: TimeoutError | None = None
    try:
        async with asyncio.timeout(seconds if math.isfinite(seconds) else None):
            try:
                return await awaitable
            except TimeoutError as error:
                own = error
                raise
    except TimeoutError as error:
        if error is own:
            raise
    raise expired


async def _close(iterator: Any) -> None:
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()


def _checked(name: str, seconds: float | None) -> float | None:
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name} must be a number of seconds, or 0 or None for no limit, not {seconds!r}")
    return seconds
