"""Verdicts by hand: which pairs of replies to show, and what they say beside another scorer's."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.experiments.agreement import Agreement, agreement

__all__ = ["LABEL", "label_agreement", "pairs_to_label"]

LABEL = "label"
"""The scorer's name of verdicts by hand: 1 for the better reply of a pair, 0.5 for each of a tie, 0."""

Row = Mapping[str, Any]


def pairs_to_label(rows: Sequence[Row], n: int, seed: int = 0) -> list[tuple[Row, Row]]:
    """Pairs of answers of different arms to one item, by chance: at most one for an item and repeat.

    Args:
        rows: of a run; those with a label are left out, and so are pairs that say the same.
        n: at most so many.
        seed: of the choice, and of who stands on which side.
    """
    rng = random.Random(seed)
    groups: dict[tuple[Any, Any], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["item_id"], row["repeat"]), []).append(row)
    found = []
    for _, group in sorted(groups.items()):
        open_rows = [row for row in group if row["status"] == "ok" and isinstance(row.get("text"), str)]
        labelled = any(row.get(f"score_{LABEL}") is not None for row in group)
        if labelled or len(open_rows) < 2:
            continue
        first, second = rng.sample(open_rows, 2)
        if first["text"].strip() != second["text"].strip():
            found.append((first, second))
    rng.shuffle(found)
    return found[:n]


def label_agreement(rows: Sequence[Row], scorer: str) -> Agreement:
    """How far a scorer agrees with the labels on which of two replies is the better one, or neither.

    Args:
        rows: of a run.
        scorer: whose scores are compared; pairs of which it has not scored both are left out.

    Returns:
        The agreement of the labels (first) with the scorer (second); the categories are 1, 2 and ``tie``.
    """
    groups: dict[tuple[Any, Any], list[Row]] = {}
    for row in rows:
        if row.get(f"score_{LABEL}") is not None:
            groups.setdefault((row["item_id"], row["repeat"]), []).append(row)
    pairs = [group for group in groups.values() if len(group) == 2]
    scored = [pair for pair in pairs if all(row.get(f"score_{scorer}") is not None for row in pair)]
    return agreement([_better(pair, LABEL) for pair in scored], [_better(pair, scorer) for pair in scored])


def _better(pair: Sequence[Row], scorer: str) -> int | str:
    one, other = (row[f"score_{scorer}"] for row in pair)
    return "tie" if one == other else 1 if one > other else 2
