"""The clocks of an attempt: which one runs when, and what each says when it runs out."""

from __future__ import annotations

import asyncio

import pytest

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.moves import Clocks
from routerlab.session.clocks import Watch


class WithoutWaiting(asyncio.SelectorEventLoop):
    """Its time is that of its timers: it goes on to the next one where there is nothing else to do."""

    def __init__(self):
        super().__init__()
        self._passed, select = 0.0, self._selector.select

        def skip(timeout=None):
            self._passed += timeout or 0.0
            return select(0)

        self._selector.select = skip

    def time(self):
        return self._passed


def ran_out(clocks, body, *, stream=True, loop=WithoutWaiting):
    """The error that ended a block, or None."""

    async def block():
        async with Watch(clocks, stream=stream) as watch:
            await body(watch)

    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(asyncio.wait_for(block(), 60))
    except ProviderError as error:
        return error
    return None


async def silence(watch):
    await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("limits", "stream", "clock", "fault"),
    [
        ({"request_s": 0.02}, False, "request", Fault.TIMEOUT),
        ({"first_token_s": 0.02, "total_s": 0.5}, True, "first_token", Fault.TIMEOUT),
        ({"first_token_s": 0.5, "total_s": 0.02}, True, "total", Fault.TIMEOUT),
        ({"first_token_s": 0.5, "deadline_s": 0.02}, True, "deadline", Fault.DEADLINE),
        ({"request_s": 0.5, "deadline_s": 0.02}, False, "deadline", Fault.DEADLINE),
        ({"first_token_s": 0.5, "takeover_s": 0.02}, True, "takeover", Fault.TAKEOVER),
    ],
)
def test_the_first_clock_to_run_out_names_itself(limits, stream, clock, fault):
    error = ran_out(Clocks(**limits), silence, stream=stream)
    assert (error.clock, error.fault, error.status) == (clock, fault, None)
    assert "0.02 s" in error.message


def test_no_limit_no_end():
    async def body(watch):
        watch.progress()
        await asyncio.sleep(0.02)

    assert ran_out(Clocks(), body) is None
    assert ran_out(Clocks(), body, stream=False) is None


def test_clocks_of_the_other_kind_do_not_run():
    async def body(watch):
        await asyncio.sleep(0.05)

    assert ran_out(Clocks(request_s=0.01), body, stream=True) is None
    stream_clocks = Clocks(first_token_s=0.01, idle_s=0.01, total_s=0.01, takeover_s=0.01)
    assert ran_out(stream_clocks, body, stream=False) is None


def test_idle_begins_with_the_first_token_and_anew_with_every_chunk():
    async def body(watch):
        watch.progress()  # a role-only delta
        await asyncio.sleep(0.05)
        watch.first_token()
        for _ in range(4):
            await asyncio.sleep(0.02)
            watch.progress()
        await asyncio.sleep(1)

    error = ran_out(Clocks(first_token_s=0.5, idle_s=0.04), body)
    assert error.clock == "idle"


def test_the_first_token_stops_its_clock_and_the_takeover():
    async def body(watch):
        watch.first_token()
        await asyncio.sleep(0.06)

    assert ran_out(Clocks(first_token_s=0.02, takeover_s=0.02), body) is None


def test_idle_and_total_stand_still_while_the_reader_is_behind():
    async def body(watch):
        watch.first_token()
        watch.pause()
        await asyncio.sleep(0.1)
        watch.resume()
        watch.progress()
        await asyncio.sleep(0.01)

    assert ran_out(Clocks(idle_s=0.05, total_s=0.05), body) is None


def test_what_was_left_of_total_is_left_after_a_pause():
    async def body(watch):
        watch.first_token()
        watch.pause()
        await asyncio.sleep(0.05)
        watch.resume()
        await asyncio.sleep(1)

    assert ran_out(Clocks(total_s=0.03), body).clock == "total"


def test_a_deadline_that_runs_out_in_a_pause_is_not_told_as_another_clock():
    async def body(watch):
        watch.first_token()
        watch.pause()
        await asyncio.sleep(1)

    error = ran_out(Clocks(idle_s=0.01, total_s=0.01, deadline_s=0.05), body)
    assert (error.clock, error.fault) == ("deadline", Fault.DEADLINE)


def test_an_error_of_the_block_passes():
    async def body(watch):
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        ran_out(Clocks(request_s=1), body, stream=False)


def test_a_cancellation_from_outside_passes():
    async def block():
        async with Watch(Clocks(request_s=5), stream=False):
            await asyncio.sleep(5)

    async def main():
        task = asyncio.create_task(block())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_chunk_in_the_very_moment_of_the_end_saves_idle_but_not_total():
    async def busy(watch):
        watch.first_token()
        for _ in range(2_000_000):  # chunks without a pause: each moment of the loop has one
            await asyncio.sleep(0)
            watch.progress()

    clocks = Clocks(idle_s=0.001, total_s=0.05)
    assert ran_out(clocks, busy, loop=asyncio.SelectorEventLoop).clock == "total"


def test_the_alarm_is_gone_with_the_block():
    async def main():
        loop = asyncio.get_running_loop()
        async with Watch(Clocks(total_s=0.01, idle_s=0.01), stream=True) as watch:
            watch.first_token()
        await asyncio.sleep(0.03)
        assert not [handle for handle in loop._scheduled if not handle.cancelled()]

    asyncio.run(main())
