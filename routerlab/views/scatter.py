"""Points with intervals in both directions, and a line that joins the best of them: quality against what it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from routerlab.experiments.routes import Estimate
from routerlab.views.charts import LEFT, RIGHT, Panel, head
from routerlab.views.rundata import RunData, frontier, summary_rows
from routerlab.views.svg import Element, el, short, text, text_width
from routerlab.views.theme import Theme, model_colours
from routerlab.views.waterfall import ticks
from routerlab.views.words import money

__all__ = ["Spot", "add_plot", "frontier_panel", "scatter_panel"]

_TOP, _BOTTOM = 44.0, 270.0


@dataclass(frozen=True, slots=True)
class Spot:
    """One point.

    Attributes:
        label: its name.
        x, y: with their intervals.
        front: whether the line of the best goes through it.
    """

    label: str
    x: Estimate
    y: Estimate
    front: bool = False


def scatter_panel(
    spots: Sequence[Spot], title: str, how: str, write: Callable[[float], str], colours: Sequence[str], theme: Theme
) -> Panel:
    """The points as a chart.

    Args:
        spots: to draw.
        title, how: of the chart, and how to read it.
        write: the x axis' values in words.
        colours: names of all that has a colour, in their order, so that charts beside each other agree.
        theme: colours.
    """
    if not spots:
        return Panel(58.0, [*head(title, "", theme), text("not known", 16, 44, fill=theme.muted, size=12)])
    right, most = RIGHT - 20, 1.12 * max(spot.x.high for spot in spots) or 1e-9
    low = min(spot.y.low for spot in spots)
    floor = max(0.0, (int(low * 10) - 1) / 10) if low > 0.2 else 0.0

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + (right - LEFT) * x / most, _BOTTOM - (_BOTTOM - _TOP) * (y - floor) / (1 - floor)

    nodes = head(title, how, theme)
    for step in range(5):
        share = floor + (1 - floor) * step / 4
        y = place(0, share)[1]
        nodes.append(el("line", x1=LEFT, y1=y, x2=right, y2=y, stroke=theme.grid, stroke_opacity=0.7))
        nodes.append(text(f"{100 * share:.3g} %", LEFT - 8, y + 4, fill=theme.muted, size=10.5, anchor="end"))
    for value in ticks(most, 5):
        x = place(value, floor)[0]
        nodes.append(el("line", x1=x, y1=_BOTTOM, x2=x, y2=_BOTTOM + 4, stroke=theme.grid))
        words = write(value) if value else "0"
        nodes.append(text(words, x, _BOTTOM + 17, fill=theme.muted, size=10.5, anchor="middle"))
    best = sorted((spot.x.value, spot.y.value) for spot in spots if spot.front)
    if len(best) > 1:
        path = "M" + "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in best)
        nodes.append(el("path", d=path, stroke=theme.muted, stroke_dasharray="5 4", fill="none"))
    inks, taken = model_colours(colours), list[tuple[float, float, float]]()
    for spot in spots:
        nodes.append(_cross(spot, place, inks[spot.label]))
    for spot in spots:
        nodes += _label(spot, place, taken, theme)
    for spot in spots:
        x, y = place(spot.x.value, spot.y.value)
        nodes.append(el("circle", cx=x, cy=y, r=5.5, fill=inks[spot.label], stroke=theme.paper, stroke_width=1.5))
    return Panel(_BOTTOM + 26, nodes)


def frontier_panel(data: RunData, theme: Theme) -> Panel:
    """A run's quality against its cost; the line joins the models that no other beats in both."""
    points, quality = frontier(data)
    spots = [
        Spot(
            point.model,
            Estimate(point.cost_usd, point.cost_usd, point.cost_usd),
            Estimate(point.quality, point.low, point.high),
            all(point.quality > cheaper.quality for cheaper in points[:place]),
        )
        for place, point in enumerate(points)
    ]
    unknown = [row["model"] for row in summary_rows(data) if row["ok"] and row["cost_usd"] is None]
    left_out = f"; without a price: {', '.join(unknown)}" if unknown else ""
    how = f"{quality} against USD for 1,000 answers, with 95 % intervals{left_out}"
    return scatter_panel(spots, "Quality and cost", how, money, data.models, theme)


def _cross(spot: Spot, place: Callable[[float, float], tuple[float, float]], ink: str) -> Element:
    x, y = place(spot.x.value, spot.y.value)
    left, top = place(spot.x.low, spot.y.high)
    right, bottom = place(spot.x.high, spot.y.low)
    lines = f"M{x:.1f} {top:.1f}V{bottom:.1f}M{left:.1f} {y:.1f}H{right:.1f}"
    return el("path", d=lines, stroke=ink, stroke_width=1.8, fill="none")


def _label(
    spot: Spot,
    place: Callable[[float, float], tuple[float, float]],
    taken: list[tuple[float, float, float]],
    theme: Theme,
) -> list[Element]:
    """Beside the point; lower where another label stands there already."""
    x, y = place(spot.x.value, spot.y.value)
    name = short(spot.label, 190, 11)
    width = text_width(name, 11)
    left, baseline = (x + 10 if x + 10 + width <= RIGHT else x - 10 - width), y - 7
    while any(left < other[1] and other[0] < left + width and abs(baseline - other[2]) < 14 for other in taken):
        baseline += 14
    taken.append((left, left + width, baseline))
    ground = el("rect", x=left - 2, y=baseline - 11, width=width + 4, height=14, fill=theme.paper, fill_opacity=0.8)
    return [ground, text(name, left, baseline, fill=theme.ink, size=11, title=spot.label)]


def add_plot(figure: Any, go: Any, spots: Sequence[Spot], colours: Sequence[str], place: dict[str, int]) -> None:
    """The same points in a plotly figure."""
    inks = model_colours(colours)
    for spot in spots:
        label = spot.label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # plotly reads a little HTML
        figure.add_trace(
            go.Scatter(
                x=[spot.x.value],
                y=[spot.y.value],
                error_x=_error(spot.x),
                error_y=_error(spot.y),
                mode="markers+text",
                text=[label],
                textposition="top right",
                marker={"size": 11, "color": inks[spot.label]},
                name=label,
                showlegend=False,
            ),
            **place,
        )


def _error(estimate: Estimate) -> dict[str, Any]:
    up, down = max(0.0, estimate.high - estimate.value), max(0.0, estimate.value - estimate.low)
    return {"type": "data", "array": [up], "arrayminus": [down]}
