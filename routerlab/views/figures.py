"""Figures of a run: a picture that stays, and the same numbers as a plotly figure."""

from __future__ import annotations

import zlib
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.views.charts import (
    Panel,
    latency_panel,
    stack,
    success_panel,
    timeline_panel,
)
from routerlab.views.history import history_panel
from routerlab.views.picture import Picture
from routerlab.views.plots import make_plot
from routerlab.views.rundata import RunData
from routerlab.views.scatter import frontier_panel
from routerlab.views.svg import Element
from routerlab.views.theme import Theme

__all__ = ["KINDS", "Figure"]

KINDS = ("overview", "breakers", "frontier", "latency", "success", "timeline")


class Figure(Picture):
    """A chart of a run.

    A notebook shows it as a picture that we draw ourselves: it follows the notebook's theme and is still there when the
    file is reopened, exported or mailed, where a plotly figure vanishes. ``.figure`` is the plotly figure of the same
    numbers, to hover over, to zoom, to change.

    Args:
        data: of the run.
        kind: ``overview`` (success, latency, breakers, frontier), ``success``, ``latency``, ``frontier`` (quality
            against cost), ``timeline`` (every attempt) or ``breakers`` (their states over the traffic).
        title: of the whole: the run's name.

    Attributes:
        figure: the plotly figure, to be changed or shown elsewhere.

    Raises:
        ConfigurationError: another kind.
    """

    def __init__(self, data: RunData, kind: str = "overview", *, title: str = "") -> None:
        if kind not in KINDS:
            raise ConfigurationError(f"kind={kind!r}: expected one of {', '.join(KINDS)}")
        self.data, self.kind, self.title = data, kind, title
        self._figure: Any = None

    @property
    def figure(self) -> Any:
        """A ``plotly.graph_objects.Figure``; made once, at first use."""
        if self._figure is None:
            self._figure = make_plot(self.data, self.kind, self.title)
        return self._figure

    def draw(self, theme: Theme) -> Element:
        """The chart as SVG."""
        return stack(self._panels(theme), theme=theme, label=f"{self.title} {self.kind}".strip())

    def _panels(self, theme: Theme) -> list[Panel]:
        uid = f"f{zlib.crc32(f'{self.title} {self.kind} {self.data.start}'.encode()):08x}"
        match self.kind:
            case "success":
                return [success_panel(self.data, theme)]
            case "latency":
                return [latency_panel(self.data, theme)]
            case "frontier":
                return [frontier_panel(self.data, theme)]
            case "timeline":
                return [timeline_panel(self.data, theme)]
            case "breakers":
                return [history_panel(self.data, theme, uid)]
        panels = [success_panel(self.data, theme), latency_panel(self.data, theme)]
        return [*panels, history_panel(self.data, theme, uid), frontier_panel(self.data, theme)]

    def __str__(self) -> str:
        attempts = len(self.data.attempts)
        return (
            f"{self.title or 'run'}: {self.kind} of {attempts} attempts at {', '.join(self.data.models) or 'no model'}"
        )

    def __repr__(self) -> str:
        return f"<Figure {self}>"
