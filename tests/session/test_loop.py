"""The loop thread: work goes in from anywhere, cancellation cleans up, nothing is left."""

import asyncio
import concurrent.futures
import inspect
import signal
import threading
import time
import weakref

import pytest

from routerlab.core.errors import LabClosedError, RouterLabError
from routerlab.session.loop import LoopThread


@pytest.fixture
def thread():
    thread = LoopThread()
    yield thread
    thread.stop()


async def sleeper(log, begun=lambda: None):
    """Work that lasts until it is cancelled.

    Args:
        log: is told of the cleanup.
        begun: called once it is at work.
    """
    try:
        asyncio.get_running_loop().call_soon(begun)
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0.02)  # a cleanup that takes its time
        log.append("cleaned up")
        raise


def test_run_returns_the_result_and_raises_the_error(thread):
    async def fine():
        return threading.current_thread().name

    async def broken():
        raise KeyError("x")

    assert thread.run(fine()) == "routerlab"
    with pytest.raises(KeyError):
        thread.run(broken())


def test_run_from_the_loops_own_thread_is_a_clear_error(thread):
    async def inside():
        return thread.run(asyncio.sleep(0))

    with pytest.raises(RouterLabError, match="a… twin"):
        thread.run(inside())


def test_an_interrupt_cancels_and_waits_for_the_cleanup(thread):
    log = []
    with pytest.raises(KeyboardInterrupt):
        thread.run(sleeper(log, begun=lambda: signal.raise_signal(signal.SIGINT)))
    assert log == ["cleaned up"]


@pytest.mark.parametrize("verb", ["submit", "run"])
def test_an_interrupt_while_work_is_handed_over_cancels_it(thread, monkeypatch, verb):
    hand_over = thread.loop.call_soon_threadsafe

    def interrupted(callback, *arguments):
        hand_over(callback, *arguments)
        if callback.__name__ == "_start":
            raise KeyboardInterrupt

    monkeypatch.setattr(thread.loop, "call_soon_threadsafe", interrupted)
    log = []
    with pytest.raises(KeyboardInterrupt):
        getattr(thread, verb)(sleeper(log))
    end = time.monotonic() + (30 if verb == "submit" else 0)  # `run` waits for the cleanup
    while not log and time.monotonic() < end:
        time.sleep(0.01)
    assert log == ["cleaned up"]


def test_an_interrupt_before_work_is_handed_over_leaves_none(thread, monkeypatch):
    hand_over = thread.loop.call_soon_threadsafe

    def interrupted(callback, *arguments):
        if callback.__name__ == "_start":
            raise KeyboardInterrupt
        hand_over(callback, *arguments)

    monkeypatch.setattr(thread.loop, "call_soon_threadsafe", interrupted)
    log = []
    work = sleeper(log)
    with pytest.raises(KeyboardInterrupt):
        thread.run(work)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
    assert log == []


def test_a_job_is_done_only_after_its_cleanup(thread):
    log, begun = [], threading.Event()
    job = thread.submit(sleeper(log, begun.set))
    assert begun.wait(30)
    job.cancel()
    assert job.wait(30.0)
    assert log == ["cleaned up"]
    with pytest.raises(concurrent.futures.CancelledError):
        job.future.result()


def test_wait_tells_when_time_is_over(thread):
    job = thread.submit(asyncio.sleep(30))
    assert not job.wait(0.05)
    job.cancel()
    assert job.wait(30.0)


def test_bridge_works_from_a_foreign_loop_and_from_the_own_one(thread):
    async def where():
        return threading.current_thread().name

    async def both():
        return await thread.bridge(where())

    assert asyncio.run(both()) == "routerlab"
    assert thread.run(both()) == "routerlab"


def test_cancelling_one_side_of_a_bridge_cancels_the_other(thread):
    log, begun = [], threading.Event()

    async def foreign():
        task = asyncio.create_task(thread.bridge(sleeper(log, begun.set)))
        assert await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(foreign())
    assert log == ["cleaned up"]


def test_a_waiting_foreign_loop_wakes_five_times_a_second_with_one_ticker(thread):
    pauses = []

    def timers(loop):
        return [handle for handle in loop._scheduled if not handle.cancelled()]

    async def foreign():
        loop, enough = asyncio.get_running_loop(), asyncio.Event()
        select = loop._selector.select

        def noting(timeout=None):
            if timeout != 0:
                pauses.append(timeout)
            if len(pauses) == 5:
                loop.call_soon(enough.set)
            return select(timeout)

        loop._selector.select = noting
        waits = [asyncio.create_task(thread.bridge(asyncio.sleep(3600))) for _ in range(50)]
        await enough.wait()
        ticking = len(timers(loop))
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
        end = loop.time() + 30
        while timers(loop) and loop.time() < end:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        return ticking, len(timers(loop))

    assert asyncio.run(foreign()) == (1, 0)  # it stops when nobody waits any more
    assert max(pauses[:5]) <= 0.2


def test_stop_cancels_what_runs_and_ends_the_thread():
    log = []
    thread = LoopThread("routerlab-test")
    job = thread.submit(sleeper(log))
    thread.run(asyncio.sleep(0))
    thread.stop()
    thread.stop()
    assert log == ["cleaned up"]
    assert job.done()
    assert "routerlab-test" not in {t.name for t in threading.enumerate()}
    with pytest.raises(LabClosedError):
        thread.run(asyncio.sleep(0))


def test_a_job_submitted_just_before_the_stop_still_ends():
    for _ in range(20):
        thread = LoopThread()
        job = thread.submit(asyncio.sleep(30))
        thread.stop()
        assert job.done()


def test_the_thread_keeps_nothing_of_its_work_alive(thread):
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing)

    async def hold(kept):
        await asyncio.sleep(0)

    thread.run(hold(thing))
    thread.run(asyncio.sleep(0))
    del thing
    assert reference() is None


def test_lag_is_measured(thread):
    async def hold():
        time.sleep(0.6)  # noqa: ASYNC251 - that is the point

    end = time.monotonic() + 30
    while (lag_s := thread.lag_s) < 0.05 and time.monotonic() < end:
        thread.run(hold())
    assert lag_s >= 0.05
