"""User's functions in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from routerlab.session.loop import LoopThread

__all__ = ["in_thread", "result_of", "scorer_loop"]

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Await a function that runs in a thread of its own.

    The thread is a daemon: unlike one of an executor it holds up neither the end of the loop nor that of the process
    when the function never returns. Cancelling the wait leaves it behind.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001 - it is raised where the result is awaited
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="routerlab-scorer", daemon=True).start()
    return await future


def result_of(waiting: Awaitable[T]) -> T:
    """What a user's async function comes to; for threads that may block, such as those of `in_thread`.

    All of them share one event loop, apart from those of labs: so a client that a function keeps from one call to the
    next stays usable, and one that blocks holds up no call of a lab.
    """

    async def wait() -> T:
        return await waiting

    return scorer_loop().run(wait())


def scorer_loop() -> LoopThread:
    """The loop of user's async functions, made at first use; it belongs to the process, not to a lab."""
    with _lock:
        if not _loops:
            _loops.append(LoopThread("async-scorers"))
        return _loops[0]


_lock = threading.Lock()
_loops: list[LoopThread] = []
