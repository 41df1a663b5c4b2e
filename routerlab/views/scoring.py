"""Scores for a run that is over: what was asked for, checked, done, and written down."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from routerlab.core.errors import ConfigurationError, StoreError
from routerlab.core.suggest import nearest
from routerlab.experiments.budget import Budget
from routerlab.experiments.items import Item
from routerlab.experiments.judge import split_judges, warn_of_family
from routerlab.experiments.labels import LABEL
from routerlab.experiments.remarks import failed_words
from routerlab.experiments.rescore import Scores, items_of, rescore, score_record
from routerlab.experiments.scorer import Scorer, ScoreResult
from routerlab.experiments.scorers import resolve_scorers
from routerlab.experiments.threads import scorer_loop
from routerlab.session.loop import LoopThread
from routerlab.session.results import CallSpec
from routerlab.session.rows import records
from routerlab.session.session import Session
from routerlab.views.frames import RecordSource

if TYPE_CHECKING:
    from routerlab.views.label import Labels, RunAgreement
    from routerlab.views.result import RunResult

__all__ = ["agreement", "ascore_run", "check_judges", "kept_scores", "label", "score_run"]

R = TypeVar("R", bound="RunResult")


def check_judges(scorers: Iterable[Scorer], session: Session, models: Iterable[str], arms: int) -> None:
    """Tell mistakes about judges before anything is sent.

    Args:
        scorers: some of which may be judges.
        session: whose models they are.
        models: whose replies they judge.
        arms: of the run.

    Raises:
        ConfigurationError: no such model, or nothing to compare.

    Warns:
        UserWarning: a judge would judge its own family (simulated models have none).
    """
    _, judges = split_judges(scorers)
    for judge in judges:
        session.pool_for(CallSpec(model=judge.model))
        if judge.pairwise and arms < 2:
            raise ConfigurationError(
                f"the judge {judge.name!r} compares arms, and this run has {arms}: give two models"
            )
    warn_of_family(judges, [model for model in models if model.partition("/")[0] not in session.desk.simulated])


def kept_scores(recorder: RecordSource, run_id: str, known: Collection[str]) -> Scores:
    """What a run was scored with after it was over, as the records have it."""
    scores = Scores()
    scores.read(records(recorder.columns("scores", {"run_id": run_id})), known)
    return scores


def score_run(
    run: R, scorers: Any, session: Session | None, scores: Scores, recorder: Any, budget_usd: float | None
) -> R:
    """Score the replies of a run again; see `RunResult.score`."""
    work = _scoring(run, scorers, session, scores, recorder, budget_usd)
    _loop(session).run(work)
    return run


async def ascore_run(
    run: R, scorers: Any, session: Session | None, scores: Scores, recorder: Any, budget_usd: float | None
) -> R:
    """`score_run`, to be awaited in any event loop; cancelling it keeps the scores that are there."""
    work = _scoring(run, scorers, session, scores, recorder, budget_usd)
    await _loop(session).bridge(work)
    return run


def _loop(session: Session | None) -> LoopThread:
    return session.loop if session is not None and not session.loop.closed else scorer_loop()


def _scoring(
    run: RunResult, scorers: Any, session: Session | None, scores: Scores, recorder: Any, budget_usd: float | None
) -> Coroutine[Any, Any, None]:
    """The work, once all mistakes are told."""
    _check_over(run)
    resolved = resolve_scorers(scorers)
    rows = run.rows()
    _, judges = split_judges(resolved)
    if judges:
        if session is None:
            raise ConfigurationError("a judge needs a lab to be asked in: lab.score(run, [judge])")
        session.check_open()
        models = {str(row["model"]) for row in rows if row.get("model")}
        check_judges(judges, session, sorted(models), len({row["variant"] for row in rows}))
    budget = _budget(run, session, scores)
    budget.limit_usd = run.settings().get("budget_usd") if budget_usd is None else budget_usd
    book = _Book(run.run_id, recorder)
    scores.begin(scorer.name for scorer in resolved)
    stale = tuple(failed_words(scorer.name) for scorer in resolved)
    run.engine.notes[:] = [note for note in run.engine.notes if not note.startswith(stale)]
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
    return book.after(work, run, scores)


def label(run: RunResult, n: int, seed: int, scores: Scores, recorder: Any) -> Labels:
    """Verdicts by hand; see `RunResult.label`."""
    from routerlab.views.label import label_run

    _check_over(run)
    book = _Book(run.run_id, recorder)

    def keep(row: Mapping[str, Any], result: ScoreResult) -> None:
        scores.know(LABEL)
        scores.add(row, result)
        book.write(row, result)

    return label_run(run.name, run.rows(), n, seed, keep)


def agreement(run: RunResult, scorer: str) -> RunAgreement:
    """See `RunResult.agreement`."""
    from routerlab.views.label import RunAgreement

    for name in (scorer, LABEL):
        if name not in run.scorers:
            hint = "; run.label() makes them" if name == LABEL else nearest(name, run.scorers)
            raise ConfigurationError(f"run {run.name!r} has no scores of {name!r}{hint}")
    return RunAgreement(run.rows(), scorer)


def _check_over(run: RunResult) -> None:
    if not run.over:
        raise ConfigurationError(f"run {run.name!r} is not over: wait for it, or stop it, and score it then")


def _budget(run: RunResult, session: Session | None, scores: Scores) -> Budget:
    """The money of the run, judges of before included."""
    own: Budget | None = getattr(run.engine, "budget", scores.budget)
    if own is None:
        own = scores.budget = Budget(price=None if session is None else session.desk.cost_usd)
        own.known_usd = run.progress.cost_usd
    return own


def _items(run: RunResult, rows: Sequence[Mapping[str, Any]], recorder: Any) -> dict[str, Item]:
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

    def _note(self, notes: Sequence[str]) -> None:
        """Put the notes of judges beside the run's own."""
        kept = records(self._recorder.columns("runs", {"run_id": self._run_id}))
        if kept and list(kept[-1]["notes"] or ()) != notes and hasattr(self._recorder, "add"):
            try:
                self._recorder.add("runs", {**kept[-1], "notes": notes})
            except StoreError as error:
                self.error = error

    async def after(self, work: Coroutine[Any, Any, None], run: RunResult, scores: Scores) -> None:
        """Do the work, and wait until what came of it is on disk; where it could not be, `scores` notes it."""
        try:
            await work
        finally:
            self._note(run.notes)
            if self.error is None and hasattr(self._recorder, "keep"):
                self._recorder.keep()
            if self.error is not None:
                scores.notes.append(f"the latest scores are in this object alone: {self.error}")
