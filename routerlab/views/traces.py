"""Traces of calls that are over, read back from the records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.judging import PURPOSE
from routerlab.session.rows import records
from routerlab.views.frames import RecordSource
from routerlab.views.trace import Trace

__all__ = ["read_trace", "read_traces"]


def read_trace(recorder: RecordSource, call_id: str) -> Trace:
    """The trace of one call.

    Raises:
        ConfigurationError: no record of it.
    """
    found = read_traces(recorder, {"call_id": call_id})
    if not found:
        raise ConfigurationError(f"no record of call {call_id!r}")
    return found[0]


def read_traces(recorder: RecordSource, where: Mapping[str, Any], *, failovers: bool = False) -> list[Trace]:
    """The traces of the calls that `where` chooses, oldest first; with `failovers` those that changed the model."""
    calls = [row for row in records(recorder.columns("calls", where)) if row["failovers"] or not failovers]
    if "run_id" in where:  # of what was asked, not of how it was judged
        calls = [row for row in calls if row["purpose"] != PURPOSE]
    attempts = _grouped(recorder, "attempts", where)
    decisions = _grouped(recorder, "decisions", where)
    candidates = _grouped(recorder, "candidates", where)
    return [
        Trace(
            call,
            sorted(attempts.get(call["call_id"], []), key=lambda row: row["attempt"]),
            [
                {
                    **decision,
                    "candidates": [c for c in candidates.get(call["call_id"], []) if c["step"] == decision["step"]],
                }
                for decision in decisions.get(call["call_id"], [])
            ],
        )
        for call in calls
    ]


def _grouped(recorder: RecordSource, table: str, where: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in records(recorder.columns(table, where)):
        groups.setdefault(row["call_id"], []).append(row)
    return groups
