"""What goes on in a lab beside single calls: its runs and its background traffic."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.plan import Progress, ReplayPlan
from routerlab.experiments.traffic import Traffic
from routerlab.views.outlook import outlook
from routerlab.views.run import Run

__all__ = ["Activity", "ShownRun", "run_data"]

_RUNS = 5
_going: weakref.WeakSet[Run] = weakref.WeakSet()  # of all labs of the process: two may share a store


class ShownRun(Protocol):
    """What the runs panel needs of a run."""

    @property
    def name(self) -> str:
        """As people call it."""

    @property
    def run_id(self) -> str:
        """Its name in every table."""

    @property
    def progress(self) -> Progress:
        """Where it stands."""

    @property
    def notes(self) -> list[str]:
        """What else there is to say."""

    @property
    def stoppable(self) -> bool:
        """Whether a panel can stop it."""


class Activity:
    """The runs and the traffic of one lab. It keeps the traffic alive, and what it attached to, not its own runs."""

    def __init__(self) -> None:
        self._runs: list[weakref.ref[Run]] = []
        self._attached: list[ShownRun] = []
        self._traffic: list[Traffic] = []

    def add_run(self, run: Run) -> None:
        """Show a run from now on, as long as somebody holds it; in the place of what it goes on with."""
        living = [ref for ref in self._runs if (one := ref()) is not None and one.run_id != run.run_id]
        self._runs = [*living[-_RUNS + 1 :], weakref.ref(run)]
        _going.add(run)

    def add_attached(self, run: ShownRun) -> None:
        """Show a run of another process, in the place of what was shown of it before."""
        others = [one for one in self._attached if one.run_id != run.run_id]
        self._attached = [*others[-_RUNS + 1 :], run]

    def refuse_twice(self, plan: ReplayPlan) -> None:
        """Raise `ConfigurationError` where this very run is at work already, in any lab of the process."""
        if any(run.run_id == plan.run_id and not run.over for run in list(_going)):
            raise ConfigurationError(f"run {plan.name!r} is at work already: wait for it, or stop it first")

    def add_traffic(self, traffic: Traffic) -> None:
        """Show traffic until it ends."""
        self._traffic = [one for one in self._traffic if one.running] + [traffic]

    @property
    def traffic(self) -> list[Traffic]:
        """Traffic that goes on."""
        return [one for one in self._traffic if one.running]

    def run(self, run_id: str) -> Run | None:
        """The run of this name in every table."""
        return next((run for ref in self._runs if (run := ref()) is not None and run.run_id == run_id), None)

    def shown(self) -> dict[str, Any]:
        """As the page gets it."""
        own = [run for ref in self._runs if (run := ref()) is not None]
        ids = {run.run_id for run in own}
        runs = [run_data(run) for run in (*own, *(one for one in self._attached if one.run_id not in ids))]
        traffic = ", ".join(one.rate for one in self.traffic)
        return {name: value for name, value in {"runs": runs, "traffic": traffic}.items() if value}


def run_data(run: ShownRun) -> dict[str, Any]:
    """A run's progress as the page gets it."""
    now = run.progress
    over = now.status not in {"running", "pending"}
    return {
        "id": run.run_id,
        "name": run.name,
        "status": now.status,
        "total": now.total,
        "done": now.done,
        "ok": now.ok,
        "failed": now.failed,
        "failovers": now.failovers,
        "cost": now.cost_usd,
        "rate": round(now.rate_per_s, 2),
        "eta": None if now.eta_s is None else round(now.eta_s, 1),
        "elapsed": round(now.elapsed_s, 1) if over else None,
        "pending": now.total - now.done if over else 0,
        "cached": now.cached,
        "stoppable": run.stoppable,
        "notes": [*run.notes, *outlook(now)],
    }
