"""One HTTP client for each event loop: connections belong to the loop that opened them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import httpx

__all__ = ["LoopClients"]

_Bound = tuple[httpx.AsyncClient, AsyncGenerator[None, None]]


class LoopClients:
    """Hands out the client of the running loop, made on first use.

    A client is closed in its own loop: by `close`, when the loop ends (`asyncio.run` closes the asynchronous
    generators of its loop, and each client is held by one), or when nobody refers to it any longer.
    """

    def __init__(self) -> None:
        self._bound: dict[asyncio.AbstractEventLoop, _Bound] = {}

    async def here(self, client: httpx.AsyncClient, make: Callable[[], httpx.AsyncClient]) -> httpx.AsyncClient:
        """Returns the client to use in this loop: `client`, or where another loop has that, one made by `make`."""
        loop = asyncio.get_running_loop()
        if self._is_bound(client):
            if loop in self._bound:
                return self._bound[loop][0]
            client = make()
        guard = _held(client)
        await anext(guard)  # the first step makes the loop know it
        self._bound = {known: bound for known, bound in self._bound.items() if not known.is_closed()}
        self._bound[loop] = client, guard
        return client

    async def close(self, client: httpx.AsyncClient) -> None:
        """Closes `client` if no loop has it, and this loop's; those of other loops close there."""
        if not self._is_bound(client):
            await client.aclose()
        _, guard = self._bound.pop(asyncio.get_running_loop(), (None, None))
        self._bound.clear()
        if guard is not None:
            await guard.aclose()

    def _is_bound(self, client: httpx.AsyncClient) -> bool:
        return any(known is client for known, _ in self._bound.values())


async def _held(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.aclose()
