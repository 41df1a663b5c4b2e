"""Assertions of items: what holds of a reply, what is refused, and their share as a score."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routerlab.core.types import CompletionResponse
from routerlab.experiments.assertions import check_assertion, share_that_holds, with_call
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.fields import FieldError
from routerlab.experiments.items import Item
from routerlab.experiments.plan import Arm, ReplayPlan
from routerlab.experiments.replay import Replay
from routerlab.experiments.scorers import resolve_scorers, score_row
from routerlab.session.results import CallResult

CALL = {"cost_usd": 0.001, "latency_s": 0.25}


def item(*assertions: dict[str, Any]) -> Item:
    return Item("1", prompt="?", metadata={"assert": list(assertions)})


@pytest.mark.parametrize(
    ("kind", "operand", "holds_of", "not_of"),
    [
        ("equals", {"value": "Paris"}, "Paris", "paris"),
        ("equals", {"value": 4.0}, "4", "4.0"),
        ("equals", {"value": {"a": [1]}}, '{ "a": [1] }', '{"a": 1}'),
        ("equals", {"value": [1]}, "[1]", "no JSON"),
        ("contains", {"value": "Par"}, "in Paris", "in paris"),
        ("contains", {"value": 0}, "10", "1"),
        ("icontains", {"value": "PAR"}, "in paris", "in Rome"),
        ("regex", {"value": r"\d{4}"}, "in 1984.", "in 84"),
        ("is-json", {}, '{"a": 1}', '{"a": NaN}'),
        ("is-json", {}, "[]", "Here: []"),
    ],
)
def test_an_assertion_holds_and_its_negation_does_not(kind: str, operand: dict, holds_of: str, not_of: str) -> None:
    plain, negated = item({"type": kind, **operand}), item({"type": f"not-{kind}", **operand})
    assert (share_that_holds(holds_of, plain), share_that_holds(not_of, plain)) == (1.0, 0.0)
    assert (share_that_holds(holds_of, negated), share_that_holds(not_of, negated)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("kind", "threshold", "share"),
    [
        ("cost", 0.001, 1),
        ("cost", 0.0009, 0),
        ("not-cost", 0.0009, 1),
        ("latency", 250, 1),
        ("latency", 249, 0),
        ("not-latency", 249, 1),
    ],
)
def test_cost_is_in_usd_and_latency_in_milliseconds(kind: str, threshold: float, share: int) -> None:
    assert share_that_holds("", with_call(item({"type": kind, "threshold": threshold}), CALL)) == share


def test_a_cost_that_nobody_knows_is_an_error_and_no_score() -> None:
    asked = with_call(item({"type": "cost", "threshold": 1}), {"cost_usd": None})
    (result,) = score_row(resolve_scorers("asserts"), "text", asked)
    assert result.value is None
    assert result.error == "ValueError: cost cannot be checked: the cost_usd is not known"


def test_the_score_is_the_share_that_holds_and_missing_without_assertions() -> None:
    scorers = resolve_scorers(["asserts"])
    two = item({"type": "contains", "value": "a"}, {"type": "not-contains", "value": "b"}, {"type": "is-json"})
    assert score_row(scorers, "a", two)[0].value == pytest.approx(2 / 3)
    assert score_row(scorers, "a", Item("1", prompt="?"))[0] == type(score_row(scorers, "a", two)[0])("asserts", None)


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        ({"type": "llm-rubric", "value": "kind"}, "the assertion type 'llm-rubric' is not supported"),
        ({"type": "not-similar", "value": "x"}, "the assertion type 'not-similar' is not supported"),
        ({"type": "is-json", "value": {"type": "object"}}, "is-json with a value"),
        ({"type": "equals", "value": "x", "weight": 2}, "'weight' of an assertion of type 'equals'"),
        ({"type": "equals", "value": "x", "transform": "output.trim()"}, "'transform' of an assertion"),
        ({"type": "contains"}, "contains needs a value"),
        ({"type": "contains", "value": ["a"]}, "contains needs a value, a text or a number, found"),
        ({"type": "equals", "value": "file://x.json"}, "is a file, which is not supported"),
        ({"type": "regex", "value": "(?<a>x)"}, "is not one of Python's"),
        ({"type": "cost"}, "cost needs a threshold"),
        ({"type": "latency", "threshold": True}, "latency needs a threshold"),
        ("contains: x", "an assertion is an object with a type"),
    ],
)
def test_what_cannot_be_checked_is_refused_by_name(assertion: Any, reason: str) -> None:
    with pytest.raises(FieldError, match=r".*") as error:
        check_assertion(assertion)
    assert reason in str(error.value)


class Book:
    behind = False

    def keep(self):
        """At once."""

    def flush(self):
        """At once."""

    def add(self, table, row):
        pass


def test_a_run_scores_the_assertions_of_each_item_with_its_own_call() -> None:
    async def call(spec):
        latency_s = 0.1 if spec.item_id == "fast" else 3.0
        return CallResult("c", spec, {"call_id": "c", "latency_s": latency_s}, CompletionResponse(text="ok"))

    soon = [{"type": "latency", "threshold": 1000}, {"type": "equals", "value": "ok"}]
    rows = [{"id": name, "prompt": "?", "assert": soon} for name in ("fast", "slow")] + [{"id": "free", "prompt": "?"}]
    dataset = load_dataset(rows)
    assert dataset.scorers == ["asserts"]
    plan = ReplayPlan(dataset, [Arm("a", model="sim/a")], resolve_scorers(dataset.scorers))
    replay = Replay(plan, call=call, recorder=Book())
    asyncio.run(replay.run())
    assert [row["score_asserts"] for row in replay.rows()] == [1.0, 0.5, None]
