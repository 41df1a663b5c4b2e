"""When requests arrive: gaps between arrivals, in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator

from routerlab.core.chance import Chance
from routerlab.core.errors import ConfigurationError

__all__ = ["constant", "parse_rate", "poisson"]

_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}


def parse_rate(rate: str | float) -> float:
    """Read a rate: ``"3/s"``, ``"100/min"``, ``"5/h"``, or a number per second.

    Raises:
        ConfigurationError: anything else, or a rate that is not positive and finite.

    >>> parse_rate("90/min")
    1.5
    """
    amount, slash, unit = rate.partition("/") if isinstance(rate, str) else (rate, "/", "s")
    try:
        per_s = float(amount) / _UNITS[unit.strip() if slash else ""]
    except (KeyError, TypeError, ValueError):
        per_s = math.nan
    if not (math.isfinite(per_s) and per_s > 0):
        raise ConfigurationError(f"{rate!r} is not a rate: expected something like '3/s' or '100/min'")
    return per_s


def constant(rate_per_s: float) -> Iterator[float]:
    """One arrival after the other, all gaps the same; without end."""
    while True:
        yield 1.0 / rate_per_s


def poisson(rate_per_s: float, chance: Chance) -> Iterator[float]:
    """Arrivals that know nothing of each other, as those of many users do; without end.

    Args:
        rate_per_s: arrivals per second in the long run; positive.
        chance: decides; the same seed gives the same arrivals.
    """
    while True:
        yield chance.exponential(1.0 / rate_per_s)
