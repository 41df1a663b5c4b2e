"""Outcomes: what each model scored, cost and took on each prompt; the one table that verdicts and policies read.

What cannot be used is left out and counted, never averaged in: failed calls, judgements that failed, answers of another
model than the one that was asked, rows that were not reached.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routerlab.core.errors import ConfigurationError
from routerlab.core.suggest import nearest

__all__ = ["LEFT_OUT", "SUCCESS", "OutcomeTable", "Pair", "number", "score_name"]

Values = NDArray[np.float64]
Row = Mapping[str, Any]

SUCCESS = "success"
"""The score of a run without scorers: 1 for an answer, 0 for a failed call."""

LEFT_OUT = {
    "pending": "not reached",
    "failed": "failed calls",
    "other_model": "answered by another model",
    "not_scored": "without a score",
}
"""Why rows are left out, in words."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models on the prompts that both have: one number per prompt, repeats taken together.

    Attributes:
        scores, costs, latencies: of the first and the second, for those prompts where both are known; the mean over a
            prompt's repeats, of latencies the median.
        repeats: whether any prompt was answered more than once.
        unpaired: prompts that only one of the two has a score for.
    """

    scores: tuple[Values, Values]
    costs: tuple[Values, Values]
    latencies: tuple[Values, Values]
    repeats: bool
    unpaired: int


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """One number per prompt and model for each measure; NaN where it is not known.

    Attributes:
        scorer: name of the score.
        items: ids of the prompts; the arrays' rows.
        variants: names of the models (or arms); the arrays' columns.
        score: mean over repeats, 0…1.
        cost_usd: mean over repeats.
        latency_s: median over repeats.
        answers: how many usable answers each number is made of.
        left_out: variant to reason (keys of `LEFT_OUT`) to rows.
        features: what is known of each prompt before any model is asked: ``prompt``, ``prompt_length``, metadata.
        rows: the usable rows of each prompt and variant, for judges that look at the answer.
    """

    scorer: str
    items: Sequence[str]
    variants: Sequence[str]
    score: Values
    cost_usd: Values
    latency_s: Values
    answers: NDArray[np.int64]
    left_out: Mapping[str, Mapping[str, int]]
    features: Sequence[Mapping[str, Any]] = ()
    rows: Mapping[tuple[str, str], Sequence[Row]] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        rows: Iterable[Row],
        scorer: str | None = None,
        *,
        scorers: Sequence[str] = (),
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> OutcomeTable:
        """The table of a run's rows.

        Args:
            rows: with ``item_id, variant, status, score_<name>…``; ``cost_usd, latency_s, model, requested_model,
                prompt`` where they are known.
            scorer: which score; None: the first of `scorers`, or `SUCCESS` where there is none.
            scorers: names of those that there are.
            metadata: of each prompt, by its id.

        Raises:
            ConfigurationError: no such scorer, or no rows.
        """
        name = score_name(scorer, scorers)
        seen: dict[str, Mapping[str, Any]] = {}
        variants: dict[str, dict[str, int]] = {}
        usable: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            item, variant = str(row["item_id"]), str(row["variant"])
            if item not in seen:
                seen[item] = _features(row, (metadata or {}).get(item, {}))
            counts = variants.setdefault(variant, dict.fromkeys(LEFT_OUT, 0))
            reason = _reason(row, name)
            if reason is None:
                usable.setdefault((item, variant), []).append(row)
            else:
                counts[reason] += 1
        if not seen:
            raise ConfigurationError("there is nothing to compare: no rows")
        cells = {
            measure: np.array([[_cell(usable.get((i, v), ()), measure, name) for v in variants] for i in seen])
            for measure in ("score", "cost_usd", "latency_s")
        }
        answers = np.array([[len(usable.get((i, v), ())) for v in variants] for i in seen])
        return cls(name, list(seen), list(variants), **cells, answers=answers, left_out=variants,
                   features=list(seen.values()), rows=usable)  # fmt: skip

    def column(self, variant: str) -> int:
        """The place of a variant.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if variant not in self.variants:
            raise ConfigurationError(f"no model {variant!r} here{nearest(variant, self.variants)}")
        return list(self.variants).index(variant)

    def mean(self, variant: str) -> float | None:
        """Its mean score over the prompts that have one; None without any."""
        scores = self.score[:, self.column(variant)]
        known = scores[~np.isnan(scores)]
        return float(known.mean()) if known.size else None

    def pair(self, first: str, second: str) -> Pair:
        """Two variants on the prompts that both have."""
        a, b = self.column(first), self.column(second)

        def both(values: Values) -> tuple[Values, Values]:
            known = ~np.isnan(values[:, a]) & ~np.isnan(values[:, b])
            return values[known, a], values[known, b]

        known = ~np.isnan(self.score[:, [a, b]])
        return Pair(
            both(self.score),
            both(self.cost_usd),
            both(self.latency_s),
            repeats=bool((self.answers[:, [a, b]] > 1).any()),
            unpaired=int((known[:, 0] != known[:, 1]).sum()),
        )

    def complete(self, variants: Sequence[str]) -> OutcomeTable:
        """Only the prompts that all of these variants have a score for, and only these variants."""
        columns = [self.column(variant) for variant in variants]
        missing = np.isnan(self.score[:, columns]).sum(axis=1)
        places = [place for place, many in enumerate(missing) if not many]
        part = np.ix_(np.array(places, dtype=np.intp), np.array(columns, dtype=np.intp))
        return OutcomeTable(
            self.scorer,
            [self.items[place] for place in places],
            [self.variants[column] for column in columns],
            self.score[part],
            self.cost_usd[part],
            self.latency_s[part],
            self.answers[part],
            {variant: self.left_out[variant] for variant in variants},
            [self.features[place] for place in places],
            self.rows,
        )


