"""How fast answers came and how long calls waited: a summary's numbers, and which of them deserve a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from routerlab.experiments.statistics import percentile
from routerlab.views.words import seconds

__all__ = ["TimingColumn", "queueing", "speed", "timing_columns"]

TimingColumn = tuple[str, str, Callable[[Any], str]]
"""Its title, the name of the number, and how people read it."""

_NUMBERS: tuple[TimingColumn, ...] = (
    ("ttft", "p50_ttft_s", seconds),
    ("tokens/s", "tokens_per_s", lambda rate: "" if rate is None else f"{rate:,.0f}"),
    ("queue p50", "p50_queue_s", seconds),
    ("queue p95", "p95_queue_s", seconds),
)


def speed(rows: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """Median time to the first token, and median of the tokens a second after it; None where nothing was streamed.

    Args:
        rows: answers or successful attempts, with ``ttft_s, latency_s, completion_tokens``.
    """
    timed = [row for row in rows if row.get("ttft_s") is not None and "answers" not in row]  # of turns: of the first
    rates = [
        row["completion_tokens"] / (row["latency_s"] - row["ttft_s"])
        for row in timed
        if (row.get("completion_tokens") or 0) > 1 and row["latency_s"] > row["ttft_s"]
    ]
    return {
        "p50_ttft_s": median(row["ttft_s"] for row in timed) if timed else None,
        "tokens_per_s": median(rates) if rates else None,
    }


def queueing(rows: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """How long calls waited after their arrival; None where nothing arrived."""
    waited = [row["queue_s"] for row in rows if row.get("queue_s") is not None]
    return {"p50_queue_s": percentile(waited, 50), "p95_queue_s": percentile(waited, 95)}


def timing_columns(rows: Sequence[Mapping[str, Any]]) -> list[TimingColumn]:
    """The columns of a summary that have a number in any of its rows."""
    return [column for column in _NUMBERS if any(row.get(column[1]) is not None for row in rows)]
