"""Cohen's kappa, against values worked out by hand."""

from __future__ import annotations

import itertools

import pytest

from routerlab.experiments.agreement import agreement, cohen_kappa


def rated(both: int, first: int, second: int, neither: int) -> tuple[list[str], list[str]]:
    """Two raters who say yes or no: both yes, the first alone, the second alone, none."""
    ones = ["yes"] * (both + first) + ["no"] * (second + neither)
    others = ["yes"] * both + ["no"] * first + ["yes"] * second + ["no"] * neither
    return ones, others


@pytest.mark.parametrize(
    ("cells", "kappa"),
    [
        ((20, 5, 10, 15), 0.4),  # agreed 35/50 = 0.7; chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5; 0.2 / 0.5
        ((45, 15, 25, 15), 0.06 / 0.46),  # agreed 0.6; chance 0.6 * 0.7 + 0.4 * 0.3 = 0.54
        ((25, 35, 5, 35), 0.14 / 0.54),  # agreed 0.6; chance 0.6 * 0.3 + 0.4 * 0.7 = 0.46
        ((10, 0, 0, 10), 1.0),
        ((0, 10, 10, 0), -1.0),
        ((25, 25, 25, 25), 0.0),
        ((9, 0, 1, 0), 0.0),  # the first always says yes: nothing beyond chance
    ],
)
def test_kappa_is_what_a_hand_gets(cells: tuple[int, int, int, int], kappa: float) -> None:
    assert cohen_kappa(*rated(*cells)) == pytest.approx(kappa)


def test_kappa_of_three_categories_is_what_a_hand_gets() -> None:
    # agreed 6/9; each says 3 of 9 of each kind: chance 3 * 1/9 = 1/3; (2/3 - 1/3) / (2/3)
    first = ["1", "1", "1", "2", "2", "2", "tie", "tie", "tie"]
    second = ["1", "1", "2", "2", "2", "tie", "tie", "tie", "1"]
    assert cohen_kappa(first, second) == pytest.approx(0.5)


def test_kappa_is_not_defined_without_data_or_without_variety() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["yes"] * 5, ["yes"] * 5) is None
    found = agreement(["yes"] * 5, ["yes"] * 5)
    assert (found.n, found.share, found.kappa, found.low, found.high) == (5, 1.0, None, None, None)
    assert agreement([], []).share is None


def test_ratings_must_pair_up() -> None:
    with pytest.raises(ValueError, match="1 ratings against 2"):
        cohen_kappa(["yes"], ["yes", "no"])


def test_the_interval_holds_kappa_and_shrinks_with_more_data() -> None:
    small, large = agreement(*rated(20, 5, 10, 15)), agreement(*rated(400, 100, 200, 300))
    assert small.kappa == large.kappa == pytest.approx(0.4)
    bounds = [small.low, large.low, 0.4, large.high, small.high]
    assert bounds == sorted(bounds, key=lambda bound: bound or 0.0)
    # Fleiss, Cohen and Everitt's standard error for this table is 0.1250 (0.0280 for twenty times as much)
    assert (small.low, small.high) == pytest.approx((0.4 - 1.96 * 0.125, 0.4 + 1.96 * 0.125), abs=0.04)
    assert (large.low, large.high) == pytest.approx((0.4 - 1.96 * 0.028, 0.4 + 1.96 * 0.028), abs=0.01)


def test_the_interval_is_the_one_of_all_resamples_where_they_can_be_listed() -> None:
    first, second = ["a", "a", "b", "b"], ["a", "b", "b", "b"]
    kappas = []
    for drawn in itertools.product(range(4), repeat=4):
        kappa = cohen_kappa([first[i] for i in drawn], [second[i] for i in drawn])
        if kappa is not None:
            kappas.append(kappa)
    kappas.sort()
    found = agreement(first, second)
    assert found.low == pytest.approx(kappas[round(0.025 * len(kappas))], abs=0.01)
    assert found.high == pytest.approx(kappas[round(0.975 * len(kappas)) - 1], abs=0.01)


def test_raters_that_agree_on_all_are_not_certain_to_do_so() -> None:
    found = agreement(*rated(10, 0, 0, 10))
    # Wilson's lower end for 20 of 20: 20 / (20 + 1.96²) = 0.8389; half of it is chance
    assert (found.kappa, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx((0.8389 - 0.5) / 0.5, abs=1e-4)


def test_the_same_seed_gives_the_same_interval() -> None:
    assert agreement(*rated(20, 5, 10, 15), seed=3) == agreement(*rated(20, 5, 10, 15), seed=3)
    with pytest.raises(ValueError, match="95 % is"):
        agreement(["a"], ["a"], confidence=95)
