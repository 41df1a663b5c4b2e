"""Models between quality and what it takes: a table, a picture, a plotly figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routerlab.experiments.outcomes import SUCCESS, OutcomeTable
from routerlab.experiments.routes import Estimate, ModelPoint, frontier_points
from routerlab.views.charts import stack
from routerlab.views.markup import page_part, table
from routerlab.views.picture import Picture
from routerlab.views.scatter import Spot, add_plot, scatter_panel
from routerlab.views.sentences import left_out_words
from routerlab.views.svg import Element, escape_text
from routerlab.views.theme import Theme
from routerlab.views.words import money, seconds

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.session.tables import ColumnType

__all__ = ["Frontier", "cells", "columns"]


class Frontier(Picture):
    """Each model's quality against its cost and its latency, with 95 % intervals and the Pareto fronts.

    Args:
        outcomes: what the models scored, cost and took.
        name: of the run.
        simulated: whether any of it comes from simulated providers.

    Attributes:
        points: one per model, as plain data.
    """

    def __init__(self, outcomes: OutcomeTable, *, name: str = "", simulated: bool = False) -> None:
        self.outcomes, self.name, self.simulated = outcomes, name, simulated
        self.points: list[ModelPoint] = frontier_points(outcomes)

    @property
    def df(self) -> pd.DataFrame:
        """One row per model.

        Columns: ``model, prompts``; ``quality`` (mean score), ``cost_usd`` (mean of one answer), ``latency_s``
        (median), each with ``_low`` and ``_high`` (95 %); ``best_for_cost, best_for_latency``: whether no other
        model beats it.
        """
        from routerlab.views.frames import to_frame

        types: dict[str, ColumnType] = {"model": "name", "prompts": "int"}
        parts: dict[str, list[Any]] = {
            "model": [point.model for point in self.points],
            "prompts": [point.prompts for point in self.points],
        }
        for measure in ("quality", "cost_usd", "latency_s"):
            parts |= columns(measure, [getattr(point, measure) for point in self.points])
            types |= dict.fromkeys((measure, f"{measure}_low", f"{measure}_high"), "float")
        for front in ("best_for_cost", "best_for_latency"):
            parts[front] = [getattr(point, front) for point in self.points]
            types[front] = "bool"
        frame = to_frame(parts, types)
        frame.attrs.update(
            scorer=self.outcomes.scorer, left_out={k: dict(v) for k, v in self.outcomes.left_out.items()}
        )
        return frame

    @property
    def figure(self) -> Any:
        """A ``plotly.graph_objects.Figure`` of the same numbers."""
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots

        figure = make_subplots(rows=1, cols=2, subplot_titles=("Quality and cost", "Quality and latency"))
        for column, measure in enumerate(("cost_usd", "latency_s"), 1):
            add_plot(figure, go, self._spots(measure), self._names, {"row": 1, "col": column})
        figure.update_xaxes(title="USD for 1,000 answers", rangemode="tozero", row=1, col=1)
        figure.update_xaxes(title="median latency (s)", rangemode="tozero", row=1, col=2)
        figure.update_yaxes(title=self._quality, tickformat=".0%")
        return figure.update_layout(height=440, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")

    def draw(self, theme: Theme) -> Element:
        """Quality against cost, and against latency."""
        how = "95 % intervals; on the line: beaten by no other"
        cost = f"{self._quality}, USD for 1,000 answers; {how}"
        latency = f"{self._quality}, median latency; {how}"
        panels = [
            scatter_panel(self._spots("cost_usd"), "Quality and cost", cost, money, self._names, theme),
            scatter_panel(self._spots("latency_s"), "Quality and latency", latency, seconds, self._names, theme),
        ]
        return stack(panels, theme=theme, label=str(self))

    @property
    def _names(self) -> list[str]:
        return [point.model for point in self.points]

    @property
    def _quality(self) -> str:
        return "success" if self.outcomes.scorer == SUCCESS else f"mean {self.outcomes.scorer}"

    def _spots(self, measure: str) -> list[Spot]:
        scale = 1000.0 if measure == "cost_usd" else 1.0
        front = "best_for_cost" if measure == "cost_usd" else "best_for_latency"
        return [
            Spot(point.model, Estimate(x.value * scale, x.low * scale, x.high * scale), point.quality,
                 bool(getattr(point, front)))
            for point in self.points
            if (x := getattr(point, measure)) is not None
        ]  # fmt: skip

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle, metadata = super()._repr_mimebundle_(include, exclude)
        bundle["text/html"] = self._repr_html_()
        return bundle, metadata

    def _repr_html_(self) -> str:
        head = ("model", "prompts", self._quality, "USD for 1,000", "median latency", "not beaten in")
        rows = [[point.model, f"{point.prompts:,}", *cells(point), _fronts(point)] for point in self.points]
        notes = [left_out_words(self.outcomes.left_out), "Simulated." if self.simulated else ""]
        note = escape_text(" ".join(filter(None, notes)))
        return page_part(self.html + table(head, rows, numbers=range(1, 5)) + (f"<p>{note}</p>" if note else ""))

    def __str__(self) -> str:
        best = [point.model for point in self.points if point.best_for_cost]
        mark = " (simulated)" if self.simulated else ""
        return f"{self.name}: quality against cost and latency; front for cost: {', '.join(best) or 'unknown'}{mark}"

    def __repr__(self) -> str:
        return f"<Frontier {self}>"


def _fronts(point: ModelPoint) -> str:
    names = (("cost", point.best_for_cost), ("latency", point.best_for_latency))
    return ", ".join(name for name, best in names if best)


def columns(measure: str, estimates: list[Estimate | None]) -> dict[str, list[float | None]]:
    """Estimates as three columns of a frame: value, low, high."""
    return {
        f"{measure}{suffix}": [None if one is None else getattr(one, part) for one in estimates]
        for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high"))
    }


def cells(point: Any) -> list[str]:
    """Quality, cost for 1,000 answers and latency of a point, each with its interval, for people."""

    def cell(estimate: Estimate | None, write: Any) -> str:
        if estimate is None:
            return ""
        return f"{write(estimate.value)} ({write(estimate.low)} to {write(estimate.high)})"

    quality = point.quality
    return [
        f"{100 * quality.value:.1f} % ({100 * quality.low:.1f} to {100 * quality.high:.1f})",
        cell(point.cost_usd, lambda value: money(max(0.0, 1000 * value))),
        cell(point.latency_s, seconds),
    ]
