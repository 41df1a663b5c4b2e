"""The virtual world itself: its clock, its plays, simulated models in it."""

from __future__ import annotations

import math

import pytest

from routerlab.core.decisions import Pool
from routerlab.core.errors import NoModelAvailableError
from routerlab.core.failures import Fault, ProviderError
from routerlab.core.moves import Clocks
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.core.simulated_faults import ScheduledFault
from routerlab.core.strategies import RoundRobin
from routerlab.core.types import Needs, Price
from routerlab.simulation.plays import Play, cut
from routerlab.simulation.virtual import VirtualWorld

A, B = "a/one", "b/one"


def answers(number: int) -> Play:
    return Play(0.2)


def test_things_happen_in_the_order_of_their_time_then_of_their_planning() -> None:
    world, seen = VirtualWorld({A: answers}), []
    for name, at in (("late", 2.0), ("early", 1.0), ("early too", 1.0), ("never", math.inf), ("past", -5.0)):
        world.at(at, lambda name=name: seen.append((name, round(world.elapsed_s, 6))))
    world.run(until=1.5)
    assert seen == [("past", 0.0), ("early", 1.0), ("early too", 1.0)]
    world.run()
    assert seen[-1] == ("late", 2.0)


def test_a_call_is_a_handle_and_what_became_of_it() -> None:
    world = VirtualWorld({A: answers})
    call = world.call(at=3.0)
    assert (call.ok, call.elapsed_s, call.started_at) == (False, math.inf, None)
    assert repr(call) == "VirtualCall(call-0, planned, 0 attempts)"
    world.run(until=3.1)
    assert repr(call) == "VirtualCall(call-0, running, 0 attempts)"
    assert world.run() == [call]
    assert repr(call) == "VirtualCall(call-0, ok, 1 attempts)"
    assert call.elapsed_s == pytest.approx(0.2)
    attempt = call.attempts[0]
    assert (attempt.model, attempt.provider, attempt.reason, attempt.outcome) == (A, "a", "selected", "ok")
    assert (attempt.attempt, attempt.status, attempt.breaker_before, attempt.score_before) == (1, 200, "closed", None)
    assert attempt.score_after == pytest.approx(0.5)
    assert attempt.latency_s == pytest.approx(0.2)
    assert [decision.chosen for decision in call.decisions] == [A]


def test_a_call_that_was_cancelled_before_it_began_still_begins() -> None:
    world = VirtualWorld({A: answers})
    call = world.call(at=3.0)
    world.cancel(call, at=1.0)
    world.run()
    assert call.ok


def test_pools_and_pins() -> None:
    world = VirtualWorld({A: answers, B: answers})
    other = Pool("other", "generation", (B,), RoundRobin())
    pinned, elsewhere = world.call(model=B), world.call(pool=other)
    world.run()
    assert [call.attempts[0].model for call in (pinned, elsewhere)] == [B, B]
    assert [call.decisions[0].strategy for call in (pinned, elsewhere)] == ["pinned", "round-robin"]


def test_the_pool_learns_as_it_goes() -> None:
    world = VirtualWorld({A: answers, B: answers}, strategy=RoundRobin())
    calls = [world.call(at=float(second)) for second in range(4)]
    world.run()
    assert [call.attempts[0].model for call in calls] == [A, B, A, B]


