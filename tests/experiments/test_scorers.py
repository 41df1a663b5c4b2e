"""Scorers: what counts as right, what has no score, and errors that are kept instead of thrown."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.items import Item
from routerlab.experiments.numbers import last_number, numbers_in, only_number
from routerlab.experiments.scorers import (
    Scorer,
    ScoreResult,
    contains,
    exact,
    numeric,
    regex,
    resolve_scorers,
    score_row,
)


def value(scorer: Any, text: str | None, target: Any) -> float | None:
    (result,) = score_row(resolve_scorers([scorer]), text, Item("1", prompt="p", target=target))
    assert result.error is None
    return result.value


@pytest.mark.parametrize(
    ("text", "target", "score"),
    [
        ("Paris", "paris", 1),
        ("  Paris.\n", "Paris", 1),
        ("**Paris**", "Paris", 1),
        ("“New\u00a0  York”!", "new york", 1),
        ("\uff30aris", "Paris", 1),  # a full-width letter
        ("STRASSE", "straße", 1),
        ("Paris", "Paris.", 1),
        ("Paris, of course", "Paris", 0),
        ("Pari", "Paris", 0),
        ("", "Paris", 0),
        ("-10", "10", 0),
        (".5", "5", 0),
        ("[0, 1]", "(0, 1)", 0),
        ("C++", "C", 0),
        ("...", "?", 0),  # what is all punctuation is compared as it stands
        ("42", 42, 1),
        ("42", 42.0, 1),
        ("True", True, 1),
        ("azure", ["blue", "azure"], 1),
        ("green", ["blue", "azure"], 0),
        ("blue", ["blue", None], 1),
        ("x", None, None),
        ("x", [], None),
        ("x", "  ", None),
        (None, "x", None),
    ],
)
def test_exact(text: str | None, target: Any, score: float | None) -> None:
    assert value("exact", text, target) == score


@pytest.mark.parametrize(
    ("text", "target", "score"),
    [
        ("I think it is PARIS.", "Paris", 1),
        ("It is\nNew  York", "new york.", 1),
        ("It is Rome", "Paris", 0),
        ("16", "6", 1),
        ("Rome or Paris", ["Oslo", "Paris"], 1),
        ("anything", None, None),
        ("anything", "", None),
    ],
)
def test_contains(text: str, target: Any, score: float | None) -> None:
    assert value(contains(), text, target) == score


@pytest.mark.parametrize(
    ("text", "target", "score"),
    [
        ("first 3, so the answer is 1,234.5", "1234.5", 1),
        ("That is $5.", 5, 1),
        ("-$5", "-5", 1),
        ("$-5", -5.0, 1),
        ("\u22127", "-7", 1),
        ("15 %", "15%", 1),
        ("it is 3/4", "0.75", 1),
        ("0.75", "3/4", 1),
        ("1 3/4 cups", 1.75, 1),
        ("6.02e23", "6.02 x 10^23", 1),
        ("2 \u00d7 10^-3 m", 0.002, 1),
        ("So 72.\n#### 72", "She sold 24 + 48 = <<24+48=72>>72 clips.\n#### 72", 1),
        ("#### Step 3: add\n5 + 6 = 11", "11", 1),
        ("#### 72\nThat took 3 steps.", "72", 1),
        ("42.0001", "42", 0),
        ("41", ["40", "41"], 1),
        ("no idea", "42", 0),
        ("1/0", "1", 0),
        ("0.1", 0.1 + 1e-17, 1),
        ("24", "2023-02-24", None),  # a date is not one number
        ("4", "A7F2-K9", None),
        ("4", "Paris", None),
        ("4", None, None),
    ],
)
def test_numeric(text: str, target: Any, score: float | None) -> None:
    assert value("numeric", text, target) == score


def test_tolerances() -> None:
    assert value(numeric(tolerance=0.5), "42.4", 42) == 1
    assert value(numeric(tolerance=0.5), "42.6", 42) == 0
    assert value(numeric(relative_tolerance=0.01), "1009", 1000) == 1
    assert value(numeric(relative_tolerance=0.01), "1011", 1000) == 0


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,2,3", [1, 2, 3]),
        ("1,234,567.89 and 1,2345", [1234567.89, 1, 2345]),
        ("10-12", [10, 12]),
        ("x=-5, x^2=25", [-5, 2, 25]),
        ("H2O, A7F2-K9, v1.5.2", []),
        ("**5** _6_ (7) 8kg 9.", [5, 6, 7, 8, 9]),
        ("03/04/2024", [3, 4, 2024]),
        (".5 -.25", [0.5, -0.25]),
        ("- 5 apples", [5]),
        ("1e999", []),
        ("", []),
    ],
)
def test_numbers_in_text(text: str, numbers: list[float]) -> None:
    assert numbers_in(text) == numbers
    assert last_number(text) == (numbers[-1] if numbers else None)
    assert only_number(text) == (numbers[0] if len(numbers) == 1 else None)


@pytest.mark.parametrize("unit", ["1", "1 ", "1,", "1,111", "1/", "-", "#### ", "1e", "1."])
def test_long_replies_take_linear_time(unit: str) -> None:
    # 400 kB; anything quadratic would take minutes
    last_number(unit * (400_000 // len(unit)))


GSM8K = Path(__file__).parents[2].parent / "shared" / "data" / "prompts" / "gsm8k_test.jsonl"


@pytest.mark.skipif(not GSM8K.exists(), reason="the public GSM8K file is not beside the project")
def test_every_gsm8k_answer_agrees_with_itself() -> None:
    answers = [json.loads(line)["answer"] for line in GSM8K.read_text(encoding="utf-8").splitlines()]
    for answer in answers:
        final = answer.rpartition("####")[2].strip()
        assert value("numeric", f"The answer is {final}.", answer) == 1
        assert only_number(answer) == float(final.replace(",", ""))


def test_regex() -> None:
    assert value(regex(r"answer: (\w+)"), "answer: no ... answer: Yes.", "yes") == 1
    assert value(regex(r"answer: (\w+)"), "answer: yes ... answer: no.", "yes") == 0
    assert value(regex(r"answer: (\w+)"), "I do not know", "yes") == 0
    assert value(regex(r"answer: (\w+)"), "answer: no", ["yes", "no"]) == 1
    assert value(regex(r"(a)|(b)"), "b", "b") == 1
    assert value(regex(r"^\d+$"), "42", "whatever") == 1
    assert value(regex(r"^\d+$"), "forty", "whatever") == 0
    assert value(regex(r"answer: (\w+)"), "answer: no", None) == 1
    assert value(regex(r"answer: (\w+)"), "no", None) == 0
    assert regex("x", name="has_x").name == "has_x"
    with pytest.raises(ConfigurationError, match="regex"):
        regex("(")


def length_score(text: str, target: Any) -> float:
    return min(1.0, len(text) / 10)


class Judge:
    name = "judge"

    def score(self, text: str, target: Any, item: Item) -> bool:
        return text == f"{item.id}:{target}"


class Callable2:
    def __call__(self, text: str, target: Any) -> int:
        return 1


def test_all_ways_to_name_scorers() -> None:
    scorers = resolve_scorers(
        [
            "exact",
            contains,
            numeric(),
            Judge(),
            length_score,
            Callable2(),
            lambda text, target, item: item.metadata["weight"],
            Scorer("mine", lambda *_: None),
        ]
    )
    names = ["exact", "contains", "numeric", "judge", "length_score", "Callable2", "lambda", "mine"]
    assert [scorer.name for scorer in scorers] == names
    item = Item("7", prompt="p", target="5", metadata={"weight": 0.25})
    assert [result.value for result in score_row(scorers, "7:5", item)] == [0, 1, 1, 1, 0.3, 1, 0.25, None]
    assert resolve_scorers([partial(length_score)])[0].name == "length_score"
    assert resolve_scorers(None) == []
    assert [scorer.name for scorer in resolve_scorers("exact")] == ["exact"]
    assert [scorer.name for scorer in resolve_scorers(length_score)] == ["length_score"]
    assert [scorer.name for scorer in resolve_scorers(Judge())] == ["judge"]


@pytest.mark.parametrize(
    ("scorers", "message"),
    [
        (["exatc"], "unknown scorer 'exatc'; did you mean 'exact'"),
        (["regex"], "needs its pattern"),
        ([regex], "needs its pattern"),
        ([5], "5 is no scorer"),
        (5, "5 is no scorer"),
        ([lambda text: 1], r"must take \(text, target\)"),
        ([length_score, length_score], "two scorers are named 'length_score'"),
    ],
)
def test_what_is_no_scorer_is_told_before_the_run(scorers: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolve_scorers(scorers)


@pytest.mark.parametrize(
    ("returned", "score"),
    [(True, 1.0), (False, 0.0), (0.5, 0.5), (1, 1.0), (np.float32(0.5), 0.5), (np.bool_(True), 1.0), (None, None)],
)
def test_what_a_scorer_may_return(returned: Any, score: float | None) -> None:
    (result,) = score_row([Scorer("s", lambda *_: returned)], "x", Item("1"))
    assert result == ScoreResult("s", score)
    assert result.value is None or type(result.value) is float


@pytest.mark.parametrize("returned", [float("nan"), float("inf"), -0.1, 1.1, "1", [1], object(), np.nan])
def test_nonsense_is_an_error_and_no_score(returned: Any) -> None:
    (result,) = score_row([Scorer("s", lambda *_: returned)], "x", Item("1"))
    assert result.value is None
    assert result.error is not None
    assert "a score is" in result.error


def test_a_scorer_that_raises_does_not_disturb_the_others() -> None:
    def broken(text: str, target: Any) -> float:
        raise KeyError("no such thing")

    results = score_row(resolve_scorers([broken, exact]), "x", Item("1", target="x"))
    assert results == [ScoreResult("broken", None, "KeyError: 'no such thing'"), ScoreResult("exact", 1.0)]


def test_async_functions_are_scorers_too_and_share_one_loop() -> None:
    loops = []

    async def later(text: str, target: Any) -> float:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        return 0.5

    async def broken(text: str, target: Any, item: Item) -> float:
        raise KeyError("no such thing")

    class Remote:
        name = "remote"

        async def score(self, text: str, target: Any, item: Item) -> bool:
            return text == target

    scorers = resolve_scorers([later, broken, Remote()])
    for _ in range(2):
        assert score_row(scorers, "x", Item("1", target="x")) == [
            ScoreResult("later", 0.5),
            ScoreResult("broken", None, "KeyError: 'no such thing'"),
            ScoreResult("remote", 1.0),
        ]
    assert len(set(loops)) == 1
