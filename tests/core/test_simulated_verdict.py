"""A simulated model as a judge: readable verdicts, mistakes, and a liking for the first answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

from routerlab.core.script import outcome
from routerlab.core.simulated import SimulatedModel, play, read_chat
from routerlab.experiments.judge_prompts import pair_messages, parse_score, parse_winner, score_messages

QUESTIONS = [f"How much is {n} and {n}?" for n in range(200)]


def said(messages: Any, **options: Any) -> str:
    return outcome(play(SimulatedModel("court", **options), read_chat(messages, {}))).text or ""


def winner(question: str, first: str, second: str, reference: str | None = "right", **options: Any) -> str:
    return parse_winner(
        said(pair_messages("Be fair.", question=question, first=first, second=second, reference=reference), **options)
    )[0]


def test_it_prefers_the_right_answer_as_often_as_it_is_accurate() -> None:
    assert {winner(q, "wrong", "It is right.") for q in QUESTIONS} == {"B"}
    seen = Counter(winner(q, "wrong", "right", accuracy=0.7) for q in QUESTIONS)
    assert 0.6 < seen["B"] / len(QUESTIONS) < 0.8
    assert seen["A"] + seen["B"] == len(QUESTIONS)


def test_equals_are_mostly_ties_and_else_the_first_one_wins_in_any_order() -> None:
    seen = Counter(winner(q, "right", "Right!") for q in QUESTIONS)
    assert seen["tie"] > 140
    assert seen["tie"] + seen["A"] == len(QUESTIONS)


def test_scores_keep_to_the_scale_and_what_it_knows_serves_as_reference() -> None:
    for scale in (2, 5, 10):
        found = [
            parse_score(
                said(score_messages("", scale, question="How?", answer=a, reference=None), answers={"How?": "so"}),
                scale,
            )
            for a in ("So.", "sole")
        ]
        assert found == [(scale, "It gives the answer."), (1, "It does not give the answer.")]


def test_without_a_reference_it_has_a_whim_that_stays() -> None:
    for first, second in (("one", "two"), ("two", "one")):
        assert winner("Which?", first, second, None, accuracy=1.0) == winner(
            "Which?", first, second, None, accuracy=1.0
        )
    assert len({winner("Which?", f"{n}", f"{n} or so", None) for n in range(40)}) == 3


def test_an_answer_that_was_given_to_it_comes_first() -> None:
    messages = score_messages("", 5, question="How?", answer="So.", reference=None)
    assert said(messages, answers={"The material ends here": "4"}) == "4"
    assert (
        said(
            [{"role": "user", "content": "<question-000000000000>\nHow?\n</question-000000000000>"}],
            answers={"How?": "So."},
        )
        == "So."
    )
