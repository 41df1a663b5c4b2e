"""Replies of several models to the same prompts, side by side: live in a notebook, as a file, table or frame."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.lines import ORDERS, Line, Lines, Query
from routerlab.experiments.outcomes import SUCCESS, score_name
from routerlab.experiments.output import output_text
from routerlab.views.front import apart_from_cells, has_page, live_view
from routerlab.views.harmless import harmless
from routerlab.views.markup import beside_live, page_part
from routerlab.views.sidecells import line_view
from routerlab.views.sidehtml import side_page, side_table
from routerlab.views.sidewidget import Kept, side_widget
from routerlab.views.theme import model_colours
from routerlab.views.words import count, percent, short_names

if TYPE_CHECKING:
    import anywidget
    import pandas as pd

__all__ = ["SideBySide"]

_PAGE = 20  # lines that the page gets at once
_LIVE, _WHOLE = 3000, 200_000  # characters of a text: at first, and when all of it is asked for
_KEPT, _SAVED = 4000, 50_000  # the same in a saved notebook, and in a file of its own
_ROOM = 200_000  # bytes of the table that a saved notebook keeps
_SHOWS = ("all", "disagreements", "failed", "wrong")

Row = Mapping[str, Any]


class SideBySide:
    """Replies to the same prompts, a column for each arm; a notebook shows them with a search, filters and marks where
    words differ.

    The page gets the texts of the 20 prompts that it shows. A saved notebook keeps prompts and replies, those of the
    first 20 prompts at most: with ``static=False`` none.

    Args:
        rows: of a run.
        scorers: names of those that there are.
        arms: which, from the left; the first one is what the others are compared with. None: all.
        n: prompts at most, the first of the order; None: all.
        scorer: whose scores say where arms disagree; None: the first, without scorers the texts.
        order: one of `ORDERS`.
        static: whether a saved notebook keeps texts.
        name: of the run.
        simulated: whether any reply comes from a simulated provider.

    Raises:
        ConfigurationError: no such arm, scorer or order, no rows, or no texts.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        scorers: Sequence[str] = (),
        *,
        arms: Sequence[str] | None = None,
        n: int | None = None,
        scorer: str | None = None,
        order: str = ORDERS[0],
        static: bool = True,
        name: str = "run",
        simulated: bool = False,
    ) -> None:
        if order not in ORDERS:
            raise ConfigurationError(f"order={order!r}: expected one of {', '.join(ORDERS)}")
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise ConfigurationError(f"n={n!r}: expected a whole number of at least 1, or None for all")
        if not any("text" in row for row in rows):
            raise ConfigurationError(f"{name!r} has no replies to show: no column 'text'")
        found = score_name(scorer, scorers)
        self.name, self.static, self.simulated, self.scorers = name, static, simulated, list(scorers)
        self.query = Query(order=order, scorer=None if found == SUCCESS else found)
        self.lines = Lines(rows, arms or ())
        if n is not None:
            self.lines.keep(self.query, n)
        self._places = {id(line): place for place, line in enumerate(self.lines.lines)}
        self._counts: dict[str | None, dict[str, int]] = {}
        self._widget: anywidget.AnyWidget | None = None

    @property
    def arms(self) -> list[str]:
        """The models or variants, from the left."""
        return self.lines.arms

    def __len__(self) -> int:
        return len(self.lines.lines)

    # -- what the page shows ------------------------------------------------------------------------------------------

    def page(self, number: int = 1, query: Query | None = None, reference: str | None = None) -> dict[str, Any]:
        """One page of 20 lines, as plain data.

        Args:
            number: from 1; too high: the last one.
            query: what is asked for; None: as it was made.
            reference: the arm that words are compared with; None: the first.
        """
        query = query or self.query
        found = self.lines.ask(query)
        pages = max(1, -(-len(found) // _PAGE))
        number = min(max(1, number), pages)
        begin = (number - 1) * _PAGE
        shown = found[begin : begin + _PAGE]
        return {
            "number": number,
            "pages": pages,
            "from": begin + 1 if shown else 0,
            "to": begin + len(shown),
            "found": len(found),
            "counts": self._counted(query.scorer),
            "heads": self._heads(query.scorer),
            "lines": [
                {"key": self._places[id(line)], **self._view(line, query.scorer, reference, _LIVE)} for line in shown
            ],
        }

    def whole(self, key: int, reference: str | None = None) -> dict[str, Any]:
        """A line with whole texts (up to 200,000 characters each)."""
        return {"key": key, **self._view(self.lines.lines[key], None, reference, _WHOLE)}

    def _view(self, line: Line, scorer: str | None, reference: str | None, most: int) -> dict[str, Any]:
        reference = self.arms[0] if reference is None else reference
        return line_view(line, self.arms, self.scorers, most=most, reference=reference, scorer=scorer)

    def _counted(self, scorer: str | None) -> dict[str, int]:
        if scorer not in self._counts:
            self._counts[scorer] = self.lines.counts(scorer)
        return self._counts[scorer]

    def _heads(self, scorer: str | None) -> list[str]:
        """What stands below the arms' names: the mean score, and how many failed."""
        heads = []
        for arm in self.arms:
            rows = [line.cells[arm] for line in self.lines.lines if arm in line.cells]
            scores = [score for line in self.lines.lines if scorer and (score := line.score(arm, scorer)) is not None]
            mean = f"{scorer} {percent(sum(scores) / len(scores))}" if scores else ""
            failed = sum(row.get("status") == "failed" for row in rows)
            pending = sum(row.get("status") == "pending" for row in rows)
            counts = (f"{failed:,} failed" if failed else "", f"{pending:,} not reached" if pending else "")
            heads.append(harmless(" · ".join(filter(None, (mean, *counts)))))
        return heads

    def _heard(self, _: Any, content: Any, __: Any) -> None:
        """A page asks for lines, or for the whole texts of one."""
        if not isinstance(content, dict) or self._widget is None:
            return
        reference = content.get("reference")
        reference = reference if reference in self.arms else None
        answer = {"view": content.get("view"), "ask": content.get("ask")}
        key, wanted = content.get("key"), content.get("page")
        if isinstance(key, int) and 0 <= key < len(self):
            self._widget.send({**answer, "line": self.whole(key, reference)})
        elif isinstance(wanted, int):
            self._widget.send({**answer, "page": self.page(wanted, self._query(content.get("query")), reference)})

    def _query(self, asked: Any) -> Query:
        """What a page asks for; what it cannot mean is left as it was."""
        asked = asked if isinstance(asked, dict) else {}
        allowed = {"show": _SHOWS, "arm": self.arms, "order": ORDERS, "scorer": self.scorers}
        given = {name: asked[name] for name, values in allowed.items() if asked.get(name) in values}
        search = asked.get("search")
        return replace(self.query, **given, search=search if isinstance(search, str) else "")

    # -- elsewhere ----------------------------------------------------------------------------------------------------

    @property
    def df(self) -> pd.DataFrame:
        """One row per prompt and repeat, in the order asked for.

        Columns: ``item_id, repeat, prompt, target, spread`` (of the scores; missing with fewer than two) and
        ``difference`` (of the texts, 0 to 1); then for each arm ``text_<arm>``, ``status_<arm>``,
        ``score_<scorer>_<arm>``, ``latency_s_<arm>`` and ``cost_usd_<arm>``.
        """
        from routerlab.views.frames import lines_frame

        return lines_frame(self.lines.ask(self.query), self.arms, self.scorers, self.query.scorer)

    def html(self, n: int | None = 50) -> str:
        """A table that needs no script: the first prompts of the order, long texts folded.

        Args:
            n: prompts at most; None: all.

        Returns:
            HTML to be put into a page; everything in it is escaped.
        """
        return page_part(self.table(n))

    def save(self, path: str | os.PathLike[str], n: int | None = 500) -> Path:
        """Write one HTML file that needs nothing else and opens offline.

        Args:
            path: ends in ``.html``.
            n: prompts at most, the first of the order; None: all.

        Raises:
            ValueError: another ending.
            ConfigurationError: there is no such folder.
        """
        target = Path(path)
        if target.suffix.lower() != ".html":
            raise ValueError(f"replies side by side are saved to a file that ends in .html, not to {target.name!r}")
        page = side_page(harmless(self.name), self._headline(), self.table(n))
        with output_text(target) as file:
            file.write(page)
        return target

    def table(self, n: int | None = 50, *, most: int = _SAVED, room: int | None = None) -> str:
        """`html`, for a page that has the package's colours itself.

        Args:
            n: prompts at most; None: all.
            most: characters of a text.
            room: bytes; prompts for which there is none are left out, but for the first one. None: no limit.
        """
        lines = self.lines.ask(self.query)[:n]
        views = (self._view(line, self.query.scorer, None, most) for line in lines)
        heads = list(zip(self.arms, self._heads(self.query.scorer), strict=True))
        return side_table(views, heads, total=len(self), room=room)

    # -- faces --------------------------------------------------------------------------------------------------------

    @property
    def widget(self) -> anywidget.AnyWidget:
        """The live part; made at first use."""
        if self._widget is None:
            self._widget = copy_context().run(self._make_widget)
        return self._widget

    def _make_widget(self) -> anywidget.AnyWidget:
        """In a context of its own: a page is answered while a cell is running, too, where the kernel can."""
        apart_from_cells()
        widget: anywidget.AnyWidget = side_widget(self._about(), self.page() if self.static else {})
        widget.on_msg(self._heard)
        return widget

    def _about(self) -> dict[str, Any]:
        colours = model_colours(self.arms)
        return {
            "headline": self._headline(),
            "arms": [
                {"name": arm, "shown": harmless(arm), "short": harmless(short), "colour": colours[arm]}
                for arm, short in zip(self.arms, short_names(self.arms, 20), strict=True)
            ],
            "scorers": self.scorers,
            "scorer": self.query.scorer or "",
            "order": self.query.order,
        }

    def _headline(self) -> str:
        parts = [
            self.name,
            count(len({line.item_id for line in self.lines.lines}), "prompt"),
            "with their repeats" if self.lines.repeats else "",
            count(len(self.arms), "arm"),
            f"{self.lines.untouched:,} not reached" if self.lines.untouched else "",
            "simulated" if self.simulated else "",
        ]
        return harmless(" · ".join(filter(None, parts)))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not has_page():
            print(self)  # noqa: T201 - a terminal shows text
            return
        view = {**live_view(self.widget), "text/plain": ""}
        display(view, raw=True)  # type: ignore[no-untyped-call]
        display(Kept(self._kept_html(), str(self)))  # type: ignore[no-untyped-call]

    def _kept_html(self) -> str:
        away = "<p>The texts are not kept here: run the cell again to see them.</p>"
        return beside_live(page_part(self.table(_PAGE, most=_KEPT, room=_ROOM) if self.static else away))

    def _display_(self) -> Any:
        """What marimo shows."""
        return self.widget

    def __str__(self) -> str:
        counts = self._counted(self.query.scorer)
        by = f"by {self.query.scorer}" if self.query.scorer else "in their texts"
        said = f"{counts['disagreements']:,} disagree {harmless(by)}, {counts['failed']:,} with a failure"
        return f"{self._headline()}: {said}. A notebook shows them; .df and .save('side.html') are for elsewhere."

    def __repr__(self) -> str:
        return f"<SideBySide {self._headline()}>"
