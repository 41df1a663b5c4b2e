"""What was asked of a run, as a plan: names looked up, scorers and judges found, mistakes told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from routerlab.core.decisions import Pool
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.arrivals import as_arrivals
from routerlab.experiments.datasets import Dataset, load_dataset
from routerlab.experiments.plan import Arm, ReplayPlan
from routerlab.experiments.scorers import resolve_scorers
from routerlab.experiments.variants import arms_of, refuse_idle, refuse_misspelt
from routerlab.session.results import CallSpec
from routerlab.session.session import Session
from routerlab.views.scoring import check_judges

__all__ = ["items_asked", "models_asked", "plan_asked", "pool_of"]

_OPTIONS = ("models", "deadline", "give_up_after", "dry_run", "wait")  # of a replay, beside those handed on


def plan_asked(
    session: Session,
    dataset: Any,
    models: Sequence[str] | None,
    params: Mapping[str, Any],
    options: Mapping[str, Any],
) -> ReplayPlan:
    """The plan of a run; arguments as for `routerlab.views.start.start_replay`.

    Raises:
        ConfigurationError: no such model, pool or scorer, or no dataset.
    """
    refuse_misspelt(params, [*options, *_OPTIONS])
    items, scorers = items_asked(dataset), options.get("scorers")
    pool = options.get("pool")
    routed = session.pool_for(CallSpec(pool=pool))[0].name if not (models or options.get("variants")) else ""
    arms = arms_of(models, options.get("variants"), pool, routed)
    refuse_idle(arms, items)
    for arm in arms:
        pool_of(session, arm)  # a wrong name is told now, not per item
    own = ReplayPlan.__dataclass_fields__.keys()
    given = {name: value for name, value in options.items() if value is not None and name in own}
    given["scorers"] = resolve_scorers(items.scorers if scorers is None else scorers)
    reached = [model for arm in arms for model in pool_of(session, arm).models]
    check_judges(given["scorers"], session, reached, len(arms))
    if "arrivals" in given:
        given["arrivals"] = as_arrivals(given["arrivals"])
    arms = [replace(arm, streams=_streams(session, arm)) for arm in arms]
    return ReplayPlan(items, arms, params=dict(params), **({"seed": session.config.seed} | given))


def items_asked(dataset: Any) -> Dataset:
    """The items of a run; a name is no dataset, since a string is always a prompt."""
    if isinstance(dataset, (str, Path)):
        text = str(dataset)
        way = f"[{text!r}]" if " " in text and not Path(text).suffix else f"rl.load_dataset({text!r})"
        raise ConfigurationError(f"{text!r} is not a dataset yet: pass {way}")
    return load_dataset(dataset)


def models_asked(session: Session, plan: ReplayPlan) -> list[tuple[str, ...]]:
    """The models that may answer for each arm."""
    return [tuple(pool_of(session, arm).models) for arm in plan.arms]


def pool_of(session: Session, arm: Arm) -> Pool:
    """The pool that serves an arm: its own, or one of the model that it is pinned to."""
    return session.pool_for(CallSpec(pool=arm.pool, model=arm.model))[0]


def _streams(session: Session, arm: Arm) -> bool:
    models = (model.partition("/") for model in pool_of(session, arm).models)
    return all(session.connectors[provider].streams(name) for provider, _, name in models)
