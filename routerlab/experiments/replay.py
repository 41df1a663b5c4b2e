"""Replaying a dataset: every item to every arm, with bounded concurrency, scores, a budget and a way to stop.

The engine runs inside the lab's event loop and holds plain data; it draws nothing. One row per item, arm and repeat.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from routerlab.core.errors import NoModelAvailableError, RateLimitError
from routerlab.core.types import CompletionResponse
from routerlab.experiments.assertions import with_call
from routerlab.experiments.items import Item
from routerlab.experiments.lanes import Lanes, Unit
from routerlab.experiments.plan import Arm, Progress, ReplayPlan
from routerlab.experiments.prompts import prompt_text
from routerlab.experiments.runs import Records, RunRecords
from routerlab.experiments.scorers import score_row
from routerlab.experiments.threads import in_thread
from routerlab.experiments.turns import ask
from routerlab.session.results import CallResult, CallSpec

__all__ = ["Arm", "Progress", "Replay", "ReplayPlan"]

_WAIT_MAX_S = 3.0  # a call of a run waits this long for a cooling model; longer, and its lane pauses instead

Key = tuple[int, int, int]  # item, arm, repeat


class Replay:
    """One run of a plan.

    Args:
        plan: what to send where.
        call: sends one call; a failed request comes back in the result, only cancellation is raised.
        recorder: keeps the run, its items and scores (the calls are recorded by whoever makes them).
        wall: epoch seconds, for the record.
        clock: monotonic seconds, for rates and pauses.
        mask: takes secrets out of prompts and targets, in the rows; what is sent and scored stays whole.
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
    ) -> None:
        self.plan = plan
        self.run_id = plan.run_id
        self.status = "pending"
        self.notes: list[str] = []
        self._call = call
        self._records = RunRecords(plan, recorder)
        self._wall, self._clock, self._mask = wall, clock, mask
        self._shown: dict[str, dict[str, Any]] = {}
        self._rows: dict[Key, dict[str, Any]] = {}
        self._ok = self._failed = self._failovers = 0
        self._cost_usd: float | None = None
        self._unpriced = 0
        self._created_at = self._started = 0.0
        self._ended: float | None = None
        self._lanes = Lanes(len(plan.dataset), len(plan.arms), plan.repeats)
        self._workers: list[asyncio.Task[None]] = []
        self._unkept: list[dict[str, Any]] = []  # rows that are not on disk yet
        self._keeping: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    # -- running ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send everything; returns when all is done or `stop` was called.

        Raises:
            CancelledError: the task was cancelled: like `stop`, what is finished is kept.
        """
        if self.status != "pending":
            raise RuntimeError(f"run {self.plan.name!r} was started already")
        self._loop = asyncio.get_running_loop()
        self._started, self._created_at = self._clock(), self._wall()
        self._set_status("running")
        status = "failed"
        try:
            await self._work()
            status = "stopped" if self._stopping else "done"
        except asyncio.CancelledError:
            status = "stopped"
            raise
        finally:
            self._ended = self._clock()
            if self._unpriced and self.plan.budget_usd is not None:
                self.notes.append(f"{self._unpriced} answers had no known price and do not count towards the budget")
            self._set_status(status)

    async def _work(self) -> None:
        if self._stopping:  # stopped before it began
            return
        size = min(self.plan.concurrency, max(1, self._lanes.left))
        self._workers = [asyncio.create_task(self._worker()) for _ in range(size)]
        try:
            done, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            if self._keeping is not None:
                await asyncio.gather(self._keeping, return_exceptions=True)
        if self._keeping is not None:
            self._keeping.result()
        for worker in done:
            if not worker.cancelled() and (error := worker.exception()):
                raise error

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
        while not self._stopping:
            if self._keeping is not None and self._keeping.done():
                self._keeping.result()  # a full disk ends the run
            if self._over_budget():
                return
            unit, wait_s = self._lanes.take(self._clock())
            if unit is not None:
                await self._handle(unit)
            elif wait_s is not None:
                await asyncio.sleep(min(wait_s, 0.25))  # another worker may put a unit back before the pause ends
            else:
                return

    def _over_budget(self) -> bool:
        budget = self.plan.budget_usd
        if budget is None or self._cost_usd is None or self._cost_usd < budget:
            return False
        if not self._stopping:
            self._stopping = True
            self.notes.append(f"stopped at its budget: ${self._cost_usd:.4g} of ${budget:.4g} were spent")
        return True

    async def _handle(self, unit: Unit) -> None:
        item = self.plan.dataset[unit.item]
        self._records.item(item)
        result = await ask(self._call, self._spec(item, unit), item)
        self._spend(result)
        if self._pause(unit, result):
            return
        row = self._rows[unit.key] = self._row(item, unit, result)
        if row["status"] == "ok" and self.plan.scorers:
            await self._score(item, row)
        self._unkept.append(row)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Count rows once they are on disk: many with one commit, and nobody waits for it but the end of the run."""
        while self._unkept:
            rows, self._unkept = self._unkept, []
            await self._records.kept()
            for row in rows:
                self._count(row)

    def _spec(self, item: Item, unit: Unit) -> CallSpec:
        plan, arm = self.plan, self.plan.arms[unit.arm]
        messages = item.to_messages()
        if plan.system is not None and not any(message["role"] == "system" for message in messages):
            messages.insert(0, {"role": "system", "content": plan.system})
        return CallSpec(
            messages=tuple(messages),
            params={**item.params, **plan.params},
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

    def _pause(self, unit: Unit, result: CallResult) -> bool:
        """Put a unit back and let its lane rest, where nothing but time was missing."""
        if isinstance(result.error, NoModelAvailableError | RateLimitError) and self._lanes.pause(
            unit, result.error.retry_after_s, self._clock()
        ):
            return True
        self._lanes.ended(unit, ok=result.error is None)
        return False

    # -- what it found ------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One row per item, arm and repeat, in this order; those not reached have the status ``pending``."""
        plan = self.plan
        return [
            dict(self._rows.get((place, arm, repeat)) or self._blank(plan.dataset[place], plan.arms[arm], repeat))
            for place in range(len(plan.dataset))
            for arm in range(len(plan.arms))
            for repeat in range(plan.repeats)
        ]

    @property
    def progress(self) -> Progress:
        """Where the run stands; cheap."""
        elapsed = (self._clock() if self._ended is None else self._ended) - self._started if self._loop else 0.0
        done = self._ok + self._failed
        rate = done / elapsed if elapsed > 0 else 0.0
        left = self._lanes.total - done
        return Progress(
            total=self._lanes.total,
            done=done,
            ok=self._ok,
            failed=self._failed,
            failovers=self._failovers,
            cost_usd=self._cost_usd,
            rate_per_s=rate,
            eta_s=left / rate if rate and self._ended is None else None,
            elapsed_s=elapsed,
            status=self.status,
        )

    def _blank(self, item: Item, arm: Arm, repeat: int) -> dict[str, Any]:
        return {
            **self._of_item(item),
            **{f"score_{scorer.name}": None for scorer in self.plan.scorers},
            "item_id": item.id,
            "model": None,
            "repeat": repeat,
            "variant": arm.variant,
            "status": "pending",
        }

    def _of_item(self, item: Item) -> dict[str, Any]:
        """What rows show of an item; made once."""
        shown = self._shown.get(item.id)
        if shown is None:
            prompt = prompt_text(item.asked())
            masked = self._mask({"prompt": prompt, "target": item.target})
            shown = self._shown[item.id] = {"prompt": masked["prompt"], "text": None, "target": masked["target"]}
        return shown

    def _row(self, item: Item, unit: Unit, result: CallResult) -> dict[str, Any]:
        response = result.response
        return {
            **self._blank(item, self.plan.arms[unit.arm], unit.repeat),
            **{name: value for name, value in result.row.items() if name not in {"item_id", "repeat", "variant"}},
            "text": response.text if isinstance(response, CompletionResponse) else None,
            "status": "failed" if result.error is not None else "ok",
            "error_message": None if result.error is None else str(result.error),
        }

    def _count(self, row: Mapping[str, Any]) -> None:
        if row["status"] == "ok":
            self._ok += 1
        else:
            self._failed += 1
        self._failovers += row.get("failovers") or 0

    def _spend(self, result: CallResult) -> None:
        cost = result.row.get("cost_usd")
        if cost is not None:
            self._cost_usd = (self._cost_usd or 0.0) + cost
        elif result.error is None:
            self._unpriced += 1

    async def _score(self, item: Item, row: dict[str, Any]) -> None:
        scores = await in_thread(lambda: score_row(self.plan.scorers, row["text"], with_call(item, row)))
        row.update({f"score_{score.name}": score.value for score in scores})
        self._records.scores(row, scores)

    def _set_status(self, status: str) -> None:
        self.status = status
        self._records.run(status, self._created_at)
