"""The rules that hold everywhere, and the breaker, on a virtual clock."""

from __future__ import annotations

import pytest

from routerlab.core import errors
from routerlab.core.breaker import BreakerConfig
from routerlab.core.failures import Fault, Outcome, ProviderError
from routerlab.core.policy import PoolPolicy, RetryPolicy
from routerlab.core.strategies import StickUntilFailure, Weighted
from routerlab.simulation.plays import Play, Plays
from routerlab.simulation.virtual import VirtualWorld
from routerlab.simulation.virtual_call import VirtualCall

A, B, C = "a/one", "b/one", "c/one"
DOWN = Play(0.1, ProviderError("down", status=503))
REFUSED = Play(0.01, ProviderError("refused", fault=Fault.CONNECT, sent=False))


def limited(retry_after_s: float | None = None) -> Play:
    return Play(0.1, ProviderError("slow down", status=429, retry_after_s=retry_after_s))


def answers(number: int) -> Play:
    return Play(0.2)


def down(number: int) -> Play:
    return DOWN


def models_of(call: VirtualCall) -> list[str]:
    return [attempt.model for attempt in call.attempts]


def error_of(call: VirtualCall) -> errors.RequestError:
    assert call.finish is not None
    assert call.finish.error is not None
    return call.finish.error


class TestTurns:
    def test_every_model_of_the_pool_can_be_reached(self) -> None:
        models: dict[str, Plays] = {f"p{i}/m": down for i in range(9)}
        world = VirtualWorld({**models, "last/m": answers})
        call = world.call()
        world.run()
        assert call.ok
        assert models_of(call) == [name for i in range(9) for name in [f"p{i}/m"] * 2] + ["last/m"]

    def test_there_is_no_second_round(self) -> None:
        world = VirtualWorld({A: down, B: down})
        call = world.call()
        world.run()
        assert models_of(call) == [A, A, B, B]
        assert isinstance(error_of(call), errors.FailoverExhaustedError)

    def test_the_retry_comes_after_half_a_second_doubled_with_jitter(self) -> None:
        policy = PoolPolicy(retry=RetryPolicy(max_retries=6))
        world = VirtualWorld({A: down}, policy=policy, breaker=BreakerConfig(failure_threshold=100))
        call = world.call()
        world.run()
        for wait, least in zip(call.waits, [0.5, 1.0, 2.0, 4.0, 8.0, 8.0], strict=True):
            assert least <= wait <= min(8.0, least + 0.125)
        assert call.elapsed_s == pytest.approx(sum(call.waits) + 7 * 0.1)  # no sleep after the last try

    def test_jitter_differs_from_call_to_call(self) -> None:
        world = VirtualWorld({A: down}, breaker=BreakerConfig(failure_threshold=100))
        calls = [world.call() for _ in range(10)]
        world.run()
        assert len({call.waits[0] for call in calls}) == 10

    def test_a_permit_that_is_refused_ends_the_turn_and_counts_nothing(self) -> None:
        """Two calls see a free probe slot at the same moment only one after the other; a hand can come between."""
        world = VirtualWorld({A: lambda n: DOWN, B: answers}, breaker=BreakerConfig(failure_threshold=1))
        call = world.call()
        world.run()
        assert models_of(call) == [A, B]  # the first failure opened the breaker: no permit for a retry
        assert call.waits == []

    def test_a_retry_that_was_waiting_when_the_breaker_opened_goes_elsewhere(self) -> None:
        world = VirtualWorld({A: down, B: answers})
        call = world.call()
        world.at(0.3, lambda: world.health.open_breaker(A, world.now))
        world.run()
        assert models_of(call) == [A, B]
        assert world.health.breaker(A).stats(world.now)["failure_count"] == 1


