"""A run: handle while it goes, result when it is over."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.batches import write_batch_results
from routerlab.experiments.outcomes import OutcomeTable
from routerlab.experiments.plan import Progress
from routerlab.experiments.replay import Replay
from routerlab.experiments.rescore import Scores
from routerlab.session.loop import Job
from routerlab.views.analysis import Analysis
from routerlab.views.figures import Figure
from routerlab.views.frames import RecordSource
from routerlab.views.markup import page_part, table
from routerlab.views.rundata import RunData, records, summary_rows
from routerlab.views.svg import escape_text
from routerlab.views.trace import Trace
from routerlab.views.words import count, money, percent, seconds

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.session.session import Session
    from routerlab.views.dashboard import Dashboard
    from routerlab.views.live import Live

__all__ = ["Run", "summary_cells", "summary_head", "summary_html"]

_PATIENCE_S = 5.0  # how long an interrupted caller waits for the cleanup


class Run(Analysis):
    """A replay of a dataset. The same object is the handle (``wait=False``) and the result.

    Args:
        engine: that does the work.
        session: in whose loop it runs, and whose recorder keeps the calls.
        job: the engine at work; `Run.start` makes it.
        live: the live side of the lab; None: the run has no panel.
    """

    def __init__(self, engine: Replay, session: Session, job: Job[None], live: Live | None = None) -> None:
        self.engine = engine
        self._live = live
        self._session, self._job = session, job
        self._recorder: RecordSource = session.recorder
        self._scores = self._kept_scores() if engine.kept_before else Scores()

    @classmethod
    def start(cls, engine: Replay, session: Session, live: Live | None = None) -> Self:
        """Begin a run, without waiting."""
        run = cls(engine, session, session.submit(engine.run()), live)
        if live is not None:
            live.activity.add_run(run)
        return run

    @property
    def has_panel(self) -> bool:
        """Whether `panel` can show it."""
        return self._live is not None

    def panel(self) -> Dashboard:
        """How it goes, live in a notebook: done, failed, failed over, spend, rate, time left, and a Stop button.

        Raises:
            ConfigurationError: it does not belong to a lab.
        """
        from routerlab.views.dashboard import Dashboard

        if self._live is None:
            raise ConfigurationError("this run has no lab to show it")
        return Dashboard(self._live.publisher, ["runs"], about=self.run_id)

    # -- the handle ---------------------------------------------------------------------------------------------------

    def stop(self) -> Self:
        """Send nothing more and cancel what is in flight; finished rows stay. Does not wait: `wait` does."""
        self.engine.stop()
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until it is over. An interrupt stops the run, keeps what is finished and returns.

        Args:
            timeout: seconds to wait at most; None: no limit. Afterwards `status` tells whether it is over.

        Raises:
            Exception: what broke the run itself; a failed call is a row, not an error.
        """
        try:
            self._job.wait(timeout)
        except KeyboardInterrupt:
            self.stop()
            self._job.wait(_PATIENCE_S)
        if self._job.done():
            with contextlib.suppress(concurrent.futures.CancelledError):  # the lab was closed: what is finished is here
                self._job.future.result()
        return self

    @property
    def over(self) -> bool:
        """Whether nothing of it goes on any more."""
        return self._job.done()

    def retry_failed(self, *, wait: bool = True) -> Self:
        """Send again what failed; what is there stays.

        Args:
            wait: False: return at once, as from ``lab.replay(…, wait=False)``.

        Raises:
            ConfigurationError: the run is still at work.
        """
        from routerlab.views.progress import watch

        self._refuse_at_work()
        self.engine = self.engine.again()
        self._job = self._session.submit(self.engine.run())
        if wait:
            watch(self)
        return self

    def delete(self) -> None:
        """Take the run out of the store, with its calls, texts and scores; this object keeps its rows.

        Raises:
            ConfigurationError: the run is still at work.
        """
        self._refuse_at_work()
        self._session.recorder.forget(self.run_id)

    def _refuse_at_work(self) -> None:
        if not self.over:
            raise ConfigurationError(f"run {self.name!r} is still at work: wait for it, or stop it first")

    async def finished(self) -> Self:
        """`wait`, to be awaited in any event loop; cancelling it stops the run."""
        await self._session.loop.bridge(self._end())
        return self

    async def _end(self) -> None:
        ending = asyncio.wrap_future(self._job.future)
        try:
            await asyncio.wait([ending])
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait([ending], timeout=_PATIENCE_S)
            raise
        with contextlib.suppress(concurrent.futures.CancelledError, asyncio.CancelledError):
            ending.result()

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

    # -- the result ---------------------------------------------------------------------------------------------------

    @property
    def df(self) -> pd.DataFrame:
        """One row per item, arm and repeat: ``prompt, text, target, score_<name>…, item_id, model, repeat, variant,
        status`` (after the scores the ``reason_<name>`` of judges), the columns of ``lab.calls()``, ``error_message``
        and ``note``. Rows not reached are ``pending``."""
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
        from routerlab.views.scoring import score_run

        return score_run(self, scorers, session or self._session, self._scores, self._recorder, budget_usd)

    def _kept_scores(self) -> Scores:
        from routerlab.views.scoring import kept_scores

        return kept_scores(self._recorder, self.run_id, [scorer.name for scorer in self.engine.plan.scorers])

    @property
    def data(self) -> RunData:
        """What is there so far, as plain rows; figures and reports are made of it."""
        return RunData.read(self.rows(), self.scorers, self._recorder, self.run_id)

    def summary(self, by: str = "model") -> pd.DataFrame:
        """The run in a table.

        Args:
            by: ``"model"``: one row per model that was sent something, over the calls that reached it, whether or not
                another model answered them in the end; ``"variant"``: one row per arm of the run, over its items.

        Returns:
            ``calls, ok, failed, success`` (with its 95 % Wilson interval), ``failovers`` (by model: away from it),
            ``p50_latency_s, p95_latency_s`` (by model: of its own successful attempts; by variant: of whole calls), the
            mean of each score over the answers that have one (with its 95 % interval), tokens and USD as far as they
            are known. Missing where there is no data.

        Raises:
            ConfigurationError: `by` is something else.
        """
        from routerlab.session.tables import ColumnType
        from routerlab.views.frames import to_frame

        if by not in {"model", "variant"}:
            raise ConfigurationError(f'by={by!r}: expected "model" or "variant"')
        types: dict[str, ColumnType] = {by: "id"}
        types |= dict.fromkeys(("calls", "ok", "failed"), "int")
        types |= dict.fromkeys(("success", "success_low", "success_high"), "float")
        types |= {"failovers": "int", "p50_latency_s": "float", "p95_latency_s": "float"}
        for name in self.scorers:
            types |= dict.fromkeys((f"score_{name}", f"score_{name}_low", f"score_{name}_high"), "float")
        types |= {"prompt_tokens": "int", "completion_tokens": "int", "cost_usd": "float"}
        rows = summary_rows(self.data, by)
        return to_frame({name: [row[name] for row in rows] for name in types}, types)

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

    @property
    def simulated(self) -> bool:
        """Whether any answer came from a simulated provider."""
        return any(row.get("simulated") for row in self.engine.rows())

    def traces(self, *, failovers: bool = True) -> list[Trace]:
        """The traces of its calls, oldest first; with `failovers` only of those that moved on to another model."""
        from routerlab.views.traces import read_traces

        return read_traces(self._recorder, {"run_id": self.run_id}, failovers=failovers)

    def report(self, path: str | os.PathLike[str], *, text: bool = False) -> Path:
        """Write a report: one HTML file that needs nothing else and opens offline.

        Args:
            path: where.
            text: whether prompts and replies go into it; reports get mailed, so they stay out unless asked for.
        """
        from routerlab.views.report import write_report

        return write_report(self, path, text=text)

    def to_batch_jsonl(self, path: str | os.PathLike[str]) -> Path:
        """Write the rows as OpenAI's batch API writes its results; see `write_batch_results`."""
        return write_batch_results(self, path)

    def settings(self) -> dict[str, Any]:
        """What was asked for."""
        return self.engine.plan.settings()

    def started_at(self) -> float | None:
        """Epoch seconds; None before the start."""
        rows = records(self._recorder.columns("runs", {"run_id": self.run_id}))
        return rows[-1]["created_at"] if rows else None

    # -- faces --------------------------------------------------------------------------------------------------------

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
        return page_part(title + notes + summary_html(summary_rows(self.data), self.scorers))


