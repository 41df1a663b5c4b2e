"""The start of a run: what was asked for, checked and put together; a mistake is told before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.outcomes import score_name
from routerlab.experiments.plan import Arm, ReplayPlan
from routerlab.experiments.replay import Replay
from routerlab.experiments.scorers import resolve_scorers
from routerlab.experiments.verdicts import check_question
from routerlab.session.privacy import masked_data
from routerlab.session.results import CallSpec
from routerlab.session.store import Store
from routerlab.views.live import Live
from routerlab.views.run import Run

__all__ = ["check_compare", "start_replay"]

_RUN_STORE = ".routerlab/runs.db"


def check_compare(models: Any, margin: float, scorer: str | None, scorers: Any) -> None:
    """Whether ``Lab.compare`` can answer, before anything is sent.

    Raises:
        ConfigurationError: fewer than two models, a margin out of range, or no such scorer.
    """
    check_question([models] if isinstance(models, str) else list(models), margin)
    score_name(scorer, [one.name for one in resolve_scorers(scorers)])


def start_replay(
    live: Live,
    dataset: Any,
    models: Sequence[str] | None,
    *,
    pool: str | None,
    params: Mapping[str, Any],
    options: Mapping[str, Any],
    keep: bool,
) -> Run:
    """Begin to send a dataset to models, or through a pool.

    Args:
        live: the live side of the lab.
        dataset, models, pool: as for ``Lab.replay``.
        params: for every call.
        options: of the plan; None: its default.
        keep: whether runs survive the kernel even where the lab has no store of its own.

    Raises:
        ConfigurationError: no such model, pool or scorer, or no dataset.
        LabClosedError: the lab was closed.
    """
    session = live.session
    session.check_open()  # before a store is opened that nobody would close
    if isinstance(dataset, (str, Path)):
        raise ConfigurationError(f"{str(dataset)!r} is not a dataset yet: pass rl.load_dataset({str(dataset)!r})")
    names = [models] if isinstance(models, str) else list(models or ())
    arms = [Arm(name, model=name) for name in names]
    if not arms:
        arms = [Arm(session.pool_for(CallSpec(pool=pool))[0].name, pool=pool)]
    for arm in arms:
        session.pool_for(CallSpec(pool=arm.pool, model=arm.model))  # a wrong name is told now, not per item
    given = {name: value for name, value in options.items() if value is not None}
    items = load_dataset(dataset)
    given["scorers"] = resolve_scorers(items.scorers if options["scorers"] is None else options["scorers"])
    plan = ReplayPlan(items, arms, params=dict(params), **given)
    recorder = session.recorder
    if recorder.store is None and keep:
        recorder.attach(Store(_RUN_STORE, store_text=session.config.store_text), store_all=False)
    engine = Replay(
        plan, call=session.call, recorder=recorder, mask=partial(masked_data, redactor=session.desk.redactor)
    )
    return Run.start(engine, session, live)
