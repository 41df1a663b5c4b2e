"""Frontiers and routing rules as a notebook shows them, of a run and of results from elsewhere."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pandas as pd
import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.policies import cascade, threshold
from routerlab.views.outcomes import Outcomes
from routerlab.views.theme import DARK, LIGHT

EVIL = "evil/<script>alert(1)</script>"


def outcomes(names=("small", "large"), costs=(0.001, 0.02), **options) -> Outcomes:
    frame = pd.DataFrame({
        "prompt": ["x" * (n % 17 + 1) for n in range(60)],
        "level": [n % 5 for n in range(60)],
        names[0]: [float(n % 5 < 3) for n in range(60)],
        names[1]: [float(n % 10 != 9) for n in range(60)],
    })  # fmt: skip
    known = {"cost_usd": dict(zip(names, costs, strict=True))} if costs else {}
    return Outcomes.from_frame(frame, models=list(names), name="others", **known, **options)


def test_the_frontier_has_a_row_for_each_model_with_intervals_and_fronts() -> None:
    frontier = outcomes(latency_s={"small": 2.0, "large": 0.5}).frontier()
    df = frontier.df.set_index("model")
    assert df.loc["small", ["prompts", "quality", "cost_usd", "latency_s"]].tolist() == [
        60, pytest.approx(0.6), pytest.approx(0.001), 2.0,
    ]  # fmt: skip
    assert df.loc["small", "quality_low"] < 0.6 < df.loc["small", "quality_high"]
    assert df["best_for_cost"].tolist() == [True, True]
    assert df["best_for_latency"].tolist() == [False, True]
    assert len(frontier.figure.data) == 4


def test_routing_tells_each_rules_figures_and_routellms_measures() -> None:
    found = outcomes().route("always-weak", "always-strong", "oracle", threshold("level", 3))
    df = found.df.set_index("policy")
    assert df.loc["always weak", "quality"] == pytest.approx(0.6)
    assert df.loc["always strong", "pgr"] == 1.0
    assert df.loc["level >= 3", "strong_share"] == pytest.approx(0.4)
    assert df.loc["level >= 3", "quality"] == pytest.approx(0.6 + 0.3)
    assert df.loc["level >= 3", "apgr"] > 0.5
    assert df["apgr"].isna().tolist() == [True, True, True, False]
    assert df.loc["oracle", "quality"] == pytest.approx(0.9)
    assert df.attrs["weak"] == "small"
    assert repr(found).startswith("<Routing 'others': always weak 60.0 %")


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("costs", [(0.001, 0.02), None])
def test_the_pictures_stand_with_and_without_prices_in_either_theme(theme, costs) -> None:
    made = outcomes(costs=costs)
    frontier, routing = (face.draw(theme).render() for face in (made.frontier(), made.route()))
    for drawn in (frontier, routing):
        ET.fromstring(drawn)  # noqa: S314 - our own drawing
        assert theme.ink in drawn
    assert frontier.count("not known") == (1 if costs else 2)  # no latencies, and no prices
    assert ("Quality and strong calls" in routing) is (costs is None)


def test_names_are_escaped_wherever_they_are_shown() -> None:
    made = outcomes(names=("small", EVIL))
    for face in (made.frontier(), made.route(weak="small", strong=EVIL)):
        bundle, _ = face._repr_mimebundle_()
        assert set(bundle) == {"text/html", "image/svg+xml", "image/png", "text/plain"}
        assert "<script>" not in bundle["text/html"] + bundle["image/svg+xml"]
    assert "<script>" not in made.frontier().figure.to_json().replace("\\u003c", "<")


def test_prompts_that_one_model_lacks_are_left_out_and_counted() -> None:
    frame = pd.DataFrame({"prompt": ["a", "b", "c"], "small": [1.0, None, 0.0], "large": [1.0, 1.0, 1.0]})
    found = Outcomes.from_frame(frame, models=["small", "large"]).route()
    assert found.left_out == 1
    assert "1 prompt without every score left out" in str(found)
    with pytest.raises(ConfigurationError, match="no prompt has a score of every model"):
        Outcomes.from_frame(frame.iloc[1:2], models=["small", "large"]).route()


def test_only_what_is_known_before_an_answer_is_a_feature_of_a_long_frame() -> None:
    frame = pd.DataFrame({
        "item_id": ["1", "1"], "model": ["a", "b"], "score_exact": [1.0, 0.0], "level": [3, 3], "tokens": [10, 90],
    })  # fmt: skip
    assert set(Outcomes.from_frame(frame).outcomes().features[0]) == {"level"}


def test_a_frame_of_a_run_gives_the_runs_own_figures() -> None:
    with rl.Lab.demo() as lab:
        dataset = rl.load_dataset("quickstart_qa").sample(12)
        run = lab.replay(dataset, ["sim/alpha", "sim/gamma"], scorers=["exact"], concurrency=24)
    again = rl.Run.from_frame(run.df)
    rules = ("always-weak", "always-strong", "oracle", threshold("prompt_length", 40), cascade("exact"))
    pd.testing.assert_frame_equal(again.route(*rules).df, run.route(*rules).df)
    pd.testing.assert_frame_equal(again.frontier().df, run.frontier().df)
    assert again.compare().sentence == run.compare().sentence
    assert again.simulated
