"""What runs in a Dask worker: a whole session for one run, with keys of the worker's own environment and no store.

The functions here are what a client asks a worker to do, out of band of Dask's tasks. They say what went wrong instead
of raising, because Dask would log the arguments: prompts.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.core.redact import Redactor
from routerlab.core.version import VERSION
from routerlab.experiments.portable import unpack
from routerlab.session.closing import close_with
from routerlab.session.loop import Job
from routerlab.session.recorder import Recorder
from routerlab.session.results import CallResult, CallSpec
from routerlab.session.session import Session

__all__ = ["begin", "end", "exchange", "take"]

_POLL_S = 5.0  # how long `take` waits for news
_FORGOTTEN_S = 60.0  # without a client that asks for news, a session ends: nobody would get its answers

_rows: ContextVar[list[tuple[str, Any]]] = ContextVar("rows of this call")
_benches: dict[tuple[str, str], _Bench | None] = {}  # by run and worker: a process may hold several; None: not yet


async def begin(run: str, packed: dict[str, Any], *, dask_worker: Any = None) -> list[str]:
    """Make the session of a run.

    Args:
        run: names it from now on.
        packed: from `portable.pack`.
        dask_worker: put in by Dask.

    Returns:
        What is wrong; nothing: it is there.
    """
    if packed["version"] != VERSION:
        return [f"routerlab {VERSION} is installed there and {packed['version']} here: install the same one"]
    name = run, dask_worker.address
    _benches[name] = None
    made = await asyncio.to_thread(_made, packed)
    if isinstance(made, Session) and name in _benches:
        _benches[name] = _Bench(made)
        return []
    _benches.pop(name, None)
    if not isinstance(made, Session):
        return made
    await asyncio.to_thread(made.close)
    return ["the run has ended meanwhile"]


async def exchange(
    run: str, calls: list[tuple[int, CallSpec]], cancelled: list[int], *, dask_worker: Any = None
) -> bool:
    """Start calls, each with a number of its own, and cancel others; False: there is no such session (any more)."""
    bench = _benches.get((run, dask_worker.address))
    if bench is not None:
        bench.start(calls)
        bench.cancel(cancelled)
    return bench is not None


async def take(run: str, *, dask_worker: Any = None) -> list[tuple[int, bytes]] | None:
    """What has ended since the last time, each for `pickle` to read: ``(result, its error's cause, rows)``.

    A cancelled call has no result, only rows. Waits a while where there is nothing. None: there is no such session.
    """
    bench = _benches.get((run, dask_worker.address))
    return None if bench is None else await bench.news()


async def end(run: str, *, dask_worker: Any = None) -> None:
    """Cancel what is under way and close the session."""
    bench = _benches.pop((run, dask_worker.address), None)
    if bench is not None:
        await asyncio.to_thread(bench.close)


def _made(packed: Mapping[str, Any]) -> Session | list[str]:
    redactor = Redactor()
    try:
        config = unpack(packed)
        redactor = Redactor(config.secrets)
        return Session(config, _Ledger())
    except ConfigurationError as error:
        return error.problems or [str(error)]
    except Exception as error:  # noqa: BLE001 - a connector of one's own: its author is told at the other end
        return [redactor.redact(f"{type(error).__name__}: {error}")]


class _Ledger(Recorder):
    """Keeps nothing: a call's rows go back with its result, to the one who writes."""

    def add(self, table: str, row: Mapping[str, Any] | object, *, run_id: str | None = None) -> None:
        if (rows := _rows.get(None)) is not None:
            rows.append((table, row))


class _Bench:
    """A session at work for a run; its methods belong into the worker's loop."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._jobs: dict[int, Job[None]] = {}
        self._ended: list[tuple[int, bytes]] = []
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._watch = self._loop.call_later(_FORGOTTEN_S, self._look)
        close_with(self, session)

    def start(self, calls: list[tuple[int, CallSpec]]) -> None:
        """Begin calls, each under its number."""
        for number, spec in calls:
            self._jobs[number] = self._session.submit(self._call(number, spec))

    def cancel(self, numbers: list[int]) -> None:
        """Cancel calls; those that have ended already have ended."""
        for number in numbers:
            if number in self._jobs:
                self._jobs[number].cancel()

    async def news(self) -> list[tuple[int, bytes]]:
        """What has ended since the last time."""
        self._heard = self._loop.time()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), _POLL_S)
        self._news.clear()
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Cancel what is under way; from any other thread."""
        with contextlib.suppress(RuntimeError):  # the worker's loop is closed
            self._loop.call_soon_threadsafe(self._watch.cancel)
            self._loop.call_soon_threadsafe(self._news.set)  # nobody is kept waiting
        self._session.close()

    async def _call(self, number: int, spec: CallSpec) -> None:
        """One call, in the session's loop; its rows come from there too."""
        rows: list[tuple[str, Any]] = []
        _rows.set(rows)
        result: CallResult | None = None
        try:
            result = await self._session.call(spec)
        finally:
            with contextlib.suppress(RuntimeError):  # the worker's loop is closed
                self._loop.call_soon_threadsafe(self._land, number, _pickled(result, rows))

    def _land(self, number: int, data: bytes) -> None:
        self._jobs.pop(number, None)
        self._ended.append((number, data))
        self._news.set()

    def _look(self) -> None:
        silent = self._loop.time() - self._heard
        if silent < _FORGOTTEN_S:
            self._watch = self._loop.call_later(_FORGOTTEN_S - silent, self._look)
            return
        for name in [name for name, bench in _benches.items() if bench is self]:
            del _benches[name]
        self._loop.run_in_executor(None, self.close)


def _pickled(result: CallResult | None, rows: list[tuple[str, Any]]) -> bytes:
    """What goes back; of an error that only the worker may know, and of a body that cannot travel, the words."""
    error = None if result is None else result.error
    cause = None if error is None else _known(error.__cause__)
    if result is not None:
        result.error = _known(error)
    try:
        return pickle.dumps((result, cause, rows))
    except Exception:  # noqa: BLE001 - whatever a connector of one's own put into `raw`
        assert result is not None  # noqa: S101 - rows are plain
        if result.response is not None:
            result.response = replace(result.response, raw=None)
        return pickle.dumps((result, cause, rows))


def _known(error: BaseException | None) -> BaseException | None:
    if error is None or type(error).__module__.partition(".")[0] == __name__.partition(".")[0]:
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
