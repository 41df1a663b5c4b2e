"""Where workers wait for something to do: one of them with a timer, the others behind it without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Turnstile"]

T = TypeVar("T")


class Turnstile:
    """Lets one worker after the other take something, as soon as there is something to take."""

    def __init__(self) -> None:
        self._first = asyncio.Lock()
        self._moved = asyncio.Event()

    def moved(self) -> None:
        """Something changed, so that it is worth looking again."""
        self._moved.set()

    async def through(self, take: Callable[[], tuple[T | None, float | None]]) -> T | None:
        """Wait for something to take.

        Args:
            take: gives it; or None and the seconds after which to look again, if nothing moves before; or None twice:
                there will be nothing.

        Returns:
            What was taken; None: nothing more.
        """
        async with self._first:
            while True:
                self._moved.clear()
                taken, wait_s = take()
                if taken is not None or wait_s is None:
                    return taken
                try:
                    async with asyncio.timeout(wait_s):
                        await self._moved.wait()
                except TimeoutError:
                    pass
