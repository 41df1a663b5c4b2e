"""Calls that Dask's workers make: each worker holds a whole session, this process alone writes what comes of them.

Dask gives the workers, tells who is there and carries the messages; its tasks are not used. It would begin a lost task
again without a word, and a run with a budget must know: what a lost worker had in flight may have cost something.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.cluster_crew import Crew
from routerlab.experiments.cluster_link import WorkerLostError
from routerlab.experiments.cluster_own import INSTALL, OwnCluster
from routerlab.experiments.judging import PURPOSE as JUDGE
from routerlab.experiments.portable import pack
from routerlab.experiments.preflight import PURPOSE as PREFLIGHT
from routerlab.experiments.threads import in_thread
from routerlab.session.loop import LoopThread
from routerlab.session.privacy import conceal, masked
from routerlab.session.results import CallResult, CallSpec
from routerlab.session.session import Session

__all__ = ["TRIES", "ClusterCalls", "cluster_calls"]

TRIES = 3  # workers that one call may lose: it may be what kills them


def cluster_calls(engine: Any, session: Session, concurrency: int) -> ClusterCalls:
    """Who makes the calls of a run.

    Args:
        engine: ``"dask"``: processes on this machine, as many as it has cores; a `distributed.Client`: its workers.
        session: that the workers get a copy of.
        concurrency: calls in flight.

    Raises:
        ConfigurationError: it is something else, the package is missing, or the session cannot travel.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigurationError(f"engine={engine!r} needs the package distributed: {INSTALL}") from error
    place: OwnCluster | tuple[str, Any]
    if engine == "dask":
        place = OwnCluster(max(1, min(os.cpu_count() or 1, concurrency)))
    elif isinstance(engine, Client) and engine.status == "running":
        place = engine.scheduler.address, engine.security
    else:
        raise ConfigurationError(f'engine={engine!r}: expected "dask" or a running dask.distributed.Client')
    return ClusterCalls(place, session, pack(session))


class ClusterCalls:
    """Makes calls in workers; opened by the first one, and again after `close`. It belongs into the lab's loop.

    Args:
        place: where the workers are: a cluster to start, or the address and security of a scheduler.
        session: whose recorder gets all rows.
        packed: the same session, as workers get it.
    """

    def __init__(self, place: OwnCluster | tuple[str, Any], session: Session, packed: dict[str, Any]) -> None:
        self._place, self._session, self._packed = place, session, packed
        self._opening: asyncio.Task[tuple[LoopThread, Crew]] | None = None
        self._losses: list[tuple[str, int]] = []  # workers, each with the calls that it took along

    async def __call__(self, spec: CallSpec) -> CallResult:
        """Make one call; a failed one is ``result.error``.

        Raises:
            WorkerLostError: its worker is gone. The small calls beside the items are made anew a few times.
            ConfigurationError: a worker cannot take part.
            RouterLabError: there are no workers.
        """
        tries = TRIES if spec.purpose in (PREFLIGHT, JUDGE) else 1
        for left in reversed(range(tries)):
            try:
                thread, crew = await self._opened()
                return await thread.bridge(crew.call(spec))
            except WorkerLostError:
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def _opened(self) -> tuple[LoopThread, Crew]:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> tuple[LoopThread, Crew]:
        crew = Crew(uuid.uuid4().hex, self._packed, land=self._land, lost=self._lose)
        thread = LoopThread("routerlab-dask")
        try:
            place = await in_thread(self._place.start) if isinstance(self._place, OwnCluster) else self._place
            await thread.bridge(crew.open(*place))
        except BaseException:
            await self._let_go(thread)
            raise
        return thread, crew

    async def _let_go(self, thread: LoopThread) -> None:
        await in_thread(thread.stop)
        if isinstance(self._place, OwnCluster):
            await in_thread(self._place.close)

    async def close(self) -> list[str]:
        """End the sessions in the workers; returns what one should know of them."""
        opening, self._opening = self._opening, None
        if opening is None:
            return []
        if not opening.done():
            opening.cancel()
        await asyncio.wait([opening])
        if opening.cancelled() or opening.exception() is not None:
            return []
        thread, crew = opening.result()
        with contextlib.suppress(Exception):  # a cluster that is gone is closed
            await thread.bridge(crew.close())
        await self._let_go(thread)
        return self._notes(crew)

    def _land(self, spec: CallSpec, result: CallResult | None, rows: list[tuple[str, Any]]) -> None:
        """Write down what a worker found out; in Dask's loop, each result once."""
        for table, row in rows:
            self._session.record(table, row, spec.run_id)
        if result is None:
            return
        redactor = self._session.desk.redactor  # keys of ours that the worker does not know
        result.spec = spec
        if result.response is not None:
            result.response = masked(result.response, redactor)
        if isinstance(result.error, Exception):
            conceal(result.error, redactor)

    def _lose(self, worker: str, calls: int) -> None:
        self._losses.append((worker, calls))
        row = {"at": time.time(), "kind": "worker_lost", "new": f"{calls} calls in flight", "cause": worker}
        self._session.record("events", row)

    def _notes(self, crew: Crew) -> list[str]:
        losses, self._losses = self._losses, []
        notes = list(crew.refused.values())
        if losses:
            calls, workers = sum(count for _, count in losses), ", ".join(worker for worker, _ in losses)
            notes.append(f"lost in mid-run: {workers}, with {calls} calls in flight")
        return notes
