"""How good a router between a weak and a strong model is: PGR, APGR and CPT, as RouteLLM defines them.

A router gives each prompt a number; prompts at or above a threshold go to the strong model. Moving the threshold from
top to bottom draws a curve: the share of calls to the strong model against quality.

Source:
    I. Ong et al., "RouteLLM: Learning to route LLMs with preference data", arXiv 2406.18665, section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RouterCurve", "gap_recovered", "router_curve"]

Values = NDArray[np.float64]


def gap_recovered(quality: float, weak: float, strong: float) -> float | None:
    """PGR, the performance gap recovered: 0 at the weak model's quality, 1 at the strong one's.

    Args:
        quality: of the router.
        weak, strong: of the two models alone, in the same unit.

    Returns:
        It may leave 0…1 (an oracle's is above 1); None where the two models are equal and there is no gap.

    Example:
        >>> gap_recovered(0.75, 0.5, 1.0)
        0.5
    """
    return None if strong == weak else (quality - weak) / (strong - weak)


@dataclass(frozen=True, slots=True)
class RouterCurve:
    """A router at every threshold.

    Attributes:
        share: of calls that go to the strong model, 0…1, rising.
        quality: at that share.
    """

    share: Values
    quality: Values

    @property
    def weak(self) -> float:
        """Quality of the weak model alone."""
        return float(self.quality[0])

    @property
    def strong(self) -> float:
        """Quality of the strong model alone."""
        return float(self.quality[-1])

    @property
    def apgr(self) -> float | None:
        """The average PGR over all shares of strong calls: the area under the curve; 0.5 for a router that tosses."""
        if self.strong == self.weak:
            return None
        area = float(np.trapezoid(self.quality, self.share))
        return gap_recovered(area, self.weak, self.strong)

    def cpt(self, recovered: float) -> float | None:
        """CPT, the call-performance threshold: the least share of strong calls that recovers so much of the gap.

        Args:
            recovered: the PGR to reach, 0…1: 0.5 and 0.8 are RouteLLM's.

        Returns:
            0…1, linear between the curve's points; None where the models are equal or the curve never gets there.
        """
        if self.strong == self.weak:
            return None
        pgr = (self.quality - self.weak) / (self.strong - self.weak)
        reached = np.flatnonzero(pgr >= recovered - 1e-12)
        if not len(reached):
            return None
        place = int(reached[0])
        if place == 0:
            return float(self.share[0])
        before, after = pgr[place - 1], pgr[place]
        part = (recovered - before) / (after - before)
        return float(self.share[place - 1] + part * (self.share[place] - self.share[place - 1]))


def router_curve(router: Any, weak: Any, strong: Any, *, bins: int | None = None) -> RouterCurve:
    """The curve of a router on prompts that both models answered.

    Args:
        router: its number for each prompt; higher: rather to the strong model.
        weak, strong: the two models' scores of the same prompts.
        bins: None: every threshold that there is, ties together. A number: only the thresholds at so many equal parts
            of the router's numbers, as RouteLLM's own evaluation does with 10.

    Returns:
        From the weak model alone to the strong one alone.

    Raises:
        ValueError: no prompts, or lists of different lengths.

    Example:
        >>> curve = router_curve([3, 2, 1, 0], weak=[0, 0, 1, 1], strong=[1, 1, 1, 1])  # it knows where it matters
        >>> curve.apgr, curve.cpt(0.5), curve.cpt(0.8)
        (0.75, 0.25, 0.4)
    """
    scores, low, high = (np.asarray(values, dtype=np.float64) for values in (router, weak, strong))
    if not len(scores) or not len(scores) == len(low) == len(high):
        raise ValueError(f"expected one number of each for at least one prompt: {len(scores)}, {len(low)}, {len(high)}")
    if bins is None:
        thresholds = np.unique(scores)
    else:  # the highest one sends nothing, as in RouteLLM's evaluation
        thresholds = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)))
        thresholds = thresholds[:-1] if len(thresholds) > 1 else thresholds
    order = np.argsort(-scores, kind="stable")
    counts = np.searchsorted(-scores[order], -thresholds[::-1], side="right")
    gains = np.concatenate(([0.0], np.cumsum((high - low)[order])))
    counts = np.concatenate(([0], counts))
    return RouterCurve(counts / len(scores), low.mean() + gains[counts] / len(scores))
