"""The rolling window: one recording and its three readings, at any size, and against computing them anew."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from measure import bar, interleave, ratio, show

from routerlab.core.window import RollingWindow, Sample
from routerlab.mixins.window import RollingWindowMixin

SIZES = (100, 1_000, 10_000)
FLAT, FASTER = 1.15, 15.0
ALPHA = 0.3


class Recomputed:
    """What one writes first: keep the samples of each key, prune them on every read, compute from all of them."""

    def __init__(self, size: int, duration: float) -> None:
        self._size, self._duration, self._clock = size, duration, time.monotonic
        self._samples: dict[str, deque[Sample]] = {}

    def record(self, key: str, value: float, success: bool) -> None:
        samples = self._samples.setdefault(key, deque(maxlen=self._size))
        samples.append(Sample(self._clock(), value, success))

    def rate(self, key: str) -> float:
        samples = self._current(key)
        return sum(1 for sample in samples if sample.success) / len(samples) if samples else 1.0

    def average(self, key: str) -> float:
        samples = self._current(key)
        return sum(sample.value for sample in samples) / len(samples) if samples else 0.0

    def score(self, key: str) -> float:
        samples = self._current(key)
        if not samples:
            return 0.0
        ewma = samples[0].value
        for sample in samples:
            ewma = ALPHA * sample.value + (1 - ALPHA) * ewma
        return ewma * self.rate(key)

    def _current(self, key: str) -> deque[Sample]:
        samples, now = self._samples[key], self._clock()
        while samples and now - samples[0].timestamp > self._duration:
            samples.popleft()
        return samples


class Provider(RollingWindowMixin):
    """Nothing but the mixin."""


def main(*, quick: bool) -> None:
    updates, rounds = (200, 2) if quick else (20_000, 30)
    contenders = {f"core, {size:,} samples": core(size, updates) for size in SIZES}
    timings = interleave(contenders, rounds)
    first, *rest = timings
    show("record + rate + average + score", timings, base=first, unit="update")
    for name in rest:
        bar(f"{name}, against 100", ratio(timings, name, first), FLAT, at_least=False)

    contenders = {"core": core(100, updates), "mixin": mixin(100, updates), "anew": anew(100, updates // 20)}
    timings = interleave(contenders, rounds)
    show("100 samples, against recomputation", timings, base="anew", unit="update")
    for name in ("core", "mixin"):
        bar(f"{name}, times as fast as recomputation", ratio(timings, "anew", name), FASTER, at_least=True)


def value_of(number: int) -> float:
    return (number * 7919 % 1000) / 1000


def core(size: int, updates: int) -> Callable[[], int]:
    window = RollingWindow(size, duration=1e9)
    for number in range(size):  # full from the start
        window.record(value_of(number), number % 10 > 0, 0.0)

    def work() -> int:
        for number in range(updates):
            now = number * 1e-3
            window.record(value_of(number), number % 10 > 0, now)
            window.rate(now)
            window.average(now)
            window.score(now)
        return updates

    return work


def mixin(size: int, updates: int) -> Callable[[], int]:
    provider = Provider()
    provider._init_window(size, 1e9)

    def work() -> int:
        for number in range(updates):
            provider._record_sample("m", value_of(number), number % 10 > 0)
            provider._get_rate("m")
            provider._get_average("m")
            provider._get_score("m")
        return updates

    return work


def anew(size: int, updates: int) -> Callable[[], int]:
    window = Recomputed(size, 1e9)
    for number in range(size):
        window.record("m", value_of(number), number % 10 > 0)

    def work() -> int:
        for number in range(updates):
            window.record("m", value_of(number), number % 10 > 0)
            window.rate("m")
            window.average("m")
            window.score("m")
        return updates

    return work
