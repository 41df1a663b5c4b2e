"""Numbers in words, one way everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["count", "marks", "money", "percent", "seconds"]


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

    >>> money(0.000213), money(1.5), money(0.0), money(None)
    ('$0.00021', '$1.50', '$0', '')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if value == 0:
        return "$0"
    if value >= 0.995:
        return f"${value:,.2f}"
    decimals = max(2, 1 - math.floor(math.log10(abs(value))))  # two figures that say something
    return f"${value:.{decimals}f}".rstrip("0")


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
