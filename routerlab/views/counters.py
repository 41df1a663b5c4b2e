"""How many calls, how they ended, what they took: the numbers on top of the board."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

__all__ = ["Counters"]

_RATE_S = 5.0  # rates are those of so many seconds


class Counters:
    """Counts calls."""

    columns: ClassVar[tuple[str, ...]] = (
        "outcome",
        "failovers",
        "prompt_tokens",
        "completion_tokens",
        "cost_usd",
        "ended_at",
    )
    """What it needs of the table ``calls``."""

    def __init__(self) -> None:
        self.calls = self.ok = self.failed = self.failovers = self.tokens = 0
        self.cost_usd: float | None = None  # None: no price is known
        self._recent: deque[tuple[float, int]] = deque()  # when a call ended, its tokens

    def add(self, calls: Mapping[str, Sequence[Any]]) -> None:
        """Count calls given as columns."""
        self.count(zip(*(calls[name] for name in self.columns), strict=True))

    def count(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Count calls given as rows of `columns`."""
        for outcome, moved, asked, answered, cost, at in rows:
            self.calls += 1
            if outcome in {"ok", "truncated"}:
                self.ok += 1
            elif outcome != "cancelled":
                self.failed += 1
            self.failovers += moved or 0
            tokens = (asked or 0) + (answered or 0)
            self.tokens += tokens
            if cost is not None:
                self.cost_usd = (self.cost_usd or 0.0) + cost
            self._recent.append((at, tokens))

    def shown(self, now: float) -> dict[str, Any]:
        """The counts, and the rates of the last seconds before `now` (epoch seconds)."""
        recent = self._recent
        while recent and recent[0][0] <= now - _RATE_S:
            recent.popleft()
        return {
            "calls": self.calls,
            "ok": self.ok,
            "failed": self.failed,
            "failovers": self.failovers,
            "tokens": self.tokens,
            "cost_usd": self.cost_usd,
            "calls_s": round(len(recent) / _RATE_S, 2),
            "tokens_s": round(sum(tokens for _, tokens in recent) / _RATE_S, 1),
        }
