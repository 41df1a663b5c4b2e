"""A board in words: what a terminal shows, and what a picture says of itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.views.board import BREAKERS
from routerlab.views.lanes import signed_state
from routerlab.views.rundraw import run_line
from routerlab.views.words import count, money, percent, seconds

__all__ = ["board_text", "failover_lines", "headline"]

_TRACES = 5


def board_text(whole: Mapping[str, Any], show: frozenset[str], runs: Sequence[Mapping[str, Any]]) -> str:
    """The sections one below the other.

    Args:
        whole: from `Board.whole`.
        show: the sections.
        runs: those to tell of.
    """
    lines = [] if show == {"runs"} else [headline(whole)]
    if "runs" in show:
        lines += [run_line(run) for run in runs]
    if show & {"breakers", "scores"}:
        name = max((len(model) for model in whole["models"]), default=0)
        lines += [f"{model:<{name}}  {_state(whole, place)}" for place, model in enumerate(whole["models"])]
    if show & {"failovers", "trace"}:
        lines += ["latest failovers:", *(f"  {line}" for line in failover_lines(whole))]
    return "\n".join(lines)


def headline(whole: Mapping[str, Any]) -> str:
    """What a lab has done, in one line."""
    c = whole["c"]
    ended = c["ok"] + c["failed"]
    parts = [
        count(c["calls"], "call"),
        f"{percent(c['ok'] / ended)} ok" if ended else "",
        count(c["failovers"], "failover"),
        f"{c['tokens']:,} tokens" if c["tokens"] else "",
        money(c["cost_usd"]),
    ]
    return "routerlab: " + " · ".join(part for part in parts if part)


def failover_lines(whole: Mapping[str, Any]) -> list[str]:
    """The latest calls that moved on, the latest first; or a line that says that none has."""
    traces = whole["f"][-_TRACES:][::-1]
    if not traces:
        return ["No call has moved on to another model."]
    names = dict(zip(whole["models"], whole["names"], strict=True))
    return [
        f"{time.strftime('%H:%M:%S', time.gmtime(trace['at']))}  {_steps(trace, names)}  ({seconds(trace['s'])})"
        for trace in traces
    ]


def _steps(trace: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """``sim/alpha 503 · moved on → sim/beta answered · 55 ms``."""
    bars = sorted((bar[0], name, bar[4]) for name, _, lane in trace["lanes"] for bar in lane)
    return " → ".join(f"{names.get(name, name)} {label}" for _, name, label in bars)


def _state(whole: Mapping[str, Any], place: int) -> str:
    breaker, _, score, success, latency, *_ = whole["s"][str(place)]
    parts = [
        signed_state(BREAKERS[breaker]),
        "no data" if success is None else f"{percent(success / 1000)} ok",
        "" if score is None else f"score {score / 1000:.3f}",
        "" if latency is None else seconds(latency / 1000),
    ]
    return " · ".join(part for part in parts if part)
