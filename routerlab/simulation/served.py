"""A simulated model at work: what it is, and what it has seen."""

from __future__ import annotations

from routerlab.core.allowance import Allowance
from routerlab.core.chance import Chance
from routerlab.core.simulated import SimulatedModel, SimulatedRequest
from routerlab.core.simulated_faults import ScheduledFault
from routerlab.simulation.dialects.base import Limit

__all__ = ["Served"]

_REPEATS_KEPT = 100_000  # prompts; the count only varies the timing, so starting afresh does no harm


class Served:
    """A model at work.

    Args:
        model: what it is.
        now: seconds on the clock of all its times.

    Attributes:
        arrived: how many requests came.
        started: when it began, for its own schedule.
    """

    def __init__(self, model: SimulatedModel, now: float) -> None:
        self.model = model
        self.arrived = 0
        self.started = now
        self._repeats: dict[int, int] = {}
        limits = {"requests": model.rpm, "tokens": model.tpm}
        self._allowances = {what: Allowance(limit, now=now) for what, limit in limits.items() if limit}

    def repeat_of(self, prompt: str) -> int:
        """How often this prompt came before."""
        if len(self._repeats) >= _REPEATS_KEPT:
            self._repeats.clear()
        key = Chance(prompt).bits()
        count = self._repeats.get(key, 0)
        self._repeats[key] = count + 1
        return count

    def limit(self, request: SimulatedRequest, now: float) -> tuple[ScheduledFault, ...]:
        """The fault that meets a request over the limits; none within them."""
        amounts = {"requests": 1, "tokens": request.prompt_tokens + (request.max_tokens or 0)}
        waits = [allowance.take(amounts[what], now=now) for what, allowance in self._allowances.items()]
        wait_s = max(waits, default=0.0)
        return (ScheduledFault("rate_limit", options={"retry_after": round(wait_s, 3)}),) if wait_s else ()

    def limits(self, now: float) -> list[Limit]:
        """What is left of each limit."""
        return [
            Limit(what, allowance.per_minute, allowance.remaining(now=now), allowance.reset_s(now=now))
            for what, allowance in self._allowances.items()
        ]
