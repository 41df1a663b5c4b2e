"""Judging the replies of a run: the calls of a judge, in bounded number, and what they come to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from routerlab.core.types import CompletionResponse
from routerlab.experiments.budget import JUDGED_OUT, Budget
from routerlab.experiments.items import Item
from routerlab.experiments.judge import Judge, own_family
from routerlab.experiments.judge_prompts import (
    pair_messages,
    parse_score,
    parse_winner,
    question_text,
    score_messages,
)
from routerlab.experiments.scorer import ScoreResult, target_list
from routerlab.session.results import CallResult, CallSpec

__all__ = ["PURPOSE", "Judging", "Tally", "judge_all"]

PURPOSE = "judge"
"""Of a judge's calls, in the table ``calls``; their ``variant`` is ``judge:<arm>``, or ``judge:<arm>|<arm>``."""

_GIVE_UP = 10  # calls that failed in a row: the judge is gone, and each further one would wait for its breaker
_POLL_S = 0.01
_WAIT_MAX_S = 30.0  # nobody watches: better late than never
_POINTS = {"first": (1.0, 0.0), "second": (0.0, 1.0), "tie": (0.5, 0.5)}

Row = dict[str, Any]


class _FailedJudgementError(Exception):
    """Why there is no verdict, in words for the row."""


class _NoMoneyError(Exception):
    """The budget does not allow for the next call: what that may cost, where it is news."""


@dataclass(slots=True)
class Tally:
    """What a judge has done.

    Attributes:
        judged: replies, or pairs of them, with a verdict.
        failed: without, though it was asked.
        left: not asked any more: the budget was reached, or the judge was gone.
        ties, flips: of the pairs; a flip (the winner changed with the order) is one of the ties.
        calls: sent for that; answers that are the same need none.
        cost_usd: as far as it is known; None: nothing is.
    """

    judged: int = 0
    failed: int = 0
    left: int = 0
    ties: int = 0
    flips: int = 0
    calls: int = 0
    cost_usd: float | None = None


