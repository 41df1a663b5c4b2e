"""Bootstrap intervals against scipy's, against Student's, and in a small simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from routerlab.experiments.bootstrap import mean_of_differences, median_difference


def skewed(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).exponential(1.0, n)


def test_percentiles_agree_with_scipys_where_the_sample_is_large() -> None:
    values = skewed(800)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    found = mean_of_differences(values, resamples=20_000).interval()
    assert found == pytest.approx(tuple(expected), abs=0.05 * (expected.high - expected.low))


def test_the_error_of_a_median_agrees_with_scipys() -> None:
    a, b = skewed(301, 3), skewed(301, 4)
    expected = stats.bootstrap(
        (a, b), lambda a, b, axis: np.median(a, axis=axis) - np.median(b, axis=axis), paired=True, n_resamples=9999,
        method="percentile", rng=np.random.default_rng(2),
    ).standard_error  # fmt: skip
    assert median_difference(a, b, resamples=9999).standard_error == pytest.approx(expected, rel=0.05)


def test_a_small_symmetric_sample_gets_nearly_students_interval() -> None:
    values = stats.norm.ppf((np.arange(1, 13) - 0.5) / 12)
    expected = stats.t.interval(0.95, 11, loc=0.0, scale=stats.sem(values))
    assert mean_of_differences(values, resamples=20_000).interval() == pytest.approx(expected, rel=0.08)


def test_p_values_are_the_interval_turned_around() -> None:
    found = mean_of_differences(skewed(60), resamples=20_000)
    low, high = found.interval(0.95)
    assert found.p_below(low) == pytest.approx(0.025, abs=0.001)
    assert found.p_above(high) == pytest.approx(0.025, abs=0.001)
    assert found.p_below(low - 0.1) < 0.025 < found.p_below(low + 0.1)
    assert found.p_below(found.replicates[-1] + 1) > 0.99
    medians = median_difference(skewed(60), skewed(60, 2))
    assert medians.p_above(medians.interval()[1]) == pytest.approx(0.025)


def test_no_p_value_is_smaller_than_the_prompts_or_the_resamples_allow() -> None:
    assert mean_of_differences([0.2, 0.3, 0.25]).p_below(0.0) == 0.5**3
    assert mean_of_differences(skewed(500), resamples=999).p_below(0.0) == pytest.approx(1 / 1000, rel=0.1)


def test_the_same_seed_gives_the_same_answer_and_order_does_not_matter_much() -> None:
    values = skewed(50)
    assert mean_of_differences(values).interval() == mean_of_differences(values).interval()
    assert mean_of_differences(values, seed=1).interval() != mean_of_differences(values).interval()
    mirrored = mean_of_differences(-values).interval()
    assert mirrored[0] == pytest.approx(-mean_of_differences(values).interval()[1], rel=0.02)


def test_medians_are_paired_so_that_a_constant_shift_is_certain() -> None:
    values = skewed(99)
    found = median_difference(values + 0.25, values)
    assert found.estimate == pytest.approx(0.25)
    assert found.interval() == pytest.approx((0.25, 0.25))
    assert found.p_below(0.0) == pytest.approx(1 / 4001)


def test_samples_without_spread_and_without_prompts() -> None:
    same = mean_of_differences([0.0] * 20)
    assert same.interval() == (0.0, 0.0)
    assert same.standard_error == 0.0
    assert mean_of_differences([0.4]).interval() == (0.4, 0.4)
    with pytest.raises(ValueError, match="nothing to resample"):
        mean_of_differences([])


def test_large_samples_are_resampled_in_pieces_with_the_same_result() -> None:
    found = mean_of_differences(np.tile([0.0, 1.0], 30_000), resamples=100)
    assert len(found.replicates) == 100
    assert found.standard_error == pytest.approx(0.5 / np.sqrt(60_000), rel=0.25)
