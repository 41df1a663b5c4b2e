"""Functions in threads that nobody has to wait for."""

import asyncio
import contextvars
import subprocess
import sys
import threading
import time

import pytest

from routerlab.experiments.threads import in_thread, result_of, scorer_loop


def test_result_and_error_come_back():
    async def both():
        assert await in_thread(lambda: threading.current_thread().name) == "routerlab-scorer"
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 / 0)

    asyncio.run(both())


def test_a_cancelled_wait_does_not_wait():
    release = threading.Event()

    async def cancel():
        task = asyncio.create_task(in_thread(lambda: release.wait(60)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = time.monotonic()
    asyncio.run(cancel())
    assert time.monotonic() - started < 30
    release.set()  # the loop is closed by now: the thread ends without a word


STUCK = """
import time, routerlab as rl
lab = rl.Lab.demo()
run = lab.replay(["a"], scorers=[lambda text, target: time.sleep(600)], wait=False)
while not lab.calls().shape[0]:
    time.sleep(0.05)
started = time.monotonic()
lab.close()
print(round(time.monotonic() - started))
"""


def test_a_scorer_that_is_stuck_holds_up_neither_the_lab_nor_the_process():
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=300, check=True)
    assert int(done.stdout) <= 120
    assert time.monotonic() - started < 300


def test_many_threads_at_once_share_one_loop_for_async_functions():
    async def loop_of():
        return asyncio.get_running_loop()

    async def many():
        return await asyncio.gather(*(in_thread(lambda: result_of(loop_of())) for _ in range(20)))

    assert set(asyncio.run(many())) == {scorer_loop().loop}


def test_an_error_of_an_async_function_comes_back():
    async def broken():
        raise KeyError("no such thing")

    with pytest.raises(KeyError, match="no such thing"):
        result_of(broken())


@pytest.mark.parametrize("deadly", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_would_end_a_loop_or_a_task_comes_back_as_an_error(deadly):
    def plain():
        raise deadly

    async def waiting():
        raise deadly

    async def both():
        for work in (plain, lambda: result_of(waiting())):
            with pytest.raises(RuntimeError, match=type(deadly).__name__):
                await in_thread(work)

    asyncio.run(both())


def test_what_a_function_sets_in_its_context_is_gone_with_it():
    seen = contextvars.ContextVar("seen", default=0)

    def look():
        before = seen.get()
        seen.set(before + 1)
        return before

    async def twice():
        seen.set(5)
        return [await in_thread(look) for _ in range(3)]

    assert asyncio.run(twice()) == [5, 5, 5]
