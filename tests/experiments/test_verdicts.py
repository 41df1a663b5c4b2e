"""Verdicts: what is left out and counted, which word is said when, and how often a word is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.outcomes import LEFT_OUT, OutcomeTable
from routerlab.experiments.statistics import mcnemar_exact
from routerlab.experiments.verdicts import compare


def row(item, variant, score, **columns):
    return {"item_id": item, "variant": variant, "status": "ok", "score_exact": score, "model": variant, **columns}


def table_of(scores: dict[str, list], **columns) -> OutcomeTable:
    """Columns are lists beside the scores: one value per prompt."""
    rows = [
        row(f"{n:04d}", variant, value, **{name: values[variant][n] for name, values in columns.items()})
        for variant, many in scores.items()
        for n, value in enumerate(many)
    ]
    return OutcomeTable.read(rows, scorers=["exact"])


def binary(wins: int, losses: int, both: int, neither: int) -> dict[str, list]:
    pairs = [(1, 0)] * wins + [(0, 1)] * losses + [(1, 1)] * both + [(0, 0)] * neither
    return {"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}


def quality(scores: dict[str, list], **options):
    return compare(table_of(scores), **options)[0].quality


def test_right_and_wrong_are_compared_by_mcnemars_exact_test() -> None:
    found = quality(binary(30, 10, 50, 10))
    assert found.p == mcnemar_exact(30, 10)
    assert (found.n, found.value_first, found.value_second) == (100, 0.8, 0.6)
    assert found.estimate == pytest.approx(0.2)
    assert found.verdict == "better"
    assert "McNemar" in found.method
    assert quality(binary(10, 30, 50, 10)).verdict == "worse"


def test_as_good_means_that_the_whole_interval_lies_inside_the_margin() -> None:
    found = quality(binary(20, 22, 1500, 400), margin=0.02)
    assert found.verdict == "as good"
    assert -0.02 < found.low < found.high < 0.02
    assert quality(binary(20, 22, 150, 40), margin=0.02).verdict == "undecided"
    assert quality(binary(20, 22, 1500, 400), margin=0.0).verdict == "undecided"


@pytest.mark.parametrize("seed", range(8))
def test_the_verdict_and_the_interval_never_contradict_each_other(seed) -> None:
    rng = np.random.default_rng(seed)
    scores = {"a": rng.beta(4, 2, 90).tolist(), "b": rng.beta(4, 2.4, 90).tolist()}
    found = quality(scores, margin=0.06)
    inside = found.low > -0.06 and found.high < 0.06
    apart = found.low > 0 or found.high < 0
    assert (found.verdict == "as good") == inside
    assert (found.verdict in {"better", "worse"}) == (apart and not inside)
    assert found.method == "percentile bootstrap"


def test_three_equal_answers_are_no_proof_that_two_models_are_as_good() -> None:
    assert quality(binary(0, 0, 3, 0)).verdict == "undecided"
    assert quality({"a": [0.5] * 30, "b": [0.5] * 30}).verdict == "undecided"
    assert quality({"a": [0.5] * 90, "b": [0.5] * 90}).verdict == "as good"


def test_five_wins_of_five_prompts_decide_nothing() -> None:
    found = quality(binary(5, 0, 0, 0))
    assert found.verdict == "undecided"
    assert found.needed is not None
    assert found.needed > 5


def test_needed_prompts_are_enough_where_the_rest_is_like_the_start() -> None:
    found = quality(binary(14, 8, 60, 18))
    assert found.verdict == "undecided"
    times = math.ceil(2 * found.needed / 100)
    assert quality(binary(14 * times, 8 * times, 60 * times, 18 * times)).verdict != "undecided"
    assert quality(binary(30, 10, 50, 10)).needed is None


def test_what_cannot_be_used_is_counted_and_in_no_average() -> None:
    rows = [row(f"{n}", v, 1.0) for n in range(8) for v in "ab"]
    rows += [
        row("8", "a", 1.0),
        row("8", "b", None),  # a judgement that failed
        row("9", "a", None, status="failed", model=None),
        row("9", "b", 0.0),
        row("10", "a", 0.0, requested_model="a", model="c"),  # another model answered
        row("10", "b", 1.0, requested_model="b", model="b"),
        row("11", "a", None, status="pending", model=None),
        row("11", "b", float("nan")),
    ]
    table = OutcomeTable.read(rows, scorers=["exact"])
    assert table.left_out == {
        "a": {"pending": 1, "failed": 1, "other_model": 1, "not_scored": 0},
        "b": {"pending": 0, "failed": 0, "other_model": 0, "not_scored": 2},
    }
    assert set(LEFT_OUT) == set(table.left_out["a"])
    verdict = compare(table)[0]
    assert (verdict.quality.n, verdict.quality.value_first, verdict.quality.value_second) == (8, 1.0, 1.0)
    assert verdict.unpaired == 3


def test_without_a_scorer_the_share_of_answered_calls_is_compared() -> None:
    rows = [{"item_id": str(n), "variant": v, "status": "ok" if n % 4 or v == "a" else "failed"}
            for n in range(40) for v in "ab"]  # fmt: skip
    found = compare(OutcomeTable.read(rows))[0].quality
    assert (found.value_first, found.value_second, found.verdict) == (1.0, 0.75, "better")


def test_repeats_of_a_prompt_are_no_further_evidence() -> None:
    rng = np.random.default_rng(5)
    scores = {v: rng.integers(0, 2, 40).astype(float) for v in "ab"}
    once = table_of({v: many.tolist() for v, many in scores.items()})
    rows = [row(f"{n:04d}", v, scores[v][n], repeat=r) for n in range(40) for v in "ab" for r in range(5)]
    five = OutcomeTable.read(rows, scorers=["exact"])
    assert compare(five)[0].repeats
    assert compare(five)[0].quality == compare(once)[0].quality


def test_latency_is_a_difference_of_medians_and_cost_one_of_means() -> None:
    rng = np.random.default_rng(11)
    seconds = {"a": rng.exponential(1.0, 120), "b": rng.exponential(2.0, 120)}
    usd = {"a": rng.exponential(0.002, 120), "b": rng.exponential(0.001, 120)}
    found = compare(table_of({v: [1.0] * 120 for v in "ab"}, latency_s=seconds, cost_usd=usd))[0]
    assert found.latency.estimate == pytest.approx(np.median(seconds["a"]) - np.median(seconds["b"]))
    assert found.cost.estimate == pytest.approx(np.mean(usd["a"]) - np.mean(usd["b"]))
    assert (found.latency.verdict, found.cost.verdict) == ("better", "worse")  # less is better
    assert found.latency.low < found.latency.estimate < found.latency.high < 0
    unknown = compare(table_of({v: [1.0] * 20 for v in "ab"}))[0]
    assert (unknown.cost.n, unknown.cost.estimate, unknown.cost.verdict) == (0, None, "undecided")


def test_several_models_are_compared_each_with_each_under_holms_correction() -> None:
    scores = binary(30, 14, 50, 10)
    alone = quality(scores)
    rng = np.random.default_rng(1)
    table = table_of({**scores, "c": rng.integers(0, 2, 104).tolist()})
    found = compare(table)
    assert [(v.quality.first, v.quality.second) for v in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert alone.p == mcnemar_exact(30, 14)
    assert alone.p < found[0].quality.p <= 3 * alone.p
    assert (found[0].quality.low, found[0].quality.high) == (alone.low, alone.high)


def test_a_wrong_name_margin_or_number_of_models_is_told() -> None:
    table = table_of(binary(3, 2, 5, 1))
    with pytest.raises(ConfigurationError, match=r"no model 'aa' here"):
        compare(table, ["aa", "b"])
    for wrong in (["a"], ["a", "a"]):
        with pytest.raises(ConfigurationError, match="two different"):
            compare(table, wrong)
    with pytest.raises(ConfigurationError, match="margin=5"):
        compare(table, margin=5)
    with pytest.raises(ConfigurationError, match="no scorer 'exakt'"):
        OutcomeTable.read([row("1", "a", 1.0)], "exakt", scorers=["exact"])
    with pytest.raises(ConfigurationError, match="no rows"):
        OutcomeTable.read([])


@pytest.mark.parametrize("kind", ["right or wrong", "fractions"])
def test_intervals_cover_and_better_is_rarely_false_in_a_small_simulation(kind) -> None:
    """A light version of ``tests/benchmarks/bench_verdicts.py``; bounds are three standard errors wide."""
    rng, trials, n = np.random.default_rng(20), 300, 80
    covered = false_better = 0
    for trial in range(trials):
        shared = rng.random(n) < 0.5
        if kind == "right or wrong":
            scores = {v: np.where(shared, rng.random(n) < 0.75, True).astype(float) for v in "ab"}
        else:
            scores = {v: np.clip(0.6 + 0.2 * shared + 0.15 * rng.standard_normal(n), 0, 1) for v in "ab"}
        found = quality({v: many.tolist() for v, many in scores.items()}, resamples=1000, seed=trial)
        covered += found.low <= 0 <= found.high
        false_better += found.verdict == "better"
    assert 0.91 <= covered / trials <= 0.99
    assert false_better / trials <= 0.05