class TestRetryAfter:
    @pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0, 2.9, 3.0])
    @pytest.mark.parametrize("status", [429, 503])
    def test_a_short_one_is_waited_for_within_the_turn(self, seconds: float, status: int) -> None:
        asked = Play(0.1, ProviderError("wait", status=status, retry_after_s=seconds))
        world = VirtualWorld({A: lambda n: asked if n == 0 else Play(0.2), B: answers})
        call = world.call()
        world.run()
        assert models_of(call) == [A, A]
        assert call.waits == [pytest.approx(seconds)]

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_longer_one_ends_the_turn_and_the_model_cools_until_then(self, status: int) -> None:
        asked = Play(0.1, ProviderError("wait", status=status, retry_after_s=10.0))
        world = VirtualWorld({A: lambda n: asked if n == 0 else Play(0.2), B: answers})
        call, during, after = world.call(), world.call(at=10.0), world.call(at=10.2)
        world.run()
        assert models_of(call) == [A, B]
        assert call.waits == []
        assert models_of(during) == [B]
        assert models_of(after) == [A]
        assert [event.kind for event in call.transitions] == ["cooling"]

    def test_a_429_without_it_ends_the_turn(self) -> None:
        world = VirtualWorld({A: lambda n: limited() if n == 0 else Play(0.2), B: answers})
        call, during, after = world.call(), world.call(at=1.0), world.call(at=1.2)
        world.run()
        assert [models_of(c) for c in (call, during, after)] == [[A, B], [B], [A]]
        assert world.health.breaker(A).stats(world.now)["failure_count"] == 0

    @pytest.mark.parametrize(("asked", "wait"), [(None, 1.0), (20.0, 20.0), (60.0, 60.0)])
    @pytest.mark.parametrize("pinned", [False, True], ids=["a pool of one", "pinned"])
    def test_where_nobody_else_can_serve_the_turn_waits(self, asked: float | None, wait: float, pinned: bool) -> None:
        world = VirtualWorld({A: lambda n: limited(asked) if n == 0 else Play(0.2)} | ({B: answers} if pinned else {}))
        call = world.call(model=A if pinned else None)
        world.run()
        assert models_of(call) == [A, A]
        assert call.waits == [pytest.approx(wait)]

    def test_sixty_seconds_at_most(self) -> None:
        world = VirtualWorld({A: lambda n: limited(61.0)})
        call = world.call()
        world.run()
        error = error_of(call)
        assert isinstance(error, errors.RateLimitError)
        assert error.retry_after_s == 61.0
        assert call.waits == []

    def test_all_waits_of_a_call_together(self) -> None:
        policy = PoolPolicy(retry=RetryPolicy(max_retries=5))
        world = VirtualWorld({A: lambda n: limited(25.0)}, policy=policy)
        call = world.call()
        world.run()
        assert call.waits == [pytest.approx(25.0), pytest.approx(25.0)]

    def test_a_run_waits_up_to_three_seconds(self) -> None:
        world = VirtualWorld({A: lambda n: limited(3.0 if n == 0 else 20.0)})
        call = world.call(model=A, wait_max_s=3.0)
        later = world.call(at=30.0, model=A, wait_max_s=3.0)
        world.run()
        assert call.waits == [pytest.approx(3.0)]
        assert later.waits == []

    def test_the_deadline_bounds_the_wait(self) -> None:
        world = VirtualWorld({A: lambda n: limited(20.0)})
        call = world.call(deadline_s=15.0)
        world.run()
        assert isinstance(error_of(call), errors.RateLimitError)
        assert call.elapsed_s == pytest.approx(0.1)  # no sleep that the deadline cannot hold

    def test_a_429_that_does_not_say_tells_how_long_the_model_cools(self) -> None:
        world = VirtualWorld({A: lambda n: limited()})
        call = world.call()
        world.run()
        assert models_of(call) == [A, A]
        assert error_of(call).retry_after_s == pytest.approx(2.0)

    def test_on_a_success_it_means_nothing(self) -> None:
        world = VirtualWorld({A: answers})
        world.call()
        world.run()
        assert world.health.snapshot(A, world.now).cooling_until == 0.0

    @pytest.mark.parametrize("nonsense", [-5.0, float("nan"), float("inf")])
    def test_nonsense_counts_as_absent(self, nonsense: float) -> None:
        world = VirtualWorld({A: lambda n: limited(nonsense) if n == 0 else Play(0.2)})
        call = world.call()
        world.run()
        assert call.ok
        assert call.waits == [pytest.approx(1.0)]


class TestDeadline:
    @pytest.mark.parametrize("own", [True, False], ids=["the caller's", "the pool's"])
    def test_it_covers_attempts_waits_and_models(self, own: bool) -> None:
        policy = PoolPolicy() if own else PoolPolicy(deadline=1.0)
        world = VirtualWorld({A: lambda n: DOWN, B: lambda n: Play(50.0)}, policy=policy)
        call = world.call(deadline_s=1.0 if own else None)
        world.run()
        error = error_of(call)
        assert isinstance(error, errors.RequestTimeoutError)
        assert isinstance(error, TimeoutError)
        assert (error.timeout, error.operation) == (1.0, "deadline")
        assert call.elapsed_s == pytest.approx(1.0)
        assert models_of(call) == [A, A, B]
        assert call.attempts[-1].outcome == "cancelled"
        assert world.health.breaker(B).stats(world.now)["failure_count"] == 0
        assert world.health.snapshot(B, world.now).in_flight == 0

    def test_no_sleep_that_it_cannot_hold(self) -> None:
        world = VirtualWorld({A: down, B: answers})
        call = world.call(deadline_s=0.55)
        world.run()
        assert call.ok
        assert models_of(call) == [A, B]
        assert call.waits == []


