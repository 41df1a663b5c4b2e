from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from routerlab.core.chance import Chance
from routerlab.core.errors import ConfigurationError
from routerlab.core.strategies import (
    STRATEGIES,
    BestScore,
    CostFirst,
    Feedback,
    LatencyFirst,
    Priority,
    Ranked,
    RoundRobin,
    StickUntilFailure,
    Strategy,
    Weighted,
    make_strategy,
)
from routerlab.core.types import CompletionRequest, ModelSnapshot, Price
from routerlab.testing import check_strategy

REQUEST = CompletionRequest("call", "generation", "", ())
A, B, C = "a/a", "b/b", "c/c"


def seen(model: str, **known: Any) -> ModelSnapshot:
    return ModelSnapshot(model, model.partition("/")[0], **known)


def order(strategy: Strategy, snapshots: Sequence[ModelSnapshot], memory: Any = None, seed: int = 0) -> list[str]:
    return [ranked.model for ranked in strategy.rank(REQUEST, snapshots, memory, Chance(seed))]


def at(now: float) -> list[ModelSnapshot]:
    return [seen(model, at=now) for model in (A, B, C)]


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_keeps_the_rules(name: str) -> None:
    check_strategy(make_strategy(name))


@pytest.mark.parametrize(
    "strategy",
    [
        StickUntilFailure(return_after=3.0),
        Weighted({"a/one": 0, "b/three": 5.0}),
        Weighted(dict.fromkeys(["a/one", "a/two", "b/three", "c/four"], 0)),
    ],
    ids=["return_after", "a zero weight", "all weights zero"],
)
def test_strategies_with_options_keep_the_rules(strategy: Strategy) -> None:
    check_strategy(strategy)


def test_the_first_set_is_complete() -> None:
    assert sorted(STRATEGIES) == [
        "best-score",
        "cost-first",
        "latency-first",
        "priority",
        "round-robin",
        "stick-until-failure",
        "weighted",
    ]
    assert all(kind.name == name for name, kind in STRATEGIES.items())


def test_an_unknown_name_and_a_wrong_option_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected one of best-score"):
        make_strategy("cheapest")
    with pytest.raises(ConfigurationError, match=r"priority.*weights"):
        make_strategy("priority", {"weights": {}})
    weighted = make_strategy("weighted", {"weights": {A: 2}})
    assert isinstance(weighted, Weighted)
    assert weighted.weights == {A: 2}


def test_priority_keeps_the_listed_order() -> None:
    assert order(Priority(), at(0.0)) == [A, B, C]


class TestStickUntilFailure:
    def test_it_stays_with_the_one_that_answers(self) -> None:
        strategy, memory = StickUntilFailure(), None
        for event in (Feedback("chosen", A, 0.0), Feedback("failed", A, 1.0), Feedback("chosen", B, 1.0)):
            memory = strategy.learn(memory, event)
        memory = strategy.learn(memory, Feedback("answered", B, 2.0))
        assert order(strategy, at(1e6), memory)[0] == B
        memory = strategy.learn(memory, Feedback("answered", A, 3.0))  # a late answer moves nothing
        assert order(strategy, at(1e6), memory)[0] == B
        memory = strategy.learn(memory, Feedback("failed", B, 4.0))
        assert order(strategy, at(1e6), memory) == [A, B, C]

    def test_it_returns_after_a_while(self) -> None:
        strategy = StickUntilFailure(return_after=10.0)
        memory = None
        for event in (Feedback("chosen", A, 0.0), Feedback("failed", A, 1.0), Feedback("answered", B, 2.0)):
            memory = strategy.learn(memory, event)
        assert order(strategy, at(10.9), memory)[0] == B
        assert order(strategy, at(11.0), memory)[0] == A
        back = strategy.learn(memory, Feedback("answered", A, 11.5))
        assert order(strategy, at(12.0), back)[0] == A

    def test_a_return_that_fails_waits_anew(self) -> None:
        strategy = StickUntilFailure(return_after=10.0)
        memory = None
        for event in (Feedback("chosen", A, 0.0), Feedback("failed", A, 1.0), Feedback("answered", B, 2.0)):
            memory = strategy.learn(memory, event)
        memory = strategy.learn(memory, Feedback("failed", A, 11.0))
        assert order(strategy, at(11.0), memory)[0] == B
        memory = strategy.learn(memory, Feedback("answered", B, 11.5))
        assert order(strategy, at(12.0), memory)[0] == B
        assert order(strategy, at(20.9), memory)[0] == B
        assert order(strategy, at(21.0), memory)[0] == A

    def test_one_that_cannot_serve_now_is_not_forgotten(self) -> None:
        strategy = StickUntilFailure()
        memory = strategy.learn(strategy.learn(None, Feedback("chosen", B, 0.0)), Feedback("answered", B, 0.0))
        assert order(strategy, [seen(A), seen(C)], memory) == [A, C]
        memory = strategy.learn(memory, Feedback("answered", A, 1.0))
        assert order(strategy, at(2.0), memory)[0] == B

    @pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
    def test_return_after_is_positive(self, value: float) -> None:
        with pytest.raises(ConfigurationError, match="return_after"):
            StickUntilFailure(return_after=value)


def test_round_robin_takes_turns_and_lets_a_newcomer_in() -> None:
    strategy, memory, chosen = RoundRobin(), None, []
    for _ in range(6):
        chosen.append(order(strategy, at(0.0), memory)[0])
        memory = strategy.learn(memory, Feedback("chosen", chosen[-1], 0.0))
    assert chosen == [A, B, C, A, B, C]
    assert order(strategy, [*at(0.0), seen("d/d")], memory)[0] == "d/d"
    assert strategy.learn(memory, Feedback("answered", A, 0.0)) is memory