class Judging:
    """One judge over the rows of one run.

    Args:
        judge: who is asked what.
        call: sends one call; a failed request comes back in the result.
        run_id: of the run, for the record.
        items: by their ids.
        keep: gets each row with the judge's word on it.
        budget: of the run.
        concurrency: calls in flight at most, about: a pair's two orders go together.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        call: Callable[[CallSpec], Awaitable[CallResult]],
        run_id: str,
        items: Mapping[str, Item],
        keep: Callable[[Row, ScoreResult], None],
        budget: Budget | None = None,
        concurrency: int = 8,
    ) -> None:
        self.judge, self.tally = judge, Tally()
        self._call, self._run_id, self._items = call, run_id, items
        self._keep, self._budget, self._concurrency = keep, budget or Budget(), concurrency
        self._in_a_row = 0
        self._why_left = ""
        self._models: set[str] = set()

    async def run(self, rows: Sequence[Row]) -> None:
        """Judge every answered row; those with a score of this judge are done already.

        Raises:
            CancelledError: what was judged until then is kept.
        """
        column = f"score_{self.judge.name}"
        groups = [group for group in self._groups(rows) if any(row.get(column) is None for row in group)]
        self._models = {
            str(row["model"]) for group in groups for row in group if row.get("model") and not row.get("simulated")
        }
        waiting = deque(groups)
        workers = [asyncio.create_task(self._work(waiting)) for _ in range(max(1, min(self._concurrency, len(groups))))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self.tally.left += sum(self._size(group) for group in waiting)

    def notes(self) -> list[str]:
        """What one should know of it when reading its scores."""
        judge, tally = self.judge, self.tally
        what = "pairs" if judge.pairwise else "replies"
        cost = "unknown" if tally.calls and tally.cost_usd is None else f"${tally.cost_usd or 0:.4g}"
        parts = [f"judge {judge.name!r} ({judge.model}): {tally.judged:,} {what} judged for {cost}"]
        if judge.pairwise:
            flips = f", {tally.flips:,} of them because the winner changed with the order" if tally.flips else ""
            parts.append(f"{tally.ties:,} ties{flips}")
        if tally.failed:
            parts.append(f"{tally.failed:,} judgements failed and count nowhere")
        if tally.left:
            parts.append(f"{tally.left:,} were not judged any more{self._why_left}")
        kin = own_family(judge.model, sorted(self._models))
        if kin:
            parts.append(f"it is of the family of {', '.join(kin)}, and may prefer them")
        return ["; ".join(parts)]

    # -- work ----------------------------------------------------------------------------------------------------------

    def _groups(self, rows: Sequence[Row]) -> list[list[Row]]:
        """What is judged together: a row, or the arms' replies to one item."""
        answered = [row for row in rows if row["status"] == "ok" and isinstance(row.get("text"), str)]
        if not self.judge.pairwise:
            return [[row] for row in answered]
        found: dict[tuple[Any, Any], list[Row]] = {}
        for row in answered:
            found.setdefault((row["item_id"], row["repeat"]), []).append(row)
        return [group for group in found.values() if len(group) > 1]

    def _size(self, group: Sequence[Row]) -> int:
        return len(group) * (len(group) - 1) // 2 if self.judge.pairwise else 1

    async def _work(self, waiting: deque[list[Row]]) -> None:
        judged = self._pairs if self.judge.pairwise else self._single
        while waiting and not self._why_left:
            group = waiting.popleft()
            try:
                await judged(group)
            except _NoMoneyError as error:
                waiting.append(group)
                self._why_left = f": {JUDGED_OUT}{error}"
            if self._in_a_row >= _GIVE_UP:
                self._why_left = f": its calls failed {_GIVE_UP} times in a row"

    async def _single(self, group: list[Row]) -> None:
        (row,) = group
        judge, name = self.judge, self.judge.name
        question, reference = self._asked(row)
        messages = score_messages(judge.rubric, judge.scale, question=question, answer=row["text"], reference=reference)
        try:
            value, reason = await self._verdict(row, [row], messages, lambda text: parse_score(text, judge.scale))
        except _FailedJudgementError as error:
            self.tally.failed += 1
            self._keep(row, ScoreResult(name, None, str(error)))
        else:
            self.tally.judged += 1
            self._keep(row, ScoreResult(name, (value - 1) / (judge.scale - 1), None, reason))

    async def _pairs(self, group: list[Row]) -> None:
        points: list[list[float]] = [[] for _ in group]
        reasons: list[list[str]] = [[] for _ in group]
        errors: list[str] = []
        for one, other in combinations(range(len(group)), 2):
            try:
                winner, reason = await self._pair(group[one], group[other])
            except _FailedJudgementError as error:
                self.tally.failed += 1
                errors.append(str(error))
                continue
            self.tally.judged += 1
            self.tally.ties += winner == "tie"
            for place, point in zip((one, other), _POINTS[winner], strict=True):
                points[place].append(point)
                reasons[place].append(reason)
        for row, found, reason_list in zip(group, points, reasons, strict=True):
            value = sum(found) / len(found) if found else None
            why_not = None if found else errors[0]
            self._keep(row, ScoreResult(self.judge.name, value, why_not, "\n".join(filter(None, reason_list)) or None))

    async def _pair(self, one: Row, other: Row) -> tuple[str, str]:
        """``first``, ``second`` or ``tie``, and why; asked in both orders."""
        if one["text"].strip() == other["text"].strip():
            return "tie", "The two answers are the same."
        orders = [asyncio.create_task(self._order(*order)) for order in ((one, other), (other, one))]
        try:
            await asyncio.wait(orders)  # both, whatever becomes of one: each costs, and is counted
        finally:
            for order in orders:
                order.cancel()
        failed = [order.exception() for order in orders]
        if error := failed[0] or failed[1]:
            raise error
        (ahead, why), (behind, why_behind) = [order.result() for order in orders]
        forth = {"A": "first", "B": "second"}.get(ahead, "tie")
        back = {"A": "second", "B": "first"}.get(behind, "tie")
        self.tally.flips += {forth, back} == {"first", "second"}
        told = ((one, other, why), (other, one, why_behind))
        reason = "\n".join(f"(A: {a['variant']}, B: {b['variant']}) {words}" for a, b, words in told if words)
        return forth if forth == back else "tie", reason

    async def _order(self, first: Row, second: Row) -> tuple[str, str | None]:
        question, reference = self._asked(first)
        messages = pair_messages(
            self.judge.rubric, question=question, first=first["text"], second=second["text"], reference=reference
        )
        verdict: tuple[str, str | None] = await self._verdict(first, [first, second], messages, parse_winner)
        return verdict

    def _asked(self, row: Row) -> tuple[str, str | None]:
        item = self._items[row["item_id"]]
        answers = target_list(item.target)
        return question_text(item.asked()), " or: ".join(answers) if answers else None

    async def _verdict(self, row: Row, of: Sequence[Row], messages: Any, parse: Callable[[str], Any]) -> Any:
        spec = CallSpec(
            messages=messages,
            params=self.judge.params,
            model=self.judge.model,
            run_id=self._run_id,
            item_id=row["item_id"],
            repeat=row["repeat"],
            variant="judge:" + "|".join(str(one["variant"]) for one in of),
            purpose=PURPOSE,
            wait_max_s=_WAIT_MAX_S,
            stitch=False,
        )
        result = await self._paid(spec)
        self.tally.calls += 1
        cost = result.row.get("cost_usd")
        if cost is not None:
            self.tally.cost_usd = (self.tally.cost_usd or 0.0) + cost
        if result.error is not None:
            self._in_a_row += 1
            raise _FailedJudgementError(f"the judge's call failed: {type(result.error).__name__}")
        self._in_a_row = 0
        text = result.response.text if isinstance(result.response, CompletionResponse) else ""
        try:
            return parse(text)
        except ValueError as error:
            raise _FailedJudgementError(f"the judge's verdict cannot be read: {error}") from None

    async def _paid(self, spec: CallSpec) -> CallResult:
        """A call whose money was set aside before it was sent."""
        key = object()
        while not self._budget.reserve(key, self.judge.model, spec):
            if not self._budget.in_flight:
                raise _NoMoneyError(self._budget.next_words(self._budget.most_usd(self.judge.model, spec)))
            await asyncio.sleep(_POLL_S)  # calls in flight may turn out cheaper than what they reserved
        try:
            result = await self._call(spec)
        except BaseException:
            self._budget.refund(key)
            raise
        self._budget.settle(key, spec, result.attempts)
        return result


async def judge_all(judges: Sequence[Judge], rows: Sequence[Row], notes: list[str], **options: Any) -> int:
    """One judge after the other.

    Args:
        judges, rows: who judges what.
        notes: get what each one says at its end.
        options: as for `Judging`.

    Returns:
        How many judgements were left out.
    """
    left = 0
    for judge in judges:
        judging = Judging(judge, **options)
        try:
            await judging.run(rows)
        finally:
            notes += judging.notes()
        left += judging.tally.left
    return left
