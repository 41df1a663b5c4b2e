"""How alike a reply and a target are, for answers that can be said in many ways."""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher
from typing import Any, Literal

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.scorer import Scorer, folded, target_list

__all__ = ["EAST", "similarity", "token_f1"]

EAST = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and Chinese characters: written without spaces
_TOKEN = re.compile(rf"[{EAST}]|[^\W{EAST}]+")


def similarity(method: Literal["f1", "ratio"] = "f1", *, name: str = "similarity") -> Scorer:
    """How alike reply and target are, 0…1; of several acceptable answers the nearest counts.

    It measures words, not meaning: "hot" and "not hot" are much alike.

    Args:
        method: ``"f1"``: the words that both have, whatever their order: the harmonic mean of the shares of the reply's
            and of the target's words that are shared. ``"ratio"``: runs of characters in the same order, as `difflib`
            finds them; it notices spelling and order, and takes time that grows with the product of both lengths.
        name: of the scorer.

    Raises:
        ConfigurationError: another method.

    Source:
        F1 as in P. Rajpurkar et al., "SQuAD", EMNLP 2016, without its English rules for articles; the ratio of
        J. W. Ratcliff and D. Metzener, Dr. Dobb's Journal, July 1988.

    Example:
        >>> round(token_f1("It is Paris, France.", "Paris, France"), 3)
        0.667
    """
    if method not in {"f1", "ratio"}:
        raise ConfigurationError(f'similarity({method!r}): expected "f1" or "ratio"')
    measure = token_f1 if method == "f1" else _ratio
    return Scorer(name, lambda text, target, item: _nearest(measure, text, target))


def token_f1(text: str, answer: str) -> float:
    """The F1 of the words of two texts, 0…1; two texts without any word are alike."""
    said, wanted = Counter(_TOKEN.findall(folded(text))), Counter(_TOKEN.findall(folded(answer)))
    if not said and not wanted:
        return 1.0
    return 2 * (said & wanted).total() / (said.total() + wanted.total())


def _ratio(text: str, answer: str) -> float:
    return SequenceMatcher(None, folded(text), folded(answer), autojunk=False).ratio()


def _nearest(measure: Any, text: str, target: Any) -> float | None:
    return max((measure(text, answer) for answer in target_list(target)), default=None)
