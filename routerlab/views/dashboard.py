"""The faces of a live lab: the dashboard, and each of its panels alone."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlab.views.front import has_page, kernel, live_view
from routerlab.views.offline import write_offline
from routerlab.views.publisher import Publisher
from routerlab.views.still import Still

if TYPE_CHECKING:
    from routerlab.views.panel import Panel

__all__ = ["ALL", "Dashboard"]

ALL = ("counters", "runs", "breakers", "scores", "failovers", "controls")
"""The sections of the whole dashboard, from the top."""

_in_cells: dict[str, list[tuple[Any, weakref.ref[Dashboard]]]] = {}
"""Which cell has shown which dashboards, in which execution."""


class Dashboard:
    """Live panels of a lab; it shows itself where a cell ends in it.

    In a notebook it is drawn by the page and stays current while calls run. Beside it stands its latest picture, which
    the page hides as long as the live one is there: that is what a saved notebook shows later, without a kernel.

    Args:
        publisher: of the lab.
        show: the sections, from the top.
        about: of the runs only this one; empty: all.

    Attributes:
        publisher, show, about: as given.
    """

    def __init__(self, publisher: Publisher, show: Sequence[str] = ALL, *, about: str = "") -> None:
        self.publisher = publisher
        self.show = list(show)
        self.about = about
        self._panel: Panel | None = None
        self._views: list[Any] = []  # display handles of the live part
        self._stills: list[Any] = []  # and of the picture beside it
        self._drawn = 0  # number of the update that the picture shows
        self._closed = False

    @property
    def widget(self) -> Panel:
        """The live part alone, to be put among other widgets; made at first use."""
        if self._panel is None:
            from routerlab.views.panel import Panel

            panel = self._panel = self.publisher.make(lambda whole: Panel(whole, self.show, self.about))
            panel.heard = self.publisher.add(panel)
            self.publisher.keep(self)
        return self._panel

    @property
    def still(self) -> Still:
        """The picture of what there is to see now."""
        return Still(self.publisher.whole(), self.show, self.about)

    def freeze(self) -> Still:
        """Bring the picture beside the live panel up to date, and with it what a saved notebook shows.

        Returns:
            The picture.
        """
        self._drawn = self.publisher.board.number
        still = self.still
        if self._panel is not None:
            self.publisher.refresh(self._panel)
        for handle in self._stills:
            handle.update(still)
        return still

    @property
    def outdated(self) -> bool:
        """Whether a picture that was shown is older than what there is to see."""
        return bool(self._stills) and self._drawn < self.publisher.board.number

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything recorded into one HTML file that needs no kernel and no network: with a slider for the
        time and a button that plays it.

        Args:
            path: ends in ``.html``; ``.svg`` and ``.png`` write the picture of now.

        Raises:
            ValueError: another ending.
            ConfigurationError: there is no such folder.
        """
        target = Path(path)
        match target.suffix.lower():
            case ".html":
                return write_offline(target, self.publisher, self.show)
            case ".svg" | ".png":
                return self.still.save(target)
        raise ValueError(f"a dashboard is saved to a file that ends in .html, .svg or .png, not to {target.name!r}")

    def close(self) -> None:
        """Take the live panel away; the picture stays. Calling it twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.publisher.let_go(self)
        if self._panel is not None:
            self.publisher.remove(self._panel)
            self.freeze()
            for handle in self._views:
                handle.update({"text/plain": ""}, raw=True)  # a view without a model would be an error later
            self._panel.close()

    # -- faces ---------------------------------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not has_page():
            print(self)  # noqa: T201 - a terminal shows text
            return
        self._take_place()
        if not self._closed:
            view = {**live_view(self.widget), "text/plain": ""}
            self._views.append(display(view, raw=True, display_id=True))  # type: ignore[no-untyped-call]
        self._drawn = self.publisher.board.number
        self._stills.append(display(self.still, display_id=True))  # type: ignore[no-untyped-call]

    def _take_place(self) -> None:
        """Where this very cell has shown a dashboard before, that one is over."""
        parent = kernel().get_parent() if kernel() is not None else {}
        cell, execution = parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
        if cell is None:
            return
        earlier = [(when, ref()) for when, ref in _in_cells.get(cell, ())]
        for when, dashboard in earlier:
            if when != execution and dashboard is not None and dashboard is not self:
                dashboard.close()
        now = [(when, weakref.ref(one)) for when, one in earlier if when == execution and one is not None]
        _in_cells[cell] = [*now, (execution, weakref.ref(self))]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = self.still._repr_mimebundle_()
        if not self._closed and has_page():
            bundle |= live_view(self.widget)
        return bundle

    def _display_(self) -> Any:
        """What marimo shows."""
        return self.widget

    def __str__(self) -> str:
        return str(self.still)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "live" if self._panel is not None else "not shown yet"
        return f"<Dashboard of {len(self.publisher.board.models)} models, {state}>"
