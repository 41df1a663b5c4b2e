"""Which words differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.experiments.worddiff import differing_words, pieces


def marked(first, second):
    found = differing_words(first, second)
    return [[piece.text for piece in pieces(text, spans) if piece.differs]
            for text, spans in zip((first, second), found, strict=True)]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "differences"),
    [
        ("It is 42.", "It is 43.", [["42"], ["43"]]),
        ("yes", "no", [["yes"], ["no"]]),
        ("the  same\nwords", "the same words", [[], []]),
        ("a b c d", "a d", [["b c"], []]),
        ("東京です", "京都です", [["東"], ["都"]]),
        ("", "something", [[], ["something"]]),
    ],
)
def test_words_that_the_other_text_does_not_have_there(first, second, differences):
    assert marked(first, second) == differences


def test_longer_texts_with_little_in_common_are_not_marked():
    assert differing_words("one two three four five six " * 4, "alpha beta gamma delta " * 5) is None


def test_only_the_beginning_of_a_very_long_text_is_compared():
    first, second = (f"{word} " + "filler " * 5000 + word for word in ("one", "two"))

    assert marked(first, second) == [["one"], ["two"]]


@given(st.text("ab \n", max_size=60), st.lists(st.tuples(st.integers(-9, 70), st.integers(-9, 70)), max_size=8))
def test_pieces_are_the_text_whatever_the_spans(text, spans):
    assert "".join(piece.text for piece in pieces(text, spans)) == text
