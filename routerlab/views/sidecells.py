"""What a line of replies shows: texts cut into pieces, scores, time and money in words, for every face alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from routerlab.experiments.lines import WRONG, Line
from routerlab.experiments.outcomes import number
from routerlab.experiments.scorer import written
from routerlab.experiments.worddiff import Span, differing_words, pieces
from routerlab.views.harmless import harmless
from routerlab.views.words import money, seconds

__all__ = ["CODE", "DIFFERS", "Part", "line_view", "parts", "reply_text", "target_text"]

Row = Mapping[str, Any]
Part = tuple[str, int]
"""A piece of a text, and what it is: a sum of `DIFFERS` and `CODE`."""

DIFFERS, CODE = 1, 2

_CODE = re.compile(r"^```.*?(?:^```[^\S\n]*$|\Z)", re.DOTALL | re.MULTILINE)
_MARKS = ("cached", "injected")
_GOOD, _BAD, _NEITHER = "✓", "✗", ""


def line_view(
    line: Line, arms: Sequence[str], scorers: Sequence[str], *, most: int, reference: str | None = None,
    scorer: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A line as plain data.

    Args:
        line: what is shown.
        arms: from the left.
        scorers: whose scores are shown.
        most: characters of a text.
        reference: the arm that the others are compared with; None: no words are marked.
        scorer: whose scores say whether the arms agree; None: their texts do.

    Returns:
        ``id, repeat, prompt, target, agree, differs`` and ``cells``, one per arm: ``state`` (``ok``, ``failed``,
        ``pending``, ``empty``), ``parts`` (text, and `DIFFERS` or `CODE` or both), ``more`` (characters that are left
        out), ``scores`` (sign, name, value in words), ``facts``, and ``asked`` where the arm's prompt is its own.
    """
    texts = {arm: reply_text(line.cells[arm]) for arm in arms if arm in line.cells}
    shown = {arm: text[:most] for arm, text in texts.items() if text}
    spans, strange = _marks(shown, reference)
    cells = []
    for arm in arms:
        row = line.cells.get(arm, {"status": "pending"})
        cell = _cell(row, scorers, most)
        if isinstance(row.get("prompt"), str) and row["prompt"] != line.prompt:
            cell["asked"] = _folded(harmless(row["prompt"]), most)
        if arm in shown:
            cell |= {"parts": parts(shown[arm], spans.get(arm, ())), "more": len(texts[arm] or "") - len(shown[arm])}
        if arm in strange:
            cell["facts"].append("few words in common")
        cells.append(cell)
    return {
        "id": harmless(line.item_id),
        "repeat": line.repeat,
        "prompt": _folded(harmless(line.prompt or ""), most),
        "target": _folded(target_text(line.target), most),
        "agree": _agreement(line, scorer),
        "differs": line.disagrees(scorer),
        "cells": cells,
    }


def reply_text(row: Row) -> str | None:
    """The reply of a row, fit to be shown; None where there is none."""
    text = row.get("text")
    return harmless(text) if row.get("status") == "ok" and isinstance(text, str) and text.strip() else None


def target_text(target: Any) -> str:
    """A target as one reads it: a word, or several that would do."""
    if isinstance(target, list):
        return harmless(" · ".join(map(written, target)))
    return harmless(json.dumps(target, ensure_ascii=False) if isinstance(target, Mapping) else written(target))


def parts(text: str, spans: Iterable[Span] = ()) -> list[Part]:
    """A text cut where it begins or ceases to differ, or to be code between fences of three backticks."""
    found: list[Part] = []
    place = 0
    marked = list(spans)
    for piece in pieces(text, [match.span() for match in _CODE.finditer(text)]):
        end = place + len(piece.text)
        inside = [(begin - place, stop - place) for begin, stop in marked if begin < end and stop > place]
        code = CODE if piece.differs else 0
        found += [(part.text, code + (DIFFERS if part.differs else 0)) for part in pieces(piece.text, inside)]
        place = end
    return found


def _folded(text: str, most: int) -> dict[str, Any]:
    return {"parts": parts(text[:most]), "more": max(0, len(text) - most)}


def _marks(texts: Mapping[str, str], reference: str | None) -> tuple[dict[str, list[Span]], set[str]]:
    """Where the words differ: of each arm from the reference's, and of that from any of the others'; and the arms that
    have little in common with it."""
    spans: dict[str, list[Span]] = {}
    strange: set[str] = set()
    if reference is None or reference not in texts:
        return spans, strange
    for arm, text in texts.items():
        if arm == reference:
            continue
        found = differing_words(texts[reference], text)
        if found is None:
            strange.add(arm)
        else:
            spans.setdefault(reference, []).extend(found[0])
            spans[arm] = found[1]
    return spans, strange


def _cell(row: Row, scorers: Sequence[str], most: int) -> dict[str, Any]:
    state, words = _state(row)
    cell: dict[str, Any] = {"state": state, **_folded(words, most), "scores": [], "facts": []}
    if state == "pending":
        return cell
    if state != "failed":
        cell["scores"] = [_score(name, number(row.get(f"score_{name}"))) for name in scorers]
    spent = [seconds(number(row.get("latency_s"))), money(number(row.get("cost_usd")))]
    asked, answered = row.get("requested_model"), row.get("model")
    other = f"answered by {harmless(str(answered))}" if asked and answered and asked != answered else ""
    cell["facts"] = [fact for fact in (*spent, other, *(mark for mark in _MARKS if row.get(mark))) if fact]
    return cell


def _state(row: Row) -> tuple[str, str]:
    """How a row stands, and the words in place of a reply."""
    match row.get("status"):
        case "pending":
            return "pending", "Not reached."
        case "failed":
            kind, message = (harmless(str(row.get(name) or "")) for name in ("error_type", "error_message"))
            return "failed", ": ".join(filter(None, ("Failed", kind, message)))
    text = row.get("text")
    if isinstance(text, str) and text.strip():
        return "ok", ""
    return "empty", "An empty reply." if isinstance(text, str) else "The text was not kept."


def _score(name: str, value: float | None) -> tuple[str, str, str]:
    """Sign, name, value."""
    if value is None:
        return _NEITHER, harmless(name), "no score"
    sign = _GOOD if value == 1 else _BAD if value < WRONG else _NEITHER
    return sign, harmless(name), f"{value:.3g}"


def _agreement(line: Line, scorer: str | None) -> str:
    if scorer is not None:
        spread = line.spread(scorer)
        if spread is None:
            return ""
        said = "agrees" if not spread else "differs" if spread == 1 else f"{spread:.3g} apart"
        return f"{harmless(scorer)} {said}"
    if len(line.texts) < 2:
        return ""
    return "texts differ" if line.disagrees(None) else "same text"
