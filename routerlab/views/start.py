"""The start of a run: what was asked for, checked and put together; a mistake is told before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from routerlab.core.errors import ConfigurationError
from routerlab.core.types import TokenUsage
from routerlab.experiments.answers import AnswerFile, Answers
from routerlab.experiments.budget import Budget
from routerlab.experiments.judge import Judge, split_judges
from routerlab.experiments.judge import judge as make_judge
from routerlab.experiments.outcomes import score_name
from routerlab.experiments.plan import ReplayPlan
from routerlab.experiments.replay import Replay
from routerlab.experiments.resume import Past, find_run, read_past, refuse_other
from routerlab.experiments.scorers import resolve_scorers
from routerlab.experiments.sheet import Sheet
from routerlab.experiments.verdicts import check_question
from routerlab.session.privacy import masked_data
from routerlab.session.session import Session
from routerlab.session.store import Store
from routerlab.views.asking import items_asked, models_asked, plan_asked, pool_of
from routerlab.views.live import Live
from routerlab.views.opened import RUN_STORE
from routerlab.views.run import Run

if TYPE_CHECKING:
    from routerlab.views.estimate import Estimate

__all__ = ["comparison_asked", "estimate_replay", "start_replay"]

_ANSWERS = ".routerlab/cache.db"


def comparison_asked(
    dataset: Any,
    models: Sequence[str] | None,
    options: Mapping[str, Any],
    *,
    judge: Judge | str | None,
    margin: float,
    scorer: str | None,
) -> tuple[dict[str, Any], str | None]:
    """What ``Lab.compare`` asks of ``Lab.replay``, and the score that its verdict is about; checked before it is sent.

    Args:
        dataset, models, judge, margin, scorer: as for ``Lab.compare``.
        options: those of the run.

    Raises:
        ConfigurationError: no dataset, fewer than two models and variants, a margin out of range, no such scorer, no
            judge, or ``wait=False``.
    """
    if not options.get("wait", True):
        raise ConfigurationError(
            "compare waits for its answers; begin with run = lab.replay(…, wait=False), and when it is over say "
            "run.compare(…)"
        )
    names = [models] if isinstance(models, str) else list(models or ())
    check_question([*names, *(options.get("variants") or {})], margin)
    items, scorers = items_asked(dataset), options.get("scorers")
    resolved = resolve_scorers(items.scorers if scorers is None else scorers)
    if judge is not None:
        by_model = make_judge(judge, pairwise=True) if isinstance(judge, str) else judge
        if not isinstance(by_model, Judge):
            raise ConfigurationError(f"judge={judge!r}: expected rl.judge(…) or the name of a model, provider/model")
        resolved = resolve_scorers([*resolved, by_model])
        scorer = by_model.name if scorer is None else scorer
    score_name(scorer, [one.name for one in resolved])
    return {**options, "dataset": items, "models": models, "scorers": resolved, "wait": True}, scorer


def start_replay(
    live: Live,
    dataset: Any,
    models: Sequence[str] | None,
    *,
    params: Mapping[str, Any],
    options: Mapping[str, Any],
    keep: bool,
) -> Run:
    """Begin to send a dataset to models, or through a pool; or go on with the run of this name.

    Args:
        live: the live side of the lab.
        dataset, models: as for ``Lab.replay``.
        params: for every call.
        options: ``pool, variants, fresh, cache, preflight, allow_unknown_prices, engine``, and those of the plan
            (None: its default).
        keep: whether runs survive the kernel even where the lab has no store of its own.

    Raises:
        ConfigurationError: no such model, pool or scorer, or no dataset; another run has this name; a model of a run
            with a budget has no known price; the lab cannot be sent to workers.
        LabClosedError: the lab was closed.
        StoreInUseError: another process is at work on the store of runs.
    """
    session = live.session
    session.check_open()  # before a store is opened that nobody would close
    plan = plan_asked(session, dataset, models, params, options)
    budget = _budget(session, plan, known_only=not options.get("allow_unknown_prices"))
    make, call = _engine(session, options.get("engine"), plan.calls_in_flight)
    recorder = session.recorder
    if recorder.store is None and keep:
        recorder.attach(Store(RUN_STORE, store_text=session.config.store_text), store_all=False)
    plan, past, created_at = _gone_on(session, plan, fresh=bool(options.get("fresh")))
    live.activity.refuse_twice(plan)
    engine = make(
        plan,
        call=call,
        recorder=recorder,
        mask=_mask(session),
        past=past,
        created_at=created_at,
        budget=budget,
        answers=_answers(session, plan) if options.get("cache") else None,
        check_first=bool(options.get("preflight", True)),
    )
    return Run.start(engine, session, live)


def estimate_replay(
    live: Live,
    dataset: Any,
    models: Sequence[str] | None,
    *,
    params: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Estimate:
    """What a run would cost; nothing is sent or written. Arguments as for `start_replay`."""
    from routerlab.experiments.estimate import estimate
    from routerlab.views.estimate import Estimate

    plan = plan_asked(live.session, dataset, models, params, options)
    return Estimate(plan, estimate(plan, live.session.desk.cost_usd, models_asked(live.session, plan)))


def _engine(session: Session, engine: Any, concurrency: int) -> tuple[type[Replay], Any]:
    """What runs a plan, and who makes its calls: this process, or workers."""
    if engine is None:
        return Replay, session.call
    from routerlab.experiments.cluster import cluster_calls
    from routerlab.experiments.cluster_replay import ClusterReplay

    return ClusterReplay, cluster_calls(engine, session, concurrency)


def _mask(session: Session) -> Callable[[Any], Any]:
    return partial(masked_data, redactor=session.desk.redactor)


def _budget(session: Session, plan: ReplayPlan, *, known_only: bool) -> Budget:
    models, price = models_asked(session, plan), session.desk.cost_usd
    if plan.budget_usd is not None and known_only:
        asked = [*models, [judge.model for judge in split_judges(plan.scorers)[1]]]
        unknown = sorted({m for names in asked for m in names if price(m, TokenUsage(1, 1, 2)) is None})
        if unknown:
            raise ConfigurationError(
                f"budget_usd={plan.budget_usd:g} cannot be kept: no price is known for {', '.join(unknown)}; give it a "
                "price in lab.yaml, or pass allow_unknown_prices=True (--allow-unknown-prices; its calls then count as "
                "free)"
            )
    pools = [pool_of(session, arm) for arm in plan.arms]
    tries = 1 + max(pool.policy.retry.max_retries for pool in pools)
    return Budget(plan.budget_usd, price=price, models=models, tries=tries)


def _gone_on(session: Session, plan: ReplayPlan, *, fresh: bool) -> tuple[ReplayPlan, Past | None, float]:
    """The plan with the id of the kept run of its name, what is known of that one, and when it began."""
    recorder = session.recorder
    kept = None if fresh else find_run(recorder, plan.name)
    if kept is None:
        return plan, None, 0.0
    refuse_other(kept, plan)
    plan = replace(plan, run_id=kept["run_id"])
    texts_kept = recorder.store is None or recorder.store.store_text
    sheet = Sheet(plan, _mask(session))
    past = read_past(plan, sheet, recorder, texts_kept=texts_kept, whole=kept["status"] == "done")
    past.notes = kept["notes"] or ()
    return plan, past, kept["created_at"] or 0.0


def _answers(session: Session, plan: ReplayPlan) -> Answers:
    if not session.config.store_text:
        raise ConfigurationError("cache=True keeps replies on disk, and store_text=False forbids that")
    pools = [arm.variant for arm in plan.arms if arm.model is None]
    if pools:
        raise ConfigurationError(
            f"cache=True is for models; {', '.join(pools)} is routed by a pool, which chooses anew"
        )
    providers = session.config.providers

    def address(model: str) -> str:
        provider = providers[model.partition("/")[0]]
        return f"{provider.kind} {provider.options.get('base_url') or ''}"

    simulated = session.desk.simulated
    return Answers(
        AnswerFile(_ANSWERS),
        address=address,
        record=session.record,
        simulated=lambda model: model.partition("/")[0] in simulated,
    )
