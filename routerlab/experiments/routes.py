"""What routing rules and single models come to on a table of outcomes: quality, cost, latency, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.bootstrap import mean_of_differences, median_difference
from routerlab.experiments.outcomes import OutcomeTable
from routerlab.experiments.policies import Policy, Roles
from routerlab.experiments.router_metrics import gap_recovered, router_curve
from routerlab.experiments.statistics import mean_interval

__all__ = ["Estimate", "ModelPoint", "RouteResult", "evaluate", "frontier_points", "roles_of"]

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RouteResult:
    """One rule on the prompts that all models have a score for.

    Attributes:
        policy: its name.
        prompts: how many.
        quality: mean score of the answers that count.
        cost_usd: mean of all calls for one prompt; None where a price is unknown.
        latency_s: median over prompts, calls one after the other; None where one is unknown.
        strong_share: calls to the strong model for one prompt.
        calls: for one prompt, by model.
        pgr: performance gap recovered; None without a gap.
        apgr, cpt50, cpt80: of the rule's number at every threshold; None where it is no such rule.
    """

    policy: str
    prompts: int
    quality: Estimate
    cost_usd: Estimate | None
    latency_s: Estimate | None
    strong_share: float
    calls: Mapping[str, float]
    pgr: float | None
    apgr: float | None = None
    cpt50: float | None = None
    cpt80: float | None = None


def roles_of(table: OutcomeTable, weak: str | None = None, strong: str | None = None) -> Roles:
    """The weak and the strong model: as named, else those with the lowest and the highest mean score.

    Raises:
        ConfigurationError: fewer than two models, no common prompts, or the same model twice.
    """
    if not len(table.items):
        raise ConfigurationError("no prompt has a score of every model, so there is nothing to route")
    for named in (weak, strong):
        if named is not None:
            table.column(named)
    means = table.score.mean(axis=0)
    order = [table.variants[place] for place in np.argsort(means, kind="stable")]
    low = weak or next((name for name in order if name != strong), order[0])
    high = strong or next((name for name in reversed(order) if name != low), order[-1])
    if low == high:
        raise ConfigurationError(f"routing needs two different models, not {low!r} twice")
    return Roles(low, high)


def evaluate(table: OutcomeTable, policy: Policy, roles: Roles) -> RouteResult:
    """What a rule would have come to; `table` must be complete (``table.complete(…)``)."""
    plan = policy.plan(table, roles)
    score = (plan.answers * table.score).sum(axis=1)
    weak, strong = table.score[:, table.column(roles.weak)], table.score[:, table.column(roles.strong)]
    router = policy.router(table, roles)
    curve = None if router is None else router_curve(router, weak, strong)
    quality = _quality(score)
    return RouteResult(
        policy.name,
        len(score),
        quality,
        _mean(_spent(plan.calls, table.cost_usd)),
        _median(_spent(plan.calls, table.latency_s)),
        float(plan.calls[:, table.column(roles.strong)].mean()),
        dict(zip(table.variants, plan.calls.mean(axis=0).tolist(), strict=True)),
        gap_recovered(quality.value, float(weak.mean()), float(strong.mean())),
        *(() if curve is None else (curve.apgr, curve.cpt(0.5), curve.cpt(0.8))),
    )


@dataclass(frozen=True, slots=True)
class ModelPoint:
    """One model, over all prompts that it has a score for.

    Attributes:
        model: its name.
        prompts: how many.
        quality: mean score.
        cost_usd: mean of one answer; None where unknown.
        latency_s: median; None where unknown.
        best_for_cost: no other model is at least as good and as cheap, and better in one of the two; None where the
            cost is unknown.
        best_for_latency: the same for latency.
    """

    model: str
    prompts: int
    quality: Estimate
    cost_usd: Estimate | None
    latency_s: Estimate | None
    best_for_cost: bool | None = None
    best_for_latency: bool | None = None


def frontier_points(table: OutcomeTable) -> list[ModelPoint]:
    """The models in the order of the table, and which of them lie on the Pareto fronts; without scores: left out."""
    points = []
    for column, model in enumerate(table.variants):
        scores, costs, latencies = (_known(v[:, column]) for v in (table.score, table.cost_usd, table.latency_s))
        if len(scores):
            points.append(ModelPoint(model, len(scores), _quality(scores), _mean(costs), _median(latencies)))
    return [_placed(point, points) for point in points]


def _placed(point: ModelPoint, points: Sequence[ModelPoint]) -> ModelPoint:
    fronts = []
    for measure in ("cost_usd", "latency_s"):
        own = getattr(point, measure)
        others = [(p.quality.value, getattr(p, measure).value) for p in points if getattr(p, measure) is not None]
        fronts.append(None if own is None else not any(_beats(o, (point.quality.value, own.value)) for o in others))
    return ModelPoint(point.model, point.prompts, point.quality, point.cost_usd, point.latency_s, *fronts)


def _beats(other: tuple[float, float], own: tuple[float, float]) -> bool:
    return other[0] >= own[0] and other[1] <= own[1] and other != own


def _known(values: Values) -> Values:
    return values[~np.isnan(values)]


def _quality(scores: Values) -> Estimate:
    low, high = mean_interval(np.clip(scores, 0.0, 1.0).tolist()) or (0.0, 1.0)
    return Estimate(float(scores.mean()), low, high)


def _spent(calls: Values, each: Values) -> Values:
    """What the calls for each prompt come to; empty where a call's share is unknown."""
    used = np.where(calls > 0, each, 0.0)
    return np.array([]) if np.isnan(used).any() else (calls * used).sum(axis=1)


def _mean(values: Values) -> Estimate | None:
    if not len(values):
        return None
    found = mean_of_differences(values, resamples=2000)
    return Estimate(found.estimate, *found.interval())


def _median(values: Values) -> Estimate | None:
    if not len(values):
        return None
    found = median_difference(values, np.zeros_like(values), resamples=2000)
    low, high = found.interval()
    return Estimate(found.estimate, max(0.0, low), high)
