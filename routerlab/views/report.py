"""A run as one HTML file that opens offline, in light and dark, and can be mailed: no scripts, no requests."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from routerlab.experiments.output import HTML, output_text
from routerlab.views.figures import Figure
from routerlab.views.harmless import harmless
from routerlab.views.lanes import failure
from routerlab.views.markup import table
from routerlab.views.result import RunResult
from routerlab.views.rundata import RunData, summary_rows
from routerlab.views.summary import summary_html
from routerlab.views.svg import escape_text
from routerlab.views.theme import DARK, LIGHT, THEMED, variables
from routerlab.views.trace import Trace
from routerlab.views.versus import verdicts_html
from routerlab.views.words import count, money, seconds

__all__ = ["report_html", "write_report"]

_WATERFALLS = 6  # traces that are drawn
_LISTED = 200  # rows of a list
_ITEMS = 2000  # rows with prompts and replies, where they are asked for
_PROMPTS = 1000  # of several arms
_CHARS = 4000  # of a prompt or a reply
_ROOM = 4_000_000  # bytes for all of them
_CELL = 160  # bytes of markup around each
_STYLE = """
:root{color-scheme:light dark;%(light)s}
@media (prefers-color-scheme:dark){:root{%(dark)s}}
body{margin:0;background:var(--rl-paper);color:var(--rl-ink);
  font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}
main{max-width:920px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:38px 0 8px}p{margin:4px 0 10px}
.muted{color:var(--rl-muted)}.scroll{overflow-x:auto}
.mark{border:1px solid #e69f00;border-left-width:6px;border-radius:4px;padding:8px 12px;margin:14px 0;
  background:var(--rl-panel)}
.numbers{display:flex;flex-wrap:wrap;gap:10px;margin:18px 0}
.numbers div{background:var(--rl-panel);border-radius:6px;padding:8px 16px;min-width:86px}
.numbers b{display:block;font-size:19px}.numbers span{color:var(--rl-muted);font-size:12.5px}
svg{display:block;margin:8px 0}details{margin:10px 0}summary{cursor:pointer}
ul{margin:4px 0 14px;padding-left:20px}li{margin:0 0 6px}
td{white-space:pre-wrap}.texts td:nth-child(2){min-width:18em!important}
@media (max-width:640px){main{padding:18px 14px 40px}.figure{overflow-x:auto}
  .figure svg{max-width:none!important;width:680px}.numbers div{flex:1 1 30%%;padding:8px 12px}}
@media print{:root{color-scheme:light;%(light)s}main{max-width:none;padding:0}.scroll,.figure{overflow:visible}
  .numbers div,.mark{border:1px solid var(--rl-grid)}svg,tr,li,.mark{break-inside:avoid}h2{break-after:avoid}
  *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def write_report(run: RunResult, path: str | os.PathLike[str], *, text: bool = False, margin: float = 0.05) -> Path:
    """Write the report of a run; see `ExportedResult.report`."""
    with output_text(path, HTML) as file:
        file.write(report_html(run, text=text, margin=margin))
    return Path(path)


def report_html(run: RunResult, *, text: bool = False, margin: float = 0.05) -> str:
    """The report as one page of HTML."""
    data = run.data
    traces = run.traces()
    sections = [
        _head(run, data),
        _marks(data),
        _numbers(run),
        *[f'<p class="mark">{escape_text(note)}</p>' for note in run.notes],
        _section("By model", _summary(run, data), _BY_MODEL),
        _quality(run, data, margin),
        _figure("Success and latency", data, run.name, ("success", "latency")),
        _figure("Breakers", data, run.name, ("breakers",)),
        _failovers(traces, data),
        _errors(data, text=text),
        _texts(run, data) if text else "",
        _section("Settings", _settings(run, text=text)),
    ]
    style = _STYLE % {"light": variables(LIGHT), "dark": variables(DARK)}
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape_text(run.name)} · routerlab</title><style>{style}</style></head>\n"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


