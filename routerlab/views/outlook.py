"""What a run has to say beside its numbers: which arms wait and why, how far its money goes, how to go on with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from routerlab.experiments.budget import JUDGED_OUT, NO_MONEY
from routerlab.experiments.plan import Progress
from routerlab.views.words import count, money, seconds

if TYPE_CHECKING:
    from routerlab.views.run import Run

__all__ = ["again", "first_failures", "last_words", "outlook", "way_on"]

_SPENT = (NO_MONEY, JUDGED_OUT)
_LATE_S = 1.0  # not worth a word before


def outlook(progress: Progress) -> list[str]:
    """While it goes: arms that rest, each with until when and why, and what the budget is enough for.

    >>> from routerlab.experiments.plan import Waiting
    >>> outlook(Progress(10, status="running", waiting=(Waiting("sim/a", "circuit open", 41.7),)))
    ['sim/a rests for 42 s: circuit open']
    >>> outlook(Progress(60_000, status="running", items=20_000, reaches=13_100, budget_usd=40.0))
    ['$40.00 reaches 13,100 prompts']
    >>> from routerlab.experiments.pace import Held
    >>> outlook(Progress(10, status="running", held=(Held("sim", 3, 8),), late_s=12.3))
    ['sim: 3 of 8 calls at a time since it answered 429', 'calls begin 12 s after their arrival']
    """
    if progress.status != "running":
        return []
    lines = [
        f"{lane.variant} has given up: {lane.why}"
        if lane.seconds is None
        else f"{lane.variant} rests for {_whole(lane.seconds)}: {lane.why}"
        for lane in progress.waiting
    ]
    lines += [
        f"{one.provider}: {one.limit} of {one.most} calls at a time since it answered 429" for one in progress.held
    ]
    if progress.late_s >= _LATE_S:
        lines.append(f"calls begin {_whole(progress.late_s)} after their arrival")
    if progress.reaches is not None and progress.reaches < progress.items:
        lines.append(f"{money(progress.budget_usd)} reaches {count(progress.reaches, 'prompt')}")
    return lines


def _whole(left_s: float) -> str:
    return f"{max(1, round(left_s))} s" if left_s < 120 else seconds(left_s)


def last_words(run: Run) -> Iterator[str]:
    """When it is over: what there is to remark where it was stopped, and `way_on`."""
    if run.progress.status == "stopped":
        yield from run.notes
    yield from way_on(run)


def way_on(run: Run) -> Iterator[str]:
    """When it is over: that it was opened for nothing, or how to go on with what is left."""
    now = run.progress
    if run.engine.opened and now.status == "done":
        yield f"opened {run.name}: {count(now.done, 'row')}, 0 calls, $0.00"
    if now.status == "stopped" and now.done < now.total:
        yield f"{now.done:,} of {now.total:,} rows are kept; {again(run)}"
    elif now.status == "stopped" and now.total:
        yield f"all rows are kept, and not all of them are judged; {again(run)}"


def again(run: Run) -> str:
    """How to go on, in words and a line: with more money, where that was missing."""
    more = "raise the budget " if any(words in note for note in run.notes for words in _SPENT) else ""
    return f"{more}to go on: {run.engine.plan.call_again()}"


def first_failures(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why the first failed row of each arm failed, in its provider's words: for whoever has no frame to look into.

    >>> first_failures([{"status": "failed", "variant": "sim/a", "error_message": "sim/a: no such thing"}] * 2)
    ['sim/a failed, first with: sim/a: no such thing']
    """
    found: dict[str, str] = {}
    for row in rows:
        if row["status"] == "failed" and row.get("error_message"):
            found.setdefault(row["variant"], f"{row['variant']} failed, first with: {row['error_message']}")
    return list(found.values())
