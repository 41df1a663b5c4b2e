"""A run's progress, drawn: a bar and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.views.charts import RIGHT, WIDTH, Panel
from routerlab.views.svg import Element, clip, el, lines, text
from routerlab.views.theme import Theme
from routerlab.views.waterfall import patterns
from routerlab.views.words import count, money, seconds

__all__ = ["run_line", "runs_panel"]

_ROW, _BAR, _LINE = 46.0, 10.0, 15.0


def runs_panel(runs: Sequence[Mapping[str, Any]], theme: Theme) -> Panel:
    """A bar for each run, answered plain, failed hatched; below it what there is to remark."""
    if not runs:
        return Panel(30.0, [text("no run", 16, 20, fill=theme.muted)])
    nodes, top = [patterns("run", theme)], 0.0
    for run in runs:
        notes = [line for note in run["notes"] for line in lines(note, RIGHT - 16, 11)]
        nodes += _run(run, top, theme)
        nodes += [text(line, 16, top + 54 + _LINE * at, fill=theme.muted, size=11) for at, line in enumerate(notes)]
        top += _ROW + _LINE * len(notes) + (6 if notes else 0)
    return Panel(top, nodes)


def _run(run: Mapping[str, Any], top: float, theme: Theme) -> list[Element]:
    whole = RIGHT - 16
    share = [whole * run[name] / run["total"] if run["total"] else 0.0 for name in ("ok", "failed")]
    y = top + 28
    box = {"y": y, "height": _BAR}
    nodes = [
        text(clip(_numbers(run), WIDTH - 32, 12), 16, top + 18, fill=theme.ink, size=12),
        el("rect", x=16, width=whole, fill=theme.panel, **box),
        el("rect", x=16, width=share[0], fill=theme.ok, **box),
    ]
    if share[1]:
        nodes += [
            el("rect", x=16 + share[0], width=share[1], fill=fill, **box) for fill in (theme.failed, "url(#run-failed)")
        ]
    return nodes


def run_line(run: Mapping[str, Any]) -> str:
    """A run in one line: how far, how well, how dear, and what there is to remark."""
    return " · ".join([_numbers(run), *run["notes"]])


def _numbers(run: Mapping[str, Any]) -> str:
    busy = run["status"] in {"running", "pending"}
    parts = [
        f"{run['name']}: {run['status']}",
        f"{run['done']:,} of {run['total']:,}",
        f"{run['failed']:,} failed" if run["failed"] else "",
        count(run["failovers"], "failover") if run["failovers"] else "",
        money(run["cost"]),
        f"{run['rate']:.1f}/s" if run["rate"] else "",
        f"{seconds(run['eta'])} left" if busy and run["eta"] is not None else "",
        "" if busy else seconds(run["elapsed"]),
    ]
    return " · ".join(part for part in parts if part)
