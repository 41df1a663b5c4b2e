"""Scoring replies again, from their texts: no model is asked twice for the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from routerlab.experiments.assertions import with_call
from routerlab.experiments.budget import Budget
from routerlab.experiments.items import Item
from routerlab.experiments.judge import split_judges
from routerlab.experiments.judging import judge_all
from routerlab.experiments.remarks import failed_words, unscored_notes
from routerlab.experiments.scorer import Scorer, ScoreResult
from routerlab.experiments.scorers import scored
from routerlab.session.results import CallResult, CallSpec

__all__ = ["Scores", "items_of", "rescore", "score_record"]

_AT_ONCE = 8
_NO_TEXT = "there is no text to score: it was not kept (store_text=False), or the reply has none"

Row = dict[str, Any]
Keep = Callable[[Row, ScoreResult], None]


class Scores:
    """Scores that a run got after it was over, as columns beside those of its rows.

    Attributes:
        names: of the scorers, in the order in which they came.
        notes: of judges.
        budget: of a run of the past, which has none of its own; made when a judge is asked.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.notes: list[str] = []
        self.budget: Budget | None = None
        self._columns: dict[tuple[Any, Any, Any], Row] = {}

    def read(self, stored: Iterable[Mapping[str, Any]], known: Collection[str]) -> None:
        """Take what the table ``scores`` has of scorers that the run itself does not know."""
        for row in stored:
            if row["scorer"] not in known:
                self.know(row["scorer"])
                self.add(row, ScoreResult(row["scorer"], row["value"], row["error"], row["reason"]))

    def know(self, name: str) -> None:
        """Make room for a scorer."""
        if name not in self.names:
            self.names.append(name)

    def begin(self, names: Iterable[str]) -> None:
        """Make room for scorers; what they said before is forgotten."""
        for name in names:
            self.know(name)
            self.notes = [note for note in self.notes if not note.startswith(failed_words(name))]
            for columns in self._columns.values():
                columns.pop(f"score_{name}", None)
                columns.pop(f"reason_{name}", None)

    def add(self, row: Mapping[str, Any], result: ScoreResult) -> None:
        """Keep one scorer's word on one row."""
        self._columns.setdefault(_key(row), {}).update(result.columns())

    def over(self, rows: Iterable[Row]) -> list[Row]:
        """The rows with these columns; a newer score hides the run's own."""
        if not self.names:
            return list(rows)
        empty = dict.fromkeys(f"score_{name}" for name in self.names)
        stale = {f"reason_{name}" for name in self.names}
        kept = ({name: value for name, value in row.items() if name not in stale} for row in rows)
        return [{**row, **empty, **self._columns.get(_key(row), {})} for row in kept]


async def rescore(
    rows: Sequence[Row],
    items: Mapping[str, Item],
    scorers: Sequence[Scorer],
    keep: Keep,
    *,
    run_id: str,
    scores: Scores,
    mask: Callable[[Any], Any] = str,
    call: Callable[[CallSpec], Awaitable[CallResult]] | None = None,
    budget: Budget | None = None,
) -> None:
    """Score the answered rows of a run.

    Args:
        rows: with ``text``, ``status``, ``item_id``, ``variant`` and ``repeat``.
        items: by their ids.
        scorers: functions and judges, as from `resolve_scorers`.
        keep: gets each word on each row.
        run_id: of the run.
        scores: gets them too, with the notes and costs of judges.
        mask: takes secrets out of reasons.
        call: sends a judge's call; None: there are no judges.
        budget: counts the money of judges.
    """
    plain, judges = split_judges(scorers)

    def both(row: Row, result: ScoreResult) -> None:
        masked = result.masked(mask)
        scores.add(row, masked)
        keep(row, masked)

    answered = [row for row in rows if row["status"] == "ok"]
    if plain:
        await _score_all(plain, answered, items, both)
        with_scores = scores.over(answered)
        for scorer in plain:
            scores.notes += unscored_notes(scorer.name, with_scores, len(answered))
    if judges and call is not None:
        for judge in judges:
            for row in answered:
                if not isinstance(row.get("text"), str):
                    both(row, ScoreResult(judge.name, None, _NO_TEXT))
        afresh = [{**row, **{f"score_{judge.name}": None for judge in judges}} for row in answered]
        options = {"call": call, "run_id": run_id, "items": items, "concurrency": _AT_ONCE}
        await judge_all(judges, afresh, scores.notes, **options, keep=both, budget=budget)


async def _score_all(scorers: Sequence[Scorer], rows: Sequence[Row], items: Mapping[str, Item], keep: Keep) -> None:
    waiting = iter(rows)

    async def work() -> None:
        for row in waiting:
            if not isinstance(row.get("text"), str):
                results = [ScoreResult(scorer.name, None, _NO_TEXT) for scorer in scorers]
            else:
                text, item = row["text"], with_call(items[row["item_id"]], row)
                results = await scored(scorers, text, item)
                await asyncio.sleep(0)  # others have their turn, and a stop is heard
            for result in results:
                keep(row, result)

    workers = [asyncio.create_task(work()) for _ in range(min(_AT_ONCE, len(rows)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()


def items_of(rows: Iterable[Mapping[str, Any]], stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Item]:
    """The items behind rows.

    Args:
        rows: of a run, with ``prompt`` and ``target``.
        stored: rows of the table ``items`` by item; they know conversations and metadata too.
    """
    found: dict[str, Item] = {}
    for row in rows:
        name = row["item_id"]
        if name not in found:
            found[name] = _item(name, stored.get(name, {}), row)
    return found


def _item(name: str, stored: Mapping[str, Any], row: Mapping[str, Any]) -> Item:
    prompt, target = stored.get("prompt"), stored.get("target")
    metadata = stored.get("metadata") or {}
    target = row.get("target") if target is None else target
    if isinstance(prompt, list):
        return Item(name, messages=tuple(prompt), target=target, metadata=metadata)
    return Item(name, prompt=prompt or row.get("prompt") or "", target=target, metadata=metadata)


def score_record(run_id: str, row: Mapping[str, Any], result: ScoreResult) -> Row:
    """The row of the table ``scores`` for one scorer's word on one reply."""
    return {
        "run_id": run_id,
        "item_id": row["item_id"],
        "repeat": row["repeat"],
        "variant": row["variant"],
        "scorer": result.name,
        "value": result.value,
        "error": result.error,
        "reason": result.reason,
    }


def _key(row: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return row["item_id"], row["variant"], row["repeat"]
