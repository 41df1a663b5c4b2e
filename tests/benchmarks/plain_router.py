"""A router as one writes it for a simulation of one's own, without routerlab: the plain logic of `bench_simulated`.

The rules are those of the virtual clock's run there: best score first (an untried model gets a turn, a free probe slot
comes before all), one retry after a pause, then the next model; a breaker, and a window of 100 samples and 300 s for
each model; a record of each attempt and of each decision. The plainest way is taken everywhere: the figures of a window
are computed from its samples whenever they are looked at, and a record is a dict.
"""

from __future__ import annotations

import random
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Any

from routerlab.simulation.plays import Play

WINDOW, WINDOW_S, ALPHA = 100, 300.0, 0.3
THRESHOLD, OPEN_S = 5, 60.0
SETTLED_AT = 20  # successes after which the latency target stays
LIMIT_S = 120.0  # of one request
Record = dict[str, Any]


class Model:
    """One model: its breaker, its windows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.qualities: deque[tuple[float, float, bool]] = deque(maxlen=WINDOW)
        self.latencies: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self.requests = self.in_flight = self.failures = self.epoch = 0
        self.open_until: float | None = None
        self.probing = False

    def state(self, now: float) -> str:
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half_open"

    def excluded(self, now: float) -> str:
        state = self.state(now)
        return state if state == "open" or (state == "half_open" and self.probing) else ""

    def look(self, now: float) -> tuple[float | None, float | None]:
        """The score and the mean latency."""
        for window in (self.qualities, self.latencies):
            while window and now > window[0][0] + WINDOW_S:
                window.popleft()
        if not self.qualities:
            return None, None
        ewma = self.qualities[0][1]
        for _, quality, _ in self.qualities:
            ewma = ALPHA * quality + (1 - ALPHA) * ewma
        rate = sum(1 for _, _, success in self.qualities if success) / len(self.qualities)
        mean = sum(seconds for _, seconds in self.latencies) / len(self.latencies) if self.latencies else None
        return ewma * rate, mean


class Router:
    """All models, and what becomes of calls."""

    def __init__(self, names: Sequence[str]) -> None:
        self.models = [Model(name) for name in names]
        self.attempts: list[Record] = []
        self.decisions: list[Record] = []
        self._target_s = 0.0
        self._seen: list[float] = []
        self._random = random.Random(0)

    def choose(self, call: str, tried: Sequence[Model], now: float) -> Model | None:
        """Who comes next; None: nobody can."""
        looks = [(model, *model.look(now), "tried" if model in tried else model.excluded(now)) for model in self.models]
        free = [(model, score) for model, score, _, excluded in looks if not excluded]
        probes = [model for model, _ in free if not tried and model.state(now) == "half_open"]
        chosen = probes[0] if probes else min(free, key=self._order)[0] if free else None
        self.decisions.append(
            {
                "call_id": call,
                "step": len(tried),
                "chosen": chosen and chosen.name,
                "strategy": "probe" if probes else "best-score",
                "candidates": [
                    {"model": model.name, "score": score, "latency_s": latency_s, "excluded_because": excluded}
                    for model, score, latency_s, excluded in looks
                ],
            }
        )
        return chosen

    @staticmethod
    def _order(candidate: tuple[Model, float | None]) -> tuple[int, float]:
        model, score = candidate
        if score is not None:
            return 1, -score
        return 2 if model.in_flight or model.qualities else 0, 0.0

    def begin(self, call: str, model: Model, now: float) -> Record:
        """Send a request."""
        before = model.state(now)
        if before == "half_open" and not model.probing:
            model.probing, model.epoch = True, model.epoch + 1
        model.in_flight += 1
        model.requests += 1
        return {
            "call_id": call,
            "model": model.name,
            "started_at": now,
            "epoch": model.epoch,
            "breaker_before": before,
            "score_before": model.look(now)[0],
        }

    def end(self, attempt: Record, model: Model, error: str | None, now: float) -> None:
        """Take in how it ended."""
        model.in_flight -= 1
        seconds = now - attempt["started_at"]
        quality = 0.0
        if error is None:
            target_s = self._observe(seconds)
            quality = target_s / (target_s + seconds)
            model.latencies.append((now, seconds))
        model.qualities.append((now, quality, error is None))
        if attempt["epoch"] == model.epoch:  # else the breaker has moved since
            self._count(model, error is None, now)
        attempt |= {"ended_at": now, "latency_s": seconds, "outcome": error or "ok"}
        attempt |= {"breaker_after": model.state(now), "score_after": model.look(now)[0]}
        self.attempts.append(attempt)

    def _count(self, model: Model, success: bool, now: float) -> None:
        model.failures = 0 if success else model.failures + 1
        if model.probing and success:
            model.open_until, model.epoch = None, model.epoch + 1
        elif not success and (model.probing or model.failures >= THRESHOLD):
            model.open_until, model.epoch = now + OPEN_S, model.epoch + 1
        model.probing = False

    def _observe(self, seconds: float) -> float:
        """The running median of the first successes."""
        if len(self._seen) < SETTLED_AT:
            self._seen.append(seconds)
            self._target_s = statistics.median(self._seen)
        return self._target_s

    def pause(self) -> float:
        """Before a retry."""
        return 0.5 + 0.125 * self._random.random()


def outcome(play: Play) -> str | None:
    """The error of an attempt in words; None: it succeeds."""
    return play.error.message if play.error else None
