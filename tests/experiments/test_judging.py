"""A judge at work in a run: what it is shown, what its verdicts come to, what they cost."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from routerlab.core.errors import ProviderUnavailableError
from routerlab.core.types import CompletionResponse
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.judge import judge
from routerlab.experiments.judging import PURPOSE
from routerlab.experiments.replay import Arm, Replay, ReplayPlan
from routerlab.experiments.scorers import resolve_scorers
from routerlab.session.results import AttemptRecord, CallResult, CallSpec

ANSWERS = {"sim/a": "alpha says", "sim/b": "beta says", "sim/c": "gamma says"}


class Book:
    """Keeps rows in lists."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def add(self, table: str, row: Any) -> None:
        self.tables.setdefault(table, []).append(dict(row))

    behind = False

    def keep(self) -> None:
        """At once."""

    def flush(self) -> None:
        """At once."""


class Models:
    """Answers as the model says, and judges as `verdict` does: it gets the material by name."""

    def __init__(self, verdict: Callable[[dict[str, str]], str | Exception], answers: Any = None) -> None:
        self.verdict, self.asked = verdict, list[CallSpec]()
        self.answers = answers or ANSWERS

    async def call(self, spec: CallSpec) -> CallResult:
        self.asked.append(spec)
        said: str | Exception
        if spec.purpose == PURPOSE:
            said = self.verdict(material(spec))
        else:
            said = f"{self.answers[spec.model]} {spec.item_id}"
        row = {"run_id": spec.run_id, "model": spec.model, "cost_usd": 0.01, "purpose": spec.purpose}
        if isinstance(said, Exception):
            return CallResult("c", spec, {**row, "model": None, "cost_usd": None}, None, said)
        sent = AttemptRecord("c", spec.run_id, 1, str(spec.model), "sim", "selected", 0.0, outcome="ok", cost_usd=0.01)
        return CallResult("c", spec, row, CompletionResponse(said), None, [sent])

    @property
    def judged(self) -> list[CallSpec]:
        return [spec for spec in self.asked if spec.purpose == PURPOSE]


def material(spec: CallSpec) -> dict[str, str]:
    """What stands between the tags of a judge's prompt."""
    found = re.findall(r"<([\w-]+)-(\w{12})>\n(.*?)\n</\1-\2>", spec.messages[-1]["content"], re.DOTALL)
    return {name: text for name, _, text in found}


def replay(models: Models, scorer: Any, *, arms: str = "ab", size: int = 3, **options: Any) -> tuple[Replay, Book]:
    rows = [{"prompt": f"question {n}", "answer": f"right {n}"} for n in range(1, size + 1)]
    plan = ReplayPlan(
        load_dataset(rows), [Arm(arm, model=f"sim/{arm}") for arm in arms], resolve_scorers(scorer), **options
    )
    book = Book()
    made = Replay(plan, call=models.call, recorder=book)
    asyncio.run(made.run())
    return made, book


def scores(run: Replay, name: str = "judge") -> dict[tuple[str, str], float | None]:
    return {(row["item_id"], row["variant"]): row[f"score_{name}"] for row in run.rows()}


def by_text(found: dict[str, str]) -> str:
    return json.dumps({"reason": f"seen {found['answer']}", "score": 5 if "alpha" in found["answer"] else 2})


def better(word: str) -> Callable[[dict[str, str]], str]:
    """Prefers the answer with this word, wherever it stands."""
    return lambda found: json.dumps({"reason": "it is", "winner": "A" if word in found["answer-A"] else "B"})


def test_a_judge_sees_question_reference_and_answer_but_no_name() -> None:
    models = Models(by_text)
    replay(models, judge("sim/judge", rubric="Be strict.", temperature=0))

    assert len(models.judged) == 6
    spec = next(spec for spec in models.judged if (spec.item_id, spec.variant) == ("00001", "judge:a"))
    assert material(spec) == {"question": "question 1", "reference": "right 1", "answer": "alpha says 00001"}
    assert "Be strict." in spec.messages[0]["content"]
    assert not any(f"sim/{name}" in json.dumps(spec.messages) for name in "abc")
    assert (spec.model, spec.params, spec.purpose) == ("sim/judge", {"temperature": 0}, "judge")
    assert (spec.item_id, spec.repeat, spec.variant) == ("00001", 0, "judge:a")


def test_its_scores_become_0_to_1_with_their_reasons_beside_other_scorers() -> None:
    run, book = replay(Models(by_text), [judge("sim/judge"), lambda text, target: 0.5])

    assert set(scores(run).items()) >= {(("00001", "a"), 1.0), (("00001", "b"), 0.25)}
    assert run.rows()[0]["reason_judge"] == "seen alpha says 00001"
    assert {row["score_lambda"] for row in run.rows()} == {0.5}
    kept = [row for row in book.tables["scores"] if row["scorer"] == "judge"]
    assert sorted(row["value"] for row in kept) == [0.25] * 3 + [1.0] * 3


def test_a_judgement_that_fails_is_a_row_with_an_error_and_in_no_mean() -> None:
    def verdict(found: dict[str, str]) -> str | Exception:
        if "00001" in found["answer"]:
            return "SECRET WORDS, no verdict"
        return ProviderUnavailableError("PROVIDERS WORDS") if "00002" in found["answer"] else "5"

    run, book = replay(Models(verdict), judge("sim/judge"), arms="a")

    assert list(scores(run).values()) == [None, None, 1.0]
    errors = [row["error"] for row in sorted(book.tables["scores"], key=lambda row: row["item_id"])]
    assert errors == [
        "the judge's verdict cannot be read: neither JSON with a score nor one number on the last line",
        "the judge's call failed: ProviderUnavailableError",
        None,
    ]
    assert "2 judgements failed and count nowhere" in run.notes[0]
    assert run.status == "done"


