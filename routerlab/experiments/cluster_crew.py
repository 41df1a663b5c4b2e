"""The workers of a run: who is there, who joins, who is lost. All of it in one loop, which Dask has for itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from routerlab.core.errors import ConfigurationError, RouterLabError
from routerlab.experiments.cluster_link import Land, Link
from routerlab.session.results import CallResult, CallSpec

__all__ = ["Crew"]

_LOOK_S = 1.0  # between two looks at who is there
_WORKERS_S = 60.0  # how long a run waits for a worker
_CLOSE_S = 10.0


class Crew:
    """Keeps one `Link` to every worker.

    Args:
        run: names the sessions at the workers.
        packed: from `portable.pack`.
        land: takes each result, with its rows.
        lost: is told the address of each worker that went away, and how many calls it took along.

    Attributes:
        refused: workers that joined later and cannot take part, each with the reason.
    """

    def __init__(self, run: str, packed: dict[str, Any], *, land: Land, lost: Callable[[str, int], None]) -> None:
        self.refused: dict[str, str] = {}
        self._run, self._packed, self._land, self._lost = run, packed, land, lost
        self._known: dict[str, Link] = {}  # those that are being opened, too
        self._links: dict[str, Link] = {}
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._change = asyncio.Event()  # somebody has joined, or the scheduler is gone
        self._broken: str | None = None
        self._client: Any = None
        self._looking: asyncio.Task[None] | None = None

    async def open(self, address: str, security: Any) -> None:
        """Reach the workers and make a session in each.

        Args:
            address: of their scheduler.
            security: of the connection, as Dask has it; None: Dask's default.

        Raises:
            ConfigurationError: one of them cannot take part.
            RouterLabError: there is no scheduler, or it has no workers.
        """
        try:
            await self._connect(address, security)
            joining = [self._join(address) for address in await self._there()]
            for error in await asyncio.gather(*joining, return_exceptions=True):
                if isinstance(error, ConfigurationError):
                    raise error
            if not self._links:
                raise RouterLabError("every Dask worker went away while the run began")
        except BaseException:
            await self.close()
            raise
        self._looking = asyncio.create_task(self._look())

    async def _connect(self, address: str, security: Any) -> None:
        from distributed import Client

        options = {} if security is None else {"security": security}
        try:
            self._client = Client(address, asynchronous=True, set_as_default=False, **options)
            await self._client  # `close` ends it, if we do not get further than this
            await self._client.wait_for_workers(1, timeout=_WORKERS_S)
        except (OSError, TimeoutError) as error:
            raise RouterLabError(f"no Dask worker can be reached at {address}: {error}") from None

    async def call(self, spec: CallSpec) -> CallResult:
        """Have one call made by the worker that has least to do.

        Raises:
            WorkerLostError: that worker is gone.
            RouterLabError: there is no worker any more.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._somebody(), _WORKERS_S)
        if not self._links:
            raise RouterLabError(self._broken or f"no Dask worker has been there for {_WORKERS_S:g} s")
        return await min(self._links.values(), key=lambda link: link.in_flight).call(spec)

    async def _somebody(self) -> None:
        while not (self._links or self._broken):
            self._change.clear()
            await self._change.wait()

    async def close(self) -> None:
        """End the sessions, let go of the connection."""
        tasks = [*self._joining.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(link.close() for link in self._known.values()), return_exceptions=True)
        self._links.clear()
        self._known.clear()
        if self._client is not None:
            with contextlib.suppress(Exception):  # what does not close in time ends with the loop
                await asyncio.wait_for(self._client.close(), _CLOSE_S)

    async def _there(self) -> list[str]:
        return list(await self._client.nthreads())

    async def _join(self, address: str) -> None:
        async def ask(function: Any, *args: Any) -> Any:
            return (await self._client.run(function, *args, workers=[address]))[address]

        link = self._known[address] = Link(address, self._run, ask=ask, land=self._land, lost=self._lose)
        await link.open(self._packed)
        self._links[address] = link
        self._change.set()

    def _lose(self, link: Link) -> None:
        self._known.pop(link.address, None)
        if self._links.pop(link.address, None) is not None:
            self._lost(link.address, link.in_flight)

    async def _look(self) -> None:
        """Again and again: workers leave, and new ones come in their place."""
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                there = await self._there()
                for address in [address for address in self._links if address not in there]:
                    self._links[address].lose("it left the cluster")
                for address in there:
                    if address not in {*self._links, *self._joining, *self.refused}:
                        self._joining[address] = asyncio.create_task(self._join_late(address))
        except Exception as error:  # noqa: BLE001 - however Dask puts it
            self._broken = f"the Dask scheduler cannot be reached any more: {error}"
            self._change.set()
            for link in list(self._links.values()):
                link.lose(self._broken)

    async def _join_late(self, address: str) -> None:
        with contextlib.suppress(Exception):  # it left again; the next look will tell
            try:
                await self._join(address)
            except ConfigurationError as error:
                self.refused[address] = str(error)
        del self._joining[address]
