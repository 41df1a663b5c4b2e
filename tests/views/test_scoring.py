"""Scores for a run that is over, in a real lab of simulated models."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError, LabClosedError
from routerlab.experiments.items import Item
from routerlab.experiments.rescore import items_of
from routerlab.experiments.scorers import Scorer

ITEMS = [{"prompt": f"How much is {n} and {n}?", "answer": str(2 * n), "level": n} for n in range(1, 5)]
PRICE = {"input": 1.0, "output": 2.0}


def model(answers: dict[str, str]) -> dict[str, Any]:
    return {
        "ttft_s": 0.001,
        "tokens_per_s": 5000,
        "answers": answers,
        "accuracy": 1.0,
        "price": PRICE,
    }


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[rl.Lab]:
    """Two models, one of which knows the answers, and a judge that always says 4."""
    right = {item["prompt"]: item["answer"] for item in ITEMS}
    wrong = {item["prompt"]: "7" for item in ITEMS}
    verdict = {"The material ends here": '{"reason": "because", "score": 4, "winner": "A"}'}
    providers = {
        "sim": {"kind": "simulated", "models": {"right": model(right), "wrong": model(wrong)}},
        "court": {"kind": "simulated", "models": {"judge": model(verdict)}},
    }
    with rl.Lab({"providers": providers}, store=tmp_path / "runs.db") as made:
        yield made


@pytest.fixture
def run(lab: rl.Lab) -> Any:
    return lab.replay(rl.load_dataset(ITEMS), ["sim/right", "sim/wrong"], scorers="exact")


def test_scoring_again_makes_columns_and_rows_and_no_call(lab: rl.Lab, run: Any, tmp_path: Path) -> None:
    async def by_level(text: str, target: Any, item: Item) -> float:
        return item.metadata["level"] / 4

    before = len(lab.calls())
    assert run.score(["contains", by_level]) is run

    assert len(lab.calls()) == before
    assert run.scorers == ["exact", "contains", "by_level"]
    assert list(run.df["score_contains"]) == list(run.df["score_exact"])
    assert sorted(run.df["score_by_level"]) == sorted([0.25, 0.5, 0.75, 1.0] * 2)
    assert run.summary().set_index("model").loc["sim/right", "score_contains"] == 1.0
    lab.close()
    with sqlite3.connect(tmp_path / "runs.db") as store:
        kept = store.execute("select scorer, count(*) from scores group by scorer order by scorer").fetchall()
    store.close()
    assert kept == [("by_level", 8), ("contains", 8), ("exact", 8)]


def test_a_name_that_was_there_is_scored_afresh(run: Any) -> None:
    def exact(text: str, target: Any) -> float:
        return 0.25

    assert set(run.score([exact]).df["score_exact"]) == {0.25}
    assert run.scorers == ["exact"]
    assert set(run.score("exact").df["score_exact"]) == {0.0, 1.0}


def test_a_scorers_error_is_a_row(lab: rl.Lab, run: Any) -> None:
    def broken(text: str, target: Any) -> float:
        raise KeyError("no such thing")

    assert run.score([broken]).df["score_broken"].isna().all()
    errors = lab._session.recorder.columns("scores", {"scorer": "broken"})["error"]
    assert errors == ["KeyError: 'no such thing'"] * 8


def test_scores_can_be_awaited(lab: rl.Lab, run: Any) -> None:
    async def score() -> None:
        assert await run.ascore("contains") is run
        assert await lab.ascore(run, [rl.judge("court/judge")], budget_usd=1.0) is run

    asyncio.run(score())
    assert run.scorers == ["exact", "contains", "judge"]
    assert set(run.df["score_judge"]) == {0.75}


def test_plain_scorers_need_no_open_lab_and_judges_do(lab: rl.Lab, run: Any) -> None:
    lab.close()
    assert run.score("contains").df["score_contains"].notna().all()
    assert "the latest scores are in this object alone" in run.notes[0]
    with pytest.raises(LabClosedError):
        run.score([rl.judge("court/judge")])


def test_another_lab_can_lend_its_judge(lab: rl.Lab, run: Any) -> None:
    answers = {"The material ends here": "Score: 5"}
    with rl.Lab(
        {"providers": {"high": {"kind": "simulated", "models": {"court": model(answers)}}}}, store=False
    ) as other:
        assert other.score(run, [rl.judge("high/court")]) is run
    assert set(run.df["score_judge"]) == {1.0}


def test_a_judges_calls_are_recorded_but_in_no_metrics_nor_summary(lab: rl.Lab, run: Any) -> None:
    before = run.summary()

    run.score([rl.judge("court/judge")])

    assert set(run.df["score_judge"]) == {0.75}
    assert set(run.df["reason_judge"]) == {"because"}
    calls = lab.calls()
    assert (calls["purpose"] == "judge").sum() == 8
    assert set(lab.metrics()["model"]) == {"sim/right", "sim/wrong"}
    pd.testing.assert_frame_equal(run.summary()[list(before.columns)], before)
    assert "8 replies judged for $0.0" in run.notes[0]
    assert "family" not in run.notes[0]
    assert "judge" not in {trace.call["purpose"] for trace in run.traces(failovers=False)}


def test_a_judge_can_go_along_with_a_run(lab: rl.Lab, tmp_path: Path) -> None:
    judge = rl.judge("court/judge", pairwise=True)
    run = lab.replay(rl.load_dataset(ITEMS), ["sim/right", "sim/wrong"], scorers=["exact", judge])

    assert set(run.df["score_judge"]) == {0.5}  # it prefers whoever comes first
    assert list(rl.open_run(run.name, tmp_path / "runs.db").df["reason_judge"]) == list(run.df["reason_judge"])
    assert "(A: sim/right, B: sim/wrong) because" in run.df["reason_judge"].iloc[0]
    assert "4 ties, 4 of them because the winner changed with the order" in run.notes[0]
    assert set(run.summary()["model"]) == {"sim/right", "sim/wrong"}
    assert run.progress.cost_usd > run.summary()["cost_usd"].sum()


def test_a_comparison_is_about_its_judge(lab: rl.Lab) -> None:
    data, models = rl.load_dataset(ITEMS), ["sim/right", "sim/wrong"]
    by_name = lab.compare(data, models, judge="court/judge", scorers="exact")
    assert by_name.outcomes.scorer == "judge"
    assert by_name.run.scorers == ["exact", "judge"]
    assert "4 pairs judged" in by_name.run.notes[0]
    graded = asyncio.run(lab.acompare(data, models, judge=rl.judge("court/judge", name="grade"), budget_usd=1.0))
    assert graded.outcomes.scorer == "grade"
    assert set(graded.run.df["score_grade"]) == {0.75}
    exact = lab.compare(data, models, judge="court/judge", scorers="exact", scorer="exact", budget_usd=1e-9)
    assert exact.outcomes.scorer == "exact"
    variants = {"loud": {"model": "sim/right", "system": "Shout."}}
    estimate = lab.compare(data, ["sim/right"], variants=variants, judge="court/judge", dry_run=True)
    assert estimate.calls > 0


def test_the_budget_of_the_run_holds_for_judges_that_come_later(lab: rl.Lab, run: Any) -> None:
    run.score([rl.judge("court/judge")], budget_usd=run.progress.cost_usd)

    assert run.df["score_judge"].isna().all()
    assert "8 were not judged any more" in run.notes[0]


def test_mistakes_about_judges_are_told_before_anything_is_sent(lab: rl.Lab, run: Any) -> None:
    before = len(lab.calls())
    data = rl.load_dataset(ITEMS)
    with pytest.raises(ConfigurationError, match="there is no model 'court/juge'"):
        run.score([rl.judge("court/juge")])
    with pytest.raises(ConfigurationError, match="there is no model 'court/juge'"):
        lab.replay(data, ["sim/right"], scorers=rl.judge("court/juge"))
    with pytest.raises(ConfigurationError, match="compares arms, and this run has 1"):
        lab.replay(data, ["sim/right"], scorers=rl.judge("court/judge", pairwise=True))
    both = ["sim/right", "sim/wrong"]
    for wrong, match in (
        ({"judge": "court/juge"}, "there is no model 'court/juge'"),
        ({"judge": "court"}, "provider/model"),
        ({"judge": 4}, r"judge=4: expected rl.judge"),
        ({"judge": "court/judge", "scorers": rl.judge("court/judge")}, r"two scorers .*rl\.judge\(…, name="),
        ({"judge": "court/judge", "scorer": "exact"}, "no scorer 'exact'"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            lab.compare(data, both, **wrong)
    assert len(lab.calls()) == before


def test_a_judge_of_the_same_family_is_warned_of_at_the_users_line() -> None:
    house = {"kind": "openai_compatible", "base_url": "http://127.0.0.1:9", "models": ["one", "two", "judge"]}
    data, both = rl.load_dataset(ITEMS), ["house/one", "house/two"]
    with rl.Lab({"providers": {"house": house}}, store=False) as lab:
        for ask in (
            lambda: lab.compare(data, both, judge="house/judge", dry_run=True),
            lambda: lab.replay(data, both, scorers=rl.judge("house/judge"), dry_run=True),
        ):
            with pytest.warns(UserWarning, match="house/judge judges its own family") as caught:
                ask()
            assert caught[0].filename == __file__


def test_a_run_that_goes_on_is_not_scored(lab: rl.Lab) -> None:
    lab.faults.slow("sim/right", extra_s=30)
    run = lab.replay(rl.load_dataset(ITEMS), ["sim/right"], wait=False)
    with pytest.raises(ConfigurationError, match="is not over"):
        run.score("exact")
    run.stop().wait(60)
    assert run.score("exact").df["score_exact"].isna().all()


def test_items_of_a_past_run_come_from_its_records() -> None:
    rows = [{"item_id": "1", "prompt": "p", "target": "t"}, {"item_id": "2", "prompt": "q", "target": None}]
    stored = {"1": {"prompt": [{"role": "user", "content": "p"}], "target": ["t", "u"], "metadata": {"n": 1}}}
    assert items_of(rows, stored) == {
        "1": Item("1", messages=({"role": "user", "content": "p"},), target=["t", "u"], metadata={"n": 1}),
        "2": Item("2", prompt="q"),
    }


def test_a_run_of_the_past_has_its_scores_and_can_be_scored_and_judged(lab: rl.Lab, run: Any, tmp_path: Path) -> None:
    run.score(["contains", rl.judge("court/judge", name="first")])
    opened = rl.open_run(run.name, tmp_path / "runs.db")

    assert opened.scorers == ["exact", "contains", "first"]
    assert sorted(opened.df["score_contains"]) == sorted(run.df["score_contains"])
    assert set(opened.df["score_first"]) == {0.75}
    assert set(opened.df["reason_first"]) == {"because"}
    opened.score("numeric")
    assert sorted(opened.df["score_numeric"]) == sorted(run.df["score_exact"])
    with pytest.raises(ConfigurationError, match="a judge needs a lab"):
        opened.score([rl.judge("court/judge")])
    lab.score(opened, [rl.judge("court/judge")])
    assert set(opened.df["score_judge"]) == {0.75}
    assert opened.compare(scorer="judge").df is not None


def test_the_same_name_judges_what_is_left(lab: rl.Lab) -> None:
    data, judge = rl.load_dataset(ITEMS), rl.judge("court/judge", max_tokens=20)
    options: dict[str, Any] = {"scorers": judge, "name": "twice", "preflight": False, "max_tokens": 5}
    run = lab.replay(data, ["sim/right"], budget_usd=0.0009, **options)
    judged = run.df["score_judge"].notna().sum()
    assert run.status == "stopped"
    assert 0 < judged < 4

    again = lab.replay(data, ["sim/right"], **options)

    assert again.status == "done"
    assert again.df["score_judge"].notna().all()
    calls = lab.calls()["purpose"]
    assert ((calls == "replay").sum(), (calls == "judge").sum()) == (4, 4)
    with pytest.raises(ConfigurationError, match=r"judges.judge.rubric"):
        lab.replay(data, ["sim/right"], **{**options, "scorers": rl.judge("court/judge", rubric="else", max_tokens=20)})


def test_a_budget_needs_the_price_of_the_judge(lab: rl.Lab) -> None:
    providers = {"a": {"kind": "simulated", "models": {"one": model({}), "judge": {**model({}), "price": None}}}}
    with (
        rl.Lab({"providers": providers}, store=False) as made,
        pytest.raises(ConfigurationError, match="no price is known for a/judge"),
    ):
        made.replay(rl.load_dataset(ITEMS), ["a/one"], scorers=rl.judge("a/judge"), budget_usd=1.0)


def test_notes_are_kept_with_the_run(lab: rl.Lab, tmp_path: Path) -> None:
    options = {"scorers": [rl.judge("court/judge", name="first")], "name": "noted"}
    run = lab.replay(rl.load_dataset(ITEMS), ["sim/right", "sim/wrong"], **options)
    run.score([rl.judge("court/judge", name="second", pairwise=True)])
    assert [note.split()[:2] for note in run.notes] == [["judge", "'first'"], ["judge", "'second'"]]
    assert "4 ties, 4 of them because the winner changed" in run.notes[1]
    assert rl.open_run("noted", tmp_path / "runs.db").notes == run.notes
    again = lab.replay(rl.load_dataset(ITEMS), ["sim/right", "sim/wrong"], **options)
    assert again.engine.opened
    assert again.notes == run.notes
    assert rl.open_run("noted", tmp_path / "runs.db").notes == run.notes


def test_a_scorer_that_fails_is_told_with_its_reason(lab: rl.Lab, tmp_path: Path) -> None:
    def shaky(text: str, target: Any) -> float:
        if text == "7":
            raise ValueError(f"cannot read {text}")
        return 1.0

    run = lab.replay(rl.load_dataset(ITEMS), ["sim/right", "sim/wrong"], scorers=["exact", shaky], name="shaky")
    note = "scorer 'shaky' failed on 4 of 8 rows; reason_shaky says why"
    for told in (run, rl.open_run("shaky", tmp_path / "runs.db"), lab.replay(ITEMS, **asked(shaky))):
        assert told.notes == [note]
        assert (
            told.df.loc[told.df["model"] == "sim/wrong", "reason_shaky"].tolist() == ["ValueError: cannot read 7"] * 4
        )
        assert told.df.loc[told.df["model"] == "sim/right", "reason_shaky"].isna().all()
    run.score([shaky])
    assert run.notes == [note], "once"
    run.score([Scorer("shaky", lambda text, target, item: 0.5)])
    assert run.notes == []
    assert "reason_shaky" not in run.df


def asked(scorer: Any) -> dict[str, Any]:
    return {"models": ["sim/right", "sim/wrong"], "scorers": ["exact", scorer], "name": "shaky"}


def test_a_missing_target_is_no_failure_of_a_scorer(lab: rl.Lab) -> None:
    assert lab.replay(["What?"], ["sim/right"], scorers=["exact"]).notes == []
