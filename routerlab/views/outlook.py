"""What a run has to say beside its numbers: which arms wait and why, how far its money goes, how to go on with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from routerlab.experiments.plan import Progress
from routerlab.views.words import count, money, seconds

if TYPE_CHECKING:
    from routerlab.views.run import Run

__all__ = ["last_words", "outlook"]


def outlook(progress: Progress) -> list[str]:
    """While it goes: arms that rest, each with until when and why, and what the budget is enough for.

    >>> from routerlab.experiments.plan import Waiting
    >>> outlook(Progress(10, status="running", waiting=(Waiting("sim/a", "circuit open", 41.7),)))
    ['sim/a rests for 42 s: circuit open']
    >>> outlook(Progress(60_000, status="running", items=20_000, reaches=13_100, budget_usd=40.0))
    ['$40.00 reaches 13,100 prompts']
    """
    if progress.status != "running":
        return []
    lines = [
        f"{lane.variant} has given up: {lane.why}"
        if lane.seconds is None
        else f"{lane.variant} rests for {_whole(lane.seconds)}: {lane.why}"
        for lane in progress.waiting
    ]
    if progress.reaches is not None and progress.reaches < progress.items:
        lines.append(f"{money(progress.budget_usd)} reaches {count(progress.reaches, 'prompt')}")
    return lines


def _whole(left_s: float) -> str:
    return f"{max(1, round(left_s))} s" if left_s < 120 else seconds(left_s)


def last_words(run: Run) -> Iterator[str]:
    """When it is over: that it was opened for nothing, or how to go on with what is left."""
    now, name = run.progress, run.name
    if run.engine.opened and now.status == "done":
        yield f"opened {name}: {count(now.done, 'row')}, 0 calls, $0.00"
    if now.status != "stopped":
        return
    yield from run.notes
    if now.done < now.total:
        yield f"{now.done:,} of {count(now.total, 'row')} are kept; to go on: {run.engine.plan.call_again()}"
