"""Replies of several arms to the same prompts: one line per prompt, searched, filtered and put in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.core.suggest import nearest
from routerlab.experiments.outcomes import number
from routerlab.experiments.similarity import token_f1

__all__ = ["ORDERS", "WRONG", "Line", "Lines", "Query"]

Row = Mapping[str, Any]

ORDERS = ("disagreement", "difference", "dataset")
"""``disagreement``: the widest spread of scores first, without scores the most different texts; ``difference``: the
most different texts first; ``dataset``: as the prompts were given."""

WRONG = 0.5
"""A score below it counts as wrong."""

_COMPARED = 500  # characters of each reply that say how different two are: enough to put them in order


@dataclass(frozen=True)
class Line:
    """One prompt (and repeat) with what each arm said.

    Attributes:
        item_id, repeat: which.
        prompt, target: as the first arm was asked.
        cells: the row of each arm.
    """

    item_id: str
    repeat: int
    prompt: str | None
    target: Any
    cells: Mapping[str, Row] = field(default_factory=dict)

    def score(self, arm: str, scorer: str) -> float | None:
        """What a scorer gave an arm; None where it gave nothing."""
        return number(self.cells.get(arm, {}).get(f"score_{scorer}"))

    def spread(self, scorer: str) -> float | None:
        """The highest score less the lowest one; None with fewer than two."""
        known = [score for arm in self.cells if (score := self.score(arm, scorer)) is not None]
        return max(known) - min(known) if len(known) > 1 else None

    def has(self, status: str) -> bool:
        """Whether any arm's row has this status."""
        return any(row.get("status") == status for row in self.cells.values())

    @cached_property
    def texts(self) -> list[str]:
        """The replies that there are, without differences in case and white space."""
        said = (row.get("text") for row in self.cells.values() if row.get("status") == "ok")
        return [" ".join(text.casefold().split()) for text in said if isinstance(text, str)]

    @cached_property
    def difference(self) -> float | None:
        """How much the replies differ in their words: 0 (the same words) to 1 (none in common), the largest of all
        others with the first; None with fewer than two."""
        first, *others = self.texts or [""]
        if not others:
            return None
        start = first[:_COMPARED]
        return max(0.0 if text == first else 1.0 - token_f1(text[:_COMPARED], start) for text in others)

    def disagrees(self, scorer: str | None) -> bool:
        """Whether scores differ; without a scorer, texts."""
        return len(set(self.texts)) > 1 if scorer is None else bool(self.spread(scorer))

    def holds(self, words: str) -> bool:
        """Whether its id, prompt, target or a reply contains some words, in any case."""
        said = (row.get("text") for row in self.cells.values())
        return any(words in str(text).casefold() for text in (self.item_id, self.prompt, self.target, *said) if text)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the lines.

    Attributes:
        search: words that id, prompt, target or a reply contains; empty: all.
        show: ``all``, ``disagreements``, ``failed``, or ``wrong``: those that `arm` has wrong.
        arm: of ``wrong``.
        order: one of `ORDERS`.
        scorer: whose scores; None: none, texts are compared.
    """

    search: str = ""
    show: str = "all"
    arm: str = ""
    order: str = ORDERS[0]
    scorer: str | None = None


class Lines:
    """The lines of a run that an arm has reached, in the dataset's order.

    Args:
        rows: of the run.
        arms: which, from the left; none: all.

    Attributes:
        arms: names, from the left.
        lines: one per item and repeat.
        untouched: items and repeats that no arm has reached; they are left out.

    Raises:
        ConfigurationError: no such arm, one twice, or no rows.
    """

    def __init__(self, rows: Iterable[Row], arms: Sequence[str] = ()) -> None:
        groups: dict[tuple[str, int], dict[str, Row]] = {}
        known: dict[str, None] = {}
        for row in rows:
            arm = str(row["variant"])
            known[arm] = None
            groups.setdefault((str(row["item_id"]), int(row.get("repeat") or 0)), {})[arm] = row
        self.arms = _chosen(list(arms), list(known))
        found = [_line(*key, group, self.arms) for key, group in groups.items()]
        self.lines = [line for line in found if any(row.get("status") != "pending" for row in line.cells.values())]
        self.untouched = len(found) - len(self.lines)
        self.repeats = any(line.repeat for line in self.lines)

    def ask(self, query: Query) -> list[Line]:
        """The lines that a query means, in its order."""
        words = query.search.strip().casefold()
        lines = [line for line in self.lines if _shown(line, query) and (not words or line.holds(words))]
        return sorted(lines, key=lambda line: -_rank(line, query)) if query.order != "dataset" else lines

    def keep(self, query: Query, n: int) -> None:
        """Leave only the first `n` lines of what a query means."""
        kept = {id(line) for line in self.ask(query)[:n]}
        self.lines = [line for line in self.lines if id(line) in kept]

    def counts(self, scorer: str | None) -> dict[str, int]:
        """How many lines each choice would show: ``all``, ``disagreements``, ``failed``, ``wrong <arm>``."""
        counts = {name: self._count(Query(show=name, scorer=scorer)) for name in ("all", "disagreements", "failed")}
        if scorer is not None:
            counts |= {f"wrong {arm}": self._count(Query(show="wrong", arm=arm, scorer=scorer)) for arm in self.arms}
        return counts

    def _count(self, query: Query) -> int:
        return sum(_shown(line, query) for line in self.lines)


def _chosen(asked: list[str], known: list[str]) -> list[str]:
    if not known:
        raise ConfigurationError("there is nothing to show side by side: no rows")
    for arm in asked:
        if arm not in known:
            raise ConfigurationError(f"arms: there is no {arm!r}{nearest(arm, known)}")
    if len(set(asked)) < len(asked):
        raise ConfigurationError(f"arms={asked!r}: each at most once")
    return asked or known


def _line(item_id: str, repeat: int, group: Mapping[str, Row], arms: Sequence[str]) -> Line:
    cells = {arm: group[arm] for arm in arms if arm in group}
    first: Row = next(iter(cells.values()), {})
    prompt, target = first.get("prompt"), first.get("target")
    missing = isinstance(target, float) and math.isnan(target)  # in a frame
    return Line(item_id, repeat, prompt if isinstance(prompt, str) else None, None if missing else target, cells)


def _shown(line: Line, query: Query) -> bool:
    match query.show:
        case "disagreements":
            return line.disagrees(query.scorer)
        case "failed":
            return line.has("failed")
        case "wrong":
            score = None if query.scorer is None else line.score(query.arm, query.scorer)
            return score is not None and score < WRONG
    return True


def _rank(line: Line, query: Query) -> float:
    if query.order == "disagreement" and query.scorer is not None:
        found = line.spread(query.scorer)
    else:
        found = line.difference
    return -1.0 if found is None else found