_BY_MODEL = "Calls that reached a model, and how many of them it answered; the others moved on or failed."


def _section(title: str, content: str, note: str = "") -> str:
    small = f'<p class="muted">{escape_text(note)}</p>' if note else ""
    return f"<section><h2>{escape_text(title)}</h2>{small}{content}</section>\n" if content else ""


def _head(run: RunResult, data: RunData) -> str:
    started = run.started_at()
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(started)) if started else "not started"
    about = f"{run.settings()['dataset']} · {run.status} · {when} · run {run.run_id}"
    return f'<h1>{escape_text(run.name)}</h1><p class="muted">{escape_text(about)}</p>'


def _marks(data: RunData) -> str:
    marks = []
    if any(row.get("simulated") for row in data.rows):
        marks.append("Simulated: answers, latencies, prices and faults come from simulated providers.")
    if any(row.get("injected") for row in data.rows):
        marks.append("Faults were injected on purpose while this ran.")
    return "".join(f'<p class="mark">{mark}</p>' for mark in marks)


def _numbers(run: RunResult) -> str:
    now = run.progress
    shown = (
        (f"{now.done:,} of {now.total:,}", "done"),
        (f"{now.ok:,}", "answered"),
        (f"{now.failed:,}", "failed"),
        (f"{now.failovers:,}", "failovers"),
        (money(now.cost_usd) or "unknown", "cost"),
        (seconds(now.elapsed_s) or "0 s", "time"),
    )
    boxes = "".join(f"<div><b>{escape_text(value)}</b><span>{name}</span></div>" for value, name in shown)
    return f'<div class="numbers">{boxes}</div>'


def _summary(run: RunResult, data: RunData) -> str:
    tables = summary_html(summary_rows(data), run.scorers)
    variants = summary_rows(data, "variant")
    if {row["variant"] for row in variants} != set(data.models):  # pools: an arm is not a model
        tables += f"<p>By variant, over its items:</p>{summary_html(variants, run.scorers, 'variant')}"
    return f'<div class="scroll">{tables}</div>'


def _figure(title: str, data: RunData, name: str, kinds: Iterable[str]) -> str:
    drawn = "".join(Figure(data, kind, title=name).draw(THEMED).render() for kind in kinds)
    return f'<section aria-label="{escape_text(title)}" class="figure">{drawn}</section>\n'


def _quality(run: RunResult, data: RunData, margin: float) -> str:
    """Arms against each other, where there are several; else what each model's quality cost."""
    if len({row["variant"] for row in data.rows}) > 1:
        return _section("Comparison", verdicts_html(run, margin))
    return _figure("Quality and cost", data, run.name, ("frontier",))


def _failovers(traces: Sequence[Trace], data: RunData) -> str:
    if not traces:
        return _section("Failovers", "<p>No call moved on to another model.</p>")
    telling = sorted(traces, key=lambda trace: (-len(trace.attempts), -(trace.call.get("latency_s") or 0.0)))
    drawn = "".join(trace.draw(THEMED).render() for trace in _varied(telling))
    rows = [_failover_row(trace, data.start) for trace in traces[:_LISTED]]
    listed = table(("at", "item", "way", "outcome", "took"), rows, numbers={0, 4})
    more = f"<p class='muted'>{len(traces) - _LISTED:,} more are not listed.</p>" if len(traces) > _LISTED else ""
    total = count(len(traces), "call") + " moved on to another model"
    listed = f"<details open><summary>{total}</summary><div class='scroll'>{listed}</div>{more}</details>"
    return _section(
        "Failovers",
        f"<div class='figure'>{drawn}</div>{listed}",
        "The most telling calls first: hatched lanes are open breakers, dotted ones half-open.",
    )


