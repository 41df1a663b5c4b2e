from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.decisions import Pool, decide, why_not
from routerlab.core.strategies import STRATEGIES, Priority, Strategy, Weighted, make_strategy
from routerlab.core.types import CompletionRequest, ModelSnapshot, Needs

REQUEST = CompletionRequest("call", "generation", "", ())
A, B, C = "a/a", "b/b", "c/c"
NOW = 100.0


def seen(model: str, **known: Any) -> ModelSnapshot:
    return ModelSnapshot(model, model.partition("/")[0], at=NOW, **known)


def needing(*features: str, tokens: int = 0) -> CompletionRequest:
    return CompletionRequest("call", "generation", "", (), needs=Needs(frozenset(features), tokens))


POOL = Pool("chat", "generation", (A, B, C), Priority())


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, ""),
        ({"breaker": "open", "seconds_to_probe": 12.0}, "circuit open, probe in 12.0 s"),
        ({"breaker": "half_open", "probe_free": False}, "circuit half-open, its probe is in flight"),
        ({"breaker": "half_open", "probe_free": True}, ""),
        ({"cooling_until": NOW + 2.5}, "cooling for 2.5 s"),
        ({"cooling_until": NOW}, ""),
        ({"out_because": "the provider refused the key"}, "out: the provider refused the key"),
        ({"out_because": "no credit", "out_until": NOW + 1}, "out: no credit"),
        ({"out_because": "no credit", "out_until": NOW}, ""),
    ],
)
def test_why_a_model_cannot_serve_now(known: dict[str, Any], reason: str) -> None:
    assert why_not(REQUEST, seen(A, **known)) == reason


@pytest.mark.parametrize(
    ("request_", "known", "reason"),
    [
        (needing("tools", "vision"), {"features": frozenset({"tools"})}, "lacks vision"),
        (needing("tools"), {"features": None}, ""),
        (needing("tools"), {"features": frozenset({"tools", "json"})}, ""),
        (
            needing(tokens=9000),
            {"context_window": 8192},
            "context window of 8192 tokens is too small: the prompt has at least 9000",
        ),
        (needing(tokens=8192), {"context_window": 8192}, ""),
        (needing(tokens=9000), {"context_window": None}, ""),
    ],
)
def test_what_a_model_must_be_able_to_do(request_: CompletionRequest, known: dict[str, Any], reason: str) -> None:
    assert why_not(request_, seen(A, **known)) == reason


def test_a_window_that_proved_too_small_rules_out_its_like() -> None:
    assert why_not(REQUEST, seen(A, context_window=8192), min_window=8192) != ""
    assert why_not(REQUEST, seen(A, context_window=8193), min_window=8192) == ""
    assert why_not(REQUEST, seen(A, context_window=None), min_window=8192) == ""


def test_a_decision_says_who_was_chosen_and_why_not_the_others() -> None:
    snapshots = [seen(A, breaker="open", seconds_to_probe=3.0, score=0.1), seen(B), seen(C, score=0.5)]
    decision = decide(REQUEST, POOL, snapshots, seed=7, step=2, tried=(C,))
    assert (decision.chosen, decision.step, decision.strategy, decision.seed) == (B, 2, "priority", 7)
    assert decision.probability == 1.0
    reasons = {c.model: (c.eligible, c.excluded_because, c.score) for c in decision.candidates}
    assert reasons == {
        A: (False, "circuit open, probe in 3.0 s", 0.1),
        B: (True, "", None),
        C: (False, "had its turn", 0.5),
    }


def test_no_model_is_a_decision_too() -> None:
    decision = decide(REQUEST, POOL, [seen(A, out_because="x")], seed=0)
    assert decision.chosen is None
    assert decision.probability == 0.0


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_free_probe_slot_comes_before_any_strategy(name: str) -> None:
    pool = Pool("chat", "generation", (A, B, C), make_strategy(name))
    snapshots = [seen(A, score=0.9, latency_s=0.1, samples=9), seen(B), seen(C, breaker="half_open", probe_free=True)]
    decision = decide(REQUEST, pool, snapshots, seed=0)
    assert (decision.chosen, decision.strategy, decision.probability) == (C, "probe", 1.0)


