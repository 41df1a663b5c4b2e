"""Labels by hand: what the page is told, what a verdict becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError
from routerlab.views.label import Labels, label_run
from routerlab.views.panel import asset

EVIL = "<img src=x onerror=alert(1)>"
ITEMS = [{"prompt": f"{EVIL} How much is {n} and {n}?", "answer": str(2 * n)} for n in range(1, 5)]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    models = {
        name: {"ttft_s": 0.001, "tokens_per_s": 5000, "accuracy": 1.0, "answers": {i["prompt"]: said for i in ITEMS}}
        for name, said in (("right", "an even number"), ("wrong", f"{EVIL} odd"))
    }
    config = {"providers": {"sim": {"kind": "simulated", "models": models}}}
    with rl.Lab(config, store=tmp_path / "runs.db") as lab:
        yield lab.replay(rl.load_dataset(ITEMS), ["sim/right", "sim/wrong"], scorers=even)


def even(text: str, target: Any) -> bool:
    return "even" in text


def prefer(labels: Labels, words: str) -> None:
    labels.say("1" if words in labels.pair["first"] else "2")


def test_verdicts_become_scores_of_the_run_and_its_store(run: Any, tmp_path: Path) -> None:
    labels = run.label(n=10)
    for _ in range(3):
        prefer(labels, "even")
    labels.say("tie")

    assert (labels.done, len(labels)) == (4, 4)
    assert "4 of 4 pairs" in labels.pair["done"]
    frame = run.df.set_index("variant")
    assert sorted(frame.loc["sim/right", "score_label"]) == [0.5, 1.0, 1.0, 1.0]
    assert sorted(frame.loc["sim/wrong", "score_label"]) == [0.0, 0.0, 0.0, 0.5]
    again = rl.open_run(run.name, tmp_path / "runs.db")
    assert sorted(again.df["score_label"]) == sorted(run.df["score_label"])
    assert len(run.label()) == 0
    assert run.label().pair["done"] == "There is nothing to label."


def test_agreement_with_a_scorer_is_told_in_words_and_numbers(run: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"no scores of 'label'; run.label\(\) makes them"):
        run.agreement("even")
    labels = run.label()
    prefer(labels, "even")
    prefer(labels, "even")
    prefer(labels, "odd")
    found = run.agreement("even")

    assert (found.found.n, found.found.share) == (3, pytest.approx(2 / 3))
    assert found.kappa == 0.0  # the scorer always says the same
    assert "agrees with the labels on 66.7 % of 3 pairs; Cohen's kappa 0.00" in repr(found)
    assert "<table" in found._repr_html_()
    with pytest.raises(ConfigurationError, match="no scores of 'judge'"):
        run.agreement()


def test_the_page_is_told_texts_and_no_names(run: Any) -> None:
    labels = run.label()
    state = json.dumps(labels.widget.get_state(["pair"]))

    assert "sim/" not in state
    assert set(labels.pair) == {"number", "total", "prompt", "first", "second"}
    assert EVIL in labels.pair["prompt"]


def test_one_can_skip_and_go_back_and_a_later_verdict_takes_the_place(run: Any) -> None:
    labels = run.label()
    first = labels.pair
    labels.say("1")
    labels.say("skip")
    labels.say("back")
    labels.say("back")
    assert labels.pair == first
    labels.say("2")
    assert labels.done == 1
    scored = run.df[run.df["score_label"].notna()]
    assert dict(zip(scored["text"], scored["score_label"], strict=True)) == {first["first"]: 0.0, first["second"]: 1.0}
    with pytest.raises(ConfigurationError, match='expected "1", "2"'):
        labels.say("3")


def test_a_message_about_another_pair_than_the_one_shown_counts_nowhere(run: Any) -> None:
    labels = run.label()
    labels._heard(None, {"verdict": "1", "number": 1}, [])
    labels._heard(None, {"verdict": "1", "number": 1}, [])
    labels._heard(None, {"verdict": ["1"], "number": 2}, [])
    labels._heard(None, "1", [])
    assert labels.done == 1
    assert labels.widget.pair["number"] == 2


def test_what_a_saved_notebook_keeps_has_no_text_of_anybody(run: Any) -> None:
    from routerlab.views.label import _Note

    labels = run.label()
    note = _Note(labels._progress())
    assert "0 of 4 pairs" in note._repr_html_()
    for shown in (note._repr_html_(), repr(note), str(labels), repr(labels)):
        assert "How much" not in shown
        assert "even" not in shown


def test_no_pairs_and_a_run_of_one_arm_are_mistakes(run: Any) -> None:
    with pytest.raises(ConfigurationError, match="n=0"):
        run.label(0)
    with pytest.raises(ConfigurationError, match="this run has one"):
        label_run("alone", [row for row in run.rows() if row["variant"] == "sim/right"], 5, 0, lambda row, result: None)


def test_the_module_puts_text_in_as_text_and_loads_nothing() -> None:
    module = asset("label.js")
    assert "innerHTML" not in module
    assert "insertAdjacentHTML" not in module
    assert "http" not in module + asset("label.css")
