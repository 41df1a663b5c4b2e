"""Arrivals: rates, and the gaps between requests."""

from __future__ import annotations

import statistics
from itertools import islice
from typing import Any

import pytest

from routerlab.core.chance import Chance
from routerlab.core.errors import ConfigurationError
from routerlab.simulation.traffic import constant, parse_rate, poisson


@pytest.mark.parametrize(
    ("text", "per_s"),
    [("3/s", 3.0), ("100/min", 100 / 60), ("36/h", 0.01), (" 0.5 / s ", 0.5), (2, 2.0), (0.25, 0.25), ("6/m", 0.1)],
)
def test_rates(text: Any, per_s: float) -> None:
    assert parse_rate(text) == pytest.approx(per_s)


@pytest.mark.parametrize("text", ["", "3", "3/day", "/s", "x/s", "0/s", "-1/s", "nan/s", "inf/s", 0, -1, None, "1/s/s"])
def test_what_is_no_rate(text: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a rate"):
        parse_rate(text)


def test_constant_gaps() -> None:
    assert list(islice(constant(4.0), 3)) == [0.25, 0.25, 0.25]


def test_poisson_gaps() -> None:
    gaps = list(islice(poisson(5.0, Chance(1)), 20_000))
    assert gaps == list(islice(poisson(5.0, Chance(1)), 20_000))
    assert statistics.fmean(gaps) == pytest.approx(0.2, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.2, rel=0.05)  # an exponential distribution's own mark
