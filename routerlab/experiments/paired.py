"""Right or wrong, twice: intervals, tests and sizes for two models that answered the same prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

__all__ = ["holm", "prompts_for_difference", "prompts_for_equivalence", "score_z", "tango_interval"]

_NORMAL = NormalDist()
_POWER = 0.8


def score_z(b: int, c: int, n: int, difference: float) -> float:
    """Tango's score statistic: how far the data are from a true `difference`, in standard errors.

    Args:
        b: prompts that only the first got right.
        c: prompts that only the second got right.
        n: all prompts.
        difference: of the two proportions right (first minus second), -1…1.

    Returns:
        Standard normal where `difference` is the truth; positive where the data lie above it. With ``difference=0`` its
        square is McNemar's chi-squared, (b - c)²/(b + c).

    Source:
        T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
        design", Statistics in Medicine 17 (1998).
    """
    d = difference
    # the likelihood's maximum for the rate of c, where the rate of b is that plus d
    linear = -b - c + (2 * n - b + c) * d
    constant = -c * d * (1 - d)
    rate = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
    distance = b - c - n * d
    variance = n * (2 * rate + d * (1 - d))
    if variance <= 1e-12 * n:
        return 0.0 if abs(distance) < 1e-9 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def tango_interval(b: int, c: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval for the difference of two paired proportions.

    Sound for few prompts, and where the models hardly ever differ; there the plain one shrinks to a point.

    Args:
        b, c, n: as for `score_z`; ``n`` at least 1.
        confidence: that the interval covers the truth, 0…1 exclusive.

    Returns:
        Lower and upper bound, -1…1.

    Example:
        >>> low, high = tango_interval(1, 7, 21)
        >>> round(low, 3), round(high, 3)
        (-0.517, -0.026)
    """
    if b < 0 or c < 0 or n < max(1, b + c):
        raise ValueError(f"b={b}, c={c}, n={n}: expected counts with b + c <= n and n >= 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} is not between 0 and 1; 95 % is 0.95")
    z = _NORMAL.inv_cdf((1 + confidence) / 2)
    middle = (b - c) / n
    low = _crossing(lambda d: score_z(b, c, n, d) - z, -1.0, middle)
    high = _crossing(lambda d: score_z(b, c, n, d) + z, middle, 1.0)
    return low, high


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function passes zero."""
    for _ in range(60):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: p-values that may be held against 0.05 although several were looked at.

    Source:
        S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def prompts_for_difference(
    difference: float, deviation: float, *, null: float | None = None, alpha: float = 0.05
) -> int:
    """How many prompts a two-sided test needs to see a difference four times out of five.

    Args:
        difference: the true mean of the paired differences; not 0.
        deviation: the standard deviation of one prompt's difference, in the same unit.
        null: the same where there is no difference: for right and wrong, the root of the share of prompts on which
            they disagree. None: as `deviation`.
        alpha: of the test; divided by the number of comparisons where several are made.

    Source:
        R. J. Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43
        (1987), for right and wrong; the usual formula for means otherwise.

    Example:
        >>> prompts_for_difference(0.1, (0.3 - 0.1**2) ** 0.5, null=0.3**0.5)  # they disagree on 30 %
        234
    """
    z, power = _NORMAL.inv_cdf(1 - alpha / 2), _NORMAL.inv_cdf(_POWER)
    wide = deviation if null is None else null
    return math.ceil(((z * wide + power * deviation) / difference) ** 2)


def prompts_for_equivalence(difference: float, deviation: float, margin: float, *, alpha: float = 0.05) -> int | None:
    """How many prompts it takes, four times out of five, until the interval lies inside the margin.

    Args:
        difference, deviation: as for `prompts_for_difference`; the difference may be 0.
        margin: how large a difference does not matter, in the same unit.
        alpha: of the interval: 0.05 for one of 95 %.

    Returns:
        None where the difference is not inside the margin: no number will do.

    Source:
        K. F. Phillips, "Power of the two one-sided tests procedure in bioequivalence", J. Pharmacokin. Biopharm. 18
        (1990), with the normal distribution in place of Student's.
    """
    room = margin - abs(difference)
    if room <= 0:
        return None
    z = _NORMAL.inv_cdf(1 - alpha / 2)
    low, high = 1.0, 1e12
    for _ in range(100):
        n = math.sqrt(low * high)
        error = deviation / math.sqrt(n)
        if error == 0:
            return 1
        sides = ((margin - difference) / error - z, (margin + difference) / error - z)
        power = _NORMAL.cdf(sides[0]) + _NORMAL.cdf(sides[1]) - 1
        low, high = (low, n) if power >= _POWER else (n, high)
    return math.ceil(high * (1 - 1e-9))
