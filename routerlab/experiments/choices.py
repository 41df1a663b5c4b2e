"""Multiple choice: which letter a reply settles on."""

from __future__ import annotations

import re
from typing import Any

from routerlab.experiments.items import Item
from routerlab.experiments.scorer import Scorer, folded, target_list

__all__ = ["choice", "chosen_letter"]

_LETTERS = "ABCDEFGHIJ"
_OPEN, _CLOSE = r"[\s:=*_\"'`({\[$]*", r"(?![\w'\u2019])"
# A small letter counts only where something closes it, or "the answer is a bit long" would choose A.
_ONE = r"([A-J]|[a-j](?=\s*(?:[).:\]},*`]|$)))"
_BARE = re.compile(r"[\W_]*([A-Ja-j])[\W_]*")
_SAID = re.compile(
    r"(?i:\banswer|\bboxed|\bcorrect\s+(?:choice|option)|\b(?:choose|chose|pick|select|go\s+with))"
    r"(?i:\s+(?:is|was|would\s+be|should\s+be|must\s+be))?(?i:\s*:?\s*\b(?:option|choice|letter))?"
    + _OPEN
    + _ONE
    + _CLOSE,
    re.MULTILINE,
)
_LEADING = re.compile(r"\s*[*_`(\[]*([A-Ja-j])[*_`]*[).\]:]")
_LONE = re.compile(r"(?<![\w'])([B-HJ]|(?<=\()[AI](?=\)))" + _CLOSE)  # A and I are words, unless in brackets
_GAP = r"\s{0,3}"
_ITEM = (
    r"(?:(?i:option|choice)\s)?[(\[{*_`\"'$]{0,6}"
    r"(?<![^\W_])(?:[A-HJ]|I(?!\s+\w)|[a-j](?=[)\]]))(?![^\W_]|['\u2019]\w)"
    r"[)\]}*_`\"'$.:]{0,6}"
)
_ITEMS = rf"{_ITEM}(?:{_GAP},{_GAP}{_ITEM}){{0,8}}"
_LISTED = re.compile(  # "B and A is wrong" and "B, A is wrong" are no lists
    rf"{_ITEMS}{_GAP}(?:,?{_GAP}\b(?:and/or|or|nor|OR)\b|[/&+]){_GAP}{_ITEM}"
    rf"|{_ITEM}{_GAP}\b(?:and|AND)\b{_GAP}{_ITEM}(?!\s(?:is|was)\b)"
    rf"|{_ITEMS}{_GAP}(?:,|,?{_GAP}\band\b){_GAP}{_ITEM}(?={_GAP}(?:[!?;]|$)|(?<=[.:])\s)",
    re.MULTILINE,
)
_LETTER = re.compile(r"(?<!\w)[A-Ja-j](?!\w)")


def choice(*, choices: str = "choices", name: str = "choice") -> Scorer:
    """1 when the letter that the reply settles on is the target's; 0 for another one, or none.

    Reads ``B``, ``(b)``, ``**B.**``, ``B) Paris``, ``The answer is (B).``, ``\\boxed{B}``; what a reply says last of
    the answer counts. ``A or B``, ``A and C`` settle on none. Letters are A to J.

    Args:
        choices: the item's metadata field that lists the options' texts, if there is one. Then the target may also be
            an option's text or its position (a number, from 0), and a reply may give the option's text in place of a
            letter.
        name: of the scorer.

    Example:
        >>> choice().score("The capital is Paris, so the answer is (B).", "B", Item("1"))
        True
    """
    return Scorer(name, lambda text, target, item: _right(text, target, _options(item, choices)))


def chosen_letter(text: str, options: list[str] | None = None) -> str | None:
    """The letter, A…J, that a reply settles on; None where it settles on none.

    Args:
        text: of the reply.
        options: texts of the options; letters beyond them are none.

    Example:
        >>> chosen_letter("B) Paris"), chosen_letter("I like option A, but the answer is c."), chosen_letter("Both.")
        ('B', 'C', None)
    """
    allowed = _LETTERS[: len(options)] if options else _LETTERS
    settled = _LISTED.sub(_without_several, text)
    bare = _BARE.fullmatch(settled)
    found = [bare[1]] if bare else _SAID.findall(settled)
    if not found:
        lines = [line for line in settled.splitlines() if line.strip()]
        ends = [match[1] for line in [*lines[:1], *lines[-1:]] if (match := _LEADING.match(line) or _bare(line))]
        found = ends or (_only(_LONE.findall(text)) if settled == text else [])
    letters = [letter.upper() for letter in found if letter.upper() in allowed]
    return letters[-1] if letters else _named(text, options or [])


def _without_several(listed: re.Match[str]) -> str:
    """Letters in a row as a word that is none of them; one letter said twice stays."""
    return "several" if len(set(_LETTER.findall(listed[0].upper()))) > 1 else listed[0]


def _bare(line: str) -> re.Match[str] | None:
    return _BARE.fullmatch(line)


def _only(letters: list[str]) -> list[str]:
    return letters if len(set(letters)) == 1 else []


def _named(text: str, options: list[str]) -> str | None:
    """The letter of the one option whose text the reply holds."""
    said = folded(text)
    held = [place for place, option in enumerate(options) if option.strip() and _holds(said, folded(option))]
    return _LETTERS[held[0]] if len(held) == 1 else None


def _holds(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None


def _options(item: Item, field: str) -> list[str] | None:
    found = item.metadata.get(field)
    return [str(option) for option in found[: len(_LETTERS)]] if isinstance(found, list) else None


def _right(text: str, target: Any, options: list[str] | None) -> bool | None:
    wanted = {letter for answer in target_list(target) if (letter := _letter_of(answer, options))}
    if not wanted:
        return None
    return chosen_letter(text, options) in wanted


def _letter_of(answer: str, options: list[str] | None) -> str | None:
    """The letter that a target names: itself, an option's position, or its text."""
    same = [place for place, option in enumerate(options or []) if folded(option) == folded(answer)]
    if same:
        return _LETTERS[same[0]]
    if answer.isdecimal():
        return _LETTERS[int(answer)] if options and int(answer) < len(options) else None
    bare = _BARE.fullmatch(answer)
    return bare[1].upper() if bare else None
