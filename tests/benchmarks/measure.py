"""Interleaved measurements, and tables of what they say.

These machines are noisy: what is compared runs turn by turn in one process, the order turning too, and each round
gives one ratio. Shown are medians, and for ratios the quartiles. CPU is that of this process; servers have their own.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Timing", "bar", "crowd", "difference", "installed", "interleave", "per_unit", "ratio", "show"]


@dataclass(frozen=True)
class Timing:
    """What one unit of work cost in one round, in seconds."""

    wall_s: float
    cpu_s: float


Rounds = Mapping[str, Sequence[Timing]]


def interleave(contenders: Mapping[str, Callable[[], int]], rounds: int, *, warm_up: bool = True) -> Rounds:
    """Run every contender once in each round.

    Args:
        contenders: by name; each does a batch of work and returns how many units it was.
        rounds: how many.
        warm_up: one round more, which does not count.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(-1 if warm_up else 0, rounds):
        for name in names:
            gc.collect()
            timing = per_unit(contenders[name])
            if number >= 0:
                timings[name].append(timing)
        names = names[1:] + names[:1] if number % 2 else names[::-1]
    return timings


def per_unit(work: Callable[[], int]) -> Timing:
    """The cost of one unit of a batch of work."""
    wall, cpu = time.perf_counter(), time.process_time()
    units = work()
    return Timing((time.perf_counter() - wall) / units, (time.process_time() - cpu) / units)


async def crowd(calls: int, concurrency: int, one: Callable[[], Awaitable[object]]) -> int:
    """Do something so many times, so many of them at once; returns the times."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return calls


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles around it."""

    low: float
    middle: float
    high: float

    def times(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(self.low * factor, self.middle * factor, self.high * factor)

    def __str__(self) -> str:
        digits = 0 if abs(self.middle) >= 100 else 2
        return f"{self.middle:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, middle, high)


def ratio(timings: Rounds, over: str, under: str, what: str = "wall_s") -> Spread:
    """The time of `over` in times of `under`, round by round. Calls/s of A against B are ``ratio(t, "B", "A")``."""
    return spread([getattr(a, what) / getattr(b, what) for a, b in zip(timings[over], timings[under], strict=True)])


def difference(timings: Rounds, more: str, less: str, what: str = "wall_s") -> Spread:
    """What `more` takes beyond `less`, in seconds, round by round."""
    return spread([getattr(a, what) - getattr(b, what) for a, b in zip(timings[more], timings[less], strict=True)])


def show(title: str, timings: Rounds, *, base: str, unit: str = "call") -> None:
    """Print a table: medians of each contender, and how many times as fast as `base` it is."""
    rows = [["", f"{unit}s/s", "wall us", "CPU us", f"x {base} (quartiles)", "CPU x"]]
    for name, rounds in timings.items():
        wall = statistics.median(timing.wall_s for timing in rounds)
        cpu = statistics.median(timing.cpu_s for timing in rounds)
        times, cpus = ratio(timings, base, name), ratio(timings, name, base, "cpu_s")
        rows.append(
            [name, f"{1 / wall:,.0f}", f"{wall * 1e6:,.2f}", f"{cpu * 1e6:,.2f}", str(times), f"{cpus.middle:.2f}"]
        )
    print(f"\n{title}; {len(timings[base])} interleaved rounds")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())


def bar(what: str, value: Spread | float, limit: float, *, at_least: bool, unit: str = "x") -> None:
    """Print one figure beside what is aimed at."""
    middle = value.middle if isinstance(value, Spread) else value
    reached = middle >= limit if at_least else middle <= limit
    shown = str(value) if isinstance(value, Spread) else f"{value:.2f}"
    print(
        f"  -> {what}: {shown} {unit}, aim {'>=' if at_least else '<='} {limit:g}: {'reached' if reached else 'MISSED'}"
    )


def installed(*modules: str) -> list[str]:
    """Which of these peers are here; says how to get the others."""
    here = [module for module in modules if importlib.util.find_spec(module) is not None]
    for module in modules:
        if module not in here:
            print(f"  ({module} is not installed: pip install -e '.[bench]')")
    return here
