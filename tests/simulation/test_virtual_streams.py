"""The stream rows of the fault table on a virtual clock: after the first content."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routerlab.core import errors
from routerlab.core.breaker import BreakerConfig
from routerlab.core.failures import Fault, Outcome, ProviderError
from routerlab.core.health import Health, ModelSettings
from routerlab.core.policy import PoolPolicy, RetryPolicy, StreamPolicy
from routerlab.simulation.plays import Play, Plays
from routerlab.simulation.virtual import VirtualWorld

A, B = "a/one", "b/one"
NEVER = float("inf")
PATIENT = BreakerConfig(failure_threshold=100)


def broken(fault: Fault, *, status: int | None = 200, code: str = "") -> Play:
    """Content after one second, the failure after two."""
    return Play(2.0, ProviderError("it broke", fault=fault, status=status, code=code), first_token_s=1.0)


BREAKS = {
    "error event": broken(Fault.STATUS, status=None, code="server_error"),
    "reset": broken(Fault.BROKEN),
    "bad chunk": broken(Fault.BROKEN),
    "end without finish reason and without [DONE]": broken(Fault.TRUNCATED),
    "silence after content": Play(NEVER, first_token_s=1.0, silent_from_s=1.5),
}
each_break = pytest.mark.parametrize("play", BREAKS.values(), ids=BREAKS.keys())


def answers(number: int) -> Play:
    return Play(2.0, first_token_s=0.5)


def world_of(first: Plays, policy: StreamPolicy, *, alone: bool = False) -> VirtualWorld:
    models = {A: first} if alone else {A: first, B: answers}
    return VirtualWorld(models, policy=PoolPolicy(on_stream_failure=policy), breaker=PATIENT)


@each_break
def test_restart_goes_to_the_next_model_at_once(play: Play) -> None:
    world = world_of(lambda n: play, "restart")
    call = world.call(stream=True)
    world.run()
    assert call.ok
    assert [(attempt.model, attempt.reason) for attempt in call.attempts] == [(A, "selected"), (B, "restart")]
    assert call.waits == []
    assert world.health.breaker(A).stats(world.now)["failure_count"] == 1


@each_break
@pytest.mark.parametrize("resumable", [True, False], ids=["a text", "half a tool call"])
def test_continue_carries_on_from_a_text_and_starts_over_after_half_a_tool_call(play: Play, resumable: bool) -> None:
    play = replace(play, resumable=resumable)
    world = world_of(lambda n: play, "continue")
    call = world.call(stream=True)
    world.run()
    assert call.ok
    reason = "continue" if resumable else "restart"
    assert [(attempt.model, attempt.reason) for attempt in call.attempts] == [(A, "selected"), (B, reason)]


def test_a_refused_prefill_is_followed_by_an_instruction_and_is_never_the_outcome() -> None:
    refusal = Play(0.1, ProviderError("no prefill", status=400))
    health = Health([ModelSettings(A, "a"), ModelSettings(B, "b", prefill=True)])
    models = {A: lambda n: BREAKS["reset"], B: lambda n: refusal if n == 0 else answers(n)}
    world = VirtualWorld(models, policy=PoolPolicy(), breaker=PATIENT, health=health)
    call = world.call(stream=True)
    world.run()
    assert call.ok
    assert [(attempt.model, attempt.status) for attempt in call.attempts] == [(A, 200), (B, 400), (B, 200)]
    assert [attempt.reason for attempt in call.attempts] == ["selected", "continue", "continue"]


def test_models_that_refuse_to_go_on_hide_no_outage() -> None:
    refusal = Play(0.1, ProviderError("no", status=400))
    health = Health([ModelSettings(A, "a"), ModelSettings(B, "b", prefill=True)])
    models = {A: lambda n: BREAKS["reset"], B: lambda n: refusal}
    world = VirtualWorld(models, policy=PoolPolicy(), breaker=PATIENT, health=health)
    call = world.call(stream=True)
    world.run()
    assert [attempt.model for attempt in call.attempts] == [A, B, B]
    assert call.finish is not None
    assert type(call.finish.error) is errors.ProviderUnavailableError


@each_break
def test_buffer_has_shown_nothing_and_goes_on_fresh(play: Play) -> None:
    world = world_of(lambda n: play, "buffer")
    call = world.call(stream=True)
    world.run()
    assert call.ok
    assert [(attempt.model, attempt.reason) for attempt in call.attempts] == [(A, "selected"), (B, "failover")]


@each_break
@pytest.mark.parametrize("alone", [False, True], ids=["another model is free", "a pool of one"])
def test_error_tells_the_caller_and_never_retries(play: Play, alone: bool) -> None:
    world = world_of(lambda n: play, "error", alone=alone)
    call = world.call(stream=True)
    world.run()
    assert len(call.attempts) == 1
    assert call.finish is not None
    assert type(call.finish.error) is errors.StreamInterruptedError
    assert call.finish.error.model == A
    assert isinstance(call.finish.error.__cause__, ProviderError)
    assert call.attempts[0].committed
    assert call.attempts[0].maybe_billed
    assert world.health.breaker(A).stats(world.now)["failure_count"] == 1


@each_break
@pytest.mark.parametrize("policy", ["restart", "buffer"])
def test_a_pool_of_one_retries_under_the_same_policy(play: Play, policy: StreamPolicy) -> None:
    world = world_of(lambda n: play if n == 0 else answers(n), policy, alone=True)
    call = world.call(stream=True)
    world.run()
    assert call.ok
    reason = "restart" if policy == "restart" else "retry"
    assert [(attempt.model, attempt.reason) for attempt in call.attempts] == [(A, "selected"), (A, reason)]
    assert len(call.waits) == 1


@each_break
def test_a_pinned_model_retries_too_and_then_gives_up(play: Play) -> None:
    world = world_of(lambda n: play, "restart")
    call = world.call(stream=True, model=A)
    world.run()
    assert [attempt.model for attempt in call.attempts] == [A, A]
    assert call.finish is not None
    assert type(call.finish.error) is errors.ProviderUnavailableError


@each_break
def test_no_retry_where_the_pool_has_none(play: Play) -> None:
    policy = PoolPolicy(on_stream_failure="restart", retry=RetryPolicy(max_retries=0))
    world = VirtualWorld({A: lambda n: play}, policy=policy)
    call = world.call(stream=True)
    world.run()
    assert len(call.attempts) == 1


def test_a_truncated_stream_is_a_failure_never_a_success() -> None:
    world = world_of(lambda n: BREAKS["end without finish reason and without [DONE]"], "error", alone=True)
    call = world.call(stream=True)
    world.run()
    assert call.finish is not None
    assert call.finish.outcome is Outcome.TRUNCATED
    assert call.attempts[0].outcome == "truncated"
    assert world.health.snapshot(A, world.now).success_rate == 0.0


def test_a_total_clock_after_content_has_ended_its_turn() -> None:
    world = world_of(lambda n: Play(5000.0, first_token_s=1.0), "restart", alone=True)
    call = world.call(stream=True)
    world.run()
    assert len(call.attempts) == 1
    assert call.elapsed_s == pytest.approx(300.0)


def test_a_role_only_or_empty_delta_does_not_commit() -> None:
    """Content never came: nothing was delivered, so that the policy `error` does not apply."""
    reset = ProviderError("reset", fault=Fault.BROKEN, status=200)
    world = world_of(lambda n: Play(2.0, reset), "error")
    call = world.call(stream=True)
    world.run()
    assert call.ok
    assert [attempt.committed for attempt in call.attempts] == [False, False, True]


def test_reasoning_alone_does_not_commit() -> None:
    reset = ProviderError("reset", fault=Fault.BROKEN, status=200)
    world = world_of(lambda n: Play(70.0, reset, reasoning_s=5.0), "error")
    call = world.call(stream=True)
    world.run()
    assert call.ok
    assert [attempt.committed for attempt in call.attempts] == [False, False, True]


def test_once_shown_every_later_attempt_restarts() -> None:
    reset = ProviderError("reset", fault=Fault.BROKEN, status=200)
    models: dict[str, Plays] = {
        A: lambda n: BREAKS["reset"],
        B: lambda n: Play(0.5, reset),
        "c/one": answers,
    }
    world = VirtualWorld(models, policy=PoolPolicy(on_stream_failure="restart"))
    call = world.call(stream=True)
    world.run()
    assert call.ok
    assert [attempt.model for attempt in call.attempts] == [A, B, B, "c/one"]
    assert [attempt.reason for attempt in call.attempts] == ["selected", "restart", "restart", "restart"]


@pytest.mark.parametrize("at", [0.5, 1.5], ids=["before content", "after content"])
def test_the_consumer_stops_early(at: float) -> None:
    world = world_of(lambda n: Play(10.0, first_token_s=1.0), "error")
    call = world.call(stream=True)
    world.cancel(call, at=at)
    world.run()
    assert call.elapsed_s == pytest.approx(at)
    assert call.finish is not None
    assert (call.finish.outcome, call.finish.error) == (Outcome.CANCELLED, None)
    assert [attempt.outcome for attempt in call.attempts] == ["cancelled"]
    assert call.attempts[0].maybe_billed
    assert call.attempts[0].committed == (at > 1.0)
    seen = world.health.snapshot(A, world.now)
    assert (seen.in_flight, seen.samples) == (0, 0)
    assert world.health.breaker(A).stats(world.now)["failure_count"] == 0


def test_the_outcome_is_recorded_when_the_stream_ends() -> None:
    world = world_of(lambda n: Play(10.0, first_token_s=1.0), "error")
    world.call(stream=True)
    world.run(until=9.9)
    assert world.health.snapshot(A, world.now).samples == 0
    world.run()
    seen = world.health.snapshot(A, world.now)
    assert (seen.samples, seen.latency_s) == (1, pytest.approx(1.0))  # of a stream, the time to the first token


class TestTakeover:
    POLICY = PoolPolicy(takeover_after=3.0, on_stream_failure="error")

    def test_a_silent_stream_is_left_early_and_nobody_is_blamed(self) -> None:
        world = VirtualWorld({A: lambda n: Play(50.0, first_token_s=40.0), B: answers}, policy=self.POLICY)
        call = world.call(stream=True)
        world.run()
        assert call.ok
        assert [(attempt.model, attempt.outcome) for attempt in call.attempts] == [(A, "move_on"), (B, "ok")]
        assert call.elapsed_s == pytest.approx(5.0)
        seen = world.health.snapshot(A, world.now)
        assert (seen.samples, seen.in_flight) == (0, 0)
        assert world.health.breaker(A).stats(world.now)["failure_count"] == 0

    @pytest.mark.parametrize("sign", ["first_token_s", "reasoning_s"])
    def test_a_stream_that_has_begun_is_not(self, sign: str) -> None:
        begun = Play(50.0, **{"first_token_s": 40.0, sign: 2.0})
        world = VirtualWorld({A: lambda n: begun, B: answers}, policy=self.POLICY)
        call = world.call(stream=True)
        world.run()
        assert [attempt.model for attempt in call.attempts] == [A]

    def test_nor_where_no_other_model_is_free(self) -> None:
        world = VirtualWorld({A: lambda n: Play(50.0, first_token_s=40.0), B: answers}, policy=self.POLICY)
        world.at(0.0, lambda: world.health.open_breaker(B, world.now))
        call = world.call(stream=True)
        world.run()
        assert call.ok
        assert [attempt.model for attempt in call.attempts] == [A]


def test_an_error_that_no_retry_can_mend_ends_a_broken_stream_too() -> None:
    event = broken(Fault.STATUS, status=None, code="content_filter")
    world = world_of(lambda n: event, "restart")
    call = world.call(stream=True)
    world.run()
    assert len(call.attempts) == 1
    assert call.finish is not None
    assert type(call.finish.error) is errors.ContentFilterError
