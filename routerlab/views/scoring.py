"""Scores for a run that is over: what was asked for, checked, done, and written down."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from routerlab.core.errors import ConfigurationError, StoreError
from routerlab.experiments.budget import Budget
from routerlab.experiments.items import Item
from routerlab.experiments.judge import split_judges, warn_of_family
from routerlab.experiments.rescore import Scores, items_of, rescore, score_record
from routerlab.experiments.scorer import Scorer, ScoreResult
from routerlab.experiments.scorers import resolve_scorers
from routerlab.experiments.threads import scorer_loop
from routerlab.session.results import CallSpec
from routerlab.session.session import Session
from routerlab.views.frames import RecordSource
from routerlab.views.rundata import records

if TYPE_CHECKING:
    from routerlab.views.run import Run

__all__ = ["check_judges", "kept_scores", "score_run"]

R = TypeVar("R", bound="Run")


def check_judges(
    scorers: Iterable[Scorer], session: Session, models: Iterable[str], arms: int, *, depth: int = 3
) -> None:
    """Tell mistakes about judges before anything is sent.

    Args:
        scorers: some of which may be judges.
        session: whose models they are.
        models: whose replies they judge.
        arms: of the run.
        depth: calls from the user's cell down to here, for the place of the warning.

    Raises:
        ConfigurationError: no such model, or nothing to compare.

    Warns:
        UserWarning: a judge would judge its own family.
    """
    _, judges = split_judges(scorers)
    for judge in judges:
        session.pool_for(CallSpec(model=judge.model))
        if judge.pairwise and arms < 2:
            raise ConfigurationError(
                f"the judge {judge.name!r} compares arms, and this run has {arms}: give two models"
            )
    warn_of_family(judges, models, stacklevel=depth + 1)


def kept_scores(recorder: RecordSource, run_id: str, known: Collection[str]) -> Scores:
    """What a run was scored with after it was over, as the records have it."""
    scores = Scores()
    scores.read(records(recorder.columns("scores", {"run_id": run_id})), known)
    return scores


def score_run(
    run: R, scorers: Any, session: Session | None, scores: Scores, recorder: Any, budget_usd: float | None
) -> R:
    """Score the replies of a run again; see `Run.score`."""
    if not run.over:
        raise ConfigurationError(f"run {run.name!r} is not over: wait for it, or stop it, and score it then")
    resolved = resolve_scorers(scorers)
    rows = run.rows()
    _, judges = split_judges(resolved)
    if judges:
        if session is None:
            raise ConfigurationError("a judge needs a lab to be asked in: lab.score(run, [judge])")
        session.check_open()
        models = {str(row["model"]) for row in rows if row.get("model")}
        check_judges(judges, session, sorted(models), len({row["variant"] for row in rows}))
    limit = run.settings().get("budget_usd") if budget_usd is None else budget_usd
    budget = _budget(run, session, scores)
    budget.limit_usd = limit
    book = _Book(run.run_id, recorder)
    scores.begin(scorer.name for scorer in resolved)
    work = rescore(
        rows,
        _items(run, rows, recorder),
        resolved,
        book.write,
        run_id=run.run_id,
        scores=scores,
        mask=str if session is None else session.desk.redactor.mask,
        call=session.call if judges and session is not None else None,
        budget=budget,
    )
    loop = session.loop if session is not None and not session.loop.closed else scorer_loop()
    loop.run(book.after(work))
    if book.error is not None:
        scores.notes.append(f"the latest scores are in this object alone: {book.error}")
    return run


def _budget(run: Run, session: Session | None, scores: Scores) -> Budget:
    """The money of the run, judges of before included."""
    own: Budget | None = getattr(run.engine, "budget", scores.budget)
    if own is None:
        own = scores.budget = Budget(price=None if session is None else session.desk.cost_usd)
        own.known_usd = run.progress.cost_usd
    return own


def _items(run: Run, rows: Sequence[Mapping[str, Any]], recorder: Any) -> dict[str, Item]:
    """The items as they were asked; those of a run of the past as the records have them."""
    asked = getattr(run.engine.plan, "dataset", ())
    found = {item.id: item for item in asked}
    if all(row["item_id"] in found for row in rows):
        return found
    stored = {row["item_id"]: row for row in records(recorder.columns("items", {"run_id": run.run_id}))}
    return items_of(rows, stored) | found


class _Book:
    """Writes scores down, where there is something to write in: the store of a closed lab takes none."""

    def __init__(self, run_id: str, recorder: Any) -> None:
        self._run_id, self._recorder = run_id, recorder
        self.error: StoreError | None = None

    def write(self, row: Mapping[str, Any], result: ScoreResult) -> None:
        if hasattr(self._recorder, "add"):
            try:
                self._recorder.add("scores", score_record(self._run_id, row, result))
            except StoreError as error:
                self.error = error

    async def after(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, and wait until what came of it is on disk."""
        try:
            await work
        finally:
            if self.error is None and hasattr(self._recorder, "barrier"):
                await asyncio.wrap_future(self._recorder.barrier())
