"""Which words of two texts differ: cheap, bounded, and silent where marks would say nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from routerlab.experiments.similarity import EAST

__all__ = ["Piece", "Span", "differing_words", "pieces"]

Span = tuple[int, int]
"""From and to, in characters."""

_WORD = re.compile(rf"[{EAST}]|[^\W{EAST}]+|[^\w\s]")
_MOST = 800  # words of each text that are compared
_FEW = 16  # words of a short text: that all of it differs is worth showing
_ALIKE = 0.3  # share of common words below which marks in longer texts would only be noise


class Piece(NamedTuple):
    """A part of a text, and whether another text differs there."""

    text: str
    differs: bool


def differing_words(first: str, second: str) -> tuple[list[Span], list[Span]] | None:
    """The words of each of two texts that the other does not have at that place.

    White space is not compared, and only the first 800 words are.

    Returns:
        Spans of the first and of the second text; None where two longer texts have little in common.

    Source:
        `difflib.SequenceMatcher`: J. W. Ratcliff and D. Metzener, Dr. Dobb's Journal, July 1988.

    Example:
        >>> differing_words("It is hot.", "It is not hot.")
        ([], [(6, 9)])
    """
    words = [[match for match, _ in zip(_WORD.finditer(text), range(_MOST), strict=False)] for text in (first, second)]
    one, other = ([match.group() for match in found] for found in words)
    if max(len(one), len(other)) > _FEW and _common(one, other) < _ALIKE:
        return None
    front = _alike(one, other)
    back = _alike(one[front:][::-1], other[front:][::-1])
    one, other = one[front : len(one) - back], other[front : len(other) - back]
    spans: tuple[list[Span], list[Span]] = ([], [])
    for kind, *ends in SequenceMatcher(None, one, other).get_opcodes():
        if kind != "equal":
            for place, (begin, end) in enumerate((ends[:2], ends[2:])):
                if begin < end:
                    spans[place].append((words[place][front + begin].start(), words[place][front + end - 1].end()))
    return spans


def pieces(text: str, spans: Iterable[Span]) -> list[Piece]:
    """A text cut where spans of it begin and end; they may overlap.

    >>> pieces("It is not hot.", [(6, 9)])
    [Piece(text='It is ', differs=False), Piece(text='not', differs=True), Piece(text=' hot.', differs=False)]
    """
    found, place = [], 0
    for begin, end in sorted(spans):
        start, stop = max(begin, place), min(end, len(text))
        if start >= stop:
            continue
        found += [Piece(text[place:start], differs=False), Piece(text[start:stop], differs=True)]
        place = stop
    found.append(Piece(text[place:], differs=False))
    return [piece for piece in found if piece.text]


def _alike(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words both begin with. The matcher takes words that come often for noise: such ends are cut before."""
    unlike = (place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    return next(unlike, min(len(first), len(second)))


def _common(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of words that both have, in whatever order: never less than what a comparison would find."""
    return 2 * (Counter(first) & Counter(second)).total() / (len(first) + len(second))
