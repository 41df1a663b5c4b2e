"""Replies to the same prompts as lines: which are shown, and in which order."""

import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.lines import Lines, Query


def row(item, arm, text="same", score=1.0, status="ok", repeat=0):
    said = {"text": text, "score_exact": score} if status == "ok" else {}
    about = {"item_id": item, "variant": arm, "repeat": repeat, "status": status}
    return {**about, "prompt": f"Prompt of {item}", "target": "x", **said}


ROWS = [
    row("agree", "a"), row("agree", "b", "SAME "),
    row("words", "a", "one two three"), row("words", "b", "one two four"),
    row("score", "a", "right"), row("score", "b", "right on", 0.0),
    row("failed", "a"), row("failed", "b", status="failed"),
    row("pending", "a", status="pending"), row("pending", "b", status="pending"),
]  # fmt: skip


def ids(lines, **query):
    return [line.item_id for line in lines.ask(Query(**query))]


def test_disagreements_come_first_by_score_or_by_text():
    lines = Lines(ROWS)

    assert ids(lines, scorer="exact") == ["score", "agree", "words", "failed"]
    assert ids(lines, order="difference", scorer="exact") == ["words", "score", "agree", "failed"]
    assert ids(lines) == ["words", "score", "agree", "failed"]
    assert ids(lines, order="dataset") == ["agree", "words", "score", "failed"]
    assert lines.untouched == 1, "nobody has reached it: there is nothing to show"


def test_what_is_shown_and_how_many():
    lines = Lines(ROWS)

    assert ids(lines, show="disagreements", scorer="exact") == ["score"]
    assert ids(lines, show="disagreements") == ["words", "score"]
    assert ids(lines, show="failed") == ["failed"]
    assert ids(lines, show="wrong", arm="b", scorer="exact") == ["score"]
    assert ids(lines, show="wrong", arm="b") == [], "without scores nothing is wrong"
    assert lines.counts("exact") == {"all": 4, "disagreements": 1, "failed": 1, "wrong a": 0, "wrong b": 1}
    assert lines.counts(None) == {"all": 4, "disagreements": 2, "failed": 1}


@pytest.mark.parametrize(("words", "found"), [("FOUR", ["words"]), ("of score", ["score"]), ("nowhere", [])])
def test_the_search_looks_into_prompts_and_replies(words, found):
    assert ids(Lines(ROWS), search=words) == found


def test_repeats_are_lines_of_their_own_and_a_line_lacks_what_is_not_there():
    lines = Lines([row("i", "a"), row("i", "b"), row("i", "a", "other", repeat=1)])

    assert [(line.repeat, list(line.cells)) for line in lines.lines] == [(0, ["a", "b"]), (1, ["a"])]
    assert lines.lines[1].spread("exact") is None
    assert lines.lines[1].difference is None


def test_arms_are_chosen_and_put_in_order():
    lines = Lines(ROWS, ["b", "a"])

    assert lines.arms == ["b", "a"]
    assert list(lines.lines[0].cells) == ["b", "a"]
    assert Lines(ROWS, ["b"]).untouched == 1
    with pytest.raises(ConfigurationError, match="there is no 'c'; there are: a, b"):
        Lines(ROWS, ["c"])
    with pytest.raises(ConfigurationError, match="at most once"):
        Lines(ROWS, ["a", "a"])
    with pytest.raises(ConfigurationError, match="no rows"):
        Lines([])


def test_the_first_of_an_order_are_kept_in_the_datasets_order():
    lines = Lines(ROWS)
    lines.keep(Query(order="difference"), 2)

    assert ids(lines, order="dataset") == ["words", "score"]
