"""Chance: the same seed gives the same numbers, everywhere; the distributions are what they claim to be."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.chance import Chance


def test_known_values_of_splitmix64() -> None:
    # the reference implementation, seeded with 1234567 (prng.di.unimi.it/splitmix64.c)
    chance = Chance()
    chance._state = 1234567
    assert [chance.bits() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_the_numbers_of_a_seed_never_change() -> None:
    chance = Chance(0, "alpha", "Why is the sky blue?", 3)
    assert [chance.below(1000) for _ in range(5)] == [481, 764, 41, 42, 429]


@given(st.lists(st.one_of(st.integers(), st.text()), max_size=5))
def test_same_parts_same_numbers(parts: list[int | str]) -> None:
    one, two = Chance(*parts), Chance(*parts)
    assert [one.bits() for _ in range(3)] == [two.bits() for _ in range(3)]


def test_order_type_and_every_part_count() -> None:
    seeds = [(), (0,), ("",), ("0",), (1, 2), (2, 1), ("a", "b"), ("ab",), ("b", "a"), (1, "a"), ("a", 1)]
    assert len({Chance(*parts).bits() for parts in seeds}) == len(seeds)


def test_uniform_and_below_stay_in_range_and_spread() -> None:
    chance = Chance("uniform")
    values = [chance.random() for _ in range(20_000)]
    assert min(values) >= 0.0
    assert max(values) < 1.0
    assert statistics.fmean(values) == pytest.approx(0.5, abs=0.01)
    counts = [0] * 7
    for _ in range(21_000):
        counts[chance.below(7)] += 1
    assert min(counts) > 2700
    assert max(counts) < 3300


def test_first_numbers_of_neighbouring_seeds_are_spread() -> None:
    # one generator per call: what counts is how the FIRST numbers of many seeds are spread
    firsts = [Chance(0, "call", step).random() for step in range(20_000)]
    assert statistics.fmean(firsts) == pytest.approx(0.5, abs=0.01)
    assert statistics.pvariance(firsts) == pytest.approx(1 / 12, abs=0.003)


def test_gauss_lognormal_exponential() -> None:
    chance = Chance("shapes")
    normal = [chance.gauss(10.0, 2.0) for _ in range(20_000)]
    assert statistics.fmean(normal) == pytest.approx(10.0, abs=0.06)
    assert statistics.stdev(normal) == pytest.approx(2.0, abs=0.05)
    skewed = [chance.lognormal(0.3, 0.5) for _ in range(20_000)]
    assert statistics.median(skewed) == pytest.approx(0.3, abs=0.01)
    assert min(skewed) > 0.0
    assert chance.lognormal(0.3, 0.0) == 0.3
    waits = [chance.exponential(4.0) for _ in range(20_000)]
    assert statistics.fmean(waits) == pytest.approx(4.0, abs=0.15)
    assert min(waits) >= 0.0


def test_choice() -> None:
    chance = Chance("choice")
    assert {chance.choice("abc") for _ in range(100)} == set("abc")
    with pytest.raises(ValueError, match="nothing"):
        chance.choice([])
    with pytest.raises(ValueError, match="positive"):
        chance.below(0)
