"""The clocks of one attempt: every limit but the one for connecting, which is the connector's."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.moves import Clocks

__all__ = ["Watch"]

_WORDS = {
    "request": "no complete answer within {:g} s",
    "first_token": "no first token within {:g} s",
    "idle": "the stream was silent for {:g} s",
    "total": "the stream was not complete within {:g} s",
    "deadline": "the request's own limit ran out after another {:g} s",
    "takeover": "still silent after {:g} s while another model is free",
}


class Watch:
    """Limits the time of an ``async with`` block; what runs out is raised as a `ProviderError` that names the clock.

    For a stream, call `first_token` once and `progress` at each chunk; `pause` and `resume` let idle and total stand
    still while the reader is behind.

    Args:
        clocks: the limits.
        stream: which of them hold.
    """

    def __init__(self, clocks: Clocks, *, stream: bool) -> None:
        self._timer = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        now = self._now()
        self._ends: dict[str, float] = {}
        self._limits: dict[str, float] = {}
        limits = {
            "deadline": clocks.deadline_s,
            "request": None if stream else clocks.request_s,
            "first_token": clocks.first_token_s if stream else None,
            "total": clocks.total_s if stream else None,
            "takeover": clocks.takeover_s if stream else None,
        }
        for name, limit in limits.items():
            if limit is not None:
                self._limits[name], self._ends[name] = limit, now + limit
        self._idle_s = clocks.idle_s
        self._paused_at: float | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._timer.__aenter__()
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        try:
            await self._timer.__aexit__(kind, error, traceback)
        except TimeoutError:
            raise self._ran_out() from None

    def first_token(self) -> None:
        """The first text, tool-call or reasoning delta is here: from now on the idle clock runs."""
        self._ends.pop("first_token", None)
        self._ends.pop("takeover", None)
        self.progress()

    def progress(self) -> None:
        """A chunk is here."""
        if self._idle_s is None or "first_token" in self._ends:
            return
        known = "idle" in self._ends
        self._ends["idle"] = self._now() + self._idle_s
        if not known or self._timer.when() is not None:
            self._limits["idle"] = self._idle_s
            self._arm()

    def pause(self) -> None:
        """The reader is behind: idle and total stand still, the deadline does not."""
        self._paused_at = self._now()
        self._arm()

    def resume(self) -> None:
        """The reader has caught up."""
        if self._paused_at is None:
            return
        pause, self._paused_at = self._now() - self._paused_at, None
        for name in ("idle", "total"):
            if name in self._ends:
                self._ends[name] += pause
        self._arm()

    def _running(self) -> dict[str, float]:
        """The clocks that run now, with their ends."""
        if self._paused_at is None:
            return self._ends
        return {name: end for name, end in self._ends.items() if name == "deadline"}

    def _arm(self) -> None:
        """Have the alarm ring by the first end. One that rings too early looks again: ends move with each chunk."""
        end = min(self._running().values(), default=None)
        if self._timer.when() is not None:  # it rang just now, and something comes in the same moment
            if end is not None and end <= self._now():
                return
            self._timer.reschedule(None)
        if end is None or (self._alarm is not None and self._alarm.when() <= end):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(end, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        end = min(self._running().values(), default=None)
        if end is not None and end <= self._now():
            self._timer.reschedule(end)
        else:
            self._arm()

    def _ran_out(self) -> ProviderError:
        ends = self._running()
        name = min(ends, key=ends.__getitem__)
        faults = {"deadline": Fault.DEADLINE, "takeover": Fault.TAKEOVER}
        return ProviderError(_WORDS[name].format(self._limits[name]), fault=faults.get(name, Fault.TIMEOUT), clock=name)
