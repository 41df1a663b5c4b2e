from __future__ import annotations

import asyncio

from routerlab import testing
from routerlab.testing import ManualClock


def test_a_manual_clock_moves_when_it_is_told_to() -> None:
    clock = ManualClock(5.0)
    assert clock() == clock() == 5.0
    clock.advance(2.5)
    assert clock() == 7.5


def test_sleeping_lets_time_pass_and_others_run() -> None:
    clock, seen = ManualClock(), []

    async def sleeper() -> None:
        await clock.sleep(60.0)
        seen.append("slept")

    async def both() -> None:
        await asyncio.gather(sleeper(), other())

    async def other() -> None:
        seen.append("other")

    asyncio.run(both())
    assert seen == ["other", "slept"]
    assert (clock(), clock.sleeps) == (60.0, [60.0])


def test_what_is_public() -> None:
    assert testing.__all__ == ["ManualClock", "Play", "VirtualWorld", "check_connector", "check_strategy"]
