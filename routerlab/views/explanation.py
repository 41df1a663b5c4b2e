"""Why a model was chosen: the candidates of each decision, as text, as a table, as a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from routerlab.core.decisions import Decision
from routerlab.core.types import ModelSnapshot
from routerlab.views.markup import page_part, table
from routerlab.views.svg import escape_text
from routerlab.views.words import percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Explanation"]

_HEAD = ("model", "", "score", "why not")


class Explanation:
    """One decision or several of one call, in the order in which they were taken.

    Args:
        decisions: rows of ``decisions``, each with its ``candidates``; one row alone is fine.
    """

    def __init__(self, decisions: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        rows = [decisions] if isinstance(decisions, Mapping) else decisions
        self.decisions = [dict(row) for row in rows]
        self.snapshots: list[ModelSnapshot] = []

    @classmethod
    def of(cls, decision: Decision, snapshots: Sequence[ModelSnapshot] = ()) -> Self:
        """The explanation of a choice that was only looked at; `snapshots`: what it saw of each model."""
        made = cls(asdict(decision))
        made.snapshots = list(snapshots)
        return made

    @property
    def health(self) -> pd.DataFrame:
        """What the choice saw of each model, as in ``lab.health()``; empty for a recorded choice."""
        from routerlab.views.metrics import health

        return health(self.snapshots)

    @property
    def chosen(self) -> str | None:
        """The model that the first decision chose; None where none could serve."""
        return self.decisions[0].get("chosen") if self.decisions else None

    @property
    def df(self) -> pd.DataFrame:
        """One row per candidate and decision: the columns of ``lab.candidates()``, and whether it was ``chosen``."""
        from routerlab.views.frames import table_frame

        rows = [
            {**candidate, "call_id": decision.get("call_id"), "step": decision.get("step")}
            for decision in self.decisions
            for candidate in decision.get("candidates") or ()
        ]
        frame = table_frame("candidates", rows)
        chosen = {decision.get("step"): decision.get("chosen") for decision in self.decisions}
        frame["chosen"] = [chosen.get(step) == model for step, model in zip(frame["step"], frame["model"], strict=True)]
        return frame.astype({"chosen": "boolean"})

    def __str__(self) -> str:
        if not self.decisions:
            return "no decision was recorded"
        return "\n".join(line for decision in self.decisions for line in _lines(decision))

    def __repr__(self) -> str:
        return f"<Explanation: {'; '.join(_sentence(decision) for decision in self.decisions) or 'no decision'}>"

    def _repr_html_(self) -> str:
        parts = []
        for decision in self.decisions:
            rows = [_cells(candidate, decision) for candidate in decision.get("candidates") or ()]
            parts.append(f"<p>{escape_text(_sentence(decision))}</p>{table(_HEAD, rows, numbers={2})}")
        return page_part("".join(parts) or "<p>no decision was recorded</p>")


def _sentence(decision: Mapping[str, Any]) -> str:
    chosen, strategy = decision.get("chosen"), decision.get("strategy") or "unknown"
    if chosen is None:
        return f"no model can serve ({strategy})"
    probability = decision.get("probability")
    odds = "" if probability in {None, 1} else f", with probability {percent(probability)}"
    return f"{chosen} chosen by {strategy}{odds}"


def _cells(candidate: Mapping[str, Any], decision: Mapping[str, Any]) -> list[str]:
    score = candidate.get("score")
    mark = "● chosen" if candidate["model"] == decision.get("chosen") else "○" if candidate.get("eligible") else "✗"
    return [candidate["model"], mark, "-" if score is None else f"{score:.3f}", candidate.get("excluded_because") or ""]


def _lines(decision: Mapping[str, Any]) -> list[str]:
    rows = [_cells(candidate, decision) for candidate in decision.get("candidates") or ()]
    width = max([len(row[0]) for row in rows], default=0)
    step = decision.get("step")
    head = f"step {step}: {_sentence(decision)}" if step else _sentence(decision)
    return [head, *(f"  {row[0]:<{width}}  {row[1]:<8}  {row[2]:>6}  {row[3]}".rstrip() for row in rows)]
