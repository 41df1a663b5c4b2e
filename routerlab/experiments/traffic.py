"""Calls in the background, so that there is something to watch."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from routerlab.core.chance import Chance
from routerlab.experiments.datasets import load_dataset
from routerlab.session.results import CallResult, CallSpec
from routerlab.session.session import Session
from routerlab.session.specs import chat_spec
from routerlab.simulation.traffic import parse_rate, poisson

__all__ = ["Traffic", "background"]


class Traffic:
    """A stream of calls at a given pace, until it is stopped or the lab is closed.

    Args:
        session: of the lab.
        gaps: seconds between one call's start and the next one's.
        prompts: taken in turn.
        spec: everything of a call but its prompt.
        limit: calls in flight at most; when they are all out, a call is left out and counted as ``skipped``.
        rate: the pace in words, to be shown.

    Attributes:
        sent: how many were ``ok``, ``failed``, ``skipped``.
        rate: as given.

    Raises:
        ConfigurationError: no model or pool has the name that `spec` gives.
    """

    def __init__(
        self,
        session: Session,
        gaps: Iterator[float],
        prompts: Sequence[str],
        spec: CallSpec,
        *,
        limit: int = 64,
        rate: str = "",
    ) -> None:
        self.sent = Counter[str]()
        self.rate = rate
        self._call: Callable[[CallSpec], Awaitable[CallResult]] = session.call
        session.pool_for(spec)  # a mistake is told here and now: nobody looks at a background task
        self._gaps, self._prompts, self._spec, self._limit = gaps, itertools.cycle(prompts), spec, limit
        self._job = session.submit(self._run())

    @property
    def running(self) -> bool:
        return not self._job.done()

    def cancel(self) -> None:
        """Send nothing more and cancel what is in flight; does not wait for that."""
        self._job.cancel()

    def stop(self) -> None:
        """Send nothing more, cancel what is in flight and wait for that. Calling it twice is fine."""
        self.cancel()
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


def background(
    session: Session, rate: str | float, prompts: Sequence[str] | None = None, seed: int = 0, **options: Any
) -> Traffic:
    """Calls at the pace of independent users, from now on.

    Args:
        session: of the lab.
        rate: ``"3/s"``, ``"100/min"``, or a number per second.
        prompts: taken in turn; None: those of the shipped dataset.
        seed: of the gaps.
        options: of each call, as for ``Lab.chat``.
    """
    texts = list(prompts) if prompts else [item.prompt for item in load_dataset("quickstart_qa") if item.prompt]
    spec = chat_spec("traffic", options, "traffic")
    gaps = poisson(parse_rate(rate), Chance(seed, "traffic"))
    return Traffic(session, gaps, texts, spec, rate=rate if isinstance(rate, str) else f"{rate:g}/s")
