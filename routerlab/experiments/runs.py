"""What a run writes into the records: itself, its items, its scores."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from routerlab.experiments.items import Item
from routerlab.experiments.plan import ReplayPlan
from routerlab.experiments.scorers import ScoreResult

__all__ = ["Records", "RunRecords"]


class Records(Protocol):
    """What is needed of a recorder."""

    def add(self, table: str, row: Mapping[str, Any]) -> None:
        """Keep one row."""

    def barrier(self) -> Future[None]:
        """A future that is done once every row so far is on disk; it fails where that fails."""


class RunRecords:
    """Writes the tables ``runs``, ``items`` and ``scores`` for one run.

    Args:
        plan: of the run.
        recorder: that keeps the rows.
    """

    def __init__(self, plan: ReplayPlan, recorder: Records) -> None:
        self._plan, self._recorder = plan, recorder
        self._items: set[str] = set()

    async def kept(self) -> None:
        """Wait until everything so far is on disk.

        Raises:
            StoreError: it could not be written.
        """
        await asyncio.wrap_future(self._recorder.barrier())

    def run(self, status: str, created_at: float) -> None:
        """The run's own row; a later one takes the place of an earlier one."""
        params = self._plan.settings()
        self._recorder.add(
            "runs",
            {
                "run_id": self._plan.run_id,
                "name": self._plan.name,
                "kind": self._plan.kind,
                "dataset_hash": self._plan.dataset.content_hash,
                "params_hash": _hash(self._plan.decisive_settings()),
                "params": params,
                "status": status,
                "created_at": created_at,
                "version": self._plan.version,
            },
        )

    def item(self, item: Item) -> None:
        """An item's row, once."""
        if item.id in self._items:
            return
        self._items.add(item.id)
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
            self._recorder.add(
                "scores",
                {
                    "run_id": self._plan.run_id,
                    "item_id": row["item_id"],
                    "repeat": row["repeat"],
                    "variant": row["variant"],
                    "scorer": score.name,
                    "value": score.value,
                    "error": score.error,
                },
            )


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
