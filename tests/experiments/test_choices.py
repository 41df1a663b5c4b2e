"""Which letter a reply settles on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from routerlab.experiments.choices import choice, chosen_letter
from routerlab.experiments.items import Item


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("**B.**", "B"),
        ("B) Paris", "B"),
        ("B. Paris, since it is the capital. A is wrong.", "B"),
        ("**B**) Paris", "B"),
        ("The answer is (B).", "B"),
        ("The answer is: **(B)** Paris", "B"),
        ("the correct answer is option b.", "B"),
        ("Answer: B", "B"),
        ("Final answer:\n\nB", "B"),
        ("$\\boxed{B}$", "B"),
        ("Let me think. A is out, C is out.\n\nB", "B"),
        ("Reasoning first.\nB) Paris", "B"),
        ("First I thought the answer is A, but the answer is B.", "B"),
        ("I like option A, but the answer is c.", "C"),
        ("I'd go with D here", "D"),
        ("It must be C, clearly C.", "C"),
        ("Of these only (A) holds.", "A"),
        ("The answer is a bit long to give.", None),
        ("I think a lot.", None),
        ("Either B or C.", None),
        ("A or B", None),
        ("A and C", None),
        ("A, B", None),
        ("A, B and C.", None),
        ("A/B", None),
        ("**A** or **B**", None),
        ("_A_ or _B_", None),
        ("(A) or (B)", None),
        ("(a) and (b)", None),
        ("Both A and B are correct.", None),
        ("The answer is A or B.", None),
        ("The answer is A or B, since C is out.", None),
        ("Answer: option A or option C", None),
        ("\\boxed{A, B}", None),
        ("Not A, but B", "B"),
        ("The answer is B, not A.", "B"),
        ("The answer is B, A is wrong.", "B"),
        ("The answer is B and A is wrong.", "B"),
        ("The answer is B, A and C are wrong.", "B"),
        ("The answer is A and I am sure.", "A"),
        ("A or B? The answer is B.", "B"),
        ("I hesitate between A and C.\n\nC", "C"),
        ("B, (B)", "B"),
        ("Bananas", None),
        ("", None),
    ],
)
def test_the_letter_is_found_however_the_reply_is_dressed(text: str, letter: str | None) -> None:
    assert chosen_letter(text) == letter


@pytest.mark.parametrize(
    ("text", "target", "score"),
    [
        ("The answer is (B).", "B", True),
        ("The answer is (B).", "b", True),
        ("The answer is (B).", "Rome", True),
        ("The answer is (B).", 1, True),
        ("The answer is (B).", ["A", "B"], True),
        ("The answer is (A).", "B", False),
        ("I do not know.", "B", False),
        ("It is Rome.", "B", True),
        ("Paris or Rome.", "B", False),
        ("The answer is (G).", "G", False),
        ("B", None, None),
        ("B", "somewhere else", None),
    ],
)
def test_a_target_is_a_letter_a_place_or_the_text_of_an_option(text: str, target: Any, score: bool | None) -> None:
    item = Item("1", prompt="p", target=target, metadata={"choices": ["Paris", "Rome", "Oslo"]})
    assert choice().score(text, target, item) is score


@pytest.mark.parametrize("filler", ["A, ", " ", "_", "*", "(A)", "A and "])
def test_a_long_reply_is_read_in_no_time(filler: str) -> None:
    started = time.monotonic()
    chosen_letter("A" + filler * 50_000)
    assert time.monotonic() - started < 30


def test_a_place_says_nothing_without_the_options() -> None:
    assert choice().score("B", 1, Item("1")) is None
