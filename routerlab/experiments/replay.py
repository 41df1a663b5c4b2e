"""Replaying a dataset: every item to every arm, with bounded concurrency, scores, a budget and a way to stop.

The engine runs inside the lab's event loop and holds plain data; it draws nothing. One row per item, arm and repeat. A
call counts as in flight until its row is on disk, so that a process that dies repeats no more than that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from routerlab.experiments.answers import Answers
from routerlab.experiments.assertions import with_call
from routerlab.experiments.budget import Budget
from routerlab.experiments.fates import Fate, Kind, fate_of
from routerlab.experiments.items import Item
from routerlab.experiments.judge import split_judges
from routerlab.experiments.judging import judge_all
from routerlab.experiments.lanes import Lanes, Unit
from routerlab.experiments.plan import Arm, Progress, ReplayPlan
from routerlab.experiments.preflight import Gate, preflight_spec
from routerlab.experiments.remarks import remarks, waiting
from routerlab.experiments.resume import Past
from routerlab.experiments.runs import Records, RunRecords
from routerlab.experiments.scorer import ScoreResult
from routerlab.experiments.scorers import score_row
from routerlab.experiments.sheet import Key, Sheet
from routerlab.experiments.threads import in_thread
from routerlab.experiments.turns import ask
from routerlab.session.results import CallResult, CallSpec

__all__ = ["Arm", "Progress", "Replay", "ReplayPlan"]

_WAIT_MAX_S = 3.0  # a call of a run waits this long for a cooling model; longer, and its lane rests instead
_POLL_S = 0.25


class Replay:
    """One run of a plan.

    Args:
        plan: what to send where.
        call: sends one call; a failed request comes back in the result, only cancellation is raised.
        recorder: keeps the run, its items and scores (the calls are recorded by whoever makes them).
        wall: epoch seconds, for the record.
        clock: monotonic seconds, for rates and pauses.
        mask: takes secrets out of prompts and targets, in the rows; what is sent and scored stays whole.
        past: what is known of a run that goes on; None: it is new.
        created_at: when such a run was first started.
        budget: counts the money; None: without prices.
        answers: what identical calls were answered before; None: everything is asked.
        check_first: whether each pinned model gets a small call before the first real one.
    """

    def __init__(
        self,
        plan: ReplayPlan,
        *,
        call: Callable[[CallSpec], Awaitable[CallResult]],
        recorder: Records,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        mask: Callable[[Any], Any] = lambda data: data,
        past: Past | None = None,
        created_at: float = 0.0,
        budget: Budget | None = None,
        answers: Answers | None = None,
        check_first: bool = False,
    ) -> None:
        self.plan = plan
        self.run_id = plan.run_id
        self.status = "pending"
        self.notes: list[str] = []
        self.sheet = Sheet(plan, mask)
        self.budget = budget or Budget(plan.budget_usd)
        past = past or Past()
        self._call, self._recorder, self._answers, self._check_first = call, recorder, answers, check_first
        self._scorers, self._judges = split_judges(plan.scorers)
        self._records = RunRecords(plan, recorder)
        self._wall, self._clock, self._mask = wall, clock, mask
        self._created_at, self._started = created_at, 0.0
        self._ended: float | None = None
        self._restore(past)
        self._lanes = Lanes(
            len(plan.dataset),
            len(plan.arms),
            plan.repeats,
            seed=plan.seed,
            done=frozenset(past.rows),
            strikes=past.strikes,
            give_up_after_s=plan.give_up_after_s,
        )
        self.opened = bool(past.rows) and not self._lanes.left and not past.unscored and not past.unjudged
        self._workers: list[asyncio.Task[None]] = []
        self._unkept: list[Key] = []  # rows that are not on disk yet
        self._gate = Gate(self._checks, call, self.budget, open_already=not check_first)
        self._open_arms = [arm for arm in range(len(plan.arms)) if self._lanes.left_of(arm)]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    def _restore(self, past: Past) -> None:
        self.sheet.settled.update(past.rows)
        self.sheet.tried.update(past.tried)
        self._unscored = list(past.unscored)
        for key in past.rows:
            if key not in past.unscored:
                self.sheet.count(key)
        self.kept_before = len(past.rows)
        for place, attempt in past.attempts:
            self.budget.count(CallSpec() if place is None else self._spec(Unit(*place)), attempt)
        self.spent_before_usd = self.budget.spent_usd

    def again(self) -> Replay:
        """The same run once more, with what failed to be sent anew; the strikes of its items are forgotten."""
        rows = {key: row for key, row in self.sheet.settled.items() if row["status"] == "ok"}
        return Replay(
            self.plan,
            call=self._call,
            recorder=self._recorder,
            wall=self._wall,
            clock=self._clock,
            mask=self._mask,
            past=Past(rows=rows),
            created_at=self._created_at,
            budget=self.budget,
            answers=self._answers,
            check_first=self._check_first,
        )

    # -- running ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send everything; returns when all is done or `stop` was called.

        Raises:
            CancelledError: the task was cancelled: like `stop`, what is finished is kept.
            RequestError: a model refuses what each item would ask of it; nothing was sent beside that one question.
        """
        if self.status != "pending":
            raise RuntimeError(f"run {self.plan.name!r} was started already")
        self._loop = asyncio.get_running_loop()
        self._started = self._clock()
        self._created_at = self._created_at or self._wall()
        if not self.opened:
            self._set_status("running")
        status = "failed"
        try:
            if not self.opened:
                await self._work()
            unfinished = self._stopping or self._lanes.left
            status = "stopped" if unfinished else "done"
        except asyncio.CancelledError:
            status = "stopped"
            raise
        finally:
            self._ended = self._clock()
            self.notes += remarks(self.plan, self.sheet, self._lanes, self.budget, self._clock())
            self._set_status(status)

    async def _work(self) -> None:
        if self._stopping:  # stopped before it began
            return
        size = min(self.plan.concurrency, max(1, self._lanes.left + len(self._unscored)))
        try:
            await self._records.items()
            await self._together(self._worker() for _ in range(size))
            if self._judges and not self._stopping:
                await self._together([self._judge()])
        finally:
            for task in self._workers:
                task.cancel()
            await asyncio.gather(*self._workers, self._gate.close(), return_exceptions=True)
            if self._unkept:
                await self._keep()

    async def _together(self, work: Iterable[Coroutine[Any, Any, None]]) -> None:
        self._workers = [asyncio.create_task(one) for one in work]
        done, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
        for worker in done:
            if not worker.cancelled() and (error := worker.exception()):
                raise error

    async def _judge(self) -> None:
        """Once all have answered, for a judge may compare them."""

        def keep(row: dict[str, Any], score: ScoreResult) -> None:
            score = score.masked(self._mask)
            row.update(score.columns())
            self._records.scores(row, [score])

        options = {"call": self._call, "run_id": self.run_id, "concurrency": self.plan.concurrency}
        options |= {"items": {item.id: item for item in self.plan.dataset}, "keep": keep, "budget": self.budget}
        left = await judge_all(self._judges, list(self.sheet.settled.values()), self.notes, **options)
        self._stopping = self._stopping or left > 0
        await self._records.kept()

    def stop(self) -> None:
        """Send nothing more and cancel what is in flight; finished rows stay. Any thread may call it, twice too."""
        self._stopping = True
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._cancel_workers)

    def _cancel_workers(self) -> None:
        for worker in self._workers:
            worker.cancel()

    async def _worker(self) -> None:
        while self._unscored and not self._stopping:  # the process ended between an answer and its scores
            await self._finish(self._unscored.pop())
        while not self._stopping:
            unit, wait_s = self._lanes.take(self._clock())
            if unit is None:
                if wait_s is None:
                    return
                await asyncio.sleep(min(wait_s, _POLL_S))  # another worker may put a unit back before the rest ends
            elif unit.key in self.sheet.tried and self._lanes.condemned(unit, self._clock()):
                await self._settle(unit, self.sheet.tried.pop(unit.key))
            elif self.budget.reserve(unit.key, unit.arm, spec := self._spec(unit)):
                await self._handle(unit, spec)
            else:
                self._lanes.untake(unit)
                if not self.budget.in_flight:
                    self._stopping = True
                    self.notes.append(self.budget.note(self.budget.most_usd(unit.arm, spec)))
                    return
                await asyncio.sleep(_POLL_S / 25)  # calls in flight may turn out cheaper than what they reserved

    async def _handle(self, unit: Unit, spec: CallSpec) -> None:
        try:
            result = await self._send(spec, self.plan.dataset[unit.item])
        except BaseException:
            self.budget.refund(unit.key)
            raise
        self.budget.settle(unit.key, spec, result.attempts)
        fate = fate_of(result)
        if fate.kind in (Kind.OK, Kind.FAILED):
            await self._settle(unit, self.sheet.row(unit.key, result))
        else:
            self._wait(unit, fate, result)

    async def _send(self, spec: CallSpec, item: Item) -> CallResult:
        answers = self._answers if item.turns is None else None  # a conversation is had anew
        known = await answers.find(spec) if answers is not None else None
        if known is not None:
            return known
        await self._gate.passed()
        result = await ask(self._call, spec, item)
        if answers is not None:
            await answers.keep(spec, result)
        return result

    def _checks(self) -> list[CallSpec]:
        """The small calls that go before the first real one: one per arm that is pinned and has something left."""
        return [preflight_spec(self._spec(Unit(0, arm, 0))) for arm in self._open_arms if self.plan.arms[arm].model]

    def _wait(self, unit: Unit, fate: Fate, result: CallResult) -> None:
        """Nothing but time was missing: the unit goes back, its lane may rest."""
        if fate.kind is Kind.LOST:
            self._lanes.lost(unit, fate.why)
            return
        struck = fate.kind is Kind.STRUCK
        self._lanes.put_back(unit, fate.seconds, fate.why, self._clock(), struck=struck)
        if struck:
            self.sheet.tried[unit.key] = self.sheet.row(unit.key, result)

    async def _settle(self, unit: Unit, row: dict[str, Any]) -> None:
        self._lanes.settled(unit, ok=row["status"] == "ok")
        self.sheet.tried.pop(unit.key, None)
        self.sheet.settled[unit.key] = row
        await self._finish(unit.key)

    async def _finish(self, key: Key) -> None:
        """Score a row and wait until it is on disk: then it counts."""
        row = self.sheet.settled[key]
        self._unkept.append(key)
        if row["status"] == "ok" and self._scorers:
            item = self.plan.dataset[key[0]]
            scores = await in_thread(lambda: score_row(self._scorers, row["text"], with_call(item, row)))
            row.update({f"score_{score.name}": score.value for score in scores})
            self._records.scores(row, scores)
        await self._records.kept()
        if key in self._unkept:
            self._unkept.remove(key)
            self.sheet.count(key)

    async def _keep(self) -> None:
        """At the end: count the rows whose workers did not live to see them on disk."""
        await self._records.kept()
        rows, self._unkept = self._unkept, []
        for key in rows:
            if any(self.sheet.settled[key].get(f"score_{scorer.name}") is None for scorer in self._scorers):
                self._unscored.append(key)
            self.sheet.count(key)

    def _spec(self, unit: Unit) -> CallSpec:
        plan, arm, item = self.plan, self.plan.arms[unit.arm], self.plan.dataset[unit.item]
        return CallSpec(
            messages=arm.messages(item, plan.system),
            params={**item.params, **plan.params, **arm.params},
            capability=plan.capability,
            pool=arm.pool,
            model=arm.model,
            stream=plan.stream,
            deadline_s=plan.deadline_s,
            run_id=self.run_id,
            item_id=item.id,
            repeat=unit.repeat,
            variant=arm.variant,
            purpose=plan.kind,
            wait_max_s=_WAIT_MAX_S,
            stitch=False,  # nothing that two models wrote enters a comparison
        )

    # -- what it found ------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One row per item, arm and repeat, in this order; those not reached have the status ``pending``."""
        return self.sheet.rows()

    @property
    def progress(self) -> Progress:
        """Where the run stands; cheap."""
        sheet, budget, plan = self.sheet, self.budget, self.plan
        elapsed = (self._clock() if self._ended is None else self._ended) - self._started if self._loop else 0.0
        done = sheet.ok + sheet.failed
        rate = max(0, done - self.kept_before) / elapsed if elapsed > 0 else 0.0
        rows_of_a_prompt = len(plan.arms) * plan.repeats
        return Progress(
            total=self._lanes.total,
            done=done,
            ok=sheet.ok,
            failed=sheet.failed,
            failovers=sheet.failovers,
            cost_usd=budget.known_usd,
            rate_per_s=rate,
            eta_s=(self._lanes.total - done) / rate if rate and self._ended is None else None,
            elapsed_s=elapsed,
            status=self.status,
            cached=sheet.cached,
            items=len(plan.dataset),
            complete=sheet.complete,
            reaches=budget.reaches(sheet.complete, done - sheet.cached, rows_of_a_prompt),
            budget_usd=plan.budget_usd,
            waiting=tuple(waiting(plan, self._lanes, self._clock())),
        )

    def _set_status(self, status: str) -> None:
        self.status = status
        self._records.run(status, self._created_at)
