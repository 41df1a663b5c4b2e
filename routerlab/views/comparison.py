"""A comparison of models: a table, a sentence to paste, a picture of the differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.outcomes import OutcomeTable
from routerlab.experiments.statistics import mean_interval
from routerlab.experiments.verdicts import Difference, Verdict, compare
from routerlab.views.forest import forest
from routerlab.views.markup import page_part, table
from routerlab.views.picture import Picture
from routerlab.views.sentences import (
    amount,
    between,
    in_short,
    left_out_words,
    needed,
    note,
    p_value,
    sentence,
    verdict_word,
)
from routerlab.views.svg import Element, escape_text
from routerlab.views.theme import Theme

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.session.tables import ColumnType
    from routerlab.views.analysis import Analysis
    from routerlab.views.side import SideBySide

__all__ = ["Comparison"]

_HEAD = (
    "first against second",
    "",
    "prompts",
    "first",
    "second",
    "difference (95 %)",
    "p",
    "verdict",
    "prompts needed",
)


class Comparison(Picture):
    """Models on the same prompts, each with each.

    Args:
        outcomes: what they scored, cost and took.
        variants: which models; none: all that there are.
        margin: how large a difference in score does not matter.
        name: of the run.
        simulated: whether any of it comes from simulated providers.
        run: where the outcomes come from.

    Attributes:
        run: where the outcomes come from: the run itself.
        verdicts: one per pair, as plain data.

    Raises:
        ConfigurationError: no such model, or fewer than two.
    """

    def __init__(
        self,
        outcomes: OutcomeTable,
        variants: Sequence[str] = (),
        *,
        margin: float = 0.05,
        name: str = "",
        simulated: bool = False,
        run: Analysis | None = None,
    ) -> None:
        self.run = run
        self.outcomes, self.margin, self.name, self.simulated = outcomes, margin, name, simulated
        self.verdicts: list[Verdict] = compare(outcomes, variants, margin=margin)

    @property
    def models(self) -> list[str]:
        """The models that were compared."""
        names = [(verdict.quality.first, verdict.quality.second) for verdict in self.verdicts]
        return list(dict.fromkeys(name for pair in names for name in pair))

    @property
    def left_out(self) -> dict[str, dict[str, int]]:
        """Rows that are in no figure here, by model and reason."""
        return {model: dict(self.outcomes.left_out.get(model, {})) for model in self.models}

    @property
    def sentences(self) -> list[str]:
        """One sentence per pair."""
        return [sentence(verdict, self.outcomes, alone=len(self.verdicts) == 1) for verdict in self.verdicts]

    @property
    def sentence(self) -> str:
        """What can be said, in one sentence that can be pasted (of several pairs: their quality alone)."""
        said = self.sentences[0] if len(self.verdicts) == 1 else in_short(self.verdicts, self.outcomes)
        return f"{said.rstrip('.')} (simulated)." if self.simulated else said

    @property
    def df(self) -> pd.DataFrame:
        """One row per pair and measure.

        Columns: ``first, second, measure`` (``quality``, ``latency`` in seconds, ``cost`` in USD for one answer),
        ``n`` (prompts), ``value_first, value_second, difference, low, high`` (95 %), ``p`` and ``p_same`` (Holm's where
        there are several pairs), ``verdict, needed, margin, method``. Missing where there is no data.
        """
        from routerlab.views.frames import to_frame

        types: dict[str, ColumnType] = dict.fromkeys(("first", "second", "measure"), "name")
        types |= {"n": "int"}
        numbers = ("value_first", "value_second", "difference", "low", "high", "p", "p_same")
        types |= dict.fromkeys(numbers, "float")
        types |= {"verdict": "name", "needed": "int", "margin": "float", "method": "text"}
        rows = [d for verdict in self.verdicts for d in verdict.differences]
        names = {"difference": "estimate"}
        frame = to_frame({name: [getattr(row, names.get(name, name)) for row in rows] for name in types}, types)
        frame.attrs.update(left_out=self.left_out, scorer=self.outcomes.scorer, sentence=self.sentence)
        return frame

    @property
    def models_df(self) -> pd.DataFrame:
        """One row per model: ``prompts`` with a score, mean ``score`` with its 95 % interval, and what was left out."""
        import pandas as pd

        rows = []
        for model in self.models:
            scores = self.outcomes.score[:, self.outcomes.column(model)]
            known = [float(value) for value in scores if value == value]  # noqa: PLR0124 - NaN
            low, high = mean_interval(known) or (None, None)
            mean = sum(known) / len(known) if known else None
            counts = self.outcomes.left_out.get(model, {})
            rows.append({"model": model, "prompts": len(known), "score": mean, "low": low, "high": high, **counts})
        return pd.DataFrame(rows)

    def side_by_side(self, n: int | None = None, **options: Any) -> SideBySide:
        """The replies of these models to the same prompts, those that they disagree on first.

        Args:
            n: prompts at most; None: all.
            options: of `Analysis.side_by_side`: ``order``, ``static``.

        Raises:
            ConfigurationError: the comparison was made of bare outcomes.
        """
        if self.run is None:
            raise ConfigurationError("this comparison was made of bare outcomes: there are no replies to show")
        return self.run.side_by_side(n, **{"arms": self.models, "scorer": self.outcomes.scorer, **options})

    def draw(self, theme: Theme) -> Element:
        """A forest plot of each measure: differences, their intervals, the margin as a band."""
        return forest(self.verdicts, self.outcomes.scorer, theme)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle, metadata = super()._repr_mimebundle_(include, exclude)
        bundle["text/html"] = self._repr_html_()
        return bundle, metadata

    def _repr_html_(self) -> str:
        marks = "<b>Simulated:</b> answers, latencies and prices. " if self.simulated else ""
        figures = f"{self.figures}<p>{marks}{escape_text(self.notes)}</p>"
        if len(self.verdicts) > 1:
            told = "".join(f"<p>{escape_text(line)}</p>" for line in self.sentences)
            figures = f"<details><summary>All figures, a sentence for each pair</summary>{told}{figures}</details>"
        return page_part(f"<p>{escape_text(self.sentence)}</p>{self.html}{figures}")

    @property
    def figures(self) -> str:
        """The figures of all pairs in a table, as HTML."""
        rows = [
            [f"{difference.first} against {difference.second}" if place == 0 else "", *_cells(difference)]
            for verdict in self.verdicts
            for place, difference in enumerate(verdict.differences)
        ]
        shown = len(_HEAD) if any(row[-1] for row in rows) else len(_HEAD) - 1
        return table(_HEAD[:shown], [row[:shown] for row in rows], numbers={2, 3, 4, 5, 6, 8})

    @property
    def notes(self) -> str:
        """What was left out, and how to read the figures."""
        return " ".join(filter(None, (left_out_words(self.left_out), note(self.verdicts, self.margin))))

    def __str__(self) -> str:
        return "\n".join([self.sentence, self.notes])

    def __repr__(self) -> str:
        said = "; ".join(
            f"{v.quality.first} vs {v.quality.second}: {v.quality.verdict} ({v.quality.n:,} prompts)"
            for v in self.verdicts
        )
        return f"<Comparison {self.name!r} by {self.outcomes.scorer}: {said}>"


def _cells(difference: Difference) -> list[str]:
    if difference.estimate is None:
        return [difference.measure, "0", "", "", "unknown", "", "", ""]
    return [
        difference.measure,
        f"{difference.n:,}",
        amount(difference.measure, difference.value_first),
        amount(difference.measure, difference.value_second),
        between(difference),
        "" if difference.p is None else p_value(difference.p),
        verdict_word(difference),
        needed(difference),
    ]