class TestWeighted:
    def test_each_comes_first_as_often_as_its_weight_says(self) -> None:
        strategy = Weighted({A: 3, B: 1, C: 0})
        first = Counter(order(strategy, at(0.0), seed=seed)[0] for seed in range(2000))
        assert 1400 < first[A] < 1600
        assert first[C] == 0

    def test_zero_serves_only_when_no_other_can(self) -> None:
        strategy = Weighted({A: 0, B: 1})
        assert all(order(strategy, [seen(A), seen(B)], seed=seed) == [B, A] for seed in range(50))
        assert order(strategy, [seen(A)]) == [A]

    def test_a_model_that_is_not_named_has_one(self) -> None:
        ranking = Weighted({A: 3}).rank(REQUEST, [seen(A), seen(B)], None, Chance(0))
        assert {ranked.model: ranked.probability for ranked in ranking} == {A: 0.75, B: 0.25}

    @pytest.mark.parametrize("weight", [-1, math.nan, math.inf, "2", None, True])
    def test_weights_are_finite_and_not_negative(self, weight: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"weights\.a/a"):
            Weighted({A: weight})


def test_cost_first_takes_the_cheapest_and_unknown_prices_last() -> None:
    dear, cheap, unknown = seen(A, price=Price(10, 10)), seen(B, price=Price(1, 5)), seen(C)
    assert order(CostFirst(), [unknown, dear, cheap]) == [B, A, C]
    free = seen("d/free", price=Price(0, 0))
    assert order(CostFirst(), [cheap, free])[0] == "d/free"


def test_latency_first_takes_the_fastest() -> None:
    slow, fast = seen(A, latency_s=2.0, samples=5), seen(B, latency_s=0.5, samples=5)
    assert order(LatencyFirst(), [slow, fast]) == [B, A]


def test_best_score_takes_the_highest() -> None:
    worse, better = seen(A, score=0.2, samples=5), seen(B, score=0.7, samples=5)
    assert order(BestScore(), [worse, better]) == [B, A]


@pytest.mark.parametrize("strategy", [LatencyFirst(), BestScore()], ids=["latency-first", "best-score"])
def test_an_untried_model_gets_one_turn_at_a_time(strategy: Strategy) -> None:
    known = seen(A, score=0.9, latency_s=0.1, samples=5)
    assert order(strategy, [known, seen(B)]) == [B, A]
    assert order(strategy, [known, seen(B, in_flight=1)]) == [A, B]
    only_failed = seen(B, score=0.0, latency_s=None, samples=3)
    assert order(strategy, [known, only_failed]) == [A, B]


class _Forgets(Strategy):
    name = "forgets"

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        return Priority().rank(request, snapshots, memory, rng)[:2]


class _Counts(Strategy):
    name = "counts"

    def __init__(self) -> None:
        self.count = 0

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        self.count += 1
        return Priority().rank(request, snapshots, memory, rng)


class _Scribbles(Strategy):
    name = "scribbles"

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        snapshots[0].score = 1.0
        return Priority().rank(request, snapshots, memory, rng)


class _Draws(Strategy):
    """Takes chance from elsewhere."""

    name = "draws"
    outside = Chance(1)

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        return Weighted().rank(request, snapshots, memory, self.outside)


class _Boasts(Strategy):
    name = "boasts"

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        ranking = Weighted().rank(request, snapshots, memory, rng)
        models = [ranked.model for ranked in ranking]
        return Priority().rank(request, [seen(model) for model in models], memory, rng)


class _Lies(Strategy):
    name = "lies"

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        ranking = Weighted({"a/one": 9}).rank(request, snapshots, memory, rng)
        return [Ranked(ranked.model, None, 1 / len(ranking)) for ranked in ranking]


class _Overfull(Strategy):
    name = "overfull"

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        return [Ranked(snapshot.model, None, 1.0) for snapshot in snapshots]


class _Mutates(Priority):
    name = "mutates"

    def learn(self, memory: Any, event: Any) -> Any:
        memory = {} if memory is None else memory
        memory[event.model] = event.at
        return memory


class _NeedsData(Strategy):
    name = "needs data"

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        return Priority().rank(request, sorted(snapshots, key=lambda s: -s.score), memory, rng)


class _NotANumber(Strategy):
    name = "not a number"

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        return [Ranked(s.model, math.nan, float(place == 0)) for place, s in enumerate(snapshots)]


class _Nameless(Priority):
    name = ""


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        (_Forgets(), "must rank each of"),
        (_Counts(), "changed the strategy itself"),
        (_Scribbles(), "changed the snapshots"),
        (_Draws(), "differs for the same input"),
        (_Boasts(), "must not depend on what was drawn"),
        (_Lies(), "its probability promises"),
        (_Overfull(), "probabilities sum to"),
        (_Mutates(), "changed the memory in place"),
        (_NotANumber(), "a finite number, or None"),
        (_Nameless(), "its name must be a text"),
    ],
    ids=lambda value: value.name if isinstance(value, Strategy) else "",
)
def test_the_check_catches_a_bad_strategy(strategy: Strategy, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_strategy(strategy)


def test_the_check_catches_a_strategy_that_needs_data() -> None:
    with pytest.raises(TypeError):
        check_strategy(_NeedsData())
