"""Statistics against scipy, numpy and values worked out by hand."""

from __future__ import annotations

from math import comb, nan

import numpy as np
import pytest
from scipy import stats

from routerlab.experiments.statistics import mcnemar_exact, mean_interval, percentile, wilson_interval


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 10), (10, 10), (8, 10), (137, 1319), (1, 100_000)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_wilson_agrees_with_scipy(successes: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, n, confidence=confidence) == pytest.approx(
        (expected.low, expected.high), abs=1e-12
    )


def test_wilson_by_hand_and_at_its_edges() -> None:
    assert wilson_interval(5, 10) == pytest.approx((0.236593, 0.763407), abs=1e-6)
    assert wilson_interval(0, 0) is None
    low, high = wilson_interval(0, 7) or (nan, nan)
    assert low == 0.0
    assert high < 1.0
    assert (wilson_interval(7, 7) or (0, 0))[1] == 1.0
    for successes, n in [(-1, 5), (6, 5)]:
        with pytest.raises(ValueError, match="successes="):
            wilson_interval(successes, n)
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match="confidence="):
            wilson_interval(1, 2, confidence=confidence)


def test_mean_interval_of_fractions_is_students() -> None:
    scores = [0.2, 0.4, 0.4, 0.5, 0.9]
    expected = stats.t.interval(0.9, len(scores) - 1, loc=np.mean(scores), scale=stats.sem(scores))
    assert mean_interval(scores, confidence=0.9) == pytest.approx(expected)
    assert mean_interval([*scores, None, nan], confidence=0.9) == pytest.approx(expected)


def test_mean_interval_stays_in_bounds_and_knows_what_it_does_not_know() -> None:
    assert mean_interval([0.01, 0.99]) == (0.0, 1.0)
    assert mean_interval([0.5]) == (0.0, 1.0)
    assert mean_interval([]) is None
    assert mean_interval([None, nan]) is None
    assert mean_interval([1.0, 0.0, 1.0, True]) == wilson_interval(3, 4)
    for wrong in (1.5, -0.1, float("inf")):
        with pytest.raises(ValueError, match="0…1"):
            mean_interval([0.5, wrong])
    with pytest.raises(ValueError, match="confidence="):
        mean_interval([0.5, 0.7], confidence=2)


def test_percentile() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    assert percentile(values, 0) == 1.0
    assert percentile(values, 50) == 2.5
    assert percentile(values, 95) == pytest.approx(3.85)
    assert percentile(values, 100) == 4.0
    assert percentile([7.0, None, nan], 50) == 7.0
    assert percentile([], 50) is None
    assert percentile([None], 50) is None
    assert type(percentile(values, 50)) is float
    with pytest.raises(ValueError, match="q=101"):
        percentile(values, 101)


@pytest.mark.parametrize(("b", "c"), [(0, 1), (0, 5), (5, 0), (3, 9), (10, 11), (40, 70), (900, 1000)])
def test_mcnemar_agrees_with_the_binomial_test(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == pytest.approx(stats.binomtest(b, b + c).pvalue)


def test_mcnemar_by_hand() -> None:
    assert mcnemar_exact(1, 7) == pytest.approx(2 * (comb(8, 0) + comb(8, 1)) / 2**8)
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(6, 6) == 1.0
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)