@pytest.mark.parametrize(
    ("play", "clocks", "stream", "expected"),
    [
        (Play(5.0), Clocks(), False, (5.0, "")),
        (Play(5.0), Clocks(request_s=5.0), False, (5.0, "")),  # just in time
        (Play(5.1), Clocks(request_s=5.0), False, (5.0, "request")),
        (Play(5.1), Clocks(request_s=5.0, deadline_s=4.0), False, (4.0, "deadline")),
        (Play(5.1, connect_s=3.0), Clocks(connect_s=2.0), False, (2.0, "connect")),
        (Play(5.1, connect_s=1.0), Clocks(connect_s=2.0), False, (5.1, "")),
        (Play(5.1), Clocks(first_token_s=1.0, idle_s=1.0, total_s=1.0, takeover_s=1.0), False, (5.1, "")),
        (Play(9.0, first_token_s=8.0), Clocks(first_token_s=5.0), True, (5.0, "first_token")),
        (Play(9.0), Clocks(first_token_s=5.0), True, (5.0, "first_token")),  # all at once, too late
        (Play(9.0, first_token_s=8.0), Clocks(first_token_s=5.0, takeover_s=2.0), True, (2.0, "takeover")),
        (Play(9.0, first_token_s=8.0, reasoning_s=1.0), Clocks(first_token_s=5.0, takeover_s=2.0), True, (9.0, "")),
        (Play(math.inf, first_token_s=1.0, silent_from_s=3.0), Clocks(idle_s=4.0), True, (7.0, "idle")),
        (Play(6.0, first_token_s=1.0, silent_from_s=3.0), Clocks(idle_s=4.0), True, (6.0, "")),
        (Play(9.0, first_token_s=1.0), Clocks(total_s=5.0, request_s=1.0), True, (5.0, "total")),
    ],
)
def test_the_first_clock_that_runs_out(play: Play, clocks: Clocks, stream: bool, expected: tuple[float, str]) -> None:
    seconds, error = cut(play, clocks, stream=stream)
    assert (seconds, error.clock if error else "") == expected


@pytest.mark.parametrize(
    ("clock", "fault"),
    [
        ({"connect_s": 1.0}, Fault.CONNECT_TIMEOUT),
        ({"total_s": 1.0}, Fault.TIMEOUT),
        ({"deadline_s": 1.0}, Fault.DEADLINE),
        ({"takeover_s": 1.0}, Fault.TAKEOVER),
    ],
)
def test_what_a_clock_that_ran_out_means(clock: dict[str, float], fault: Fault) -> None:
    _, error = cut(Play(math.inf, connect_s=9.0, first_token_s=9.0), Clocks(**clock), stream=True)
    assert error is not None
    assert error.fault is fault
    assert error.sent == (fault is not Fault.CONNECT_TIMEOUT)


def test_a_failure_before_the_clock_is_the_models_own() -> None:
    own = ProviderError("down", status=503)
    assert cut(Play(1.0, own), Clocks(request_s=2.0), stream=False) == (1.0, own)


class TestSimulatedModels:
    def test_an_outage_on_schedule(self) -> None:
        outage = ScheduledFault("unavailable", start_s=5.0, end_s=10.0)
        models = {
            A: SimulatedModel("one", ttft_s=Latency(0.1), faults=(outage,), price=Price(1.0, 2.0)),
            B: SimulatedModel("one", ttft_s=Latency(0.1)),
        }
        world = VirtualWorld(models)
        calls = [world.call(at=float(second), prompt=f"question {second}") for second in range(15)]
        world.run()
        assert all(call.ok for call in calls)
        failed_over = [second for second, call in enumerate(calls) if len(call.attempts) > 1]
        assert failed_over[0] == 5
        assert world.health.snapshot(A, world.now).price == Price(1.0, 2.0)

    def test_a_stall_in_mid_stream_is_ended_by_the_idle_clock(self) -> None:
        stalls = SimulatedModel("one", ttft_s=Latency(1.0), script=(ScheduledFault("stall_midway"),))
        world = VirtualWorld({A: stalls})
        call = world.call(stream=True, prompt="Tell me a story")
        world.run()
        assert call.attempts[0].committed
        assert call.attempts[0].error_message == f"the idle clock ran out after {call.attempts[0].latency_s:g} s"
        assert 31.0 <= call.attempts[0].latency_s < 32.0

    def test_the_same_seed_takes_the_same_time(self) -> None:
        def times(seed: int) -> list[float]:
            world = VirtualWorld({A: SimulatedModel("one")}, seed=seed)
            for number in range(5):
                world.call(at=float(number), prompt="again")
            return [call.elapsed_s for call in world.run()]

        assert times(1) == times(1)
        assert times(1) != times(2)
        assert len(set(times(1))) > 1  # a repeated prompt takes another time

    def test_features_rule_models_out(self) -> None:
        world = VirtualWorld({A: SimulatedModel("one", features=frozenset())})
        call = world.call(needs=Needs(frozenset({"vision"})))
        world.run()
        assert call.finish is not None
        assert isinstance(call.finish.error, NoModelAvailableError)
        assert call.finish.error.retry_after_s is None
