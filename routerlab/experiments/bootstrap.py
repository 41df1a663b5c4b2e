"""Bootstrap intervals for differences between two models that answered the same prompts.

Prompts are resampled, never single answers: each prompt comes with one number per model, so that both models meet the
same prompts in every resample, and repeats of a prompt never count as further evidence.

Sources:
    B. Efron, "Better bootstrap confidence intervals", JASA 82 (1987): BCa.
    T. C. Hesterberg, "What teachers should know about the bootstrap", Am. Stat. 69 (2015), section 5.3: the bootstrap
    is too narrow by the ratio of Student's t to the normal quantile and by sqrt((n - 1)/n); asking for quantiles
    further out corrects that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

__all__ = ["RESAMPLES", "Resampled", "mean_of_differences", "median_difference"]

Values = NDArray[np.float64]

RESAMPLES = 4000
_AT_ONCE = 2_000_000  # numbers held in memory at a time


@dataclass(frozen=True, slots=True)
class Resampled:
    """What resampling says of one estimate.

    Attributes:
        estimate: of the sample itself.
        replicates: of the resamples, sorted.
        n: prompts.
        bias: BCa's z0; 0 for a percentile interval.
        acceleration: BCa's a; 0 for a percentile interval.
        method: ``"BCa bootstrap"`` or ``"percentile bootstrap"``.
    """

    estimate: float
    replicates: Values
    n: int
    bias: float
    acceleration: float
    method: str

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Lower and upper bound, in the estimate's unit."""
        tail = (1 - confidence) / 2
        low, high = (float(np.quantile(self.replicates, self._level(q))) for q in (tail, 1 - tail))
        return low, high

    @property
    def standard_error(self) -> float:
        """The spread of the replicates, in the estimate's unit."""
        return float(np.std(self.replicates, ddof=1))

    def p_below(self, value: float) -> float:
        """One-sided p-value against "the truth is at most `value`": small where the truth is surely above it.

        It is the interval turned around: below 0.025 exactly where the 95 % interval lies above `value`. Never less
        than one in the number of resamples, nor than ``0.5**n``, what `n` prompts can say at most by their signs.
        """
        below = float(np.mean(self.replicates < value) + np.mean(self.replicates == value) / 2)
        least = 1 / (len(self.replicates) + 1)
        if below > 1 - least:
            return 1.0
        w = float(ndtri(max(below, least))) - self.bias
        z = w / (1 + self.acceleration * w) - self.bias
        p = float(stdtr(max(1, self.n - 1), z * self._shrink))
        return max(p, least, 0.5**self.n)

    def p_above(self, value: float) -> float:
        """One-sided p-value against "the truth is at least `value`"."""
        mirror = Resampled(-self.estimate, -self.replicates[::-1], self.n, -self.bias, -self.acceleration, self.method)
        return mirror.p_below(-value)

    @property
    def _shrink(self) -> float:
        return math.sqrt((self.n - 1) / self.n) if self.n > 1 else 1.0

    def _level(self, q: float) -> float:
        """Which quantile of the replicates stands for the quantile `q` of the truth."""
        w = self.bias + float(stdtrit(max(1, self.n - 1), q)) / self._shrink
        shrink = 1 - self.acceleration * w
        if shrink <= 0:  # far out in a very skewed sample: the last replicate is all there is
            return 1.0 if w > 0 else 0.0
        return float(ndtr(self.bias + w / shrink))


def mean_of_differences(differences: Any, *, resamples: int = RESAMPLES, seed: int = 0) -> Resampled:
    """The mean of paired differences, with a BCa interval (widened as Hesterberg says).

    Args:
        differences: one per prompt, in any unit; at least one, none missing.
        resamples: 4,000 keep an interval's bounds from moving visibly with the seed.
        seed: same seed, same answer.

    Example:
        >>> found = mean_of_differences([0.1, 0.3, 0.2, 0.4, 0.0, 0.2])
        >>> round(found.estimate, 3), [round(bound, 2) for bound in found.interval()]
        (0.2, [0.05, 0.33])
    """
    d = np.asarray(differences, dtype=np.float64)
    total, n = d.sum(), len(d)
    replicates = _resample(n, lambda places: d[places].mean(axis=-1), resamples, seed)
    jackknife = (total - d) / (n - 1) if n > 1 else d
    spread = jackknife.mean() - jackknife
    scale = float((spread**2).sum())
    tiny = 1e-24 * float((d**2).sum())
    acceleration = float((spread**3).sum()) / (6 * scale**1.5) if scale > tiny else 0.0
    estimate = float(d.mean())
    share = float(np.mean(replicates < estimate) + np.mean(replicates == estimate) / 2)
    least = 1 / (resamples + 1)
    bias = float(ndtri(min(max(share, least), 1 - least)))
    return Resampled(estimate, replicates, n, bias, acceleration, "BCa bootstrap")


def median_difference(a: Any, b: Any, *, resamples: int = RESAMPLES, seed: int = 0) -> Resampled:
    """The median of `a` minus the median of `b`, over the same prompts, with a percentile interval.

    Percentile and not BCa: BCa's acceleration comes from leaving out one value at a time, which says nothing of a
    median.

    Args:
        a, b: one value per prompt each, in the same order and unit; none missing.
        resamples, seed: as for `mean_of_differences`.
    """
    pair = np.stack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])

    def statistic(places: NDArray[np.intp]) -> Values:
        medians: Values = np.median(pair[:, places], axis=-1)
        return np.asarray(medians[0] - medians[1])

    n = pair.shape[1]
    replicates = _resample(n, statistic, resamples, seed)
    estimate = float(np.median(pair[0]) - np.median(pair[1]))
    return Resampled(estimate, replicates, n, 0.0, 0.0, "percentile bootstrap")


def _resample(n: int, statistic: Callable[[NDArray[np.intp]], Values], resamples: int, seed: int) -> Values:
    if n < 1:
        raise ValueError("there is nothing to resample: no prompt has a value of both models")
    rng = np.random.default_rng(seed)
    rows = max(1, _AT_ONCE // n)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    return np.sort(np.concatenate([statistic(rng.integers(0, n, size=(size, n))) for size in sizes]))