class TestNobodyCanServe:
    def test_a_cooling_model_is_waited_for(self) -> None:
        world = VirtualWorld({A: lambda n: limited(40.0) if n == 0 else Play(0.2), B: down}, breaker=BreakerConfig(1))
        world.call()
        call = world.call(at=5.0)
        world.run()
        assert call.ok
        assert call.attempts[0].reason == "cooled"
        assert call.waits == [pytest.approx(35.1)]
        assert call.attempts[0].wait_before_s == pytest.approx(35.1)

    def test_the_one_that_is_ready_first(self) -> None:
        world = VirtualWorld(
            {A: lambda n: limited(50.0) if n == 0 else Play(0.2), B: lambda n: limited(30.0) if n == 0 else Play(0.2)}
        )
        first, second = world.call(), world.call(at=2.0)
        world.run()
        assert models_of(first) == [A, B, B]
        assert models_of(second) == [B]
        assert second.waits == [pytest.approx(28.2)]

    def test_a_breaker_never(self) -> None:
        world = VirtualWorld({A: down}, breaker=BreakerConfig(failure_threshold=2, reset_timeout=5.0))
        world.call()
        call = world.call(at=2.0)
        world.run()
        error = error_of(call)
        assert isinstance(error, errors.NoModelAvailableError)
        assert error.retry_after_s is not None
        assert 3.0 < error.retry_after_s < 4.0
        assert call.elapsed_s == 0.0
        assert call.finish is not None
        assert call.finish.outcome is Outcome.REJECTED

    def test_only_the_user_can_help(self) -> None:
        key = ProviderError("Incorrect API key", status=401)
        world = VirtualWorld({A: lambda n: Play(0.1, key)})
        world.call()
        call = world.call(at=2.0)
        world.run()
        error = error_of(call)
        assert isinstance(error, errors.NoModelAvailableError)
        assert error.retry_after_s is None
        assert error.__cause__ is key


class TestCancellation:
    @pytest.mark.parametrize("at", [0.05, 0.3, 0.8], ids=["in a try", "in a wait", "in a retry"])
    def test_it_never_starts_another_attempt(self, at: float) -> None:
        world = VirtualWorld({A: lambda n: Play(5.0) if n else DOWN, B: answers})
        call = world.call()
        world.cancel(call, at=at)
        world.run()
        assert call.elapsed_s == pytest.approx(at)
        assert call.finish is not None
        assert (call.finish.outcome, call.finish.error) == (Outcome.CANCELLED, None)
        assert len(call.attempts) == (2 if at == 0.8 else 1)
        assert world.requests[B] == 0
        assert world.health.snapshot(A, world.now).in_flight == 0

    def test_a_call_that_is_over_stays_as_it_is(self) -> None:
        world = VirtualWorld({A: answers})
        call = world.call()
        world.cancel(call, at=1.0)
        world.run()
        assert call.ok


