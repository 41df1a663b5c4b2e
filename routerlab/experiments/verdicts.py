"""Verdicts: which of two models is better, whether they are as good, or what it would take to know.

Every comparison is paired by prompt. A verdict is only ever as strong as its interval: "undecided" is an answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.bootstrap import RESAMPLES, Resampled, mean_of_differences, median_difference
from routerlab.experiments.outcomes import OutcomeTable, Pair
from routerlab.experiments.paired import (
    holm,
    prompts_for_difference,
    prompts_for_equivalence,
    score_z,
    tango_interval,
)
from routerlab.experiments.statistics import mcnemar_exact

__all__ = ["Difference", "Verdict", "check_question", "compare", "difference_of_scores", "normal_tail"]

Values = NDArray[np.float64]

ALPHA = 0.05
_FEWEST = 6  # with five prompts not even five wins of five are worth a verdict: 2 * 0.5**5 > 0.05
_TOO_ALIKE = 10  # a bootstrap of fewer prompts that differ at all sees too little of what could have been


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of two models on the same prompts; first minus second.

    Attributes:
        measure: ``quality`` (score, 0…1), ``latency`` (seconds, of medians) or ``cost`` (USD for one answer).
        first, second: the models.
        n: prompts that both have.
        value_first, value_second: mean score, median latency, mean cost over these prompts.
        estimate, low, high: the difference and its 95 % interval; None without prompts.
        p: two-sided, against "no difference".
        p_same: against "they differ by the margin or more"; None without a margin.
        method: of the interval and the test.
        verdict: ``better``, ``worse``, ``as good`` or ``undecided``, said of the first.
        needed: prompts after which a verdict could be expected (80 % power, if the prompts to come are like these);
            None where there is one, or where none can be expected.
        margin: as asked for; None for latency and cost.
        spread: standard deviation of one prompt's difference, as it is and as it would be without a difference.
    """

    measure: str
    first: str
    second: str
    n: int
    value_first: float | None = None
    value_second: float | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_same: float | None = None
    method: str = ""
    verdict: str = "undecided"
    needed: int | None = None
    margin: float | None = None
    spread: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Two models, in quality, latency and cost."""

    quality: Difference
    latency: Difference
    cost: Difference
    unpaired: int = 0
    repeats: bool = False

    @property
    def differences(self) -> tuple[Difference, Difference, Difference]:
        """All three."""
        return self.quality, self.latency, self.cost


def compare(
    table: OutcomeTable,
    variants: Sequence[str] = (),
    *,
    margin: float = 0.05,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Verdict]:
    """Compare models, each with each; with several pairs the p-values are Holm's, for each measure by itself.

    Args:
        table: what they scored, cost and took.
        variants: which; none: all that the table has.
        margin: how large a difference in score does not matter, 0…1; 0.05 is five points of a hundred.
        resamples, seed: of the bootstrap.

    Raises:
        ConfigurationError: fewer than two models, one twice, or a margin that is not in 0…1.
    """
    names = list(variants or table.variants)
    check_question(names, margin)
    options = {"resamples": resamples, "seed": seed}
    found = []
    for first, second in combinations(names, 2):
        pair = table.pair(first, second)
        found.append(
            Verdict(
                difference_of_scores(pair, first, second, margin=margin, **options),
                _latency(pair, first, second, **options),
                _cost(pair, first, second, **options),
                pair.unpaired,
                pair.repeats,
            )
        )
    return _decided(found)


def check_question(models: Sequence[str], margin: float) -> None:
    """Whether a comparison can be asked for so.

    Raises:
        ConfigurationError: fewer than two models, one twice, or a margin that is not in 0…1.
    """
    if len(models) < 2 or len(set(models)) < len(models):
        raise ConfigurationError(
            f"a comparison needs at least two different models, not {list(models)!r}: name them in models=[…] "
            "(--models), or ways to ask in variants={…}"
        )
    if not 0 <= margin < 1:
        raise ConfigurationError(f"margin={margin!r}: expected a part of the score's range, 0…1; five points are 0.05")


def difference_of_scores(pair: Pair, first: str, second: str, *, margin: float, **options: Any) -> Difference:
    """The difference in quality, not yet decided.

    Right and wrong: Tango's score interval and McNemar's exact test. Other scores, and prompts with repeats: percentile
    bootstrap over the prompts. Where fewer than ten prompts differ at all, a bootstrap would be too sure of itself:
    then each of them counts as a whole point in Tango's interval, which is wider than need be, never too narrow.
    """
    a, b = pair.scores
    n = len(a)
    if n == 0:
        return Difference("quality", first, second, 0, margin=margin)
    d = a - b
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    binary = bool(np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all())
    base = Difference(
        "quality", first, second, n, float(a.mean()), float(b.mean()), float(d.mean()), margin=margin,
        spread=_spread(d, binary=binary),
    )  # fmt: skip
    if not binary and wins + losses >= _TOO_ALIKE:
        return _resampled(base, mean_of_differences(d, **options))
    low, high = tango_interval(wins, losses, n)
    sides = (score_z(wins, losses, n, -margin), -score_z(wins, losses, n, margin))
    p_same = min(1.0, 2 * max(normal_tail(side) for side in sides))
    method = "McNemar's exact test, Tango's score interval"
    if not binary:
        low, high = min(low, float(d.mean())), max(high, float(d.mean()))
        method = "exact sign test, Tango's score interval (too few prompts differ for a bootstrap)"
    return replace(base, low=low, high=high, p=mcnemar_exact(wins, losses), p_same=p_same, method=method)


def normal_tail(z: float) -> float:
    """The chance that a standard normal number exceeds `z`."""
    return math.erfc(z / math.sqrt(2)) / 2


def _spread(d: Values, *, binary: bool) -> tuple[float, float]:
    """Standard deviation of one prompt's difference, and the same if there were none; never 0 by luck alone."""
    n = len(d)
    if binary:  # half a prompt more on each side
        disagree = (float(np.abs(d).sum()) + 1) / (n + 1)
        return math.sqrt(max(1e-12, disagree - float(d.mean()) ** 2)), math.sqrt(disagree)
    deviation = float(np.sqrt((((d - d.mean()) ** 2).sum() + 0.25) / n)) if n else 0.0
    return deviation, deviation


