"""A run whose calls are made by workers: what changes is what becomes of an item whose worker is lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

from routerlab.experiments.cluster import TRIES, ClusterCalls
from routerlab.experiments.cluster_link import WorkerLostError
from routerlab.experiments.lanes import Unit
from routerlab.experiments.replay import Replay, ReplayPlan
from routerlab.experiments.sheet import Key
from routerlab.session.results import CallSpec

__all__ = ["ClusterReplay"]


class ClusterReplay(Replay):
    """`Replay` with a cluster.

    An item whose worker was lost goes back to the head of its lane and has its money reserved anew; what was reserved
    for the lost call counts as spent, because nobody can tell whether it was. One that loses three workers fails.

    Args:
        plan: what to send where.
        call: makes the calls.
        options: as for `Replay`.
    """

    def __init__(self, plan: ReplayPlan, *, call: ClusterCalls, **options: Any) -> None:
        super().__init__(plan, call=call, **options)
        self._cluster = call
        self._losses: Counter[Key] = Counter()
        self._lost_usd = 0.0

    async def _work(self) -> None:
        try:
            await super()._work()
        finally:
            self.notes += await self._cluster.close()
            if self._lost_usd:
                self.notes.append(f"calls lost with their workers may have cost up to ${self._lost_usd:.4g}")

    async def _handle(self, unit: Unit, spec: CallSpec) -> None:
        try:
            await super()._handle(unit, spec)
        except WorkerLostError as error:
            lease = self.budget.most_usd(unit.arm, spec, self.plan.dataset[unit.item].later)
            self.budget.guessed_usd += lease
            self._lost_usd += lease
            self._losses[unit.key] += 1
            if self._losses[unit.key] < TRIES:
                self._lanes.untake(unit)
            else:
                failed = {"variant": spec.variant, "error_type": type(error).__name__, "outcome": "cancelled"}
                await self._settle(unit, self.sheet.made(unit.key, failed, None, str(error), ok=False))
