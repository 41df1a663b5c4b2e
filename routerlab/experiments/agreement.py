"""Agreement of two raters on the same things, beyond what chance alone would bring about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routerlab.experiments.statistics import wilson_interval

__all__ = ["Agreement", "agreement", "cohen_kappa"]

_RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two raters agree.

    Attributes:
        n: things that both have rated.
        share: on how many of them they agree, 0…1; None for ``n=0``.
        kappa: Cohen's kappa: 1 full agreement, 0 as much as chance brings about, below 0 less; None where it is not
            defined (no data, or both always say the same one thing).
        low, high: its 95 % bootstrap interval; None where kappa is None.
        counts: how often the first said one thing and the second another.
    """

    n: int
    share: float | None
    kappa: float | None
    low: float | None
    high: float | None
    counts: Mapping[tuple[Any, Any], int]


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa of two raters' categories.

    Args:
        first, second: one category for each thing, in the same order.

    Returns:
        -1…1; None where it is not defined: nothing was rated, or both put everything into one and the same category.

    Raises:
        ValueError: the two are not of the same length.

    Source:
        J. Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20 (1960).

    Example:
        >>> cohen_kappa(["A", "A", "B", "B"], ["A", "A", "B", "A"])
        0.5
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} ratings against {len(second)}: expected one of each rater for each thing")
    n = len(first)
    ones, others = Counter(first), Counter(second)
    agreed = sum(one == other for one, other in zip(first, second, strict=True)) * n
    chance = sum(ones[category] * others[category] for category in ones)  # whole numbers: nothing is rounded yet
    return None if chance == n * n else (agreed - chance) / (n * n - chance)


def agreement(
    first: Sequence[Hashable], second: Sequence[Hashable], *, confidence: float = 0.95, seed: int = 0
) -> Agreement:
    """Share of agreement, and Cohen's kappa with a bootstrap interval.

    The interval is the percentile bootstrap over the rated things, 4,000 resamples; those in which kappa is not defined
    count nowhere. With few things it is too narrow, as every bootstrap is. Of raters that agree on all of them it would
    be a point: there the lower end is what kappa would be at the lower end of Wilson's interval of the share.

    Args:
        first, second: one category for each thing, in the same order.
        confidence: that the interval covers the true kappa, 0…1 exclusive.
        seed: of the resamples.

    Source:
        B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} is not between 0 and 1; 95 % is 0.95")
    kappa = cohen_kappa(first, second)
    counts = Counter(zip(first, second, strict=True))
    n = len(first)
    share = sum(times for (one, other), times in counts.items() if one == other) / n if n else None
    low, high = (None, None) if kappa is None else _interval(counts, n, confidence, seed)
    if kappa == 1:
        low = _least(counts, n, confidence)
    return Agreement(n, share, kappa, low, high, dict(counts))


def _least(counts: Mapping[tuple[Any, Any], int], n: int, confidence: float) -> float:
    """The lower end where all agree: chance as it is, the share as low as it may be."""
    chance = sum(times * times for times in counts.values()) / n**2
    share, _ = wilson_interval(n, n, confidence=confidence) or (0.0, 1.0)
    return (share - chance) / (1 - chance)


def _interval(counts: Mapping[tuple[Any, Any], int], n: int, confidence: float, seed: int) -> tuple[float, float]:
    """Resampling things is drawing how often each cell of the table occurs."""
    import numpy as np

    categories = {category: place for place, category in enumerate(dict.fromkeys(c for cell in counts for c in cell))}
    size = len(categories)
    table = np.zeros((size, size))
    for (one, other), times in counts.items():
        table[categories[one], categories[other]] = times
    drawn = np.random.default_rng(seed).multinomial(n, table.ravel() / n, size=_RESAMPLES).reshape(-1, size, size)
    agreed = np.trace(drawn, axis1=1, axis2=2) * n
    chance = (drawn.sum(axis=2) * drawn.sum(axis=1)).sum(axis=1)
    defined = chance < n * n
    kappas = (agreed[defined] - chance[defined]) / (n * n - chance[defined])
    low, high = np.quantile(kappas, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