def _resampled(base: Difference, found: Resampled) -> Difference:
    low, high = found.interval()
    p = min(1.0, 2 * min(found.p_below(0.0), found.p_above(0.0)))
    if base.margin is None:
        p_same = None
    else:
        p_same = min(1.0, 2 * max(found.p_below(-base.margin), found.p_above(base.margin)))
    if found.replicates[0] == found.replicates[-1] == 0:
        p = 1.0
    return replace(base, estimate=found.estimate, low=low, high=high, p=p, p_same=p_same, method=found.method)


def _latency(pair: Pair, first: str, second: str, **options: Any) -> Difference:
    a, b = pair.latencies
    if not len(a):
        return Difference("latency", first, second, 0)
    found = median_difference(a, b, **options)
    width = found.standard_error * math.sqrt(len(a))
    base = Difference("latency", first, second, len(a), float(np.median(a)), float(np.median(b)), spread=(width, width))
    return _resampled(base, found)


def _cost(pair: Pair, first: str, second: str, **options: Any) -> Difference:
    a, b = pair.costs
    if not len(a):
        return Difference("cost", first, second, 0)
    width = float(np.std(a - b, ddof=1)) if len(a) > 1 else 0.0
    base = Difference("cost", first, second, len(a), float(a.mean()), float(b.mean()), spread=(width, width))
    return _resampled(base, mean_of_differences(a - b, **options))


def _decided(found: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts, with Holm's p-values in place of the plain ones."""
    columns = [_family(list(many)) for many in zip(*(verdict.differences for verdict in found), strict=True)]
    return [
        replace(verdict, quality=quality, latency=latency, cost=cost)
        for verdict, quality, latency, cost in zip(found, *columns, strict=True)
    ]


def _family(differences: list[Difference]) -> list[Difference]:
    p_values = holm([1.0 if d.p is None else d.p for d in differences])
    p_sames = holm([1.0 if d.p_same is None else d.p_same for d in differences])
    decided = []
    for difference, p, p_same in zip(differences, p_values, p_sames, strict=True):
        verdict = _verdict(difference, p, p_same)
        made = replace(
            difference,
            p=None if difference.p is None else p,
            p_same=None if difference.p_same is None else p_same,
            verdict=verdict,
        )
        needed = _needed(made, ALPHA / len(differences)) if verdict == "undecided" else None
        decided.append(replace(made, needed=needed))
    return decided


def _verdict(difference: Difference, p: float, p_same: float) -> str:
    if difference.estimate is None or difference.n < _FEWEST:
        return "undecided"
    if difference.margin and p_same <= ALPHA:
        return "as good"
    if p > ALPHA:
        return "undecided"
    more = difference.estimate > 0
    return "better" if more == (difference.measure == "quality") else "worse"


def _needed(difference: Difference, alpha: float) -> int | None:
    """Prompts after which a verdict could be expected; never fewer than there are."""
    estimate, spread = difference.estimate, difference.spread
    if estimate is None or spread is None or difference.n < 2:
        return None
    ways: list[int | None] = []
    if estimate and spread[0]:
        ways.append(prompts_for_difference(estimate, spread[0], null=spread[1], alpha=alpha))
    if difference.margin:
        ways.append(prompts_for_equivalence(estimate, spread[0], difference.margin, alpha=alpha))
    known = [max(way, difference.n + 1, _FEWEST) for way in ways if way is not None]
    return min(known) if known else None
