"""A run as its records alone tell it: the same faces as the engine's, without anything that sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.experiments.budget import Budget
from routerlab.experiments.datasets import Dataset
from routerlab.experiments.items import Item
from routerlab.experiments.plan import Arm, Progress, ReplayPlan
from routerlab.experiments.resume import RunSource, read_past
from routerlab.experiments.scorers import Scorer
from routerlab.experiments.sheet import Sheet
from routerlab.session.results import CallSpec

__all__ = ["KeptRun", "kept_plan"]


class KeptRun:
    """What the records know of a run.

    Args:
        run: its row.
        source: the records.
    """

    def __init__(self, run: Mapping[str, Any], source: RunSource) -> None:
        self.plan = kept_plan(run, source)
        self.run_id: str = run["run_id"]
        self.status: str = run["status"]
        self.notes: list[str] = list(run.get("notes") or ())
        self._sheet = Sheet(self.plan)
        past = read_past(self.plan, self._sheet, source, texts_kept=False, whole=self.status == "done")
        self._sheet.settled.update(past.rows)
        for key in past.rows:
            self._sheet.count(key)
        self._budget = Budget()
        for _, attempt in past.attempts:
            self._budget.count(CallSpec(), attempt)
        ends = [row["ended_at"] for row in past.rows.values() if row.get("ended_at")]
        self._elapsed_s = max(0.0, max(ends) - (run["created_at"] or max(ends))) if ends else 0.0

    @property
    def progress(self) -> Progress:
        """Where it stood when it was last written."""
        sheet = self._sheet
        return Progress(
            total=len(self.plan.dataset) * len(self.plan.arms) * self.plan.repeats,
            done=sheet.ok + sheet.failed,
            ok=sheet.ok,
            failed=sheet.failed,
            failovers=sheet.failovers,
            cost_usd=self._budget.known_usd,
            elapsed_s=self._elapsed_s,
            status=self.status,
            cached=sheet.cached,
            items=len(self.plan.dataset),
            complete=sheet.complete,
            budget_usd=self.plan.budget_usd,
        )

    def rows(self) -> list[dict[str, Any]]:
        """As the engine's."""
        return self._sheet.rows()


def kept_plan(run: Mapping[str, Any], source: RunSource) -> ReplayPlan:
    """A run's plan, as far as its records tell it: scorers have only their names left."""
    given: dict[str, Any] = run["params"] or {}
    arms = [_arm(arm) for arm in given.get("arms", ())]
    columns = source.columns("items", {"run_id": run["run_id"]})
    names = ("item_id", "prompt", "target", "metadata")
    items = tuple(_item(*values) for values in zip(*(columns[name] for name in names), strict=True))
    own = ("concurrency", "repeats", "params", "system", "stream", "deadline_s", "budget_usd", "capability", "command")
    return ReplayPlan(
        Dataset(items, given.get("dataset") or "dataset"),
        arms or [Arm("unknown")],
        scorers=[Scorer(name, lambda text, target, item: None) for name in given.get("scorers", ())],
        name=run["name"],
        run_id=run["run_id"],
        kind=run["kind"],
        version=run["version"],
        **{name: given[name] for name in own if given.get(name) is not None},
    )


def _arm(given: Mapping[str, Any]) -> Arm:
    pool, model, system, prompt = (given.get(name) for name in ("pool", "model", "system", "prompt"))
    return Arm(given["variant"], pool, model, system, prompt, given.get("params") or {})


def _item(item_id: str, prompt: Any, target: Any, metadata: Mapping[str, Any] | None) -> Item:
    messages = tuple(prompt) if isinstance(prompt, list) else None
    return Item(item_id, None if messages else prompt, messages, target, metadata or {})
