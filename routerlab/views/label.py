"""One's own verdicts: pairs of replies side by side, blind, and how far a judge agrees with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from routerlab.core.checks import is_whole
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.labels import LABEL, label_agreement, pairs_to_label
from routerlab.experiments.scorer import ScoreResult
from routerlab.views.front import has_page, live_view
from routerlab.views.markup import page_part, table
from routerlab.views.svg import escape_text
from routerlab.views.words import percent

if TYPE_CHECKING:
    import anywidget

    from routerlab.experiments.agreement import Agreement

__all__ = ["Labels", "RunAgreement", "label_run"]

_POINTS = {"1": (1.0, 0.0), "2": (0.0, 1.0), "tie": (0.5, 0.5)}

Row = Mapping[str, Any]


class Labels:
    """A blind comparison by hand; it shows itself where a cell ends in it. Keys: 1, 2, t (tie), s, b.

    The page gets the texts of the pair that it shows, and no name of a model. A saved notebook keeps a line that says
    how far one got.

    Args:
        name: of the run.
        pairs: what is shown, one after the other.
        keep: gets each reply with its score.
    """

    def __init__(self, name: str, pairs: Sequence[tuple[Row, Row]], keep: Callable[[Row, ScoreResult], None]) -> None:
        self.name = name
        self._pairs, self._keep = pairs, keep
        self._place = 0
        self._verdicts: dict[int, str] = {}
        self._widget: anywidget.AnyWidget | None = None
        self._notes: list[Any] = []

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def done(self) -> int:
        """Pairs with a verdict."""
        return len(self._verdicts)

    @property
    def pair(self) -> dict[str, Any]:
        """What the page shows now."""
        shown = {"number": self._place + 1, "total": len(self)}
        if self._place >= len(self):
            return {**shown, "done": f"{self._progress()} Thank you." if self._pairs else "There is nothing to label."}
        first, second = self._pairs[self._place]
        return {**shown, "prompt": first.get("prompt") or "", "first": first["text"], "second": second["text"]}

    def say(self, verdict: str) -> None:
        """Judge the pair that is shown, and go on to the next one.

        Args:
            verdict: ``"1"`` or ``"2"`` (the better reply), ``"tie"``, ``"skip"``, or ``"back"`` to the one before.

        Raises:
            ConfigurationError: another one.
        """
        if verdict not in {*_POINTS, "skip", "back"}:
            raise ConfigurationError(f'verdict={verdict!r}: expected "1", "2", "tie", "skip" or "back"')
        if verdict == "back":
            self._place = max(0, self._place - 1)
        elif self._place < len(self):
            if verdict != "skip":
                self._verdicts[self._place] = verdict
                for row, points in zip(self._pairs[self._place], _POINTS[verdict], strict=True):
                    self._keep(row, ScoreResult(LABEL, points))
            self._place += 1
        self._show()

    def _show(self) -> None:
        if self._widget is not None:
            self._widget.pair = self.pair
        for note in self._notes:
            note.update(_Note(self._progress()))

    def _heard(self, _: Any, content: Any, __: Any) -> None:
        if isinstance(content, dict) and content.get("number") == self._place + 1:  # no key counts twice
            verdict = content.get("verdict")
            if isinstance(verdict, str):
                self.say(verdict)

    def _progress(self) -> str:
        return f"{self.done:,} of {len(self):,} pairs of {self.name} were labeled by hand."

    # -- faces --------------------------------------------------------------------------------------------------------

    @property
    def widget(self) -> anywidget.AnyWidget:
        """The live part; made at first use."""
        if self._widget is None:
            self._widget = _widget_class()(pair=self.pair)
            self._widget.on_msg(self._heard)
        return self._widget

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not has_page():
            print(self)  # noqa: T201 - a terminal shows text
            return
        view = {**live_view(self.widget), "text/plain": ""}
        display(view, raw=True)  # type: ignore[no-untyped-call]
        self._notes.append(display(_Note(self._progress()), display_id=True))  # type: ignore[no-untyped-call]

    def _display_(self) -> Any:
        """What marimo shows."""
        return self.widget

    def __str__(self) -> str:
        return f"{self._progress()} A notebook shows the pairs; here .pair tells one and .say('1') judges it."

    def __repr__(self) -> str:
        return f"<Labels of {self.name!r}: {self.done} of {len(self)}>"


class _Note:
    """What a saved notebook keeps: how far one got, and no text."""

    def __init__(self, progress: str) -> None:
        self._text = f"{progress} Where no pair is shown, run the cell again: it goes on with what is left."

    def _repr_html_(self) -> str:
        return page_part(f'<p style="color:var(--rl-muted);font-size:12px;margin:4px 0">{escape_text(self._text)}</p>')

    def __repr__(self) -> str:
        return self._text


@cache
def _widget_class() -> Any:
    import anywidget
    import traitlets

    from routerlab.views.panel import asset

    class LabelPanel(anywidget.AnyWidget):
        """The page's side of `Labels`."""

        _esm = asset("label.js").replace('"STYLE"', json.dumps(asset("label.css")))
        pair = traitlets.Dict().tag(sync=True)

    return LabelPanel


def label_run(name: str, rows: Sequence[Row], n: int, seed: int, keep: Callable[[Row, ScoreResult], None]) -> Labels:
    """Pairs of a run's replies to be labeled; see `RunResult.label`."""
    if not is_whole(n):
        raise ConfigurationError(f"n={n!r}: expected a whole number of at least 1")
    if len({row["variant"] for row in rows}) < 2:
        raise ConfigurationError("labels compare two arms, and this run has one: give lab.replay two models")
    return Labels(name, pairs_to_label(rows, n, seed), keep)


class RunAgreement:
    """How far a scorer of a run agrees with its labels.

    Args:
        rows: of the run.
        scorer: its name.

    Attributes:
        scorer: as given.
        found: the numbers: ``n, share, kappa, low, high, counts``.
    """

    def __init__(self, rows: Sequence[Row], scorer: str) -> None:
        self.scorer = scorer
        self.found: Agreement = label_agreement(rows, scorer)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None where it is not defined."""
        return self.found.kappa

    def __repr__(self) -> str:
        found = self.found
        if found.share is None:
            return f"{self.scorer} and the labels have no pair in common"
        pairs = "1 pair" if found.n == 1 else f"{found.n:,} pairs"
        text = f"{self.scorer} agrees with the labels on {percent(found.share)} of {pairs}; "
        if found.kappa is None:
            return text + "Cohen's kappa is not defined: both always said the same"
        return text + f"Cohen's kappa {found.kappa:.2f} (95 %: {found.low:.2f} to {found.high:.2f})"

    def _repr_html_(self) -> str:
        kinds = [kind for kind in (1, 2, "tie") if any(kind in cell for cell in self.found.counts)]
        words = {1: "first better", 2: "second better", "tie": "tie"}
        lines = [[words[kind], *(f"{self.found.counts.get((kind, other), 0):,}" for other in kinds)] for kind in kinds]
        head = ["labels \\ scorer", *(words[kind] for kind in kinds)]
        return page_part(f"<p>{escape_text(repr(self))}</p>" + table(head, lines, numbers=range(1, len(head))))
