"""How alike texts are."""

from __future__ import annotations

from typing import Any

import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.items import Item
from routerlab.experiments.similarity import similarity, token_f1


@pytest.mark.parametrize(
    ("text", "answer", "f1"),
    [
        ("Paris", "paris!", 1.0),
        ("It is Paris, France.", "Paris, France", 2 / 3),  # 2 shared of 4 and 2: 2 * 2 / 6
        ("the the the", "the cat", 2 / 5),  # a word counts as often as both have it
        ("Rome", "Paris", 0.0),
        ("東京です", "東京", 2 / 3),  # written without spaces: each character is a word
        ("", "Paris", 0.0),
        ("...", "!", 1.0),
    ],
)
def test_f1_is_the_share_of_words_that_both_have(text: str, answer: str, f1: float) -> None:
    assert token_f1(text, answer) == pytest.approx(f1)
    assert token_f1(answer, text) == pytest.approx(f1)


def test_ratio_notices_order_and_f1_does_not() -> None:
    item = Item("1")
    assert similarity("f1").score("b a", "a b", item) == 1.0
    assert similarity("ratio").score("b a", "a b", item) == pytest.approx(1 / 3)  # one of three: 2 * 1 / 6
    assert similarity("ratio").score("Colour", "color", item) == pytest.approx(10 / 11)  # five of six and five


@pytest.mark.parametrize(("target", "score"), [(["Oslo", "Rome"], 1.0), (None, None), ([], None), (7.0, 0.0)])
def test_the_nearest_acceptable_answer_counts(target: Any, score: float | None) -> None:
    assert similarity().score("Rome", target, Item("1")) == score


def test_another_method_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match='expected "f1" or "ratio"'):
        similarity("cosine")  # type: ignore[arg-type]
