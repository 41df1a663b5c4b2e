"""Numbers in words, one way everywhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.plain import plain

__all__ = ["count", "marks", "money", "percent", "plain", "seconds", "short_names"]


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "failover"), count(1200, "call")
    ('1 failover', '1,200 calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def seconds(value: float | None) -> str:
    """A duration; empty where it is unknown.

    >>> seconds(0.0421), seconds(3.14159), seconds(250.0), seconds(None)
    ('42 ms', '3.14 s', '4 min 10 s', '')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 99.995:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def money(value: float | None) -> str:
    """USD with as many decimals as it needs; empty where the price is unknown.

    >>> money(0.000213), money(0.5), money(1.5), money(0.0), money(None)
    ('$0.00021', '$0.50', '$1.50', '$0', '')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if value == 0:
        return "$0"
    if value >= 0.995:
        return f"${value:,.2f}"
    decimals = max(2, 1 - math.floor(math.log10(abs(value))))  # two figures that say something
    whole, _, part = f"{value:.{decimals}f}".rstrip("0").partition(".")
    return f"${whole}.{part:0<2}"


def percent(value: float | None) -> str:
    """A share in 0…1; empty where it is unknown.

    >>> percent(0.9876), percent(1.0), percent(None)
    ('98.8 %', '100 %', '')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    return "100 %" if value >= 1 else f"{min(value * 100, 99.9):.1f} %"


def marks(row: Mapping[str, Any]) -> list[str]:
    """The marks that a record must carry: ``simulated``, ``injected``, ``cached``."""
    return [mark for mark in ("simulated", "injected", "cached") if row.get(mark)]


def short_names(names: Sequence[str], most: int = 24) -> list[str]:
    """Names of at most so many characters that are still told apart: what all share is cut first, then the middle.

    >>> short_names(["sim/alpha", "sim/beta"])
    ['sim/alpha', 'sim/beta']
    >>> short_names(["lab/model-1-large-instruct", "lab/model-2-large-instruct"], 16)
    ['…1…', '…2…']
    """
    cut = [_cut(name, most) for name in names]
    if len(set(cut)) == len(set(names)):
        return cut
    front = _shared(names)
    back = _shared([name[front:][::-1] for name in names])
    kept = [name[front : len(name) - back] for name in names]
    cut = [_cut(f"{'…' if front else ''}{core}{'…' if back else ''}", most) for core in kept]
    twice = {name for name, times in Counter(cut).items() if times > 1}
    return [f"{_cut(name, most - 4)} #{place}" if name in twice else name for place, name in enumerate(cut, 1)]


def _shared(names: Sequence[str]) -> int:
    """How many characters all begin with."""
    alike = 0
    for characters in zip(*names, strict=False):
        if len(set(characters)) > 1:
            break
        alike += 1
    return alike


def _cut(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    back = (most - 1) // 2
    return f"{name[: most - 1 - back]}…{name[len(name) - back :]}"
