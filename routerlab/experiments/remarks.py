"""What one should know of a run beside its numbers, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from routerlab.experiments.budget import Budget
from routerlab.experiments.judge import split_judges
from routerlab.experiments.lanes import Lanes
from routerlab.experiments.pace import Pace
from routerlab.experiments.plan import ReplayPlan, Waiting
from routerlab.experiments.sheet import Sheet

__all__ = ["failed_words", "remarks", "unscored_notes", "waiting"]


def waiting(plan: ReplayPlan, lanes: Lanes, now: float) -> Iterator[Waiting]:
    """The arms that send nothing now."""
    for rest in lanes.rests(now):
        yield Waiting(plan.arms[rest.arm].variant, rest.why, rest.resumes_in_s)


def remarks(plan: ReplayPlan, sheet: Sheet, lanes: Lanes, budget: Budget, pace: Pace, now: float) -> Iterator[str]:
    """When it has ended: arms that gave up, rows and scorers that failed, prompts that are whole, what was held back,
    money nobody is sure of."""
    for rest in lanes.rests(now):
        if rest.resumes_in_s is None:
            yield f"{plan.arms[rest.arm].variant}: {rest.why}; {lanes.left_of(rest.arm):,} of its rows stay pending"
    if sheet.failed:
        yield from _failures(sheet.settled.values())
    for scorer in split_judges(plan.scorers)[0]:
        yield from unscored_notes(scorer.name, sheet.settled.having(f"reason_{scorer.name}"), sheet.ok)
    if sheet.ok + sheet.failed < lanes.total:
        on_all = f" on all {len(plan.arms)}" if len(plan.arms) > 1 else ""
        yield f"{sheet.complete:,} of {len(plan.dataset):,} prompts complete{on_all}"
    yield from pace.remarks()
    if sheet.prompts_cached:
        answers = "1 answer" if sheet.prompts_cached == 1 else f"{sheet.prompts_cached:,} answers"
        yield f"{answers} used a provider's prompt cache (cached_tokens): latency and cost are lower so"
    if budget.guessed_usd:
        yield f"${budget.guessed_usd:.2g} of attempts that broke off is a guess, and counts towards the budget"
    if budget.unpriced and plan.budget_usd is not None:
        yield f"{budget.unpriced:,} answers had no known price and do not count towards the budget"


def _failures(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """How many rows of each arm failed, and of what; a provider's own words stay in ``error_message``."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        if row["status"] == "failed":
            found.setdefault(row["variant"], Counter())[row.get("error_type") or "no reason is known"] += 1
    for variant, errors in found.items():
        kinds = ", ".join(f"{n:,} {name}" if len(errors) > 1 else name for name, n in errors.most_common())
        yield f"{variant}: {_rows(errors.total())} failed ({kinds}); error_message says why"


def unscored_notes(scorer: str, rows: Iterable[Mapping[str, Any]], answered: int) -> Iterator[str]:
    """On how many of so many answers a scorer failed; nothing where only the known answer is missing."""
    score, reason = f"score_{scorer}", f"reason_{scorer}"
    failed = sum(row["status"] == "ok" and row.get(score) is None and row.get(reason) is not None for row in rows)
    if failed:
        yield f"{failed_words(scorer)} {failed:,} of {_rows(answered)}; {reason} says why"


def failed_words(name: str) -> str:
    """How a note on a scorer that failed begins."""
    return f"scorer {name!r} failed on"


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"