@pytest.mark.parametrize(
    "known", [{"features": frozenset()}, {"cooling_until": NOW + 5}, {"out_because": "the key"}, {"context_window": 1}]
)
def test_a_probe_goes_nowhere_that_cannot_serve_the_request(known: dict[str, Any]) -> None:
    snapshots = [seen(A), seen(C, breaker="half_open", probe_free=True, **known)]
    decision = decide(needing("tools", tokens=10), POOL, snapshots, seed=0)
    assert (decision.chosen, decision.strategy) == (A, "priority")


def test_failover_is_no_time_for_probes() -> None:
    snapshots = [seen(A), seen(B), seen(C, breaker="half_open", probe_free=True)]
    assert decide(REQUEST, POOL, snapshots, seed=0, step=1, tried=(A,)).chosen == B


def test_a_pinned_call_says_so() -> None:
    pool = Pool("chat", "generation", (A,), Weighted())
    assert decide(REQUEST, pool, [seen(A)], seed=0, pinned=True).strategy == "pinned"


def test_chance_depends_on_seed_call_and_step_alone() -> None:
    pool = Pool("chat", "generation", (A, B, C), Weighted())
    snapshots = [seen(A), seen(B), seen(C)]
    choices = [decide(REQUEST, pool, snapshots, seed=seed).chosen for seed in range(40)]
    assert choices == [decide(REQUEST, pool, snapshots, seed=seed).chosen for seed in range(40)]
    assert set(choices) == {A, B, C}
    others = [CompletionRequest(f"call-{number}", "generation", "", ()) for number in range(40)]
    assert len({decide(other, pool, snapshots, seed=0).chosen for other in others}) == 3
    steps = [decide(REQUEST, pool, snapshots, seed=0, step=step).chosen for step in range(40)]
    assert len(set(steps)) == 3


class _Wanders(Strategy):
    name = "wanders"

    def __init__(self, models: list[str]) -> None:
        self.models = models

    def rank(self, request: Any, snapshots: Any, memory: Any, rng: Any) -> Any:
        return Priority().rank(request, [seen(model) for model in self.models], memory, rng)


@pytest.mark.parametrize("models", [[], [A]], ids=["nobody", "one with an open breaker"])
def test_a_strategy_that_chooses_no_candidate_is_an_error_and_never_a_request(models: list[str]) -> None:
    pool = Pool("chat", "generation", (A, B), _Wanders(models))
    with pytest.raises(ValueError, match=r"wanders.*must rank the candidates"):
        decide(REQUEST, pool, [seen(A, breaker="open"), seen(B)], seed=0)


def test_a_pool_learns_by_replacing_its_memory() -> None:
    pool = Pool("chat", "generation", (A, B), make_strategy("round-robin"))
    before = pool.memory
    pool.learn("chosen", A, 0.0)
    assert before is None
    assert pool.memory == {A: 1}
    assert repr(pool) == "Pool('chat', 'generation', models=['a/a', 'b/b'], strategy='round-robin')"


any_snapshot = st.builds(
    ModelSnapshot,
    model=st.sampled_from([A, B, C]),
    provider=st.just("p"),
    at=st.just(NOW),
    breaker=st.sampled_from(["closed", "open", "half_open"]),
    probe_free=st.booleans(),
    in_flight=st.integers(0, 3),
    score=st.none() | st.floats(0, 1),
    latency_s=st.none() | st.floats(0, 100),
    samples=st.integers(0, 100),
    cooling_until=st.floats(0, 200),
    out_because=st.sampled_from(["", "the key"]),
)


@given(st.lists(any_snapshot, unique_by=lambda s: s.model), st.sampled_from(sorted(STRATEGIES)), st.integers(0, 5))
def test_asking_changes_nothing_and_chooses_only_who_can_serve(
    snapshots: list[ModelSnapshot], name: str, step: int
) -> None:
    pool = Pool("chat", "generation", [s.model for s in snapshots], make_strategy(name))
    for kind, model in (("chosen", A), ("failed", A), ("answered", B)):
        pool.learn(kind, model, 1.0)  # type: ignore[arg-type]
    before = copy.deepcopy((snapshots, vars(pool.strategy), pool.memory))
    decision = decide(REQUEST, pool, snapshots, seed=1, step=step)
    assert (snapshots, vars(pool.strategy), pool.memory) == before
    assert decision == decide(REQUEST, pool, snapshots, seed=1, step=step)
    able = [s.model for s in snapshots if not why_not(REQUEST, s)]
    assert decision.chosen in able if able else decision.chosen is None
    assert [c.model for c in decision.candidates] == [s.model for s in snapshots]
    assert [c.model for c in decision.candidates if c.eligible] == able
