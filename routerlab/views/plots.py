"""The charts of a run as plotly figures. Plotly is imported at first use: it is slow to load."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from routerlab.views.lanes import failure, state_name
from routerlab.views.rundata import RunData, frontier, histories, latencies, summary_rows
from routerlab.views.svg import short
from routerlab.views.theme import LIGHT, model_colours

__all__ = ["make_plot"]

_Place = dict[str, int]
_NOTHING, _FAINT, _GREY = "rgba(0,0,0,0)", "rgba(128,134,144,0.3)", "#808690"  # on any page
_SHAPES = {"open": "/", "half_open": "."}


def make_plot(data: RunData, kind: str, title: str) -> Any:
    """A figure of one kind (see `Figure`), in colours that can be read on light and dark pages."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    if kind == "overview":
        names = ("Success", "Latency", "Breakers", "Quality and cost")
        figure = make_subplots(rows=2, cols=2, subplot_titles=names, horizontal_spacing=0.2, vertical_spacing=0.17)
        for place, draw in enumerate((_success, _latency, _breakers, _frontier)):
            draw(figure, go, data, {"row": place // 2 + 1, "col": place % 2 + 1})
        figure.update_layout(height=720)
    else:
        figure = make_subplots(rows=1, cols=1)
        draws: dict[str, Callable[..., None]] = {
            "success": _success,
            "latency": _latency,
            "frontier": _frontier,
            "timeline": _timeline,
            "breakers": _breakers,
        }
        draws[kind](figure, go, data, {"row": 1, "col": 1})
        figure.update_layout(height=420)
    figure.update_layout(title=_plain(title), barmode="overlay", margin={"l": 60, "r": 30, "t": 70, "b": 50})
    figure.update_layout(paper_bgcolor=_NOTHING, plot_bgcolor=_NOTHING, font_color=_GREY)
    figure.update_xaxes(gridcolor=_FAINT, zerolinecolor=_FAINT)
    figure.update_yaxes(gridcolor=_FAINT, zerolinecolor=_FAINT)
    return figure


def _plain(text: str) -> str:
    """Plotly reads a little HTML in its texts: what comes from outside is shown as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _labels(models: Iterable[str]) -> dict[str, str]:
    """Short names, each its own: plotly puts what has the same name into one place."""
    labels: dict[str, str] = {}
    for model in models:
        label = _plain(short(model, 150, 12))
        while label in labels.values():
            label += "'"
        labels[model] = label
    return labels


def _success(figure: Any, go: Any, data: RunData, place: _Place) -> None:
    rows = [row for row in summary_rows(data) if row["calls"]]
    labels = _labels(data.models)
    figure.add_trace(
        go.Bar(
            x=[row["success"] for row in rows],
            y=[labels[row["model"]] for row in rows],
            orientation="h",
            marker_color=LIGHT.ok,
            error_x={
                "type": "data",
                "array": [row["success_high"] - row["success"] for row in rows],
                "arrayminus": [row["success"] - row["success_low"] for row in rows],
            },
            text=[f"{row['ok']} of {row['calls']}" for row in rows],
            textposition="inside",
            insidetextanchor="start",
            showlegend=False,
        ),
        **place,
    )
    figure.update_xaxes(range=[0, 1.05], tickformat=".0%", **place)
    figure.update_yaxes(autorange="reversed", **place)


def _latency(figure: Any, go: Any, data: RunData, place: _Place) -> None:
    values = latencies(data)
    colours, labels = model_colours(data.models), _labels(data.models)
    for model, many in values.items():
        step = max(1, len(many) // 2000)
        box = {"boxpoints": "all" if len(many) <= 400 else "outliers", "jitter": 0.4, "pointpos": 0}
        figure.add_trace(
            go.Box(x=sorted(many)[::step], name=labels[model], marker_color=colours[model], showlegend=False, **box),
            **place,
        )
    figure.update_xaxes(title="latency of answered calls (s)", rangemode="tozero", **place)
    figure.update_yaxes(autorange="reversed", **place)


def _frontier(figure: Any, go: Any, data: RunData, place: _Place) -> None:
    points, quality = frontier(data)
    colours, labels = model_colours(data.models), _labels(data.models)
    for point in points:
        error = {"type": "data", "array": [point.high - point.quality], "arrayminus": [point.quality - point.low]}
        figure.add_trace(
            go.Scatter(
                x=[point.cost_usd],
                y=[point.quality],
                error_y=error,
                mode="markers+text",
                text=[labels[point.model]],
                textposition="middle right",
                marker={"size": 11, "color": colours[point.model]},
                name=labels[point.model],
                showlegend=False,
            ),
            **place,
        )
    most = max((point.cost_usd for point in points), default=0.0) or 1e-6
    axis = {"range": [0, 1.35 * most], "tickprefix": "$", "exponentformat": "none", "nticks": 5}
    figure.update_xaxes(title="for 1,000 answers", **axis, **place)
    figure.update_yaxes(title=_plain(quality), range=[0, 1.05], **place)


def _timeline(figure: Any, go: Any, data: RunData, place: _Place) -> None:
    colours, labels = model_colours(data.models), _labels(data.models)
    for model in data.models:
        for ok, symbol, word in ((True, "circle", "succeeded"), (False, "x", "failed")):
            rows = [row for row in data.attempts if row["model"] == model and (row["outcome"] == "ok") is ok]
            if not rows:
                continue
            figure.add_trace(
                go.Scatter(
                    x=[row["ended_at"] - data.start for row in rows],
                    y=[row["latency_s"] for row in rows],
                    mode="markers",
                    marker={"symbol": symbol, "color": colours[model], "size": 7},
                    text=["" if ok else failure(row) for row in rows],
                    name=f"{labels[model]} {word}",
                ),
                **place,
            )
    figure.update_xaxes(title="seconds since the run began", **place)
    figure.update_yaxes(title="attempt's latency (s)", rangemode="tozero", **place)


def _breakers(figure: Any, go: Any, data: RunData, place: _Place) -> None:
    lanes = histories(data)
    names = list(_labels(lane.model for lane in lanes).values())
    colours = {"closed": LIGHT.closed, "open": LIGHT.open, "half_open": LIGHT.half_open}
    for state, colour in colours.items():
        parts = [(n, s) for n, lane in zip(names, lanes, strict=True) for s in lane.segments if s.state == state]
        if parts:
            figure.add_trace(
                go.Bar(
                    x=[segment.end - segment.start for _, segment in parts],
                    base=[segment.start for _, segment in parts],
                    y=[name for name, _ in parts],
                    orientation="h",
                    name=f"breaker {state_name(state)}",
                    marker={"color": colour, "opacity": 0.55, "pattern": {"shape": _SHAPES.get(state, "")}},
                ),
                **place,
            )
    away = [(name, at) for name, lane in zip(names, lanes, strict=True) for at in lane.away]
    if away:
        marks = {"symbol": "triangle-down", "color": _GREY, "size": 9}
        figure.add_trace(
            go.Scatter(x=[at for _, at in away], y=[n for n, _ in away], mode="markers", marker=marks, name="moved on"),
            **place,
        )
    figure.update_xaxes(title="seconds since the run began", **place)
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], **place)