class TestBreaker:
    def test_a_success_in_between_keeps_it_closed(self) -> None:
        policy = PoolPolicy(retry=RetryPolicy(max_retries=0))
        world = VirtualWorld({A: lambda n: answers(n) if n == 4 else DOWN, B: answers}, policy=policy)
        for second in range(9):
            world.call(at=second)
        world.run()
        assert world.requests[A] == 9
        assert world.health.snapshot(A, world.now).breaker == "closed"
        world.call(at=10.0)
        world.run()
        assert world.health.snapshot(A, world.now).breaker == "open"

    def test_a_late_success_from_before_the_break_neither_closes_nor_extends(self) -> None:
        world = VirtualWorld({A: lambda n: Play(30.0) if n == 0 else DOWN, B: answers}, breaker=BreakerConfig(2))
        late, breaker = world.call(), world.call(at=1.0)
        world.run(until=40.0)
        assert late.ok
        assert [event.new for event in breaker.transitions] == ["open"]
        assert world.health.snapshot(A, world.now).breaker == "open"
        assert world.health.snapshot(A, world.now).seconds_to_probe == pytest.approx(60.0 - (30.0 - 1.7), abs=0.2)

    @pytest.mark.parametrize("slots", [1, 3])
    def test_a_crowd_at_a_half_open_breaker(self, slots: int) -> None:
        config = BreakerConfig(failure_threshold=1, reset_timeout=60.0, half_open_max=slots, success_threshold=slots)
        world = VirtualWorld({A: lambda n: DOWN if n == 0 else Play(5.0), B: answers}, breaker=config)
        world.call()
        crowd = [world.call(at=61.0) for _ in range(100)]
        world.run()
        assert all(call.ok for call in crowd)
        assert world.requests[A] == 1 + slots
        assert world.health.snapshot(A, world.now).breaker == "closed"

    def test_a_probe_is_protected_by_failover_and_reopens_for_a_full_timeout(self) -> None:
        world = VirtualWorld({B: answers, A: down}, breaker=BreakerConfig(failure_threshold=1, reset_timeout=60.0))
        world.at(0.0, lambda: world.health.open_breaker(A, world.now))
        probe, after = world.call(at=61.0), world.call(at=120.0)
        world.run()
        assert probe.ok
        assert models_of(probe) == [A, B]
        assert probe.attempts[0].reason == "probe"
        assert [event.new for event in probe.transitions] == ["half_open", "open"]
        assert models_of(after) == [B]

    @pytest.mark.parametrize("status", [400, 413, 429])
    def test_a_neutral_probe_frees_its_slot(self, status: int) -> None:
        neutral = Play(0.1, ProviderError("no", status=status))
        world = VirtualWorld({A: lambda n: DOWN if n == 0 else neutral, B: answers}, breaker=BreakerConfig(1))
        world.call()
        world.call(at=61.0)
        world.run()
        assert world.requests[A] == 2
        seen = world.health.snapshot(A, world.now)
        assert (seen.breaker, seen.probe_free, seen.in_flight) == ("half_open", True, 0)

    def test_a_cancelled_probe_frees_its_slot(self) -> None:
        world = VirtualWorld({A: lambda n: DOWN if n == 0 else Play(50.0), B: answers}, breaker=BreakerConfig(1))
        world.call()
        probe = world.call(at=61.0)
        world.cancel(probe, at=62.0)
        world.run()
        assert world.health.snapshot(A, world.now).probe_free

    def test_one_slot_can_serve_two_probes_in_turn(self) -> None:
        config = BreakerConfig(failure_threshold=1, half_open_max=1, success_threshold=2)
        world = VirtualWorld({A: lambda n: DOWN if n == 0 else Play(0.2), B: answers}, breaker=config)
        for second in (0.0, 61.0, 62.0):
            world.call(at=second)
        world.run()
        assert world.health.snapshot(A, world.now).breaker == "closed"

    def test_traffic_finds_its_way_back_under_any_strategy(self) -> None:
        world = VirtualWorld(
            {A: answers, B: lambda n: DOWN if n == 0 else Play(0.2)},
            strategy=StickUntilFailure(),
            breaker=BreakerConfig(failure_threshold=1, reset_timeout=10.0),
        )
        world.at(0.0, lambda: world.health.open_breaker(B, world.now))
        calls = [world.call(at=second) for second in range(1, 20)]
        world.run()
        assert [models_of(call) for call in calls].count([B, A]) == 1  # the probe that failed, and its failover
        assert all(call.ok for call in calls)


class TestADeadFirstModel:
    """300 calls: none fails, the dead one gets at most 20 requests."""

    @pytest.mark.parametrize("play", [REFUSED, DOWN], ids=["refused", "503"])
    def test_ten_a_second(self, play: Play) -> None:
        world = VirtualWorld({A: lambda n: play, B: answers})
        calls = [world.call(at=number / 10) for number in range(300)]
        world.run()
        assert all(call.ok for call in calls)
        assert sum(len(call.attempts) for call in calls) == world.requests.total()
        assert world.requests[A] <= 20

    @pytest.mark.parametrize("workers", [1, 4, 8, 16])
    @pytest.mark.parametrize("play", [REFUSED, DOWN, Play(float("inf"))], ids=["refused", "503", "silent"])
    def test_concurrently(self, workers: int, play: Play) -> None:
        world = VirtualWorld({A: lambda n: play, B: answers})
        left = iter(range(300 - workers))

        def next_call(call: VirtualCall) -> None:
            if next(left, None) is not None:
                world.call(at=world.elapsed_s, on_end=next_call)

        for _ in range(workers):
            world.call(on_end=next_call)
        calls = world.run()
        assert len(calls) == 300
        assert all(call.ok for call in calls)
        assert world.requests[A] <= 20
        assert sum(len(call.attempts) for call in calls) == world.requests.total()


def test_the_same_seed_gives_the_same_decisions() -> None:
    def live(seed: int) -> list[object]:
        flaky: dict[str, Plays] = {
            A: lambda n: DOWN if n % 3 == 0 else Play(0.3),
            B: lambda n: limited() if n % 5 == 0 else Play(0.2),
            C: answers,
        }
        world = VirtualWorld(flaky, strategy=Weighted(), seed=seed)
        for number in range(60):
            world.call(at=number * 0.15)
        return [(call.decisions, models_of(call), call.waits, call.elapsed_s) for call in world.run()]

    assert live(1) == live(1)
    assert live(1) != live(2)


def test_concurrency_changes_no_draw() -> None:
    def first_choices(gap: float) -> list[str | None]:
        world = VirtualWorld({A: answers, B: answers, C: answers}, strategy=Weighted(), seed=3)
        for number in range(50):
            world.call(at=number * gap)
        return [call.decisions[0].chosen for call in world.run()]

    assert first_choices(0.0) == first_choices(10.0)