def score_name(scorer: str | None, scorers: Sequence[str]) -> str:
    """The score that is meant: the named one, else the first, else `SUCCESS`.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if scorer is None:
        return scorers[0] if scorers else SUCCESS
    if scorer not in scorers and scorer != SUCCESS:
        raise ConfigurationError(f"no scorer {scorer!r} here{nearest(scorer, [*scorers, SUCCESS])}")
    return scorer


def _reason(row: Row, scorer: str) -> str | None:
    """Why a row cannot be used; None where it can."""
    if row.get("status") == "pending":
        return "pending"
    asked, answered = row.get("requested_model"), row.get("model")
    if asked and answered and asked != answered:
        return "other_model"
    if scorer == SUCCESS:
        return None
    if row.get("status") == "failed":
        return "failed"
    return "not_scored" if number(row.get(f"score_{scorer}")) is None else None


def _cell(rows: Sequence[Row], measure: str, scorer: str) -> float:
    if measure == "score":
        values = [_score(row, scorer) for row in rows]
    else:  # what a failed call took says nothing of the answers
        values = [number(row.get(measure)) for row in rows if row.get("status") != "failed"]
    known = [value for value in values if value is not None]
    if not known:
        return math.nan
    return float(np.median(known)) if measure == "latency_s" else math.fsum(known) / len(known)


def _score(row: Row, scorer: str) -> float | None:
    return float(row.get("status") != "failed") if scorer == SUCCESS else number(row.get(f"score_{scorer}"))


def _features(row: Row, metadata: Mapping[str, Any]) -> dict[str, Any]:
    prompt = row.get("prompt")
    known = {"prompt": prompt, "prompt_length": len(prompt)} if isinstance(prompt, str) else {}
    return {**metadata, **known}


def number(value: Any) -> float | None:
    """A number as a float; None for what is missing (None, NaN, pandas' NA)."""
    if value is None or type(value).__name__ == "NAType":
        return None
    found = float(value)
    return None if math.isnan(found) else found
