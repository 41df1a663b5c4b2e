"""A run's numbers, ready to be drawn or tabulated: plain rows in, plain rows out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from routerlab.experiments.judging import PURPOSE as JUDGE
from routerlab.experiments.preflight import PURPOSE as PREFLIGHT
from routerlab.experiments.statistics import mean_interval, percentile, wilson_interval
from routerlab.session.rows import records
from routerlab.views.frames import RecordSource
from routerlab.views.lanes import Segment, states
from routerlab.views.timing import queueing, speed

__all__ = ["History", "Point", "RunData", "frontier", "histories", "latencies", "summary_rows"]

Row = Mapping[str, Any]
_NOT_COUNTED = {"cancelled", "rejected"}
_TOO_MANY = "RateLimitError"


@dataclass(frozen=True)
class RunData:
    """What a run left behind.

    Attributes:
        rows: of the replay engine.
        attempts: rows of the table ``attempts``, those of a call one after the other.
        events: rows of ``events`` from the time of the run.
        scorers: their names.
    """

    rows: Sequence[Row]
    attempts: Sequence[Row]
    events: Sequence[Row] = ()
    scorers: Sequence[str] = ()

    @classmethod
    def read(cls, rows: Sequence[Row], scorers: Sequence[str], recorder: RecordSource, run_id: str) -> RunData:
        """Read what the recorder knows of a run."""
        beside = {"run_id": run_id, "purpose": [PREFLIGHT, JUDGE]}
        checks = set(recorder.columns("calls", beside)["call_id"])
        attempts = records(recorder.columns("attempts", {"run_id": run_id}))
        attempts = [row for row in attempts if row["call_id"] not in checks]
        attempts.sort(key=lambda row: (row["started_at"], row["attempt"]))
        if not attempts:
            return cls(rows, [], [], scorers)
        first, last = attempts[0]["started_at"], max(row["ended_at"] for row in attempts)
        events = [row for row in records(recorder.columns("events")) if first - 1.0 <= row["at"] <= last + 1.0]
        return cls(rows, attempts, events, scorers)

    @cached_property
    def settled(self) -> frozenset[str]:
        """The calls that rows show; others were put back, and their items sent again later."""
        return frozenset(row["call_id"] for row in self.rows if row.get("call_id"))

    def counts(self, attempt: Row) -> bool:
        """Whether an attempt says something of its model: not that it came too early, and was sent again later."""
        if attempt["outcome"] in _NOT_COUNTED:
            return False
        return attempt["error_type"] != _TOO_MANY or attempt["call_id"] in self.settled

    @property
    def models(self) -> list[str]:
        """Every model that was sent something, in the order in which that happened first; then those from a cache."""
        cached = [row["model"] for row in self.rows if row.get("cached")]
        return list(dict.fromkeys([*(row["model"] for row in self.attempts), *cached]))

    @property
    def start(self) -> float:
        """Epoch seconds of the first attempt; 0 where there is none."""
        return float(self.attempts[0]["started_at"]) if self.attempts else 0.0

    @property
    def length(self) -> float:
        """Seconds from the first attempt's start to the last one's end."""
        return max((row["ended_at"] for row in self.attempts), default=0.0) - self.start


def summary_rows(data: RunData, by: str = "model") -> list[dict[str, Any]]:
    """One row per model that was sent something, or per variant of the run; see `RunResult.summary`."""
    if by == "variant":
        variants = dict.fromkeys(row["variant"] for row in data.rows)
        return [_variant_row(data, variant) for variant in variants]
    away = _failovers_away(data.attempts)
    return [_model_row(data, model, away.get(model, 0)) for model in data.models]


def _model_row(data: RunData, model: str, away: int) -> dict[str, Any]:
    attempts = [row for row in data.attempts if row["model"] == model and data.counts(row)]
    answered = [row for row in data.rows if row["status"] == "ok" and row.get("model") == model]
    good = [row for row in attempts if row["outcome"] == "ok"]
    calls, ok = (len({row["call_id"] for row in some}) for some in (attempts, good))  # an item of turns has several
    cached = [row for row in answered if row.get("cached")]
    calls, ok = calls + len(cached), ok + len(cached)
    return {
        "model": model,
        **_success(ok, calls),
        "failovers": away,
        **_latency(row["latency_s"] for row in good),
        **speed(good),
        **queueing(answered),
        **_scores(answered, data.scorers),
        **{name: _known_sum(row[name] for row in good) for name in ("prompt_tokens", "completion_tokens")},
        "cost_usd": _known_sum(row["cost_usd"] for row in [*attempts, *cached]),
    }


def _variant_row(data: RunData, variant: str) -> dict[str, Any]:
    rows = [row for row in data.rows if row["variant"] == variant and row["status"] != "pending"]
    answered = [row for row in rows if row["status"] == "ok"]
    tokens = {name: _known_sum(row.get(name) for row in answered) for name in ("prompt_tokens", "completion_tokens")}
    return {
        "variant": variant,
        **_success(len(answered), len(rows)),
        "failovers": sum(row.get("failovers") or 0 for row in rows),
        **_latency(row.get("latency_s") for row in answered),
        **speed(row for row in answered if not row.get("cached")),
        **queueing(answered),
        **_scores(answered, data.scorers),
        **tokens,
        "cost_usd": _known_sum(row.get("cost_usd") for row in rows),
    }


def _success(ok: int, calls: int) -> dict[str, Any]:
    ok = min(ok, calls)  # attempts that memory let go
    low, high = wilson_interval(ok, calls) or (None, None)
    rate = ok / calls if calls else None
    return {"calls": calls, "ok": ok, "failed": calls - ok, "success": rate, "success_low": low, "success_high": high}


def _latency(values: Iterable[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return {"p50_latency_s": percentile(known, 50), "p95_latency_s": percentile(known, 95)}


def _scores(rows: Sequence[Row], scorers: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in scorers:
        values = [row[f"score_{name}"] for row in rows if row.get(f"score_{name}") is not None]
        low, high = mean_interval(values) or (None, None)
        mean = sum(values) / len(values) if values else None
        found |= {f"score_{name}": mean, f"score_{name}_low": low, f"score_{name}_high": high}
    return found


def _known_sum(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _by_call(attempts: Iterable[Row]) -> dict[str, list[Row]]:
    calls: dict[str, list[Row]] = {}
    for row in attempts:
        calls.setdefault(row["call_id"], []).append(row)
    return calls


def _departures(attempts: Iterable[Row]) -> Iterable[Row]:
    """The attempts from which a call moved on to another model."""
    for rows in _by_call(attempts).values():
        for row, following in pairwise(rows):
            if row["model"] != following["model"]:
                yield row


def _failovers_away(attempts: Iterable[Row]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in _departures(attempts):
        found[row["model"]] = found.get(row["model"], 0) + 1
    return found


def latencies(data: RunData) -> dict[str, list[float]]:
    """Seconds of every answered row, by the model that answered."""
    found: dict[str, list[float]] = {model: [] for model in data.models}
    for row in data.rows:
        if row["status"] == "ok" and row.get("model") and row.get("latency_s") is not None:
            found.setdefault(row["model"], []).append(row["latency_s"])
    return {model: values for model, values in found.items() if values}


@dataclass(frozen=True, slots=True)
class Point:
    """One model in the plane of cost and quality: USD for 1,000 answers, mean score (or success) with its interval."""

    model: str
    cost_usd: float
    quality: float
    low: float
    high: float


def frontier(data: RunData) -> tuple[list[Point], str]:
    """The models whose cost is known, cheapest first, and what their quality is called."""
    quality = f"score_{data.scorers[0]}" if data.scorers else "success"
    points = []
    for row in summary_rows(data):
        if row["cost_usd"] is not None and row[quality] is not None and row["ok"]:
            cost = 1000 * row["cost_usd"] / row["ok"]
            points.append(Point(row["model"], cost, row[quality], row[f"{quality}_low"], row[f"{quality}_high"]))
    name = f"mean score {data.scorers[0]!r}" if data.scorers else "success rate"
    return sorted(points, key=lambda point: (point.cost_usd, -point.quality)), name


@dataclass(slots=True)
class History:
    """One model over the time of a run; times in seconds since its first attempt.

    Attributes:
        model: its name.
        segments: what its breaker said.
        ok, failed: when attempts ended so.
        away: when a call moved on from it to another model.
    """

    model: str
    segments: list[Segment]
    ok: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    away: list[float] = field(default_factory=list)


def histories(data: RunData) -> list[History]:
    """One history per model."""
    start, length = data.start, data.length
    found = {model: History(model, _segments(data, model, start, length)) for model in data.models}
    for row in data.attempts:
        if row["outcome"] not in _NOT_COUNTED:
            times = found[row["model"]].ok if row["outcome"] == "ok" else found[row["model"]].failed
            times.append(row["ended_at"] - start)
    for row in _departures(data.attempts):
        found[row["model"]].away.append(row["ended_at"] - start)
    return list(found.values())


def _segments(data: RunData, model: str, start: float, length: float) -> list[Segment]:
    changes = [row for row in data.events if row["kind"] == "breaker" and row["model"] == model]
    if not changes:
        return states([row for row in data.attempts if row["model"] == model], start, length)
    segments = [Segment(0.0, length, changes[0]["old"])]
    for row in changes:
        at = min(length, max(0.0, row["at"] - start))
        last = segments.pop()
        segments += [Segment(last.start, at, last.state), Segment(at, length, row["new"])]
    return [segment for segment in segments if segment.end > segment.start]