def _varied(traces: Sequence[Trace]) -> list[Trace]:
    """The first trace of each way that was taken, then others, as many as are drawn."""
    first: dict[tuple[str, ...], Trace] = {}
    for trace in traces:
        first.setdefault(tuple(f"{row['model']} {failure(row)}" for row in trace.attempts), trace)
    rest = [trace for trace in traces if trace not in first.values()]
    return [*first.values(), *rest][:_WATERFALLS]


def _failover_row(trace: Trace, start: float) -> list[str]:
    steps = [row["model"] if row["outcome"] == "ok" else f"{row['model']} ({failure(row)})" for row in trace.attempts]
    at = max(0.0, (trace.call.get("started_at") or start) - start)
    item = str(trace.call.get("item_id") or "")
    return [
        f"{at:.1f} s",
        item,
        " → ".join(steps),
        str(trace.call.get("outcome")),
        seconds(trace.call.get("latency_s")),
    ]


def _errors(data: RunData, *, text: bool) -> str:
    """What failed. A provider's words may quote the prompt: they are shown only with the texts."""
    failed = [row for row in data.rows if row["status"] == "failed"]
    counts = Counter((row["model"], failure(row)) for row in data.attempts if row["outcome"] not in {"ok", "cancelled"})
    attempts = table(
        ("failed attempts", "model", "what"), [[f"{n:,}", *key] for key, n in counts.most_common(50)], numbers={0}
    )
    head = ["item", "variant", "error", *(["message"] if text else [])]
    rows = [
        [
            str(row["item_id"]),
            str(row["variant"]),
            str(row.get("error_type") or ""),
            *([str(row.get("error_message") or "")] if text else []),
        ]
        for row in failed[:_LISTED]
    ]
    parts = [attempts if counts else "<p>No attempt failed.</p>"]
    if failed:
        parts.append(f"<p>{count(len(failed), 'item')} got no answer:</p>{table(head, rows)}")
    return _section("Errors", f'<div class="scroll">{"".join(parts)}</div>')


def _texts(run: RunResult, data: RunData) -> str:
    """Replies of several arms side by side; of one, below each other."""
    if len({row["variant"] for row in data.rows}) > 1:
        side = run.side_by_side()
        said = "Those with the widest difference first."
        return _section("Prompts and replies", side.table(_PROMPTS, most=_CHARS, room=_ROOM), said)
    head = ("item", "prompt", "target", "reply", "model", *data.scorers)
    names = ("item_id", "prompt", "target", "text", "model", *(f"score_{name}" for name in data.scorers))
    rows, room = [], _ROOM
    for row in data.rows[:_ITEMS]:
        cells = [_plain(row.get(name)) for name in names]
        room -= sum(len(escape_text(cell).encode(errors="replace")) + _CELL for cell in cells)
        if room < 0:
            break
        rows.append(cells)
    note = f"The first {len(rows):,} of {len(data.rows):,} rows." if len(rows) < len(data.rows) else ""
    return _section("Prompts and replies", f'<div class="scroll texts">{table(head, rows)}</div>', note)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    shown = f"{value:g}" if isinstance(value, float) else harmless(str(value))
    return shown if len(shown) <= _CHARS else f"{shown[:_CHARS]}…"


def _settings(run: RunResult, *, text: bool) -> str:
    settings: Mapping[str, Any] = run.settings()
    shown = {**settings, "arms": ", ".join(arm["variant"] for arm in settings["arms"])}
    if not text:  # system messages, rubrics, and the command line that held them
        shown |= {"system": settings.get("system") and "given (not shown)", "command": None}
        shown["judges"] = [f"{name}: {judge['model']}" for name, judge in settings.get("judges", {}).items()]
        shown["params"] = {key: value for key, value in settings["params"].items() if not _holds_text(value)}
    rows = [[name.replace("_", " "), _setting(value)] for name, value in shown.items() if value not in (None, [], {})]
    return table(("setting", "value"), rows)


def _holds_text(value: Any) -> bool:
    """Whether a parameter may carry somebody's words: tools, stop words, formats."""
    return not isinstance(value, int | float | bool | None)


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
