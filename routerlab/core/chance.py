"""Chance that can be repeated: a tiny generator, seeded by what it is for.

One is made for each call and step (``Chance(seed, call_id, step)``), so that concurrency and the order of calls change
nothing. Most choices draw nothing, so the seed is worked out with the first draw. The numbers are the same in every
Python version.

Source: SplitMix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Chance"]

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Chance:
    """A seeded generator of pseudorandom numbers.

    Args:
        parts: whole numbers and texts that together are the seed; their order counts. Numbers are taken modulo 2**64.

    >>> Chance(7, "call", 1).random() == Chance(7, "call", 1).random()
    True
    >>> Chance(7, "call", 1).random() == Chance(7, "call", 2).random()
    False
    """

    __slots__ = ("_parts", "_state")

    def __init__(self, *parts: int | str) -> None:
        self._parts = parts
        self._state: int | None = None  # nothing drawn yet

    def bits(self) -> int:
        """The next 64 random bits, as a whole number."""
        state = _seed(self._parts) if self._state is None else self._state
        self._state = (state + _GOLDEN) & _MASK
        return _mix(self._state)

    def random(self) -> float:
        """A number in [0, 1), uniform, with the full 53 bits of a float."""
        return (self.bits() >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        """A whole number in [0, limit).

        Raises:
            ValueError: `limit` is not positive.
        """
        if limit <= 0:
            raise ValueError(f"limit must be positive, not {limit!r}")
        return self.bits() * limit >> 64

    def choice(self, items: Sequence[T]) -> T:
        """One of the items, all equally likely.

        Raises:
            ValueError: there is none.
        """
        if not items:
            raise ValueError("cannot choose from nothing")
        return items[self.below(len(items))]

    def gauss(self, mean: float = 0.0, sigma: float = 1.0) -> float:
        """A normally distributed number (Box and Muller's transform)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return mean + sigma * radius * math.cos(2.0 * math.pi * self.random())

    def lognormal(self, median: float, sigma: float) -> float:
        """A positive number: half of them lie below `median`, `sigma` is the deviation of the logarithm."""
        return median * math.exp(self.gauss(0.0, sigma)) if sigma else median

    def exponential(self, mean: float) -> float:
        """A waiting time: the gap between two arrivals that know nothing of each other."""
        return -mean * math.log(1.0 - self.random())


def _seed(parts: Sequence[int | str]) -> int:
    state = 0
    for part in parts:
        state = _mix(((state ^ _word(part)) + _GOLDEN) & _MASK)
    return state


def _word(part: int | str) -> int:
    if isinstance(part, int):
        return part & _MASK
    data = part.encode("utf-8", "surrogatepass")
    return zlib.crc32(data) | zlib.adler32(data) << 32


def _mix(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31
