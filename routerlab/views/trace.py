"""The trace of one call: who was asked, what went wrong, who answered; as a picture, as text, as a frame."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from routerlab.session.results import CallResult
from routerlab.views.explanation import Explanation
from routerlab.views.lanes import Bar, Lane, call_lanes
from routerlab.views.picture import Picture
from routerlab.views.svg import Element
from routerlab.views.theme import Theme
from routerlab.views.waterfall import draw_waterfall
from routerlab.views.words import count, marks, money, seconds

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Trace"]


class Trace(Picture):
    """What one call went through. Holds no prompt and no reply.

    Args:
        call: its row of ``calls`` (times as epoch seconds).
        attempts: its rows of ``attempts``, in order.
        decisions: its rows of ``decisions``, each with its ``candidates``.

    Attributes:
        call, attempts, decisions: as given.
    """

    def __init__(
        self,
        call: Mapping[str, Any],
        attempts: Sequence[Mapping[str, Any]],
        decisions: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.call = dict(call)
        self.attempts = [dict(attempt) for attempt in attempts]
        self.decisions = [dict(decision) for decision in decisions]

    @classmethod
    def of(cls, result: CallResult) -> Trace:
        """The trace of a finished call."""
        return cls(result.row, [asdict(attempt) for attempt in result.attempts], result.decisions)

    @property
    def call_id(self) -> str:
        """The call's name in every record."""
        return str(self.call.get("call_id") or "")

    @property
    def failovers(self) -> int:
        """How often the call moved on to another model."""
        return sum(a["model"] != b["model"] for a, b in zip(self.attempts, self.attempts[1:], strict=False))

    @property
    def df(self) -> pd.DataFrame:
        """One row per attempt, with the columns of ``lab.attempts()``."""
        from routerlab.views.frames import table_frame

        return table_frame("attempts", self.attempts)

    def explain(self) -> Explanation:
        """Each choice of the call: the candidates, their scores, who was excluded and why."""
        return Explanation(self.decisions)

    @property
    def headline(self) -> str:
        """How the call ended, in words: ``sim/beta answered after 1 failover``."""
        moved = f" after {count(self.failovers, 'failover')}" if self.failovers else ""
        if self.call.get("outcome") in {"ok", "truncated"} and self.call.get("model"):
            return f"{self.call['model']} answered{moved}"
        if self.call.get("outcome") == "cancelled":
            return f"cancelled{moved}"
        tried = count(len(self.attempts), "attempt")
        return f"failed after {tried}: {self.call.get('error_type') or self.call.get('outcome') or 'unknown'}"

    @property
    def details(self) -> str:
        """The call's numbers, in one line."""
        usage = (self.call.get("prompt_tokens"), self.call.get("completion_tokens"))
        parts = [
            seconds(self.call.get("latency_s")),
            f"{usage[0]} + {usage[1]} tokens" if None not in usage else "",
            money(self.call.get("cost_usd")),
            f"backoff {seconds(self.call['backoff_s'])}" if self.call.get("backoff_s") else "",
            *marks(self.call),
            f"call {self.call_id}" if self.call_id else "",
        ]
        return " · ".join(part for part in parts if part)

    def draw(self, theme: Theme) -> Element:
        """The waterfall of attempts, with the breakers' states behind it."""
        lanes, length = call_lanes(self.call, self.attempts, self.decisions)
        return draw_waterfall(lanes, length, title=self.headline, subtitle=self.details, name=self.call_id, theme=theme)

    def text(self, width: int | None = None) -> str:
        """The waterfall for a terminal of `width` columns (default: this terminal's)."""
        return _text(self, width or shutil.get_terminal_size((100, 24)).columns)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Trace {self.call_id}: {self.headline}, {count(len(self.attempts), 'attempt')}>"


def _text(trace: Trace, width: int) -> str:
    lanes, length = call_lanes(trace.call, trace.attempts, trace.decisions)
    name = min(max([len(lane.model) for lane in lanes], default=0) + 2, max(12, width // 4))
    note = min(
        max([len(_note(lane, bar)) for lane in lanes for bar in _lines(lane)], default=0),
        40,
        max(10, width - name - 12),
    )
    room = max(10, width - name - note - 3)
    lines = [_cut(trace.headline, width), _cut(trace.details, width)]
    for lane in lanes:
        for place, bar in enumerate(_lines(lane)):
            label = _cut(lane.model, name - 1) if place == 0 else ""
            drawn = _bar(bar, length, room) if bar else " " * room
            lines.append(f"{label:<{name}}{drawn}  {_cut(_note(lane, bar), note)}".rstrip())
        if lane.breaker not in {"", "closed"}:
            lines.append(_cut(f"{'':<{name}}breaker {lane.breaker}", width))
    end = seconds(length)
    lines.append(f"{'':<{name}}{'0 s':<{max(0, room - len(end))}}{end}")
    return "\n".join(lines)


def _lines(lane: Lane) -> list[Bar | None]:
    """A line for each attempt, and one for a model that was not asked."""
    return [*lane.bars] or [None]


def _note(lane: Lane, bar: Bar | None) -> str:
    if bar is None:
        return f"not asked: {lane.note}"
    return f"{'✓ ' if bar.answered else ''}{bar.label}"


def _bar(bar: Bar, length: float, room: int) -> str:
    """One attempt on a line of `room` columns: ``░`` waiting, ``▒`` failed, ``█`` succeeded."""

    def column(at: float) -> int:
        return min(room, max(0, round(at / length * room)))

    begin = min(column(bar.start), room - 1)
    end = max(column(bar.end), begin + 1)
    wait = min(column(bar.start - bar.wait), begin)
    ink = {"ok": "█", "failed": "▒"}.get(bar.outcome, "▪")
    return f"{' ' * wait}{'░' * (begin - wait)}{ink * (end - begin)}".ljust(room)


def _cut(content: str, width: int) -> str:
    return content if len(content) <= width else content[: max(0, width - 1)] + "…"
