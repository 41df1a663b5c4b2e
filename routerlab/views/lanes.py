"""One call as lanes: a lane per model with its attempts, its breaker's states, and in words why the call moved on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routerlab.views.words import seconds

__all__ = ["Bar", "Lane", "Segment", "call_lanes", "failure", "signed_state", "state_name", "states", "what_then"]

Row = Mapping[str, Any]
_SIGNS = {"closed": "●", "half_open": "◐", "open": "○"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A breaker's state over a stretch of time (seconds since the call, or the run, began)."""

    start: float
    end: float
    state: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt in its lane; times in seconds since the call began.

    Attributes:
        attempt: its number.
        wait: seconds waited just before it (backoff, cooling).
        start, end: of the request.
        first_token: when the first text came; None: not streamed, or none came.
        outcome: ``ok``, ``failed`` or ``neutral`` (cancelled, left early, refused by our own breaker).
        answered: whether this attempt wrote the reply.
        label: what happened and what came next, in words.
    """

    attempt: int
    wait: float
    start: float
    end: float
    first_token: float | None
    outcome: str
    answered: bool
    label: str


@dataclass(slots=True)
class Lane:
    """One model's part in a call; `note` says why it was not asked where it has no bars."""

    model: str
    bars: list[Bar] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    note: str = ""

    @property
    def breaker(self) -> str:
        """The breaker's states in their order, in words: ``closed → open``; empty where nothing is known."""
        names = [state_name(segment.state) for segment in self.segments]
        return " → ".join(name for place, name in enumerate(names) if place == 0 or names[place - 1] != name)


def call_lanes(call: Row, attempts: Sequence[Row], decisions: Sequence[Row]) -> tuple[list[Lane], float]:
    """The lanes of a call, models in the order in which they were asked, then those that could not be; and its length.

    Args:
        call: its row of ``calls``.
        attempts: its rows of ``attempts``, in order.
        decisions: its rows of ``decisions``, each with its ``candidates``.
    """
    zero = _begin(call, attempts)
    length = max([(call.get("ended_at") or zero) - zero, *(a["ended_at"] - zero for a in attempts), 1e-6])
    lanes: dict[str, Lane] = {}
    for attempt, following in zip(attempts, [*attempts[1:], None], strict=False):
        lane = lanes.setdefault(attempt["model"], Lane(attempt["model"]))
        lane.bars.append(_bar(attempt, following, call, zero))
    for model, lane in lanes.items():
        lane.segments = states([a for a in attempts if a["model"] == model], zero, length)
    for model, reason in _not_asked(decisions, lanes).items():
        state = "open" if "circuit open" in reason else "half_open" if "half-open" in reason else ""
        lanes[model] = Lane(model, segments=[Segment(0.0, length, state)] if state else [], note=reason)
    return list(lanes.values()), length


def _begin(call: Row, attempts: Sequence[Row]) -> float:
    times = [a["started_at"] - (a.get("wait_before_s") or 0.0) for a in attempts[:1]]
    started = call.get("started_at")
    return min([*times, *([started] if started is not None else [])], default=0.0)


def _bar(attempt: Row, following: Row | None, call: Row, zero: float) -> Bar:
    start, end = attempt["started_at"] - zero, attempt["ended_at"] - zero
    ttft = attempt.get("ttft_s")
    answered = following is None and attempt["outcome"] == "ok" and call.get("outcome") in {"ok", None}
    return Bar(
        attempt=attempt["attempt"],
        wait=min(attempt.get("wait_before_s") or 0.0, start),
        start=start,
        end=max(start, end),
        first_token=None if ttft is None else start + ttft,
        outcome=_kind(attempt["outcome"]),
        answered=answered,
        label=what_then(attempt, following, answered=answered),
    )


def _kind(outcome: str) -> str:
    if outcome == "ok":
        return "ok"
    return "neutral" if outcome in {"cancelled", "rejected"} else "failed"


def _not_asked(decisions: Sequence[Row], lanes: Mapping[str, Lane]) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for decision in decisions:
        for candidate in decision.get("candidates") or ():
            reason = candidate.get("excluded_because")
            if reason and candidate["model"] not in lanes:
                reasons.setdefault(candidate["model"], reason)
    return reasons


def states(attempts: Sequence[Row], zero: float, length: float) -> list[Segment]:
    """A breaker's states as one model's attempts saw them, from `zero` (epoch seconds) for `length` seconds."""
    changes: list[tuple[float, str]] = []
    for attempt in sorted(attempts, key=lambda row: row["started_at"]):
        changes.append((attempt["started_at"] - zero, attempt.get("breaker_before") or ""))
        changes.append((attempt["ended_at"] - zero, attempt.get("breaker_after") or ""))
    segments: list[Segment] = []
    for at, state in sorted((change for change in changes if change[1]), key=lambda change: change[0]):
        if not segments:
            segments.append(Segment(0.0, length, state))
        elif segments[-1].state != state:
            segments[-1] = Segment(segments[-1].start, at, segments[-1].state)
            segments.append(Segment(at, length, state))
    return segments


def state_name(state: str) -> str:
    """A breaker's state as one reads it."""
    return state.replace("_", "-")


def signed_state(state: str) -> str:
    """The state's name after its sign: no state is told by colour alone.

    >>> signed_state("half_open")
    '◐ half-open'
    """
    return f"{_SIGNS[state]} {state_name(state)}"


def what_then(attempt: Row, following: Row | None, *, answered: bool = False) -> str:
    """What happened to an attempt and what came next: ``503 · moved on``, ``answered · 420 ms``.

    Where an answer was carried on by another model, it says where the seam is.
    """
    took = seconds(attempt.get("latency_s"))
    if attempt["outcome"] == "ok":
        wrote = "wrote the rest" if attempt.get("reason") == "continue" else "answered"
        return f"{wrote if answered else 'ok'} · {took}"
    if following is None:
        then = "" if attempt["outcome"] == "cancelled" else "gave up"
    elif attempt.get("committed") and following.get("reason") == "continue":
        return f"broke off · carried on at character {attempt.get('chars') or 0:,}"
    elif attempt.get("committed") and following.get("reason") == "restart":
        return "broke off · started over"
    else:
        then = "tried again" if following["model"] == attempt["model"] else "moved on"
    return " · ".join(part for part in (failure(attempt), then) if part)


def failure(attempt: Row) -> str:
    """What went wrong, short: the status, or the kind of error in words; it never quotes the provider."""
    status, kind = attempt.get("status"), attempt.get("error_type")
    if status is not None and status >= 300:
        return str(int(status))
    if kind:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", re.sub(r"Error$", "", kind)).lower()
        return words or kind
    return str(attempt["outcome"]).replace("_", " ")
