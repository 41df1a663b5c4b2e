"""What one should know of a run beside its numbers, in words."""

from __future__ import annotations

from collections.abc import Iterator

from routerlab.experiments.budget import Budget
from routerlab.experiments.lanes import Lanes
from routerlab.experiments.plan import ReplayPlan, Waiting
from routerlab.experiments.sheet import Sheet

__all__ = ["remarks", "waiting"]


def waiting(plan: ReplayPlan, lanes: Lanes, now: float) -> Iterator[Waiting]:
    """The arms that send nothing now."""
    for rest in lanes.rests(now):
        yield Waiting(plan.arms[rest.arm].variant, rest.why, rest.resumes_in_s)


def remarks(plan: ReplayPlan, sheet: Sheet, lanes: Lanes, budget: Budget, now: float) -> Iterator[str]:
    """When it has ended: arms that gave up, how many prompts are whole, money that nobody is sure of."""
    for rest in lanes.rests(now):
        if rest.resumes_in_s is None:
            yield f"{plan.arms[rest.arm].variant}: {rest.why}; {lanes.left_of(rest.arm):,} of its rows stay pending"
    if sheet.ok + sheet.failed < lanes.total:
        on_all = f" on all {len(plan.arms)}" if len(plan.arms) > 1 else ""
        yield f"{sheet.complete:,} of {len(plan.dataset):,} prompts complete{on_all}"
    if budget.guessed_usd:
        yield f"${budget.guessed_usd:.2g} of attempts that broke off is a guess, and counts towards the budget"
    if budget.unpriced and plan.budget_usd is not None:
        yield f"{budget.unpriced:,} answers had no known price and do not count towards the budget"
