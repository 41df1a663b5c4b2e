"""A refused key that can be had anew: one try more in the turn, at once, and no more than one."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core import errors, moves
from routerlab.core.decisions import Pool
from routerlab.core.failures import Count, Fault, Outcome, ProviderError, Verdict, classify
from routerlab.core.policy import PoolPolicy, RetryPolicy
from routerlab.core.route import Route
from routerlab.core.strategies import Priority
from routerlab.core.types import CompletionRequest, ModelSnapshot
from routerlab.simulation.plays import Play, Plays
from routerlab.simulation.virtual import VirtualWorld
from routerlab.simulation.virtual_call import VirtualCall

A, B = "a/one", "b/one"
T = 1000.0
STALE = ProviderError("expired", status=401, refreshable=True)
REFUSED = ProviderError("expired", status=401)
DOWN = ProviderError("down", status=503)


def seen(**own: Any) -> list[ModelSnapshot]:
    return [ModelSnapshot(A, "a", at=T, **own), ModelSnapshot(B, "b", at=T)]


def started(*, stream: bool = False, **policy: Any) -> Route:
    pool = Pool("chat", "generation", (A, B), Priority(), PoolPolicy(**policy))
    route = Route(CompletionRequest("call", "generation", "", (), stream=stream), pool)
    route.start(seen(), T)
    return route


def model_and_reason(action: moves.Action) -> tuple[str, str]:
    assert isinstance(action, moves.Attempt), action
    return action.model, action.reason


@pytest.mark.parametrize("status", [401, 403])
def test_a_stale_key_speaks_against_nobody(status: int) -> None:
    error = ProviderError("expired", status=status, refreshable=True)
    verdict = classify(pickle.loads(pickle.dumps(error)))  # noqa: S301 - our own bytes
    assert verdict == Verdict(Outcome.RETRYABLE, errors.AuthenticationError, refreshes=True)
    assert (verdict.blames_model, verdict.count) == (False, Count.NEUTRAL)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(403, "content_filter", errors.ContentFilterError), (403, "insufficient_quota", errors.QuotaExceededError),
     (503, "", errors.ProviderUnavailableError), (404, "", errors.ModelNotFoundError)],
)  # fmt: skip
def test_another_refusal_needs_no_fresh_key(status: int, code: str, kind: type[errors.RequestError]) -> None:
    verdict = classify(ProviderError("x", status=status, code=code, refreshable=True))
    assert (verdict.error, verdict.refreshes) == (kind, False)


def test_a_key_that_cannot_be_fetched_moves_on_and_counts() -> None:
    verdict = classify(ProviderError("x", fault=Fault.NO_KEY, sent=False))
    assert verdict == Verdict(Outcome.MOVE_ON, errors.AuthenticationError, count=Count.FAILURE)


@pytest.mark.parametrize("max_retries", [0, 1])
def test_the_fresh_key_is_tried_at_once_and_once(max_retries: int) -> None:
    route = started(retry=RetryPolicy(max_retries=max_retries))
    assert model_and_reason(route.receive(moves.Failed(STALE), seen(), T)) == (A, "retry")
    assert model_and_reason(route.receive(moves.Failed(STALE), seen(), T)) == (B, "failover")


def test_it_takes_no_retry_away() -> None:
    route = started()
    route.receive(moves.Failed(STALE), seen(), T)
    assert isinstance(route.receive(moves.Failed(DOWN), seen(), T), moves.Wait)
    assert model_and_reason(route.receive(moves.Waited(), seen(), T + 1)) == (A, "retry")
    assert model_and_reason(route.receive(moves.Failed(DOWN), seen(), T + 1)) == (B, "failover")


def test_each_model_has_its_own() -> None:
    route = started()
    route.receive(moves.Failed(STALE), seen(), T)
    assert model_and_reason(route.receive(moves.Failed(REFUSED), seen(out_because="key"), T)) == (B, "failover")
    assert model_and_reason(route.receive(moves.Failed(STALE), seen(out_because="key"), T)) == (B, "retry")


def test_not_for_a_model_that_is_out_by_now() -> None:
    action = started().receive(moves.Failed(STALE), seen(out_because="the provider refused the key"), T)
    assert model_and_reason(action) == (B, "failover")


def test_not_after_the_deadline() -> None:
    action = started(deadline=5.0).receive(moves.Failed(STALE), seen(), T + 5.0)
    assert isinstance(action, moves.Finish)
    assert isinstance(action.error, errors.RequestTimeoutError)


def test_not_after_text_was_shown() -> None:
    route = started(stream=True, on_stream_failure="restart")
    route.receive(moves.Committed(), (), T)
    assert model_and_reason(route.receive(moves.Failed(STALE), seen(), T)) == (B, "failover")


@given(
    failures=st.lists(st.sampled_from([STALE, REFUSED, DOWN]), min_size=20, max_size=20),
    max_retries=st.integers(0, 3),
)
def test_a_turn_is_never_longer_than_its_retries_and_one(failures: list[ProviderError], max_retries: int) -> None:
    route = started(retry=RetryPolicy(max_retries=max_retries))
    tries = {A: 1, B: 0}
    for failure in failures:
        action = route.receive(moves.Failed(failure), seen(), T)
        while isinstance(action, moves.Wait):
            action = route.receive(moves.Waited(), seen(), T)
        if isinstance(action, moves.Finish):
            break
        assert isinstance(action, moves.Attempt)
        tries[action.model] += 1
    assert max(tries.values()) <= 1 + max_retries + 1


class TestInVirtualTime:
    """The driver without sockets needs no rule of its own for it."""

    def call(self, **models: Plays) -> VirtualCall:
        self.world = VirtualWorld({f"{name}/one": plays for name, plays in models.items()})
        call = self.world.call()
        self.world.run()
        return call

    def test_the_fresh_key_answers(self) -> None:
        call = self.call(a=lambda number: Play(0.1, STALE) if number == 0 else Play(0.1), b=lambda _: Play(0.1))
        assert call.ok
        assert [(one.model, one.reason, one.outcome) for one in call.attempts] == [
            (A, "selected", "retryable"),
            (A, "retry", "ok"),
        ]
        assert (call.waits, call.transitions) == ([], [])
        assert call.elapsed_s == pytest.approx(0.2)

    def test_the_fresh_key_is_refused_too(self) -> None:
        call = self.call(a=lambda number: Play(0.1, STALE if number == 0 else REFUSED), b=lambda _: Play(0.1))
        assert [one.model for one in call.attempts] == [A, A, B]
        assert [(event.kind, event.model) for event in call.transitions] == [("out", A)]

    def test_and_there_is_no_other_model(self) -> None:
        call = self.call(a=lambda number: Play(0.1, STALE if number == 0 else REFUSED))
        assert call.finish is not None
        assert isinstance(call.finish.error, errors.AuthenticationError)
        assert len(call.attempts) == 2
