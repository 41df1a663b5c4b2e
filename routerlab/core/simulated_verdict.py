"""What a simulated model says when it is asked to judge answers: it looks for the right one, errs, and likes the first.

So a judge can be tried without a key, with all that judges are known for: mistakes, ties, and a winner that changes
with the order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from routerlab.core.chance import Chance

__all__ = ["read_material", "verdict"]

_PART = re.compile(r"<(question|reference|answer|answer-A|answer-B)-([0-9a-f]{12})>\n(.*?)\n</\1-\2>", re.DOTALL)
_SCALE = re.compile(r"from 1 \(worst\) to (\d+) \(best\)")
_TIE = 0.8  # how often two answers that are equally right are called so
_CLOSE = 0.3


def read_material(prompt: str, answers: Mapping[str, str]) -> dict[str, str]:
    """The parts that a judge is shown, by name.

    None where the prompt asks for no verdict, or where `answers` has what to say to the words beside the material.
    """
    parts = {match[1]: match[3] for match in _PART.finditer(prompt)}
    if "question" not in parts or not ("answer" in parts or {"answer-A", "answer-B"} <= parts.keys()):
        return {}
    beside = _PART.sub("", prompt)
    return {} if any(known and known in beside for known in answers) else parts


def verdict(
    material: Mapping[str, str], system: str, answers: Mapping[str, str], accuracy: float, chance: Chance
) -> str:
    """A verdict, as the line of JSON that judges are asked for.

    Args:
        material: from `read_material`.
        system: the judge's instructions; the scale stands in them.
        answers: right answers by question, where no reference is among the material.
        accuracy: how often it sees which answer is right, 0 to 1.
        chance: decides; the same one gives the same verdict.
    """
    right = material.get("reference") or answers.get(material["question"])
    if "answer" in material:
        value = _worth(material["answer"], right)
        scale = int((_SCALE.search(system) or ("", "5"))[1])
        seen = value if chance.random() < accuracy else 1 - value
        return _line(_of_one(right, seen), "score", 1 + round(seen * (scale - 1)))
    winner, reason = _better(_worth(material["answer-A"], right), _worth(material["answer-B"], right), accuracy, chance)
    return _line(reason, "winner", winner)


def _worth(text: str, right: str | None) -> float:
    """1 for an answer that holds the right one, 0 for another; a whim where the right one is not known."""
    if right is None:
        return Chance("whim", text).random()
    answers = "|".join(map(re.escape, right.split(" or: ")))
    return float(re.search(rf"(?<!\w)(?:{answers})(?!\w)", text, re.IGNORECASE) is not None)


def _better(a: float, b: float, accuracy: float, chance: Chance) -> tuple[str, str]:
    if abs(a - b) <= _CLOSE:
        if chance.random() < _TIE:
            return "tie", "The two are equally good."
    elif chance.random() < accuracy:
        winner = "A" if a > b else "B"
        return winner, f"{winner} answers the question, the other one does less."
    return "A", "A comes to the point."


def _of_one(right: str | None, worth: float) -> str:
    if right is None:
        return "It reads well enough." if worth > _CLOSE else "It says little."
    return "It gives the answer." if worth else "It does not give the answer."


def _line(reason: str, name: str, value: str | int) -> str:
    return json.dumps({"reason": reason, name: value})
