"""A run that goes on: its row by its name, what differs from it, and all that its records know of it."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.fates import Kind, kind_of
from routerlab.experiments.judge import split_judges
from routerlab.experiments.plan import ReplayPlan
from routerlab.experiments.runs import settings_hash
from routerlab.experiments.scorer import ScoreResult
from routerlab.experiments.sheet import Key, Sheet
from routerlab.experiments.strikes import Strikes
from routerlab.experiments.turns import EARLIER_TURN, PastTurns
from routerlab.session.rows import records

__all__ = ["Past", "RunSource", "find_run", "read_past", "refuse_other"]

_UNSENT = "cancelled"
_SHOWN = 60
_NO_TEXT = "the text was not kept (store_text=False)"


class RunSource(Protocol):
    """What is needed of records to read a run."""

    def columns(self, table: str, where: Mapping[str, Any] | None = None) -> dict[str, list[Any]]:
        """A table's rows, oldest first, as one list a column."""


@dataclass(slots=True)
class Past:
    """What the records know of a run.

    Attributes:
        rows: of the items that are finished.
        tried: the latest failure of items that wait for another round.
        strikes: of its lanes.
        unscored: answers whose scores are missing.
        unjudged: whether a judge has not seen all answers.
        attempts: all that was sent, each with its call's item and arm; None where it is no item's.
        notes: what was to be said beside its results.
    """

    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    tried: dict[Key, dict[str, Any]] = field(default_factory=dict)
    strikes: Strikes | None = None
    unscored: list[Key] = field(default_factory=list)
    unjudged: bool = False
    attempts: list[tuple[Key | None, dict[str, Any]]] = field(default_factory=list)
    notes: Sequence[str] = ()


def find_run(source: RunSource, name: str) -> dict[str, Any] | None:
    """The newest run of this name; None where there is none."""
    rows = records(source.columns("runs", {"name": name}))
    return max(rows, key=lambda row: row["created_at"] or 0.0, default=None)


def refuse_other(run: Mapping[str, Any], plan: ReplayPlan) -> None:
    """Raise `ConfigurationError` with the differences where a plan is not the one of a kept run."""
    differences = []
    if run["kind"] != plan.kind:
        differences.append(f"kind: {run['kind']} → {plan.kind}")
    if run["dataset_hash"] != plan.dataset.content_hash:
        names = f"{(run['params'] or {}).get('dataset')!r}", f"{plan.dataset.name!r}"
        hashes = f"{str(run['dataset_hash'])[:12]}", plan.dataset.content_hash[:12]
        differences.append("dataset: " + " → ".join(f"{n} (hash {h})" for n, h in zip(names, hashes, strict=True)))
    if run["params_hash"] != settings_hash(plan):
        differences += _different(run["params"] or {}, plan.decisive_settings())
    if differences:
        free = all(line.startswith("scorers: ") for line in differences)
        again = f"; scores alone need no new run: rl.open_run({plan.name!r}).score([…])" if free else ""
        raise ConfigurationError(
            f"there is a run {plan.name!r} already, of something else (kept → asked for):"
            + "".join(f"\n- {line}" for line in differences)
            + f"\nchoose another name, or pass fresh=True (--fresh) to begin anew{again}",
            differences,
        )


