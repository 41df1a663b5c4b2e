"""What came of a run, so far or in the end: tables, figures, scores, verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from routerlab.experiments.outcomes import OutcomeTable
from routerlab.experiments.plan import Progress
from routerlab.experiments.replay import Replay
from routerlab.experiments.rescore import Scores
from routerlab.session.rows import records
from routerlab.views import scoring
from routerlab.views.analysis import Analysis
from routerlab.views.figures import Figure
from routerlab.views.frames import RecordSource
from routerlab.views.markup import page_part
from routerlab.views.rundata import RunData, summary_rows
from routerlab.views.summary import summary_html
from routerlab.views.svg import escape_text
from routerlab.views.trace import Trace
from routerlab.views.words import count, money, seconds

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.session.session import Session
    from routerlab.views.label import Labels, RunAgreement

__all__ = ["RunResult"]

_INSIDE = {"data", "engine", "has_panel", "replies", "start", "started_at", "stoppable", "told_by"}


class RunResult(Analysis):
    """The results of a run, whether it goes on, is over, or is read from a file.

    Args:
        engine: that has the rows.
        recorder: that keeps the calls.
        session: in which judges are asked; None: there is none.
        kept_before: whether the recorder may have scores of it already.
    """

    def __init__(
        self, engine: Replay, recorder: RecordSource, session: Session | None, *, kept_before: bool = True
    ) -> None:
        self.engine, self._recorder, self._session = engine, recorder, session
        known = [scorer.name for scorer in engine.plan.scorers]
        self._scores = scoring.kept_scores(recorder, engine.run_id, known) if kept_before else Scores()

    @property
    def over(self) -> bool:
        """Whether nothing of it goes on any more."""
        return True

    @property
    def name(self) -> str:
        """As it was called, or made up."""
        return self.engine.plan.name

    @property
    def run_id(self) -> str:
        """Its name in every table."""
        return self.engine.run_id

    @property
    def status(self) -> str:
        """``pending``, ``running``, ``done``, ``stopped`` or ``failed``."""
        return self.engine.status

    @property
    def progress(self) -> Progress:
        """Where it stands, as numbers."""
        return self.engine.progress

    @property
    def notes(self) -> list[str]:
        """What one should know when reading the results: a budget that was reached, prices that are unknown, judges."""
        return [*self.engine.notes, *self._scores.notes]

    @property
    def df(self) -> pd.DataFrame:
        """One row per item, arm and repeat: ``prompt, text, target, score_<name>…, item_id, model, repeat, variant,
        status`` (after the scores the ``reason_<name>`` of judges, and of scorers that failed), the columns of
        ``lab.calls()``, ``error_message`` and ``note`` (and ``answers``, where items have several turns). Rows not
        reached are ``pending``."""
        from routerlab.views.frames import run_frame

        frame = run_frame(self.rows(), self.scorers)
        frame.attrs.update(run_id=self.run_id, name=self.name, status=self.status)
        return frame

    @property
    def scorers(self) -> list[str]:
        """Names of the scorers; each has a column ``score_<name>``."""
        return list(dict.fromkeys([scorer.name for scorer in self.engine.plan.scorers] + self._scores.names))

    def rows(self) -> list[dict[str, Any]]:
        """What `df` holds, as plain rows."""
        return self._scores.over(self.engine.rows())

    def score(self, scorers: Any, *, budget_usd: float | None = None, session: Session | None = None) -> Self:
        """Score the replies again, from their texts; no model is asked for them once more (a judge is, for its view).

        New columns stand in `df` and `summary`, new rows in the table ``scores``; a name that was there before is
        scored afresh.

        Args:
            scorers: as for ``lab.replay``, judges (`routerlab.judge`) too.
            budget_usd: judges stop once the run and they have spent this much; None: the run's own budget.
            session: in which judges are asked; None: the run's own (``lab.score`` gives another one).

        Raises:
            ConfigurationError: the run is not over, or a scorer is wrong.
            LabClosedError: a judge has no lab to be asked in; ``lab.score(run, …)`` lends another one.
        """
        return scoring.score_run(self, scorers, session or self._session, self._scores, self._recorder, budget_usd)

    async def ascore(self, scorers: Any, *, budget_usd: float | None = None, session: Session | None = None) -> Self:
        """`score`, to be awaited in any event loop; cancelling it keeps the scores that are there."""
        session = session or self._session
        return await scoring.ascore_run(self, scorers, session, self._scores, self._recorder, budget_usd)

    def label(self, n: int = 30, *, seed: int = 0) -> Labels:
        """Compare replies of two arms yourself, blind: by the keys 1, 2 and t, in a notebook.

        Verdicts are scores of the scorer ``label``: 1 for the better reply, 0.5 for a tie, 0. Pairs that have one are
        not shown again. Items and sides are chosen by chance.

        Args:
            n: pairs at most.
            seed: of the choice.

        Raises:
            ConfigurationError: the run is not over, or has one arm only.
        """
        return scoring.label(self, n, seed, self._scores, self._recorder)

    def agreement(self, scorer: str = "judge") -> RunAgreement:
        """How far a scorer agrees with the labels on which reply is better: Cohen's kappa with a 95 % interval.

        Args:
            scorer: whose scores; of two replies the one with the higher score is its better one.

        Raises:
            ConfigurationError: the run has no such scorer, or no labels.
        """
        return scoring.agreement(self, scorer)

    @property
    def data(self) -> RunData:
        """What is there so far, as plain rows; figures and reports are made of it."""
        return RunData.read(self.rows(), self.scorers, self._recorder, self.run_id)

    def summary(self, by: str | None = None) -> pd.DataFrame:
        """The run in a table.

        Args:
            by: ``"model"``: one row per model that was sent something, over the calls that reached it, whether or not
                another model answered them in the end; ``"variant"``: one row per arm of the run, over its items.
                None: by variant where the run has some (``variants=``), else by model.

        Returns:
            ``calls, ok, failed, success`` (with its 95 % Wilson interval), ``failovers`` (by model: away from it),
            ``p50_latency_s, p95_latency_s`` (by model: of its own successful attempts; by variant: of whole calls), of
            streams ``p50_ttft_s`` and ``tokens_per_s`` (the median of tokens by the seconds after the first), with
            arrivals ``p50_queue_s, p95_queue_s`` (what calls waited before they began; in no latency), the mean of each
            score over the answers that have one (with its 95 % interval), tokens and USD as far as they are known.
            Missing where there is no data.

        Raises:
            ConfigurationError: `by` is something else.
        """
        from routerlab.views.summary import summary_frame

        return summary_frame(self.data, by or self.told_by)

    @property
    def told_by(self) -> str:
        """What tells the arms of the run apart: ``"model"``, or ``"variant"`` where a model has several."""
        arms = self.engine.plan.arms
        own = any(arm.variant != arm.model for arm in arms) and (len(arms) > 1 or arms[0].model)  # a pool alone is none
        return "variant" if own else "model"

    def plot(self, kind: str = "overview") -> Figure:
        """A figure.

        Args:
            kind: ``overview``, ``success``, ``latency``, ``frontier`` (quality against cost), ``timeline`` or
                ``breakers``.

        Returns:
            It shows itself in a notebook; ``.figure`` is the plotly figure, ``.save("….svg")`` writes a picture.
        """
        return Figure(self.data, kind, title=self.name)

    def outcomes(self, scorer: str | None = None) -> OutcomeTable:
        """What each model scored, cost and took on each prompt; `compare` reads it."""
        metadata = {item.id: item.metadata for item in self.engine.plan.dataset}
        return OutcomeTable.read(self.rows(), scorer, scorers=self.scorers, metadata=metadata)

    def replies(self) -> tuple[list[dict[str, Any]], list[str]]:
        """See `Analysis.replies`."""
        return self.rows(), self.scorers

    @property
    def simulated(self) -> bool:
        """Whether any answer came from a simulated provider."""
        return any(row.get("simulated") for row in self.engine.rows())

    def traces(self, *, failovers: bool = True) -> list[Trace]:
        """The traces of its calls, oldest first; with `failovers` only of those that moved on to another model."""
        from routerlab.views.traces import read_traces

        return read_traces(self._recorder, {"run_id": self.run_id}, failovers=failovers)

    def settings(self) -> dict[str, Any]:
        """What was asked for, as the records have it: without secrets."""
        kept = records(self._recorder.columns("runs", {"run_id": self.run_id}))
        given: dict[str, Any] = (kept[-1]["params"] if kept else None) or self.engine.plan.settings()
        return given

    def started_at(self) -> float | None:
        """Epoch seconds; None before the start."""
        rows = records(self._recorder.columns("runs", {"run_id": self.run_id}))
        return rows[-1]["created_at"] if rows else None

    def __dir__(self) -> list[str]:
        """What is for those who type: not what panels and reports ask for."""
        return sorted({*super().__dir__()} - _INSIDE)

    def __len__(self) -> int:
        return self.progress.total

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self._headline()}>"

    def _headline(self) -> str:
        now = self.progress
        parts = [
            now.status,
            f"{now.done:,} of {now.total:,}",
            f"{now.failed:,} failed" if now.failed else "",
            count(now.failovers, "failover") if now.failovers else "",
            money(now.cost_usd),
            seconds(now.elapsed_s) if now.elapsed_s else "",
        ]
        return " · ".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        title = f"<p><b>{escape_text(self.name)}</b> {escape_text(self._headline())}</p>"
        notes = "".join(f"<p>{escape_text(note)}</p>" for note in self.notes)
        by = self.told_by
        return page_part(title + notes + summary_html(summary_rows(self.data, by), self.scorers, by))
