"""One daemon thread with one persistent event loop for each lab: all HTTP clients live there.

Sync verbs hand work over with `LoopThread.run`, async twins with `LoopThread.bridge`. Neither needs (or disturbs) a
loop of the caller's own, so that both work in a notebook, in a script and under any other framework.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from routerlab.core.errors import LabClosedError, RouterLabError

__all__ = ["Job", "LoopThread", "refuse_own_loop", "ticking"]

T = TypeVar("T")

_SLICE_S = 0.2  # how long a waiting thread or a foreign loop sleeps at most before it looks for an interrupt
_BEAT_S = 0.25  # how often the loop's lag is measured
_LAG_WEIGHT = 0.3
_PATIENCE_S = 5.0  # how long the cleanup of a cancelled coroutine may take
_CLOSED = "this lab is closed; make a new one with rl.Lab(...)"
_OWN_LOOP = "a sync verb cannot be used inside the lab's own loop: await its a… twin instead"


class Job(Generic[T]):
    """A coroutine that runs in a lab's loop.

    Its future is done only when the coroutine has really ended, its cleanup included: that is the difference from
    `asyncio.run_coroutine_threadsafe`, whose future is done as soon as somebody cancels it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.future.set_running_or_notify_cancel()
        self._loop, self._work = loop, work
        self._task: asyncio.Task[T] | None = None

    def start(self) -> None:
        """Hand the coroutine over to the loop."""
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._work)
        self._task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.set_exception(concurrent.futures.CancelledError())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())

    def cancel(self) -> None:
        """Ask the coroutine to end, from any thread; the future tells when it has."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs any more
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._loop.call_soon(self._task.cancel)  # after its first step: what never began cannot clean up
        elif not self.future.done():  # `_start` would have come before: an interrupt was faster than `start`
            self.drop()

    def drop(self) -> None:
        """End what was never handed over."""
        self._work.close()
        self.future.set_exception(concurrent.futures.CancelledError())

    def done(self) -> bool:
        return self.future.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended within so many seconds; waits in slices, so that an interrupt is seen everywhere.

        Raises:
            RouterLabError: it has not, and this is its own loop, which must not wait for itself.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.future.done():
            refuse_own_loop(self._loop)
            left = _SLICE_S if end is None else min(_SLICE_S, end - time.monotonic())
            if left <= 0:
                return False
            concurrent.futures.wait([self.future], timeout=left)
        return True


class LoopThread:
    """A daemon thread that runs an event loop until `stop`.

    Args:
        name: of the thread, as debuggers show it.
    """

    def __init__(self, name: str = "routerlab") -> None:
        self.loop = asyncio.new_event_loop()
        self.lag_s = 0.0  # how late the loop wakes up of late (moving average): what a busy cell costs every call
        self.closed = False
        self._last: Callable[[], Awaitable[None]] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine in the loop, from any thread.

        Raises:
            LabClosedError: the loop was stopped.
        """
        job = Job(self.loop, work)
        try:
            self._start(job)
        except KeyboardInterrupt:  # waking the loop is where one lands with ease, and nobody would hold this job
            job.cancel()
            raise
        return job

    def _start(self, job: Job[Any]) -> None:
        with self._lock:
            if not self.closed:
                return job.start()
        job.drop()
        raise LabClosedError(_CLOSED)

    def check_open(self) -> None:
        """Raise a `LabClosedError` where the loop was stopped."""
        if self.closed:
            raise LabClosedError(_CLOSED)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result. On an interrupt it is cancelled and cleaned up first.

        Raises:
            RouterLabError: called in the loop's own thread, where waiting would block what is waited for.
            LabClosedError: the loop was stopped, before or in the meantime.
        """
        if self.is_current():
            work.close()
            raise RouterLabError(_OWN_LOOP)
        job = Job(self.loop, work)
        try:
            self._start(job)
            job.wait()
        except KeyboardInterrupt:
            _cancel(job)
            raise
        try:
            return job.future.result()
        except concurrent.futures.CancelledError:
            raise LabClosedError(_CLOSED) from None  # nobody else cancels it

    async def bridge(self, work: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine that runs in the lab's loop from another loop; cancelling the one cancels the other.

        Raises:
            LabClosedError: the loop was stopped, before or in the meantime.
        """
        foreign = asyncio.get_running_loop()
        if foreign is self.loop:
            return await work
        job = self.submit(work)
        mirror = asyncio.wrap_future(job.future)
        with ticking(foreign):
            try:
                return await asyncio.shield(mirror)
            except asyncio.CancelledError:
                if job.done() and self.closed and not _is_cancelled():
                    raise LabClosedError(_CLOSED) from None
                job.cancel()
                mirror.add_done_callback(_seen)  # the cancellation is what the caller hears of
                await asyncio.wait([mirror], timeout=_PATIENCE_S)
                raise

    def is_current(self) -> bool:
        """Whether the caller is the loop's own thread."""
        return threading.get_ident() == self._thread.ident

    def stop(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Take nothing more, cancel what still runs, close the loop, end the thread. Calling it twice is fine.

        Args:
            last: done in the loop when everything else has ended.
        """
        with self._lock:
            if not self.closed:
                self.closed, self._last = True, last
                self.loop.call_soon_threadsafe(self.loop.stop)
        if not self.is_current():
            self._thread.join(timeout=3 * _PATIENCE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_later(_BEAT_S, self._beat, self.loop.time() + _BEAT_S)
        try:
            self.loop.run_forever()
        finally:
            self._clean_up()

    def _beat(self, due: float) -> None:
        late = max(0.0, self.loop.time() - due)
        self.lag_s += _LAG_WEIGHT * (late - self.lag_s)
        self.loop.call_later(_BEAT_S, self._beat, self.loop.time() + _BEAT_S)

    def _clean_up(self) -> None:
        try:
            self.loop.run_until_complete(self._end())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    async def _end(self) -> None:
        await asyncio.sleep(0)  # what was submitted last takes its first step: else it could not clean up
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            ended, _ = await asyncio.wait(tasks, timeout=_PATIENCE_S)
            for task in ended:
                if not task.cancelled():
                    task.exception()  # seen
        if self._last is not None:
            await self._last()


def refuse_own_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Raise a `RouterLabError` where this thread runs `loop`: waiting would block what is waited for."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return
    if running is loop:
        raise RouterLabError(_OWN_LOOP)


def _seen(ended: asyncio.Future[Any]) -> None:
    if not ended.cancelled():
        ended.exception()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _cancel(job: Job[Any]) -> None:
    """Cancel and wait for the cleanup; further interrupts shorten the wait and do nothing else."""
    job.cancel()
    end = time.monotonic() + _PATIENCE_S
    while not job.done() and time.monotonic() < end:
        try:
            job.wait(end - time.monotonic())
        except KeyboardInterrupt:
            end = min(end, time.monotonic() + 1.0)


_waits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[int]] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def ticking(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Wake a foreign loop five times a second while it waits for ours: only an awake loop sees an interrupt.

    One ticker serves all waits of a loop.
    """
    count = _waits.setdefault(loop, [0, 0])
    count[0] += 1
    if not count[1]:
        count[1] = 1
        loop.call_later(_SLICE_S, _tick, loop, count)
    try:
        yield
    finally:
        count[0] -= 1


def _tick(loop: asyncio.AbstractEventLoop, count: list[int]) -> None:
    if count[0]:
        loop.call_later(_SLICE_S, _tick, loop, count)
    else:
        count[1] = 0