def test_pairs_are_judged_in_both_orders_and_win_1_to_0() -> None:
    models = Models(better("beta"))
    run, _ = replay(models, judge("sim/judge", pairwise=True))

    assert len(models.judged) == 6
    first, second = (material(spec) for spec in models.judged[:2])
    assert (first["answer-A"], first["answer-B"]) == (second["answer-B"], second["answer-A"])
    assert {key[1]: value for key, value in scores(run).items()} == {"a": 0.0, "b": 1.0}
    assert "3 pairs judged for $0.06; 0 ties" in run.notes[0]
    assert run.rows()[0]["reason_judge"] == "(A: a, B: b) it is\n(A: b, B: a) it is"


def test_a_winner_that_changes_with_the_order_is_a_tie_and_counted() -> None:
    run, _ = replay(Models(lambda found: '{"winner": "A"}'), judge("sim/judge", pairwise=True))

    assert set(scores(run).values()) == {0.5}
    assert "3 ties, 3 of them because the winner changed with the order" in run.notes[0]


def test_a_win_in_one_order_alone_is_a_tie_but_no_flip() -> None:
    def verdict(found: dict[str, str]) -> str:
        return "A" if "alpha" in found["answer-A"] else "tie"

    run, _ = replay(Models(verdict), judge("sim/judge", pairwise=True))

    assert set(scores(run).values()) == {0.5}
    assert "3 ties" in run.notes[0]


def test_the_same_answer_twice_is_a_tie_without_a_call() -> None:
    models = Models(better("never"), {"sim/a": "same", "sim/b": " same"})
    run, _ = replay(models, judge("sim/judge", pairwise=True))

    assert models.judged == []
    assert set(scores(run).values()) == {0.5}


def test_of_three_arms_each_gets_the_mean_over_the_others() -> None:
    def verdict(found: dict[str, str]) -> str:
        order = ["alpha", "beta", "gamma"]
        first, second = (order.index(found[f"answer-{place}"].split()[0]) for place in "AB")
        return "A" if first < second else "B"

    run, _ = replay(Models(verdict), judge("sim/judge", pairwise=True), arms="abc", size=1)

    assert list(scores(run).values()) == [1.0, 0.5, 0.0]


def test_a_pair_with_one_failed_order_has_no_score() -> None:
    def verdict(found: dict[str, str]) -> str:
        return "A" if "alpha" in found["answer-A"] else "no idea"

    run, book = replay(Models(verdict), judge("sim/judge", pairwise=True), size=1)

    assert list(scores(run).values()) == [None, None]
    assert all("cannot be read" in row["error"] for row in book.tables["scores"])
    assert "0 pairs judged" in run.notes[0]
    assert "1 judgements failed" in run.notes[0]


def test_two_failed_orders_of_a_pair_are_one_failed_judgement_and_no_loose_end() -> None:
    run, _ = replay(Models(lambda found: "no idea"), judge("sim/judge", pairwise=True), size=1)

    assert "1 judgements failed" in run.notes[0]


def test_judging_counts_against_the_budget_of_the_run() -> None:
    models = Models(by_text)
    run, _ = replay(models, judge("sim/judge"), budget_usd=0.085, concurrency=1)

    assert len(models.judged) == 3  # six answers for $0.06; the third judgement crosses the line
    assert run.progress.cost_usd == pytest.approx(0.09)
    assert run.status == "stopped"
    assert sorted(value is None for value in scores(run).values()) == [False] * 3 + [True] * 3
    assert "3 replies judged for $0.03; 3 were not judged any more: the budget was reached" in run.notes[0]


def test_a_judge_that_is_gone_is_not_asked_for_ever() -> None:
    models = Models(lambda found: ProviderUnavailableError("down"))
    run, _ = replay(models, judge("sim/judge"), arms="a", size=50, concurrency=2)

    assert 10 <= len(models.judged) <= 12
    assert re.search(r"1[012] judgements failed and count nowhere; \d+ were not judged any more: its", run.notes[0])
    assert run.status == "stopped"  # so that the same name judges the rest


def test_a_note_says_when_the_judge_is_of_the_judged_family() -> None:
    run, _ = replay(Models(by_text), judge("sim/judge"))
    assert "it is of the family of sim/a, sim/b" in run.notes[0]
    run, _ = replay(Models(by_text), judge("other/judge"))
    assert "family" not in run.notes[0]


def test_stopping_while_a_judge_works_keeps_what_was_judged() -> None:
    async def main() -> tuple[Replay, list[float | None], Replay]:
        models = Models(by_text)
        third = asyncio.Event()

        async def call(spec: CallSpec) -> CallResult:
            if len(models.judged) == 2 and spec.purpose == PURPOSE and not third.is_set():
                third.set()
                await asyncio.Event().wait()
            return await models.call(spec)

        plan = ReplayPlan(
            load_dataset([{"prompt": f"q{n}"} for n in range(5)]),
            [Arm("a", model="sim/a")],
            [judge("sim/judge")],
            concurrency=1,
        )
        run = Replay(plan, call=call, recorder=Book())
        task = asyncio.create_task(run.run())
        await third.wait()
        run.stop()
        await asyncio.wait_for(task, 60)
        until_then = list(scores(run).values())
        again = run.again()
        await asyncio.wait_for(again.run(), 60)
        return run, until_then, again

    run, until_then, again = asyncio.run(main())
    assert run.status == "stopped"
    assert [value for value in until_then if value is not None] == [1.0, 1.0]
    assert "2 replies judged" in run.notes[0]
    assert again.status == "done"
    assert list(scores(again).values()) == [1.0] * 5, "and goes on with the others"