def _different(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    plain = json.loads(json.dumps(asked, default=str))
    found = [line for name in plain for line in _lines(name, kept.get(name), plain[name])]
    return found or ["parameters: they hold a secret that is not kept, and it has changed"]


def _lines(name: str, kept: Any, asked: Any) -> list[str]:
    if kept == asked:
        return []
    if isinstance(kept, Mapping) and isinstance(asked, Mapping):
        keys = dict.fromkeys((*kept, *asked))
        return [line for key in keys for line in _lines(f"{name}.{key}", kept.get(key), asked.get(key))]
    if name == "arms":
        both = [{arm["variant"]: arm for arm in arms} for arms in (kept or (), asked or ())]
        if both[0].keys() != both[1].keys():
            return [f"models: {', '.join(both[0])} → {', '.join(both[1])}"]
        return _lines("variants", *both) or ["models: in another order"]
    return [f"{name}: {_brief(kept)} → {_brief(asked)}"]


def _brief(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def read_past(plan: ReplayPlan, sheet: Sheet, source: RunSource, *, texts_kept: bool, whole: bool) -> Past:
    """Read what is known of a run; `plan` has its id.

    Args:
        plan: the run's own.
        sheet: makes its rows.
        source: the records.
        texts_kept: whether an answer without its text was cut off by the process's end (and is asked for again).
        whole: the run was done: nothing of it waits for another round.

    Returns:
        Each item, arm and repeat at most once.
    """
    where = {"run_id": plan.run_id}
    attempts = records(source.columns("attempts", where))
    by_call: dict[str, list[dict[str, Any]]] = {}
    for row in attempts:
        by_call.setdefault(row["call_id"], []).append(row)
    texts = _finals(source.columns("texts", where))
    places = {item.id: place for place, item in enumerate(plan.dataset)}
    arms = {arm.variant: place for place, arm in enumerate(plan.arms)}
    past = Past(strikes=Strikes(len(plan.arms)))
    ends: list[list[float]] = [[] for _ in plan.arms]  # of the answers of each arm, as good as in order
    turns = PastTurns()
    for call in records(source.columns("calls", where)):
        own = by_call.get(call["call_id"], [])
        goes_on = call["purpose"] == EARLIER_TURN and call["error_type"] is None
        key = None if goes_on else _key(call, plan, places, arms)
        past.attempts += [(key, attempt) for attempt in own]
        request, reply = texts.get(call["call_id"], (None, None))
        if goes_on:
            turns.add(call)
        elif key is not None and call["outcome"] != _UNSENT:
            lost = texts_kept and call["error_type"] is None and reply is None
            if not lost:
                _take(past, key, turns.whole(call, request, reply), own, reply, sheet, ends)
    for key in [key for key in past.tried if whole]:
        past.rows[key] = past.tried.pop(key)
    _score(past, plan, records(source.columns("scores", where)), places, arms)
    return past


def _key(call: Mapping[str, Any], plan: ReplayPlan, places: Mapping[str, int], arms: Mapping[str, int]) -> Key | None:
    """Where a call stands in the plan; None for a preflight, a judge's word and the like."""
    if call["purpose"] not in (plan.kind, EARLIER_TURN, None):
        return None
    place, arm, repeat = places.get(call["item_id"]), arms.get(call["variant"]), call["repeat"]
    if place is None or arm is None or repeat is None or not 0 <= repeat < plan.repeats:
        return None
    return place, arm, repeat


def _take(
    past: Past,
    key: Key,
    call: dict[str, Any],
    attempts: Sequence[dict[str, Any]],
    text: str | None,
    sheet: Sheet,
    ends: list[list[float]],
) -> None:
    """What one call says of its item; an answer stands, whatever was tried before or after."""
    assert past.strikes is not None  # noqa: S101 - `read_past` made them
    kind = kind_of(call["error_type"], [attempt["error_type"] for attempt in attempts])
    if kind is Kind.OK:
        past.strikes.succeeded(key[1])
        ends[key[1]].append(call["ended_at"] or 0.0)
    if past.rows.get(key, {}).get("status") == "ok":
        return
    message = next((a["error_message"] for a in reversed(attempts) if a["error_message"]), call["error_type"])
    row = sheet.made(key, call, text, None if kind is Kind.OK else message, ok=kind is Kind.OK)
    if kind is Kind.OK and text is None:
        row["note"] = _NO_TEXT
    if kind in (Kind.OK, Kind.FAILED):
        past.rows[key] = row
        past.tried.pop(key, None)
        past.strikes.cleared(key)
    else:
        if kind is Kind.STRUCK:
            past.strikes.struck(key, bisect_right(ends[key[1]], call["started_at"] or 0.0))
        if key not in past.rows:
            past.tried[key] = row


def _score(
    past: Past, plan: ReplayPlan, scores: Iterable[dict[str, Any]], places: Mapping[str, int], arms: Mapping[str, int]
) -> None:
    """Put the scores into their rows; an answer whose text is gone before it was scored is no answer."""
    scorers, judges = split_judges(plan.scorers)
    plain = {scorer.name for scorer in scorers}
    wanted = plain | {judge.name for judge in judges}
    found: dict[Key, set[str]] = {}
    for score in scores:
        if score["item_id"] in places and score["variant"] in arms:
            key = places[score["item_id"]], arms[score["variant"]], score["repeat"]
            if score["scorer"] in wanted and key in past.rows:
                result = ScoreResult(score["scorer"], score["value"], score["error"], score["reason"])
                past.rows[key].update(result.columns())
                found.setdefault(key, set()).add(score["scorer"])
    for key, row in list(past.rows.items()):
        said = found.get(key, set())
        if row["status"] == "ok" and not plain <= said:
            if row["text"] is None:
                del past.rows[key]
            else:
                past.unscored.append(key)
    answered = [key for key, row in past.rows.items() if row["status"] == "ok" and row["text"] is not None]
    answers = Counter((item, repeat) for item, _, repeat in answered)
    past.unjudged = any(
        judge.name not in found.get((item, arm, repeat), ())
        for judge in judges
        for item, arm, repeat in answered
        if not judge.pairwise or answers[item, repeat] > 1  # who has nobody to be compared with waits for no judge
    )


def _finals(columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, str | None]]:
    """The final request and reply of each call."""
    names = ("call_id", "attempt", "request", "reply")
    rows = zip(*(columns[name] for name in names), strict=True)
    return {call_id: (request, reply) for call_id, attempt, request, reply in rows if attempt is None}
