"""Calls in the background, so that there is something to watch."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from routerlab.session.results import CallResult, CallSpec
from routerlab.session.session import Session

__all__ = ["Traffic"]


class Traffic:
    """A stream of calls at a given pace, until it is stopped or the lab is closed.

    Args:
        session: of the lab.
        gaps: seconds between one call's start and the next one's.
        prompts: taken in turn.
        spec: everything of a call but its prompt.
        limit: calls in flight at most; when they are all out, a call is left out and counted as ``skipped``.

    Attributes:
        sent: how many were ``ok``, ``failed``, ``skipped``.

    Raises:
        ConfigurationError: no model or pool has the name that `spec` gives.
    """

    def __init__(
        self, session: Session, gaps: Iterator[float], prompts: Sequence[str], spec: CallSpec, *, limit: int = 64
    ) -> None:
        self.sent = Counter[str]()
        self._call: Callable[[CallSpec], Awaitable[CallResult]] = session.call
        session.pool_for(spec)  # a mistake is told here and now: nobody looks at a background task
        self._gaps, self._prompts, self._spec, self._limit = gaps, itertools.cycle(prompts), spec, limit
        self._job = session.submit(self._run())

    @property
    def running(self) -> bool:
        return not self._job.done()

    def stop(self) -> None:
        """Send nothing more, cancel what is in flight and wait for that. Calling it twice is fine."""
        self._job.cancel()
        self._job.wait(5.0)

    async def _run(self) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as calls:
            in_flight: set[asyncio.Task[None]] = set()
            for gap in self._gaps:
                due += gap
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(in_flight) >= self._limit:
                    self.sent["skipped"] += 1
                    continue
                task = calls.create_task(self._one(next(self._prompts)))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)

    async def _one(self, prompt: str) -> None:
        messages = ({"role": "user", "content": prompt},)
        result = await self._call(replace(self._spec, messages=messages, scheduled_at=time.time()))
        self.sent["failed" if result.error else "ok"] += 1

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {name}" for name, number in sorted(self.sent.items())) or "nothing sent yet"
        return f"<Traffic {'running' if self.running else 'stopped'}: {counts}>"
