"""What a run's records add up to, taken in a few at a time: for those who watch a run that is not theirs."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.experiments.budget import Budget
from routerlab.experiments.fates import Kind, kind_of
from routerlab.experiments.plan import Progress

__all__ = ["COLUMNS", "Tally"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "calls": (
        "call_id",
        "item_id",
        "variant",
        "repeat",
        "purpose",
        "outcome",
        "error_type",
        "failovers",
        "cached",
        "ended_at",
    ),
    "attempts": ("call_id", "error_type", "cost_usd"),
}
"""What it needs, by table."""

_UNSENT = "cancelled"
_RATE_S = 30.0  # the rate is that of so many seconds
_Key = tuple[str, str, int]  # item, variant, repeat


class Tally:
    """Counts the rows of one run.

    Args:
        run: its row in the table ``runs``.
    """

    def __init__(self, run: Mapping[str, Any]) -> None:
        given: Mapping[str, Any] = run["params"] or {}
        self._purposes = {run["kind"], None}
        self._variants = {arm["variant"] for arm in given.get("arms", ())}
        self._repeats = int(given.get("repeats") or 1)
        self._budget_usd: float | None = given.get("budget_usd")
        self._created_at: float | None = run["created_at"]
        self._ok: set[_Key] = set()
        self._failed: dict[_Key, int] = {}  # with the failovers of each
        self._tried: set[_Key] = set()  # waiting for another round
        self._rows_of: Counter[str] = Counter()  # of each item
        self._complete = self._cached = self._failovers = 0
        self._cost_usd: float | None = None
        self._errors: dict[str, list[str]] = {}  # of the attempts of calls that are still to come
        self._ends: deque[float] = deque()  # when the latest rows were there
        self._last_end = 0.0

    def add(self, rows: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
        """Take in new rows of the tables and columns in `COLUMNS`."""
        for call_id, error, cost in _rows(rows, "attempts"):
            if cost is not None:
                self._cost_usd = (self._cost_usd or 0.0) + cost
            if error is not None:
                self._errors.setdefault(call_id, []).append(error)
        for call in _rows(rows, "calls"):
            self._call(*call)

    def _call(
        self,
        call_id: str,
        item: str,
        variant: str,
        repeat: int | None,
        purpose: str | None,
        outcome: str | None,
        error: str | None,
        failovers: int | None,
        cached: bool | None,
        ended_at: float | None,
    ) -> None:
        errors = self._errors.pop(call_id, [])
        if purpose not in self._purposes or variant not in self._variants or repeat is None or outcome == _UNSENT:
            return
        key, kind = (item, variant, repeat), kind_of(error, errors)
        if repeat >= self._repeats or key in self._ok:
            return
        if kind not in (Kind.OK, Kind.FAILED):
            self._tried.add(key)
            return
        if key not in self._failed:
            self._rows_of[item] += 1
            self._complete += self._rows_of[item] == len(self._variants) * self._repeats
            self._ends.append(ended_at or 0.0)
        self._tried.discard(key)
        self._failovers += (failovers or 0) - self._failed.pop(key, 0)
        if kind is Kind.OK:
            self._ok.add(key)
        else:
            self._failed[key] = failovers or 0
        self._cached += bool(cached)
        self._last_end = max(self._last_end, ended_at or 0.0)

    def progress(self, status: str, items: int, now: float) -> Progress:
        """Where the run stands.

        Args:
            status: of the run.
            items: of its dataset.
            now: epoch seconds of whoever works on it.
        """
        given_up = len(self._tried - self._failed.keys()) if status == "done" else 0  # they failed round after round
        ok, failed = len(self._ok), len(self._failed) + given_up
        total = items * len(self._variants) * self._repeats
        running = status == "running"
        rate = self._rate(now) if running else 0.0
        return Progress(
            total=total,
            done=ok + failed,
            ok=ok,
            failed=failed,
            failovers=self._failovers,
            cost_usd=self._cost_usd,
            rate_per_s=rate,
            eta_s=(total - ok - failed) / rate if rate else None,
            elapsed_s=0.0 if running or not self._last_end else max(0.0, self._last_end - (self._created_at or 0.0)),
            status=status,
            cached=self._cached,
            items=items,
            complete=self._complete,
            reaches=self._reaches(ok + failed) if running else None,
            budget_usd=self._budget_usd,
        )

    def _reaches(self, done: int) -> int | None:
        budget = Budget(self._budget_usd)
        budget.known_usd = self._cost_usd
        return budget.reaches(self._complete, done - self._cached, len(self._variants) * self._repeats)

    def _rate(self, now: float) -> float:
        """Rows a second, of late; 0 where there were too few."""
        ends = self._ends
        while ends and ends[0] < now - _RATE_S:
            ends.popleft()
        span = now - ends[0] if ends else 0.0
        return (len(ends) - 1) / span if len(ends) > 1 and span > 0 else 0.0


def _rows(rows: Mapping[str, Mapping[str, Sequence[Any]]], table: str) -> Any:
    columns = rows.get(table)
    return zip(*(columns[name] for name in COLUMNS[table]), strict=True) if columns else ()
