"""What a simulated model says: the right answer or a plausible wrong one, made-up prose, tool calls, embeddings.

Everything follows from the model's name, the content of the request and the seed; never from the order of arrival.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.chance import Chance

__all__ = ["answer", "carry_on", "embedding", "estimate_tokens", "fill_schema", "tokenize"]

_TOKEN = re.compile(r"\s*\S{1,5}|\s+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]{4,}")
_OPENINGS = (
    "In short,",
    "As far as one can tell,",
    "Seen from a distance,",
    "For most purposes,",
    "Strictly speaking,",
)
_VERBS = ("depends on", "comes before", "explains", "goes together with", "is easier to see than", "follows from")
_NOUNS = ("the context", "careful measurement", "a good example", "the details", "long practice", "the simple case")
_WORDS = tuple(dict.fromkeys(" ".join((*_OPENINGS, *_VERBS, *_NOUNS)).split()))
_LAST_WORD = re.compile(r"\w*$")
_TRIES = 20


def estimate_tokens(text: str) -> int:
    """The tokens of a prompt: about four characters each."""
    return math.ceil(len(text) / 4)


def tokenize(text: str) -> list[str]:
    """Cut a text into the pieces that a simulated model streams and counts; joined they are the text again.

    >>> tokenize("Paris is lovely")
    ['Paris', ' is', ' lovel', 'y']
    """
    return _TOKEN.findall(text)


def answer(prompt: str, answers: Mapping[str, str], accuracy: float, chance: Chance) -> str:
    """Answer a prompt: rightly with probability `accuracy` where the right answer is known, else in made-up prose.

    Args:
        prompt: the user's last words.
        answers: right answers by prompt; a prompt that contains one of these counts too (the longest decides).
        accuracy: 0 to 1.
        chance: decides; the same one gives the same answer.
    """
    right = _known(prompt, answers)
    if right is None:
        return _prose(prompt, chance)
    if chance.random() < accuracy:
        return right
    return _wrong(right, list(answers.values()), chance)


def carry_on(text: str, so_far: str, overlap: int = 0) -> str:
    """What is left to say of an answer whose beginning has been said.

    Where that is another beginning, somebody else's, its last word is ended as far as it is known, and the answer goes
    on from about there.

    Args:
        text: the whole answer.
        so_far: what has been said.
        overlap: tokens of it that are said once more.

    >>> carry_on("Paris is lovely", "Paris is"), carry_on("Paris is lovely", "Paris is", 1)
    (' lovely', ' is lovely')
    """
    if not text.startswith(so_far):
        fragment = _LAST_WORD.findall(so_far)[0]
        ending = next((word[len(fragment) :] for word in _WORDS if fragment and word.startswith(fragment)), "")
        place = text.find(" ", len(so_far))
        return ending + (text[place:] if place >= 0 else f" {text}")
    again = "".join(tokenize(so_far)[-overlap:]) if overlap else ""
    return again + text[len(so_far) :]


def _known(prompt: str, answers: Mapping[str, str]) -> str | None:
    if prompt in answers:
        return answers[prompt]
    inside = max((known for known in answers if known and known in prompt), key=len, default=None)
    return None if inside is None else answers[inside]


def _wrong(right: str, answers: Sequence[str], chance: Chance) -> str:
    alike = [] if _NUMBER.search(right) else _alike(right, answers)
    for _ in range(_TRIES):
        guess = chance.choice(alike) if alike else _NUMBER.sub(lambda match: _near(match[0], chance), right)
        # "13" would pass for "3" with a scorer that looks for the answer anywhere in the text
        if right.lower() not in guess.lower() and guess.lower() not in right.lower():
            return guess
    return "I do not know."


def _alike(right: str, answers: Sequence[str]) -> list[str]:
    words = {text for text in answers if text != right and not _NUMBER.search(text)}
    return sorted(words, key=lambda text: (text.istitle() != right.istitle(), abs(len(text) - len(right)), text))[:12]


def _near(number: str, chance: Chance) -> str:
    decimals = len(number.partition(".")[2])
    value = int(number.replace(".", ""))
    value += chance.choice((-1, 1)) * (1 + chance.below(max(2, abs(value) // 5)))
    return f"{value / 10**decimals:0{len(number)}.{decimals}f}"


def _prose(prompt: str, chance: Chance) -> str:
    topics = _WORD.findall(prompt.lower())[-12:] or ["the question"]
    sentences = []
    for _ in range(2 + chance.below(3)):
        opening, verb, noun = chance.choice(_OPENINGS), chance.choice(_VERBS), chance.choice(_NOUNS)
        sentences.append(f"{opening} {chance.choice(topics)} {verb} {noun}.")
    return " ".join(sentences)


def fill_schema(schema: Mapping[str, Any], text: str, chance: Chance) -> Any:
    """The smallest value that satisfies a JSON schema's types, enums and required properties.

    Args:
        schema: a JSON schema; what it does not say counts as a string.
        text: what a string becomes.
        chance: chooses numbers.
    """
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        properties = schema.get("properties", {})
        names = schema.get("required", list(properties))
        return {name: fill_schema(properties.get(name, {}), text, chance) for name in names}
    if kind == "array":
        return [fill_schema(schema.get("items", {}), text, chance)]
    plain = {"integer": 1 + chance.below(9), "number": 1.5 + chance.below(9), "boolean": True, "null": None}
    return plain.get(kind, text)


def embedding(text: str, dimensions: int, *seed: int | str) -> tuple[float, ...]:
    """A vector of length 1: texts that share words lie close to each other.

    Args:
        text: what to embed.
        dimensions: length of the vector, at least 1.
        seed: of the model.
    """
    vector = [0.0] * dimensions
    for word in text.lower().split() or [""]:
        chance = Chance(*seed, word)
        for _ in range(4):
            vector[chance.below(dimensions)] += 1.0 if chance.random() < 0.5 else -1.0
    norm = math.sqrt(sum(value * value for value in vector))
    if norm == 0.0:
        return (1.0, *vector[1:])
    return tuple(value / norm for value in vector)
