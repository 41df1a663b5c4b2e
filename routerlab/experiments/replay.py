"""Replaying a dataset: every item to every arm, at a pace that providers bear, with scores, a budget, a way to stop.

The engine runs inside the lab's event loop and holds plain data; it draws nothing. One row per item, arm and repeat. A
call counts as in flight until its row is on disk, so that a process that dies repeats no more than that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from routerlab.experiments.answers import Answers
from routerlab.experiments.asking import Asking
from routerlab.experiments.budget import Budget
from routerlab.experiments.fates import Fate, Kind, fate_of
from routerlab.experiments.finishing import Finishing
from routerlab.experiments.garbage import rare_searches
from routerlab.experiments.lanes import Lanes, Unit
from routerlab.experiments.pace import Pace
from routerlab.experiments.plan import Arm, Progress, ReplayPlan
from routerlab.experiments.remarks import remarks, waiting
from routerlab.experiments.resume import Past
from routerlab.experiments.runs import Records, RunRecords
from routerlab.experiments.sheet import Sheet
from routerlab.experiments.turnstile import Turnstile
from routerlab.session.results import CallResult, CallSpec

__all__ = ["Arm", "Progress", "Replay", "ReplayPlan"]

_LEAD = 256  # units
_LEAD_PATIENCE_S = 60.0  # money that is spent is gone; where there is no budget, an outage holds up nobody
_MONEY_S = 0.25  # until what calls in flight reserved is looked at again


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
        self.sheet = Sheet(plan, mask)
        self.budget = budget or Budget(plan.budget_usd)
        past = past or Past()
        self._call, self._recorder, self._answers, self._check_first = call, recorder, answers, check_first
        self._records = RunRecords(plan, recorder)
        self._finishing = Finishing(plan, self.sheet, self._records, mask, past.unscored)
        self._wall, self._clock, self._mask = wall, clock, mask
        self._created_at, self._started = created_at, 0.0
        self._ended: float | None = None
        self._lanes = Lanes(
            len(plan.dataset),
            len(plan.arms),
            plan.repeats,
            seed=plan.seed,
            done=frozenset(past.rows),
            strikes=past.strikes,
            give_up_after_s=plan.give_up_after_s,
            lead=None if plan.arrivals else _LEAD,
            lead_patience_s=0.0 if plan.budget_usd is None else _LEAD_PATIENCE_S,
            arrivals=plan.arrivals.times(len(plan.dataset) * plan.repeats) if plan.arrivals else None,
        )
        routed = [arm.model is None for arm in plan.arms]
        self._pace = Pace([arm.provider for arm in plan.arms], plan.concurrency_of, routed)
        self._turnstile = Turnstile()
        self.opened = bool(past.rows) and not self._lanes.left and not past.unscored and not past.unjudged
        self.notes = list(past.notes) if self.opened else []
        self._workers: list[asyncio.Task[None]] = []
        open_arms = [arm for arm in range(len(plan.arms)) if self._lanes.left_of(arm)]
        check = open_arms if check_first else ()
        self._asking = Asking(plan, call, self.notes, answers=answers, check=check, budget=self.budget)
        self._restore(past)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    def _restore(self, past: Past) -> None:
        self.sheet.settled.update(past.rows)
        self.sheet.tried.update(past.tried)
        for key in past.rows:
            if key not in past.unscored:
                self.sheet.count(key)
        self.kept_before = len(past.rows)
        for place, attempt in past.attempts:
            self.budget.count(CallSpec() if place is None else self._spec(Unit(*place)), attempt)

    def again(self) -> Replay:
        """The same run once more, with what failed to be sent anew; the strikes of its items are forgotten."""
        rows = {key: row for key, row in self.sheet.settled.items() if row["status"] == "ok"}
        judged = all(map(self._finishing.judged, rows.values()))
        unscored = [key for key in self._finishing.unscored if key in rows]
        return type(self)(
            self.plan,
            call=self._call,
            recorder=self._recorder,
            wall=self._wall,
            clock=self._clock,
            mask=self._mask,
            past=Past(rows=rows, unscored=unscored, unjudged=not judged),
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
        status = "failed"
        try:
            if not self.opened:
                self._set_status("running")
                with rare_searches():
                    await self._work()
            unfinished = self._stopping or self._lanes.left
            status = "stopped" if unfinished else "done"
        except asyncio.CancelledError:
            status = "stopped"
            raise
        finally:
            self._ended = self._clock()
            if not self.opened:
                self.notes += remarks(self.plan, self.sheet, self._lanes, self.budget, self._pace, self._clock())
            self._set_status(status)
        await self._records.committed()

    async def _work(self) -> None:
        if self._stopping:  # stopped before it began
            return
        size = min(self._pace.most, max(1, self._lanes.left + len(self._finishing.unscored)))
        try:
            await self._records.items()
            if self.plan.arrivals is not None:
                await self._together([self._begin()])
            await self._together(self._worker() for _ in range(size))
            if self._finishing.judges and not self._stopping:
                await self._together([self._judge()])
        finally:
            for task in self._workers:
                task.cancel()
            await asyncio.gather(*self._workers, self._asking.gate.close(), return_exceptions=True)
            await self._finishing.end()

    async def _together(self, work: Iterable[Coroutine[Any, Any, None]]) -> None:
        self._workers = [asyncio.create_task(one) for one in work]
        done, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
        for worker in done:
            if not worker.cancelled() and (error := worker.exception()):
                raise error

    async def _begin(self) -> None:
        """What arrives waits for nothing but the models, so these are checked before."""
        await self._asking.gate.passed()
        self._lanes.begin(self._clock())

    async def _judge(self) -> None:
        left = await self._finishing.judge(self._call, self.budget, self.notes)
        self._stopping = self._stopping or left > 0

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
        unscored = self._finishing.unscored
        while unscored and not self._stopping:  # the process ended between an answer and its scores
            await self._finishing.finish(unscored.pop())
        while (taken := await self._turnstile.through(self._take)) is not None:
            unit, spec = taken
            try:
                if spec is None:
                    await self._settle(unit, self.sheet.tried.pop(unit.key))
                else:
                    await self._handle(unit, spec)
            finally:
                self._pace.gave_back(unit.arm)
                self._turnstile.moved()

    def _take(self) -> tuple[tuple[Unit, CallSpec | None] | None, float | None]:
        """The next unit that its lane, its provider's limit and the budget let go; without a call: it has failed."""
        if self._stopping:
            return None, None
        now = self._clock()
        unit, wait_s = self._lanes.take(now, self._pace.room)
        if unit is None:
            return None, wait_s
        spec = None
        if unit.key not in self.sheet.tried or not self._lanes.condemned(unit, now):
            spec = self._spec(unit)
            if not self.budget.reserve(unit.key, unit.arm, spec, self.plan.dataset[unit.item].later):
                return None, self._too_dear(unit, spec)
        self._pace.took(unit.arm)
        return (unit, spec), None

    def _too_dear(self, unit: Unit, spec: CallSpec) -> float | None:
        """Calls in flight may turn out cheaper than what they reserved; without any, this is the end."""
        self._lanes.untake(unit)
        if self.budget.in_flight:
            return _MONEY_S
        self._stopping = True
        self.notes.append(self.budget.note(self.budget.most_usd(unit.arm, spec, self.plan.dataset[unit.item].later)))
        return None

    async def _handle(self, unit: Unit, spec: CallSpec) -> None:
        sent_at = self._clock()
        try:
            result = await self._asking.answer(unit, spec)
        except BaseException:
            self.budget.refund(unit.key)
            raise
        self.budget.settle(unit.key, spec, result.attempts)
        self._pace.learn(unit.arm, result, sent_at, self._clock())
        fate = fate_of(result)
        if fate.kind in (Kind.OK, Kind.FAILED):
            await self._settle(unit, self.sheet.row(unit.key, result))
        else:
            self._wait(unit, fate, result)

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
        await self._finishing.finish(unit.key)

    def _spec(self, unit: Unit) -> CallSpec:
        spec = self._asking.spec(unit)
        return spec if unit.due is None else replace(spec, scheduled_at=self._wall() - self._clock() + unit.due)

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
            held=tuple(self._pace.held()),
            late_s=self._lanes.late_s(self._clock()) if self.status == "running" else 0.0,
        )

    def _set_status(self, status: str) -> None:
        self.status = status
        self._records.run(status, self._created_at, self.notes)
