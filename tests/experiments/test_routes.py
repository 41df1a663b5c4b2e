"""Routing rules on outcomes that are known: by hand, against RouteLLM's definitions, and on its GSM8K table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from routerlab.core.errors import ConfigurationError, DatasetError
from routerlab.experiments import policies
from routerlab.experiments.outcomes import OutcomeTable
from routerlab.experiments.policies import Roles, resolve_policy
from routerlab.experiments.router_metrics import gap_recovered, router_curve
from routerlab.experiments.routes import evaluate, frontier_points, roles_of
from routerlab.views.outcomes import Outcomes, load_outcomes

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "routellm_gsm8k"
WEAK, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
ROLES = Roles("weak", "strong")
PROMPTS = ["a", "bb", "ccc", "dddd"]


def table(weak=(1.0, 1.0, 0.0, 0.0), strong=(1.0, 0.0, 1.0, 1.0), judge=(0.9, 0.2, 0.8, 0.1)) -> OutcomeTable:
    rows, metadata = [], {}
    for n, prompt in enumerate(PROMPTS):
        common = {"item_id": str(n), "prompt": prompt, "status": "ok"}
        rows.append({**common, "variant": "weak", "score_exact": weak[n], "score_judge": judge[n],
                     "cost_usd": 0.001, "latency_s": 1.0, "text": "w" * n})  # fmt: skip
        rows.append({**common, "variant": "strong", "score_exact": strong[n], "score_judge": 1.0,
                     "cost_usd": 0.010, "latency_s": 3.0, "text": "s"})  # fmt: skip
        metadata[str(n)] = {"level": n * 10, "topic": "sums"}
    return OutcomeTable.read(rows, scorers=["exact", "judge"], metadata=metadata)


def result(policy, **columns):
    made = table(**columns)
    return evaluate(made, resolve_policy(policy), roles_of(made))


def test_always_one_model_comes_to_that_models_own_figures() -> None:
    weak, strong = result("always-weak"), result("always-strong")
    assert (weak.quality.value, weak.cost_usd.value, weak.latency_s.value) == (0.5, pytest.approx(0.001), 1.0)
    assert (weak.strong_share, weak.pgr) == (0.0, 0.0)
    assert (strong.quality.value, strong.cost_usd.value, strong.latency_s.value) == (0.75, pytest.approx(0.01), 3.0)
    assert (strong.strong_share, strong.pgr) == (1.0, 1.0)
    assert result(policies.always("weak")) == weak


def test_a_random_mix_comes_to_the_expected_figures_without_chance() -> None:
    found = result(policies.random_mix(0.25))
    assert found.quality.value == pytest.approx(0.75 * 0.5 + 0.25 * 0.75)
    assert found.cost_usd.value == pytest.approx(0.75 * 0.001 + 0.25 * 0.01)
    assert (found.pgr, found.apgr, found.cpt50, found.cpt80) == pytest.approx((0.25, 0.5, 0.5, 0.8))
    with pytest.raises(ConfigurationError, match="0…1"):
        policies.random_mix(25)


@pytest.mark.parametrize(
    "rule",
    [
        policies.threshold("prompt_length", 3),
        policies.threshold("level", 20),
        policies.threshold(lambda known: known["level"] + len(known["prompt"]), 23, name="both"),
    ],
)
def test_a_threshold_on_length_metadata_or_a_function_sends_the_rest_to_the_weak_model(rule) -> None:
    found = result(rule)
    assert found.quality.value == 1.0  # prompts 2 and 3 go to the strong model
    assert (found.strong_share, found.pgr) == (0.5, 2.0)
    assert found.cost_usd.value == pytest.approx((2 * 0.001 + 2 * 0.01) / 4)
    assert found.apgr > 1.0


def test_a_cascade_pays_and_waits_for_every_model_that_it_asks() -> None:
    found = result(policies.cascade("judge", 0.5))
    # kept: 0 and 2 of the weak model (right, wrong); asked again: 1 and 3 (wrong, right)
    assert found.quality.value == 0.5
    assert found.calls == {"weak": 1.0, "strong": 0.5}
    assert found.cost_usd.value == pytest.approx((4 * 0.001 + 2 * 0.01) / 4)
    assert found.latency_s.value == pytest.approx(2.5)  # the median of 1, 1, 4, 4
    by_length = result(policies.cascade(lambda row: len(row["text"]) >= 2))
    assert by_length.strong_share == 0.5


def test_a_judge_that_could_not_say_keeps_no_answer() -> None:
    assert result(policies.cascade("judge"), judge=(None, None, 0.9, 0.9)).strong_share == 0.5


def test_the_oracle_takes_the_best_answer_and_of_equal_ones_the_cheapest() -> None:
    found = result("oracle")
    assert found.quality.value == 1.0
    assert found.strong_share == 0.5
    everything = [
        result(p).quality.value for p in ("always-weak", "always-strong", "random", policies.threshold("level", 0))
    ]
    assert found.quality.value >= max(everything)


def test_what_a_rule_cannot_see_is_told() -> None:
    for rule, match in [
        (policies.threshold("prompt_lenght", 3), "no feature 'prompt_lenght'; did you mean"),
        (policies.threshold("topic", 3), "not a number"),
        (policies.cascade("jugde"), "no score 'jugde'"),
        (policies.always("medium"), "no model 'medium'"),
    ]:
        with pytest.raises(ConfigurationError, match=match):
            result(rule)
    with pytest.raises(ConfigurationError, match="unknown policy 'oracel'; did you mean 'oracle'"):
        resolve_policy("oracel")
    with pytest.raises(ConfigurationError, match="is no policy"):
        resolve_policy(3)
    with pytest.raises(ConfigurationError, match="two different models"):
        roles_of(table(), "weak", "weak")


def test_roles_follow_the_mean_scores_unless_they_are_named() -> None:
    assert roles_of(table()) == Roles("weak", "strong")
    assert roles_of(table(), weak="strong") == Roles("strong", "weak")


def test_prompts_without_every_models_score_are_left_out_of_routing() -> None:
    made = table(weak=(1.0, None, 0.0, 0.0)).complete(["weak", "strong"])
    assert list(made.items) == ["0", "2", "3"]
    assert evaluate(made, resolve_policy("always-weak"), ROLES).quality.value == pytest.approx(1 / 3)


def test_a_cost_that_is_not_known_is_no_zero() -> None:
    made = table()
    made.cost_usd[2, 1] = np.nan
    assert evaluate(made, resolve_policy("always-strong"), ROLES).cost_usd is None
    assert evaluate(made, resolve_policy("always-weak"), ROLES).cost_usd.value == pytest.approx(0.001)


def test_the_fronts_hold_who_is_beaten_by_nobody() -> None:
    points = {point.model: point for point in frontier_points(table())}
    assert (points["weak"].best_for_cost, points["strong"].best_for_cost) == (True, True)
    worse = {point.model: point for point in frontier_points(table(strong=(0.0, 0.0, 0.0, 1.0)))}
    assert (worse["strong"].best_for_cost, worse["strong"].best_for_latency) == (False, False)
    assert worse["strong"].quality.low < 0.25 < worse["strong"].quality.high


def test_pgr_apgr_and_cpt_by_hand() -> None:
    assert gap_recovered(0.75, 0.5, 1.0) == 0.5
    assert gap_recovered(0.75, 0.5, 0.5) is None
    # sent to the strong model in this order: gains 0, 1, 1, -1 of 4 prompts
    curve = router_curve([4, 3, 2, 1], [1, 0, 0, 1], [1, 1, 1, 0])
    assert curve.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.quality.tolist() == [0.5, 0.5, 0.75, 1.0, 0.75]
    # areas: .125 + .15625 + .21875 + .21875 = .71875; (.71875 - .5) / .25
    assert curve.apgr == pytest.approx(0.875)
    assert curve.cpt(0.5) == pytest.approx(0.375)
    assert curve.cpt(1.0) == pytest.approx(0.5)
    assert curve.cpt(5) is None


def test_ties_of_a_router_go_together_so_that_their_order_does_not_matter() -> None:
    one = router_curve([1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1])
    other = router_curve([1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1])
    assert one.share.tolist() == other.share.tolist() == [0, 0.5, 1]
    assert one.quality.tolist() == other.quality.tolist()


def test_with_bins_the_curve_has_the_thresholds_of_routellms_own_evaluation() -> None:
    rng = np.random.default_rng(4)
    router, weak, strong = rng.random(500), rng.random(500) < 0.6, rng.random(500) < 0.85
    curve = router_curve(router, weak, strong, bins=10)
    thresholds = np.quantile(router, np.linspace(0, 1, 11))
    chosen = [router >= t for t in thresholds[:-1]] + [router > thresholds[-1]]
    expected = sorted((float(c.mean()), float(np.where(c, strong, weak).mean())) for c in chosen)
    assert curve.share.tolist() == pytest.approx([share for share, _ in expected])
    assert curve.quality.tolist() == pytest.approx([quality for _, quality in expected])
    area = np.trapezoid([q for _, q in expected], [s for s, _ in expected])
    assert curve.apgr == pytest.approx((area - weak.mean()) / (strong.mean() - weak.mean()))


@pytest.fixture(scope="module")
def gsm8k() -> Outcomes:
    if not GSM8K.exists():
        pytest.skip("RouteLLM's GSM8K responses are not there (../shared/data/routellm_gsm8k)")
    return load_outcomes(GSM8K / "gsm8k_responses.csv", models=[WEAK, STRONG])


@pytest.mark.parametrize(
    ("policy", "expected"), [("always-weak", 0.638362), ("always-strong", 0.856710), ("oracle", 0.928734)]
)
def test_routellms_gsm8k_gives_the_known_scores(gsm8k, policy, expected) -> None:
    made = gsm8k.outcomes().complete([WEAK, STRONG])
    assert len(made.items) == 1319
    assert evaluate(made, resolve_policy(policy), roles_of(made)).quality.value == pytest.approx(expected, abs=5e-7)


def test_without_routellms_contaminated_prompts_its_weak_and_strong_models_are_as_counted_by_hand(gsm8k) -> None:
    lines = (GSM8K / "contaminated_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    left_out = [json.loads(line)["eval_prompt"] for line in lines]
    made = load_outcomes(GSM8K / "gsm8k_responses.csv", models=[WEAK, STRONG], exclude=left_out).outcomes()
    roles = roles_of(made)
    assert (len(left_out), len(made.items), roles) == (12, 1307, Roles(WEAK, STRONG))
    scores = [
        evaluate(made, resolve_policy(p), roles).quality.value for p in ("always-weak", "always-strong", "oracle")
    ]
    assert scores == pytest.approx([833 / 1307, 1121 / 1307, 1215 / 1307])
    random = evaluate(made, resolve_policy("random"), roles)
    assert (random.apgr, random.cpt50, random.cpt80) == pytest.approx((0.5, 0.5, 0.8))


@pytest.mark.parametrize("rule", [policies.threshold, policies.cascade])
def test_a_rule_wants_one_number(rule) -> None:
    with pytest.raises(ConfigurationError, match=r"at_least=\[1, 2\]: expected one number"):
        rule("judge", [1, 2])
    assert rule("judge", np.int64(1)).name.endswith(">= 1")


@pytest.mark.parametrize("bad", [7, -0.1, "good"])
def test_a_score_outside_its_range_is_refused(bad) -> None:
    wide = pd.DataFrame({"prompt": ["a", "b"], "small": [1, bad], "large": [0.5, None]})
    long = pd.DataFrame({"item_id": [1, 1], "model": ["a", "b"], "score_x": [None, bad]})
    with pytest.raises(DatasetError, match=rf"small: .*{bad}.* is no score from 0 to 1"):
        Outcomes.from_frame(wide, models=["small", "large"])
    with pytest.raises(DatasetError, match=rf"score_x: .*{bad}.* is no score from 0 to 1"):
        Outcomes.from_frame(long)


def test_a_missing_column_or_an_unreadable_file_is_told(tmp_path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("prompt,small\nhi,1\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"no column 'item_id' .*; models=\[…\] names the columns of scores"):
        load_outcomes(path)
    with pytest.raises(DatasetError, match="no column 'smal' in the outcomes; did you mean 'small'"):
        load_outcomes(path, models=["smal"])
    with pytest.raises(DatasetError, match=r"cannot read \.txt"):
        load_outcomes(tmp_path / "results.txt")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_outcomes(tmp_path / "gone.csv")
