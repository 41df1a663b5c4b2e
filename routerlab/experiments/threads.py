"""User's functions in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from routerlab.session.loop import LoopThread

__all__ = ["in_thread", "result_of", "scorer_loop"]

T = TypeVar("T")

_Job = Callable[[], Callable[[], None]]  # does the work, and returns what tells of it
_IDLE_S = 0.1
_DEADLY = (SystemExit, KeyboardInterrupt, asyncio.CancelledError)  # to the loop or the task that carries them

_idle: list[SimpleQueue[_Job]] = []  # of threads that are free
_loops: list[LoopThread] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # there they have no threads
    os.register_at_fork(after_in_child=_loops.clear)


async def in_thread(work: Callable[[], T]) -> T:
    """Await a function that runs in a thread that does nothing else meanwhile.

    The thread is a daemon: unlike one of an executor it holds up neither the end of the loop nor that of the process
    when the function never returns. Cancelling the wait leaves it behind. One that is done waits a little for more.

    Raises:
        RuntimeError: the function raised what ends a thread or a loop (`SystemExit`, say), not who waits for it.
    """
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()  # what the function sets there is gone with it, as the thread is not
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)  # type: ignore[arg-type]

    def run() -> Callable[[], None]:
        result, error = None, None
        try:
            result = context.run(work)
        except BaseException as caught:  # noqa: BLE001 - it is raised where the result is awaited
            error = _harmless(caught)
        return lambda: _told(loop, settle, result, error)

    _some_thread().put(run)
    return await future


def _harmless(error: BaseException) -> Exception:
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _told(loop: asyncio.AbstractEventLoop, settle: Callable[..., None], *outcome: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle, *outcome)


def _some_thread() -> SimpleQueue[_Job]:
    """The queue of a thread that is free."""
    with contextlib.suppress(IndexError):
        return _idle.pop()
    jobs: SimpleQueue[_Job] = SimpleQueue()
    threading.Thread(target=_serve, args=(jobs,), name="routerlab-scorer", daemon=True).start()
    return jobs


def _serve(jobs: SimpleQueue[_Job]) -> None:
    while True:
        try:
            tell = jobs.get(timeout=_IDLE_S)()
        except Empty:
            with contextlib.suppress(ValueError):  # somebody has just taken it: there is a job coming
                _idle.remove(jobs)
                return
            continue
        _idle.append(jobs)  # before the one that waits goes on, who may bring the next
        tell()
        del tell


def result_of(waiting: Awaitable[T]) -> T:
    """What a user's async function comes to; for threads that may block, such as those of `in_thread`.

    All of them share one event loop, apart from those of labs: so a client that a function keeps from one call to the
    next stays usable, and one that blocks holds up no call of a lab.
    """

    async def wait() -> T:
        try:
            return await waiting
        except _DEADLY as error:
            raise _harmless(error) from None

    return scorer_loop().run(wait())


def scorer_loop() -> LoopThread:
    """The loop of user's async functions, made at first use; it belongs to the process, not to a lab."""
    with _lock:
        if not _loops:
            _loops.append(LoopThread("async-scorers"))
        return _loops[0]


_lock = threading.Lock()
