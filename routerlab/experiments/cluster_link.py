"""One worker's session as its client sees it: calls go out in slices, results come back as they end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pickle
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from routerlab.core.errors import ConfigurationError, RouterLabError
from routerlab.experiments import cluster_session
from routerlab.session.results import CallResult, CallSpec

__all__ = ["Ask", "Land", "Link", "WorkerLostError"]

Ask = Callable[..., Coroutine[Any, Any, Any]]
"""Awaits a function of `cluster_session` in one worker."""
Land = Callable[[CallSpec, CallResult | None, list[tuple[str, Any]]], None]
"""Takes what was asked, its result (none of a cancelled call) and the rows of both."""

_PATIENCE_S = 5.0


class WorkerLostError(RouterLabError):
    """The worker is gone, and with it every answer it had not handed over; what they cost nobody knows."""


class Link:
    """What goes to one worker and comes from it. Its methods belong into the loop in which it was opened.

    What is asked for while a message is on its way goes with the next one, so that a slice is as large as the pace
    makes it and nobody waits for one to fill.

    Args:
        address: of the worker.
        run: names the session there.
        ask: reaches the worker.
        land: takes each result, once: an answer that nobody waits for any more is left alone.
        lost: is told when the worker is gone.
    """

    def __init__(self, address: str, run: str, *, ask: Ask, land: Land, lost: Callable[[Link], None]) -> None:
        self.address = address
        self._run, self._ask, self._land, self._lost = run, ask, land, lost
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[CallSpec, asyncio.Future[CallResult]]] = {}
        self._calls: list[tuple[int, CallSpec]] = []
        self._cancelled: list[int] = []
        self._something, self._settled = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, packed: dict[str, Any]) -> None:
        """Make the session there.

        Raises:
            ConfigurationError: it cannot be made; `problems` says why.
        """
        try:
            problems = await self._ask(cluster_session.begin, self._run, packed)
        except (ImportError, AttributeError) as error:
            problems = [f"routerlab {packed['version']} is not installed there ({error})"]
        if problems:
            text = "\n- ".join([f"the worker {self.address} cannot take part:", *problems])
            raise ConfigurationError(text, problems)
        self._tasks = [asyncio.create_task(self._watched(work)) for work in (self._send, self._receive)]

    @property
    def in_flight(self) -> int:
        """Calls whose results are not here yet."""
        return len(self._waiting)

    async def call(self, spec: CallSpec) -> CallResult:
        """Send one call and wait for its result; cancelling it cancels it there.

        Raises:
            WorkerLostError: the worker is gone.
        """
        number = next(self._numbers)
        future: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()
        self._waiting[number] = spec, future
        self._calls.append((number, spec))
        self._something.set()
        try:
            return await future
        except asyncio.CancelledError:
            self._cancelled.append(number)
            self._something.set()
            raise

    async def close(self) -> None:
        """Wait a little for what was cancelled, then end the session there."""
        if self._waiting:
            self._settled.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), _PATIENCE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # a worker that is gone has no session any more
            await asyncio.wait_for(self._ask(cluster_session.end, self._run), _PATIENCE_S)

    def lose(self, why: BaseException | str) -> None:
        """The worker is gone: whoever waits for it is told."""
        for task in self._tasks:
            task.cancel()
        self._lost(self)
        waiting, self._waiting = self._waiting, {}
        self._settled.set()
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(WorkerLostError(f"the worker {self.address} was lost: {why}"))

    async def _watched(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - however Dask puts it: the worker does not answer
            self.lose(error)

    async def _send(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            calls, self._calls = self._calls, []
            cancelled, self._cancelled = self._cancelled, []
            if not await self._ask(cluster_session.exchange, self._run, calls, cancelled):
                raise ConnectionError("it has forgotten the run")

    async def _receive(self) -> None:
        while True:
            ended = await self._ask(cluster_session.take, self._run)
            if ended is None:
                raise ConnectionError("it has forgotten the run")
            for number, data in ended:
                self._take(number, data)

    def _take(self, number: int, data: bytes) -> None:
        if number not in self._waiting:
            return
        spec, future = self._waiting.pop(number)
        if not self._waiting:
            self._settled.set()
        result, cause, rows = pickle.loads(data)  # noqa: S301 - from our own worker, whose code we chose
        if result is not None and result.error is not None:
            result.error.__cause__ = cause
        self._land(spec, result, rows)
        if future.done():  # cancelled here
            return
        if result is None:
            future.set_exception(WorkerLostError(f"the worker {self.address} gave a call up"))
        else:
            future.set_result(result)