def summary_html(rows: list[dict[str, Any]], scorers: list[str], by: str = "model") -> str:
    """A summary as a table for people: intervals beside their means."""
    head = summary_head(by, scorers)
    return table(head, [summary_cells(row, scorers, by) for row in rows], numbers=range(1, len(head)))


def summary_head(by: str, scorers: list[str], *, compact: bool = False) -> list[str]:
    """The titles over `summary_cells`."""
    if compact:
        return [by, "calls", "success", "failovers", "p50", "p95", *scorers, "cost"]
    return [by, "calls", "ok", "success (95 %)", "failovers", "p50", "p95", *scorers, "tokens", "cost"]


def summary_cells(row: dict[str, Any], scorers: list[str], by: str = "model", *, compact: bool = False) -> list[str]:
    """One row of a summary for people; `compact`: without counts of successes, intervals and tokens."""
    share = _alone if compact else _with_interval
    tokens = [row["prompt_tokens"], row["completion_tokens"]]
    spent = "" if None in tokens else f"{tokens[0]:,} + {tokens[1]:,}"
    return [
        row[by],
        f"{row['calls']:,}",
        *([] if compact else [f"{row['ok']:,}"]),
        share(row, "success"),
        f"{row['failovers']:,}",
        seconds(row["p50_latency_s"]),
        seconds(row["p95_latency_s"]),
        *(share(row, f"score_{name}") for name in scorers),
        *([] if compact else [spent]),
        money(row["cost_usd"]),
    ]


def _alone(row: dict[str, Any], name: str) -> str:
    return percent(row[name])


def _with_interval(row: dict[str, Any], name: str) -> str:
    if row[name] is None:
        return ""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{percent(row[name])} ({low * 100:.0f} to {high * 100:.0f})"
