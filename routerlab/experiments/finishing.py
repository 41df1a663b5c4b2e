"""From an answer to a row that counts: it is scored and on disk; in the end judges see it beside the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from routerlab.experiments.assertions import with_call
from routerlab.experiments.budget import Budget
from routerlab.experiments.judge import split_judges
from routerlab.experiments.judging import judge_all
from routerlab.experiments.plan import ReplayPlan
from routerlab.experiments.runs import RunRecords
from routerlab.experiments.scorer import ScoreResult
from routerlab.experiments.scorers import scored
from routerlab.experiments.sheet import Key, Sheet
from routerlab.session.results import CallResult, CallSpec

__all__ = ["Finishing"]


class Finishing:
    """Scores, keeps and counts the rows of one run.

    Args:
        plan: of the run.
        sheet: that holds the rows.
        records: of the run.
        mask: takes secrets out of what judges say.
        unscored: rows that a run before left without scores.
    """

    def __init__(
        self,
        plan: ReplayPlan,
        sheet: Sheet,
        records: RunRecords,
        mask: Callable[[Any], Any],
        unscored: Iterable[Key] = (),
    ) -> None:
        self.scorers, self.judges = split_judges(plan.scorers)
        self.unscored = list(unscored)
        self._plan, self._sheet, self._records, self._mask = plan, sheet, records, mask
        self._unkept: list[Key] = []  # rows that are not on disk yet

    async def finish(self, key: Key) -> None:
        """Score a row and wait until it is on disk: then it counts.

        Raises:
            StoreError: it could not be written.
        """
        row = self._sheet.settled[key]
        self._unkept.append(key)
        if row["status"] == "ok" and self.scorers:
            item = self._plan.dataset[key[0]]
            scores = await scored(self.scorers, row["text"], with_call(item, row))
            scores = [score if score.error is None else score.masked(self._mask) for score in scores]
            for score in scores:
                row.update(score.columns())
            self._records.scores(row, scores)
        await self._records.kept()
        if key in self._unkept:
            self._unkept.remove(key)
            self._sheet.count(key)

    async def end(self) -> None:
        """Count the rows whose workers did not live to see them on disk.

        Raises:
            StoreError: they could not be written.
        """
        if not self._unkept:
            return
        await self._records.kept()
        rows, self._unkept = self._unkept, []
        for key in rows:
            if any(self._sheet.settled[key].get(f"score_{scorer.name}") is None for scorer in self.scorers):
                self.unscored.append(key)
            self._sheet.count(key)

    async def judge(self, call: Callable[[CallSpec], Awaitable[CallResult]], budget: Budget, notes: list[str]) -> int:
        """Have the judges see the answers, once all have come, for one may compare them.

        Returns:
            How many judgements were left out.
        """

        def keep(row: dict[str, Any], score: ScoreResult) -> None:
            score = score.masked(self._mask)
            row.update(score.columns())
            self._records.scores(row, [score])

        plan = self._plan
        at_once = min(plan.concurrency_of(judge.model.partition("/")[0]) for judge in self.judges)
        options: dict[str, Any] = {"call": call, "run_id": plan.run_id, "concurrency": at_once}
        options |= {"items": {item.id: item for item in plan.dataset}, "keep": keep, "budget": budget}
        left = await judge_all(self.judges, list(self._sheet.settled.values()), notes, **options)
        await self._records.kept()
        return left

    def judged(self, row: dict[str, Any]) -> bool:
        """Whether every judge has seen a row."""
        return all(row.get(f"score_{judge.name}") is not None for judge in self.judges)
