"""What is new in the records: the live panels read them a little at a time, from memory alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from routerlab.session.rows import records
from routerlab.views.lanes import call_lanes
from routerlab.views.past import PAST_COLUMNS
from routerlab.views.trace import Trace

__all__ = ["Feed", "News", "NewsSource", "find_traces", "trace_data"]

Columns = Mapping[str, Sequence[Any]]

_CALLS = ("call_id", "outcome", "failovers", "prompt_tokens", "completion_tokens", "cost_usd", "ended_at")
_ATTEMPTS = ("model", "outcome", "reason", "ended_at")
_EVENTS = ("at", "kind", "model", "old", "new", "cause")
_PAST = {"calls": 100_000, "attempts": 20_000, "events": 5_000}  # rows that a new feed begins with
_AT_ONCE = 3  # traces of one reading: the newest
_FIRST = 12  # traces that a new feed begins with


class NewsSource(Protocol):
    """What a recorder offers to those who look every quarter of a second."""

    def since(
        self, table: str, mark: int, *, limit: int = 5000, columns: Sequence[str] | None = None
    ) -> tuple[int, dict[str, list[Any]]]:
        """The rows of a table after `mark`, the newest `limit` of them, and the mark for the next time."""

    def find(self, table: str, call_ids: Sequence[str]) -> dict[str, list[Any]]:
        """The rows of some calls that are in memory, as columns, oldest first."""


@dataclass(frozen=True, slots=True)
class News:
    """New rows, as columns (not all of them), and the traces of calls that moved on to another model."""

    calls: Columns
    attempts: Columns
    events: Columns
    traces: Sequence[dict[str, Any]]

    def __bool__(self) -> bool:
        return bool(self.calls["call_id"] or self.attempts["model"] or self.events["at"])


class Feed:
    """Reads the new rows of a recorder.

    Args:
        source: the recorder.
    """

    def __init__(self, source: NewsSource) -> None:
        self._source = source
        self._marks = dict.fromkeys(("calls", "attempts", "events"), 0)
        self._begun = False

    def read(self) -> News:
        """Everything since the last reading; the first one begins with what is in memory."""
        calls = self._next("calls", _CALLS)
        attempts = self._next("attempts", _ATTEMPTS if self._begun else (*PAST_COLUMNS, "reason"))
        events = self._next("events", _EVENTS)
        moved = [call_id for call_id, moves in zip(calls["call_id"], calls["failovers"], strict=True) if moves]
        shown = moved[-(_AT_ONCE if self._begun else _FIRST) :]
        self._begun = True
        return News(calls, attempts, events, [trace_data(trace) for trace in find_traces(self._source, shown)])

    def _next(self, table: str, columns: Sequence[str]) -> Columns:
        limit = 5_000 if self._begun else _PAST[table]
        self._marks[table], rows = self._source.since(table, self._marks[table], limit=limit, columns=columns)
        return rows


def find_traces(source: NewsSource, call_ids: Sequence[str]) -> list[Trace]:
    """The traces of some calls, in their order, as far as their rows are in memory."""
    if not call_ids:
        return []
    rows = {
        table: _by_call(records(source.find(table, call_ids)))
        for table in ("calls", "attempts", "decisions", "candidates")
    }
    traces = []
    for call_id in call_ids:
        calls, attempts, decisions, candidates = (rows[table].get(call_id, []) for table in rows)
        for decision in decisions:
            decision["candidates"] = [row for row in candidates if row["step"] == decision["step"]]
        if calls:
            traces.append(Trace(calls[-1], sorted(attempts, key=lambda row: row["attempt"]), decisions))
    return traces


def _by_call(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["call_id"], []).append(row)
    return groups


def trace_data(trace: Trace) -> dict[str, Any]:
    """A trace as the page gets it: the lanes of its attempts and the scores behind each choice; no provider's word.

    Returns:
        ``id, at`` (epoch seconds), ``s`` (its length), ``ok, head, info``; ``lanes``: ``[model, note, attempts]``, each
        attempt ``[start, end, wait, outcome, label, first token, status, error, reason, breaker, score]``; ``steps``:
        ``[chosen, strategy, [[model, score, why not], …]]``.
    """
    lanes, length = call_lanes(trace.call, trace.attempts, trace.decisions)
    rows = {attempt["attempt"]: attempt for attempt in trace.attempts}
    return {
        "id": trace.call_id,
        "at": round(trace.call.get("started_at") or 0.0, 3),
        "s": round(length, 3),
        "ok": trace.call.get("outcome") in {"ok", "truncated"},
        "head": trace.headline,
        "info": trace.details,
        "lanes": [[lane.model, lane.note, [_bar(bar, rows[bar.attempt]) for bar in lane.bars]] for lane in lanes],
        "steps": [
            [
                decision["chosen"],
                decision["strategy"],
                [[c["model"], _rounded(c["score"]), c["excluded_because"] or ""] for c in decision["candidates"]],
            ]
            for decision in trace.decisions
        ],
    }


def _bar(bar: Any, row: Mapping[str, Any]) -> list[Any]:
    return [
        _rounded(bar.start),
        _rounded(bar.end),
        _rounded(bar.wait),
        bar.outcome,
        bar.label,
        _rounded(bar.first_token),
        row.get("status"),
        row.get("error_type"),
        row.get("reason"),
        f"{row.get('breaker_before') or ''} → {row.get('breaker_after') or ''}",
        [_rounded(row.get("score_before")), _rounded(row.get("score_after"))],
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
