"""The summary of a run: as a frame, and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from routerlab.core.errors import ConfigurationError
from routerlab.session.tables import ColumnType
from routerlab.views.markup import table
from routerlab.views.rundata import RunData, summary_rows
from routerlab.views.timing import TimingColumn, timing_columns
from routerlab.views.words import money, percent, seconds

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["summary_cells", "summary_frame", "summary_head", "summary_html"]

Row = Mapping[str, Any]


def summary_frame(data: RunData, by: str) -> pd.DataFrame:
    """The frame of `RunResult.summary`.

    Raises:
        ConfigurationError: `by` is neither ``"model"`` nor ``"variant"``.
    """
    from routerlab.views.frames import to_frame

    if by not in {"model", "variant"}:
        raise ConfigurationError(f'by={by!r}: expected "model" or "variant"')
    types: dict[str, ColumnType] = {by: "id"}
    types |= dict.fromkeys(("calls", "ok", "failed"), "int")
    types |= dict.fromkeys(("success", "success_low", "success_high"), "float")
    types |= {"failovers": "int", "p50_latency_s": "float", "p95_latency_s": "float"}
    types |= {"p50_ttft_s": "float", "tokens_per_s": "float"}
    for name in data.scorers:
        types |= dict.fromkeys((f"score_{name}", f"score_{name}_low", f"score_{name}_high"), "float")
    types |= {"prompt_tokens": "int", "completion_tokens": "int", "cost_usd": "float"}
    rows = summary_rows(data, by)
    if any(row["p50_queue_s"] is not None for row in rows):
        types |= {"p50_queue_s": "float", "p95_queue_s": "float"}
    return to_frame({name: [row[name] for row in rows] for name in types}, types)


def summary_html(rows: Sequence[Row], scorers: Sequence[str], by: str = "model") -> str:
    """A summary as a table for people: intervals beside their means, failovers where there were any."""
    timing = timing_columns(rows)
    lines = [summary_head(by, scorers, timing), *(summary_cells(row, scorers, timing, by) for row in rows)]
    if not any(row["failovers"] for row in rows):
        place = lines[0].index("failovers")
        lines = [[*line[:place], *line[place + 1 :]] for line in lines]
    return table(lines[0], lines[1:], numbers=range(1, len(lines[0])))


def summary_head(
    by: str, scorers: Sequence[str], timing: Sequence[TimingColumn], *, compact: bool = False
) -> list[str]:
    """The titles over `summary_cells`."""
    more = [title for title, _, _ in timing]
    if compact:
        return [by, "calls", "success", "failovers", "p50", "p95", *more, *scorers, "cost"]
    return [by, "calls", "success (95 %)", "failovers", "p50", "p95", *more, *scorers, "cost", "tokens"]


def summary_cells(
    row: Row,
    scorers: Sequence[str],
    timing: Sequence[TimingColumn],
    by: str = "model",
    *,
    compact: bool = False,
) -> list[str]:
    """One row of a summary for people; `compact`: without intervals and tokens."""
    share = _alone if compact else _with_interval
    tokens = [row["prompt_tokens"], row["completion_tokens"]]
    spent = "" if None in tokens else f"{tokens[0]:,} + {tokens[1]:,}"
    return [
        row[by],
        f"{row['calls']:,}",
        share(row, "success"),
        f"{row['failovers']:,}",
        seconds(row["p50_latency_s"]),
        seconds(row["p95_latency_s"]),
        *(shown(row[name]) for _, name, shown in timing),
        *(share(row, f"score_{name}") for name in scorers),
        money(row["cost_usd"]),
        *([] if compact else [spent]),
    ]


def _alone(row: Row, name: str) -> str:
    return percent(row[name])


def _with_interval(row: Row, name: str) -> str:
    if row[name] is None:
        return ""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{percent(row[name])} ({low * 100:.0f} to {high * 100:.0f})"
