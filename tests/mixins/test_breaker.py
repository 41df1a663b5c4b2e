"""CircuitBreakerMixin: documented names, tasks and threads."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from collections.abc import Callable

import pytest

from routerlab.mixins.breaker import CircuitBreakerMixin, CircuitOpenError, CircuitState, Permit


class Provider(CircuitBreakerMixin):
    pass


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def half_open(**parameters: int) -> Provider:
    provider = Provider()
    provider._clock = clock = Clock()
    provider.configure_circuit_breaker(**{"failure_threshold": 1, **parameters})
    provider.record_failure()
    clock.now = 60.0
    assert provider.circuit_state is CircuitState.HALF_OPEN
    return provider


def admitted(provider: Provider) -> bool:
    try:
        provider.check_circuit()
    except CircuitOpenError:
        return False
    return True


def in_fresh_context(function: Callable[[], object]) -> None:
    """Run as a task of its own would: nothing taken yet."""
    contextvars.Context().run(function)


def test_defaults_without_setup() -> None:
    provider = Provider()
    assert provider.circuit_breaker_stats()["config"] == {
        "failure_threshold": 5,
        "reset_timeout": 60.0,
        "half_open_max": 1,
        "success_threshold": 1,
    }
    for _ in range(4):
        provider.record_failure()
    assert provider.circuit_state is CircuitState.CLOSED
    provider.record_failure()
    assert provider.circuit_state is CircuitState.OPEN
    with pytest.raises(CircuitOpenError) as caught:
        provider.check_circuit()
    assert 59.0 < caught.value.remaining <= 60.0


def test_state_values() -> None:
    assert [state.value for state in CircuitState] == ["closed", "open", "half_open"]


def test_stats() -> None:
    stats = half_open(success_threshold=2).circuit_breaker_stats()
    assert (stats["state"], stats["failure_count"], stats["success_count"]) == ("half_open", 1, 0)
    assert stats["config"]["success_threshold"] == 2


def test_reading_changes_nothing() -> None:
    provider = half_open()
    before = provider.circuit_breaker_stats()
    for _ in range(3):
        assert provider.circuit_state is CircuitState.HALF_OPEN
        assert provider.circuit_breaker_stats() == before
    assert admitted(provider)


def test_instances_are_apart() -> None:
    one, other = Provider(), Provider()
    one.configure_circuit_breaker(failure_threshold=1)
    one.record_failure()
    assert (one.circuit_state, other.circuit_state) == (CircuitState.OPEN, CircuitState.CLOSED)


def test_reset() -> None:
    provider = half_open()
    provider.reset_circuit()
    assert provider.circuit_state is CircuitState.CLOSED
    assert provider.circuit_breaker_stats()["failure_count"] == 0


@pytest.mark.parametrize("name", ["failure_threshold", "reset_timeout", "half_open_max", "success_threshold"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_wrong_parameters_are_refused_and_change_nothing(name: str, value: float) -> None:
    provider = Provider()
    provider.configure_circuit_breaker(failure_threshold=2)
    with pytest.raises(ValueError, match=name):
        provider.configure_circuit_breaker(**{name: value})  # type: ignore[arg-type]
    assert provider.circuit_breaker_stats()["config"]["failure_threshold"] == 2


def test_the_permit_this_task_took_last_is_meant() -> None:
    provider = half_open(half_open_max=2)

    async def probe(name: str, go: asyncio.Event, done: list[str]) -> None:
        provider.check_circuit()
        await go.wait()
        provider.release_circuit()
        done.append(name)

    async def both() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        done: list[str] = []
        tasks = [asyncio.create_task(probe("first", first, done)), asyncio.create_task(probe("second", second, done))]
        await asyncio.sleep(0)
        assert provider.circuit_breaker_stats()["free_probe_slots"] == 0
        second.set()
        await tasks[1]
        assert done == ["second"]
        assert provider.circuit_breaker_stats()["free_probe_slots"] == 1
        first.set()
        await tasks[0]
        assert provider.circuit_breaker_stats()["free_probe_slots"] == 2

    asyncio.run(both())


def test_the_late_result_of_a_task_is_its_own_and_not_the_probes() -> None:
    provider = Provider()
    provider._clock = clock = Clock()
    provider.configure_circuit_breaker(failure_threshold=1)

    def slow_request() -> None:
        provider.check_circuit()
        in_fresh_context(provider.record_failure)
        clock.now = 60.0
        in_fresh_context(provider.check_circuit)
        provider.record_success()

    in_fresh_context(slow_request)
    assert provider.circuit_state is CircuitState.HALF_OPEN
    in_fresh_context(provider.record_success)  # nobody's: the oldest probe's
    assert provider.circuit_state is CircuitState.CLOSED


def test_permits_of_two_breakers_in_one_task_do_not_mix() -> None:
    one, other = half_open(), half_open()
    one.check_circuit()
    other.check_circuit()
    one.record_success()
    assert (one.circuit_state, other.circuit_state) == (CircuitState.CLOSED, CircuitState.HALF_OPEN)
    other.record_failure()
    assert other.circuit_state is CircuitState.OPEN


def test_one_check_and_many_failures_all_count_while_closed() -> None:
    provider = Provider()
    provider.configure_circuit_breaker(failure_threshold=3)
    provider.check_circuit()
    for _ in range(3):
        provider.record_failure()
    assert provider.circuit_state is CircuitState.OPEN


def test_a_cancelled_probe_gives_its_slot_back() -> None:
    provider = half_open()

    async def request() -> None:
        permit = provider.check_circuit()
        try:
            await asyncio.sleep(60)
        finally:
            provider.release_circuit(permit)

    async def cancel_it() -> None:
        task = asyncio.create_task(request())
        await asyncio.sleep(0)
        assert not admitted(provider)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_it())
    assert admitted(provider)


@pytest.mark.parametrize("slots", [1, 3])
def test_a_hundred_tasks_at_a_half_open_circuit(slots: int) -> None:
    provider = half_open(half_open_max=slots)

    async def request() -> bool:
        await asyncio.sleep(0)
        return admitted(provider)

    async def crowd() -> list[bool]:
        return list(await asyncio.gather(*(request() for _ in range(100))))

    assert sum(asyncio.run(crowd())) == slots


@pytest.mark.parametrize("slots", [1, 3])
def test_two_dozen_threads_at_a_half_open_circuit(slots: int) -> None:
    provider = half_open(half_open_max=slots)
    barrier = threading.Barrier(24)
    passed: list[Permit] = []

    def request() -> None:
        barrier.wait()
        for _ in range(50):
            try:
                passed.append(provider.check_circuit())
            except CircuitOpenError:
                continue

    threads = [threading.Thread(target=request) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == slots


def test_who_only_passes_a_closed_circuit_waits_for_no_lock() -> None:
    provider = Provider()
    provider.configure_circuit_breaker()
    assert provider._circuit is not None
    with provider._circuit.lock:  # a thread that holds it, and sleeps
        provider.record_success(provider.check_circuit())


def test_threads_share_the_breaker_that_none_of_them_set_up() -> None:
    for _ in range(20):
        provider = Provider()
        barrier = threading.Barrier(5)

        def report(provider: Provider = provider, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            provider.record_failure()

        threads = [threading.Thread(target=report) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert provider.circuit_state is CircuitState.OPEN


def test_the_clock_may_be_replaced_after_setup() -> None:
    provider = Provider()
    provider.configure_circuit_breaker(failure_threshold=1, reset_timeout=5.0)
    provider._clock = clock = Clock()
    provider.record_failure()
    assert provider.circuit_state is CircuitState.OPEN
    clock.now = 5.0
    assert provider.circuit_state is CircuitState.HALF_OPEN
