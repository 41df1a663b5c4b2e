"""An event loop whose clock jumps: where it would wait, the time is over at once. And models that wait for a test."""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
from collections.abc import Iterator
from typing import Any

import pytest

from routerlab.core.simulated_faults import ScheduledFault
from routerlab.simulation.faults import FaultController


class _Jumping(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready if ready or timeout is not None else super().select(None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its `time` starts at 0 and goes on only where nothing is left to do."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


@pytest.fixture
def virtual_loop() -> Iterator[VirtualLoop]:
    """A loop with a clock that jumps; `run_until_complete` runs in virtual time."""
    with contextlib.closing(VirtualLoop()) as loop:
        yield loop


class Brake(FaultController):
    """Holds up what a run asks for beyond `free` requests, so that it is not over before the test has looked.

    Attributes:
        seen: requests so far.
        free: how many of them are answered as ever.
        extra_s: how much longer each further one takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.free, self.extra_s = math.inf, 1.0

    def faults_for(self, model: str) -> tuple[ScheduledFault, ...]:
        """Asked once for each request, in the server's thread."""
        self.seen += 1
        held = (ScheduledFault("slow", options={"extra_s": self.extra_s}),) if self.seen > self.free else ()
        return (*super().faults_for(model), *held)


@pytest.fixture
def brake() -> Brake:
    """The faults for a server that a test wants to stop in time."""
    return Brake()
