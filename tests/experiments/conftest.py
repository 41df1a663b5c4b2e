"""An event loop whose clock jumps: where it would wait, the time is over at once."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Iterator
from typing import Any

import pytest


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
