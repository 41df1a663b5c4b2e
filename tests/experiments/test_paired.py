"""Paired proportions against published values, brute force and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from routerlab.experiments.paired import (
    holm,
    prompts_for_difference,
    prompts_for_equivalence,
    score_z,
    tango_interval,
)


@pytest.mark.parametrize(
    ("b", "c", "n", "confidence", "expected", "digits"),
    [
        # Bentur et al. 2009, as R's ratesci and PropCIs give it (Fagerland, Lydersen, Laake 2017, chapter 8)
        (1, 7, 21, 0.95, (-0.517, -0.026), 3),
        # PropCIs::scoreci.mp(25, 28, 618) at 90 %
        (28, 25, 618, 0.90, (-0.0148, 0.0247), 4),
    ],
)
def test_tango_interval_gives_published_values(b, c, n, confidence, expected, digits) -> None:
    assert tango_interval(b, c, n, confidence=confidence) == pytest.approx(expected, abs=0.6 * 10**-digits)


@pytest.mark.parametrize(("b", "c", "n"), [(3, 9, 40), (0, 5, 12), (40, 20, 160), (7, 7, 30)])
@pytest.mark.parametrize("difference", [-0.3, -0.05, 0.0, 0.12])
def test_score_statistic_agrees_with_the_likelihoods_maximum_found_by_search(b, c, n, difference) -> None:
    def loss(rate: float) -> float:
        rest = 1 - 2 * rate - difference
        parts = ((b, rate + difference), (c, rate), (n - b - c, rest))
        return -sum(count * math.log(max(p, 1e-300)) for count, p in parts if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    rate = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = n * (2 * rate + difference * (1 - difference))
    assert score_z(b, c, n, difference) == pytest.approx((b - c - n * difference) / math.sqrt(variance), abs=2e-4)


def test_score_statistic_without_a_difference_is_mcnemars() -> None:
    assert score_z(40, 20, 160, 0.0) ** 2 == pytest.approx((40 - 20) ** 2 / (40 + 20))


def test_models_that_never_differ_leave_an_interval_that_shrinks_with_the_prompts() -> None:
    z2 = stats.norm.ppf(0.975) ** 2
    for n in (1, 10, 400):
        assert tango_interval(0, 0, n) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)))


def test_tango_interval_turns_with_the_models_and_refuses_impossible_counts() -> None:
    low, high = tango_interval(9, 2, 50)
    assert tango_interval(2, 9, 50) == pytest.approx((-high, -low))
    assert tango_interval(20, 0, 20)[1] == pytest.approx(1.0)
    for wrong in ((3, 3, 5), (-1, 2, 5), (0, 0, 0)):
        with pytest.raises(ValueError, match="counts"):
            tango_interval(*wrong)
    with pytest.raises(ValueError, match="confidence"):
        tango_interval(1, 2, 9, confidence=95)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_so_many_prompts_as_connor_says_reach_the_power_they_promise() -> None:
    p10, p01 = 0.20, 0.10
    n = prompts_for_difference(p10 - p01, math.sqrt(p10 + p01 - (p10 - p01) ** 2), null=math.sqrt(p10 + p01))
    # by hand: (1.96 * sqrt(0.3) + 0.8416 * sqrt(0.29))² / 0.1² = 233.1
    assert n == 234
    rng = np.random.default_rng(7)
    b, c, _ = rng.multinomial(n, [p10, p01, 1 - p10 - p01], size=4000).T
    chi2 = (b - c) ** 2 / np.maximum(b + c, 1)
    assert np.mean(chi2 > stats.chi2.ppf(0.95, 1)) == pytest.approx(0.8, abs=0.03)


def test_prompts_for_equivalence_by_hand_and_by_simulation() -> None:
    # no difference: (1.960 + 1.2816)² * 0.5² / 0.05² = 1050.7
    n = prompts_for_equivalence(0.0, 0.5, 0.05)
    assert n == 1051
    means = np.random.default_rng(3).normal(0.0, 0.5 / math.sqrt(n), size=20_000)
    assert np.mean(np.abs(means) + 1.95996 * 0.5 / math.sqrt(n) < 0.05) == pytest.approx(0.8, abs=0.01)
    assert prompts_for_equivalence(0.05, 0.5, 0.05) is None
    assert prompts_for_equivalence(0.0, 0.0, 0.05) == 1
