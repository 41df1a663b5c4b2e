"""What a run writes into the records: itself, its items, its scores."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from routerlab.core.errors import StoreError
from routerlab.experiments.items import Item
from routerlab.experiments.plan import ReplayPlan
from routerlab.experiments.rescore import score_record
from routerlab.experiments.scorers import ScoreResult

__all__ = ["Records", "RunRecords", "settings_hash"]

_TOGETHER = 1000  # items between two looks whether they are kept
_PAUSE_S = 0.02


class Records(Protocol):
    """What is needed of a recorder."""

    def add(self, table: str, row: Mapping[str, Any]) -> None:
        """Keep one row."""

    def keep(self) -> None:
        """Make sure that every row so far outlives this process."""

    def flush(self) -> None:
        """Wait until every row so far is committed."""

    @property
    def behind(self) -> bool:
        """Whether so many rows wait that it is time to bring no more for a moment."""


class RunRecords:
    """Writes the tables ``runs``, ``items`` and ``scores`` for one run.

    Args:
        plan: of the run.
        recorder: that keeps the rows.
    """

    def __init__(self, plan: ReplayPlan, recorder: Records) -> None:
        self._plan, self._recorder = plan, recorder
        self._waiting: list[asyncio.Future[None]] = []

    async def kept(self) -> None:
        """Make sure that everything so far outlives this process; where the store is behind, wait for it.

        All who come in one turn of the loop share the work.

        Raises:
            StoreError: it could not be written.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._keep)
        waiting: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiting)
        await waiting
        while self._recorder.behind:  # noqa: ASYNC110 - it is another thread that gets on
            await asyncio.sleep(_PAUSE_S)

    async def committed(self) -> None:
        """Wait until everything so far is where other processes read it.

        Raises:
            StoreError: it could not be written.
        """
        await asyncio.to_thread(self._recorder.flush)

    def _keep(self) -> None:
        waiting, self._waiting = self._waiting, []
        error = None
        try:
            self._recorder.keep()
        except StoreError as told:
            error = told
        for one in waiting:
            if not one.done():  # its worker was cancelled
                one.set_exception(error) if error else one.set_result(None)

    def run(self, status: str, created_at: float, notes: Sequence[str] = ()) -> None:
        """The run's own row; a later one takes the place of an earlier one."""
        params = self._plan.settings()
        self._recorder.add(
            "runs",
            {
                "run_id": self._plan.run_id,
                "name": self._plan.name,
                "kind": self._plan.kind,
                "dataset_hash": self._plan.dataset.content_hash,
                "params_hash": settings_hash(self._plan),
                "params": params,
                "status": status,
                "created_at": created_at,
                "version": self._plan.version,
                "notes": list(notes),
            },
        )

    async def items(self) -> None:
        """All items of the run, in the dataset's order, so that a file alone tells what a run is about."""
        for place, item in enumerate(self._plan.dataset, 1):
            self._item(item)
            if place % _TOGETHER == 0:
                await self.kept()
        await self.kept()

    def _item(self, item: Item) -> None:
        self._recorder.add(
            "items",
            {
                "run_id": self._plan.run_id,
                "item_id": item.id,
                "prompt": item.asked() if item.prompt is None else item.prompt,
                "target": item.target,
                "metadata": dict(item.metadata),
            },
        )

    def scores(self, row: Mapping[str, Any], scores: Iterable[ScoreResult]) -> None:
        """One row for each scorer's word on one reply; `row` is the reply's row of the run."""
        for score in scores:
            self._recorder.add("scores", score_record(self._plan.run_id, row, score))


def settings_hash(plan: ReplayPlan) -> str:
    """SHA-256 (hex) of what decides a run's results, the dataset aside."""
    text = json.dumps(plan.decisive_settings(), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
