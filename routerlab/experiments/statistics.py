"""The statistics of a run's summary: intervals, percentiles, a paired test. "No data" is None, never 0."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["mcnemar_exact", "mean_interval", "percentile", "wilson_interval"]


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float] | None:
    """The Wilson score interval of a proportion; sound for small counts and near 0 and 1, where the plain one is not.

    Args:
        successes: how many of ``n`` succeeded, 0…n.
        n: how many were tried.
        confidence: that the interval covers the true proportion, 0…1 exclusive; 0.95 is the custom.

    Returns:
        Lower and upper bound in 0…1; None for ``n=0``.

    Source:
        E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Example:
        >>> low, high = wilson_interval(8, 10)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes={successes} is not in 0…n={n}")
    z = _two_sided_z(confidence)
    if n == 0:
        return None
    rate = successes / n
    centre = rate + z * z / (2 * n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # With all or none the bound is exactly 1 or 0; rounding must not move it.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return low, high


def mean_interval(values: Iterable[float | None], *, confidence: float = 0.95) -> tuple[float, float] | None:
    """An interval for the mean of scores in 0…1.

    Scores that are all 0 or 1 are a proportion and get Wilson's interval; others get Student's t interval, cut to 0…1.
    A single fractional score says nothing about the spread: its interval is (0, 1).

    Args:
        values: the scores, each in 0…1; None and NaN are missing and do not count.
        confidence: that the interval covers the true mean, 0…1 exclusive.

    Returns:
        Lower and upper bound in 0…1; None when there are no scores.

    Source:
        Student, "The probable error of a mean", Biometrika 6 (1908); Wilson as above.
    """
    scores = _present(values)
    if any(not 0 <= score <= 1 for score in scores):
        raise ValueError("mean_interval is for scores in 0…1")
    if all(score in {0.0, 1.0} for score in scores):
        return wilson_interval(round(sum(scores)), len(scores), confidence=confidence)
    if len(scores) == 1:
        return 0.0, 1.0
    from scipy.special import stdtrit

    n = len(scores)
    mean = math.fsum(scores) / n
    deviation = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (n - 1))
    half = float(stdtrit(n - 1, (1 + _checked(confidence)) / 2)) * deviation / math.sqrt(n)
    return max(0.0, mean - half), min(1.0, mean + half)


def percentile(values: Iterable[float | None], q: float) -> float | None:
    """The ``q``-th percentile, linear between the two nearest values.

    Args:
        values: in any order; None and NaN are missing and do not count.
        q: 0…100; 50 is the median.

    Returns:
        The percentile in the values' unit; None when there are no values.

    Source:
        R. J. Hyndman, Y. Fan, "Sample quantiles in statistical packages", Am. Stat. 50 (1996), definition 7; numpy's
        default.
    """
    present = _present(values)
    if not 0 <= q <= 100:
        raise ValueError(f"q={q} is not in 0…100")
    if not present:
        return None
    import numpy as np

    return float(np.percentile(present, q))


def mcnemar_exact(b: int, c: int) -> float:
    """The exact two-sided McNemar test: do two models that answered the same items differ in accuracy?

    Args:
        b: items that only the first got right.
        c: items that only the second got right. (Items where both agree say nothing.)

    Returns:
        The p-value, 0…1: how likely a split at least this uneven is when neither is better; 1.0 for ``b = c = 0``.

    Source:
        Q. McNemar, Psychometrika 12 (1947), with the exact binomial distribution in place of chi-squared.

    Example:
        >>> mcnemar_exact(0, 5)
        0.0625
    """
    if b < 0 or c < 0:
        raise ValueError(f"counts cannot be negative: b={b}, c={c}")
    if b == c:
        return 1.0
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5)))


def _present(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None and not math.isnan(value)]


def _two_sided_z(confidence: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + _checked(confidence)) / 2)


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} is not between 0 and 1; 95 % is 0.95")
    return confidence
