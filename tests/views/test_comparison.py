"""Comparisons as a notebook shows them: table, sentence, picture; safe, and with what was left out."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError
from routerlab.views.comparison import Comparison
from routerlab.views.outcomes import Outcomes
from routerlab.views.theme import DARK, LIGHT

EVIL = "evil/<script>alert(1)</script>"


def outcomes(wins=30, losses=10, both=50, names=("sim/alpha", "sim/beta"), **columns) -> Outcomes:
    pairs = [(1.0, 0.0)] * wins + [(0.0, 1.0)] * losses + [(1.0, 1.0)] * both
    rows = [
        {"item_id": f"{n}", "model": name, "score_exact": score, **columns}
        for n, pair in enumerate(pairs)
        for name, score in zip(names, pair, strict=True)
    ]
    return Outcomes.from_frame(pd.DataFrame(rows), name="a <run>")


def test_the_sentence_says_who_by_how_much_and_how_sure() -> None:
    said = outcomes().compare("sim/alpha", "sim/beta").sentence
    assert said == (
        "On 90 prompts, sim/alpha is better than sim/beta: exact 88.9 % against 66.7 %, difference +22.2 points "
        "(95 % interval +8.8 to +35.0), p = 0.0022."
    )
    assert "is worse than" in outcomes().compare("sim/beta", "sim/alpha").sentence


def test_an_undecided_sentence_says_how_many_prompts_would_do() -> None:
    found = outcomes(10, 8, 30).compare(margin=0.03)
    needed = found.verdicts[0].quality.needed
    assert f"is undecided (margin 3 points; about {needed:,} prompts should decide it)" in found.sentence


def test_as_good_says_within_which_margin_and_admits_a_small_difference() -> None:
    assert "as good as sim/beta within 5 points:" in outcomes(12, 11, 900).compare().sentence
    admitted = outcomes(20, 4, 1500).compare().sentence
    assert "within 5 points (there is a difference, but it is smaller)" in admitted


def test_what_is_undecided_is_told_without_brackets_in_brackets() -> None:
    said = outcomes(latency_s=1.0, cost_usd=0.001).compare().sentence
    assert said.endswith(
        "; undecided in median latency (0 ms, 0 ms to 0 ms) and cost ($0 for 1,000 answers, $0 to $0)."
    )


def test_what_was_left_out_is_in_the_sentence_and_in_the_frame() -> None:
    frame = pd.DataFrame(outcomes().rows)
    frame.loc[0, "score_exact"] = None
    frame["requested_model"] = frame["model"]
    frame.loc[3, ["model", "variant"]] = ["sim/other", "sim/beta"]
    found = Outcomes.from_frame(frame).compare("sim/alpha", "sim/beta")
    told = "sim/alpha 1 without a score; sim/beta 1 answered by another model; 2 prompts that only one of them has"
    assert told in found.sentence
    assert found.left_out["sim/alpha"]["not_scored"] == 1
    assert found.df.attrs["left_out"] == found.left_out
    assert found.models_df.set_index("model").loc["sim/beta", "other_model"] == 1


def test_the_frame_has_a_row_for_each_pair_and_measure() -> None:
    df = outcomes(latency_s=1.0).compare().df
    assert df["measure"].tolist() == ["quality", "latency", "cost"]
    assert df["verdict"].tolist() == ["better", "undecided", "undecided"]
    assert df.loc[0, ["n", "value_first"]].tolist() == [90, pytest.approx(80 / 90)]
    assert df["difference"].isna().tolist() == [False, False, True]
    assert df.loc[0, "low"] < df.loc[0, "difference"] < df.loc[0, "high"]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_forest_plot_shows_interval_margin_and_verdict_in_either_theme(theme) -> None:
    found = outcomes(latency_s=0.5, cost_usd=0.001).compare()
    drawn = found.draw(theme).render()
    root = ET.fromstring(drawn)  # noqa: S314 - our own drawing
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Quality (exact)", "Latency", "Cost", "better", "+8.8 to +35.0"} <= set(texts)
    assert "margin ±5 points" in drawn
    assert theme.ink in drawn


def test_a_notebook_gets_html_a_picture_and_text_and_names_are_escaped() -> None:
    found = outcomes(names=("sim/alpha", EVIL), simulated=True).compare()
    bundle, _ = found._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "image/png", "text/plain"}
    everything = bundle["text/html"] + bundle["image/svg+xml"] + found.html
    assert "<script>" not in everything
    assert "&lt;script&gt;" in bundle["text/html"]
    assert "Simulated:" in bundle["text/html"]
    assert found.sentence.endswith("(simulated).")
    assert repr(found).startswith("<Comparison 'a <run>' by exact: sim/alpha vs evil/")


def test_prompts_without_a_common_score_say_so_everywhere() -> None:
    frame = pd.DataFrame({"item_id": ["1", "2"], "model": ["a", "b"], "score_exact": [1.0, 0.0]})
    found = Outcomes.from_frame(frame).compare()
    assert "cannot be compared: no prompt has a score of both" in found.sentence
    assert "unknown" in found._repr_html_()
    assert "no prompt has a score of both models" in found.svg


def test_three_models_are_one_short_sentence_and_the_figures_are_folded() -> None:
    frame = pd.DataFrame(outcomes().rows)
    third = frame[frame["model"] == "sim/beta"].assign(model="sim/gamma", variant="sim/gamma")
    found = Outcomes.from_frame(pd.concat([frame, third])).compare()
    assert len(found.sentences) == 3
    assert found.sentence.startswith(
        "On 90 prompts, exact (sim/alpha 88.9 %, sim/beta 66.7 %, sim/gamma 66.7 %): "
        "sim/alpha is better than sim/beta, +22.2 points (+8.8 to +35.0, Holm's p = 0.0067); "
    )
    assert len(found.sentence) < sum(map(len, found.sentences))
    shown, _, folded = found._repr_html_().partition("<details>")
    assert "<table" not in shown
    assert folded.count("quality") >= 3
    assert found.models == ["sim/alpha", "sim/beta", "sim/gamma"]


def test_a_run_compares_its_arms_and_a_pool_alone_cannot_be(run) -> None:
    with pytest.raises(ConfigurationError, match="at least two different models"):
        run.compare()
    table = run.outcomes()
    assert table.scorer == "exact"
    assert table.left_out["chat"]["failed"] == 1
    assert table.features[0]["prompt_length"] == len("<script>PROMPT 1</script>")


def test_a_lab_sends_compares_and_keeps_the_run() -> None:
    with rl.Lab.demo() as lab:
        dataset = rl.load_dataset("quickstart_qa").sample(12)
        found = lab.compare(dataset, ["sim/alpha", "sim/gamma"], scorers=["exact"], margin=0.1, concurrency=24)
        assert isinstance(found, Comparison)
        assert found.run.status == "done"
        assert len(found.run.df) == 24
        assert found.simulated
        assert found.verdicts[0].quality.margin == 0.1
        assert found.verdicts[0].cost.verdict == "better"


def test_a_question_that_cannot_be_answered_is_refused_before_anything_is_sent() -> None:
    with rl.Lab.demo() as lab:
        models = ["sim/alpha", "sim/beta"]
        for wrong, match in [
            ({"models": ["sim/alpha"]}, "two different"),
            ({"models": "sim/alpha"}, "two different"),
            ({"models": models, "margin": 5}, "margin=5"),
            ({"models": models, "scorers": ["exact"], "scorer": "numeric"}, "no scorer 'numeric'"),
            ({"models": models, "scorers": ["exact"], "wait": False}, r"begin with run = lab\.replay\(…, wait=False\)"),
        ]:
            with pytest.raises(ConfigurationError, match=match):
                lab.compare(rl.load_dataset("quickstart_qa"), **wrong)
        assert lab.calls().empty


def test_the_awaited_twin_says_the_same() -> None:
    async def ask(lab):
        return await lab.acompare(rl.load_dataset("quickstart_qa").sample(6), ["sim/alpha", "sim/beta"])

    with rl.Lab.demo() as lab:
        found = asyncio.run(ask(lab))
    assert found.outcomes.scorer == "success"
    assert found.run.status == "done"
