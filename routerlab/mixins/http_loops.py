"""One HTTP client for each event loop: connections belong to the loop that opened them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

import httpx

__all__ = ["LoopClients"]

Guard = AsyncGenerator[None, None]


class LoopClients:
    """Hands out the client of the running loop, made on first use.

    A client is closed in its own loop: by `close`, when that loop ends (`asyncio.run` closes the asynchronous
    generators of its loop, and each client is held by one), or once this object is gone.
    """

    def __init__(self) -> None:
        self._bound: dict[asyncio.AbstractEventLoop, _Bound] = {}

    async def here(self, client: httpx.AsyncClient, make: Callable[[], httpx.AsyncClient]) -> httpx.AsyncClient:
        """Returns the client to use in this loop: `client`, or where another loop has that, one made by `make`."""
        loop = asyncio.get_running_loop()
        if self._is_bound(client):
            if loop in self._bound:
                return self._bound[loop].client
            client = make()
        guard = _guarded(client)
        await anext(guard)  # the first step makes the loop know it
        bound = _Bound(client, guard, weakref.finalize(self, _close_in, loop, guard))
        bound.finalizer.atexit = False
        self._bound = {known: other for known, other in self._bound.items() if not known.is_closed()}
        if loop in self._bound:
            self._bound[loop].finalizer()
        self._bound[loop] = bound
        return client

    async def close(self, client: httpx.AsyncClient) -> None:
        """Closes `client` if no loop has it, and this loop's; those of other loops are closed there, soon."""
        if not self._is_bound(client):
            await client.aclose()
        own = self._bound.pop(asyncio.get_running_loop(), None)
        if own is not None:
            own.finalizer.detach()
            await own.guard.aclose()
        while self._bound:
            self._bound.popitem()[1].finalizer()

    def _is_bound(self, client: httpx.AsyncClient) -> bool:
        return any(bound.client is client for bound in self._bound.values())


class _Bound(NamedTuple):
    client: httpx.AsyncClient
    guard: Guard
    finalizer: weakref.finalize[..., LoopClients]


async def _guarded(client: httpx.AsyncClient) -> Guard:
    try:
        yield
    finally:
        await client.aclose()


def _close_in(loop: asyncio.AbstractEventLoop, guard: Guard) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: loop.create_task(_end(guard)))


async def _end(guard: Guard) -> None:
    await guard.aclose()
