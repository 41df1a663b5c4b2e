"""What a scorer is, what it says, and how a target is read: the words that all scorers share."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from routerlab.experiments.items import Item

__all__ = ["ScoreFunction", "ScoreResult", "Scorer", "any_of", "folded", "target_list", "written"]

Score = float | bool | None
ScoreFunction = Callable[[str, Any, Item], Score | Awaitable[Score]]


@dataclass(frozen=True)
class Scorer:
    """A named way to score a reply.

    Any other object with these two attributes serves as well.

    Attributes:
        name: the column is called ``score_<name>``.
        score: called with the reply's text, the item's target and the item; returns 0…1, a bool, or None where it
            cannot say (no target). It may be async.
        quick: whether it takes microseconds for a page of text, whatever stands there: no thread is worth that.
    """

    name: str
    score: ScoreFunction = field(repr=False)
    quick: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What one scorer says of one reply.

    Attributes:
        name: of the scorer.
        value: 0…1; None when there is no score.
        error: why the scorer failed; None when it did not (a missing target is no failure).
        reason: in a judge's words; None from others.
    """

    name: str
    value: float | None
    error: str | None = None
    reason: str | None = None

    def columns(self) -> dict[str, Any]:
        """The columns of a run's row that hold it; of a score that is missing, the reason is the error."""
        why = self.reason if self.error is None else self.error
        return {f"score_{self.name}": self.value, **({} if why is None else {f"reason_{self.name}": why})}

    def masked(self, mask: Callable[[Any], Any]) -> ScoreResult:
        """It, with the secrets taken out of reason and error."""
        return replace(self, reason=self.reason and mask(self.reason), error=self.error and mask(self.error))


def any_of(target: Any, agrees: Callable[[str], bool]) -> bool | None:
    """Whether any acceptable answer agrees; None when there is none."""
    answers = target_list(target)
    return any(map(agrees, answers)) if answers else None


def target_list(target: Any) -> list[str]:
    """The acceptable answers of a target as texts; empty ones are none."""
    answers = map(written, target if isinstance(target, list) else [target])
    return [answer for answer in answers if answer.strip()]


def written(target: Any) -> str:
    """A target as a reply would write it: 42 for 42.0 (a DataFrame makes floats of ints when one is missing)."""
    if isinstance(target, float) and target.is_integer():
        target = int(target)
    return "" if target is None else str(target)


def folded(text: str) -> str:
    """Without differences of case, width and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
