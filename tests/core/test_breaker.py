"""The circuit breaker: each row of the fault table's breaker section, and random events against a plain model."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from routerlab.core.breaker import MOVES, BreakerConfig, Cause, CircuitBreaker, CircuitState, Permit, Transition
from routerlab.core.errors import CircuitOpenError

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


def make(**parameters: float) -> CircuitBreaker:
    return CircuitBreaker(BreakerConfig(**parameters))  # type: ignore[arg-type]


def fail(breaker: CircuitBreaker, times: int, now: float = 0.0) -> Transition | None:
    moved = None
    for _ in range(times):
        moved = breaker.record_failure(breaker.acquire(now), now)
    return moved


def opened(now: float = 0.0, **parameters: float) -> CircuitBreaker:
    breaker = make(**{"failure_threshold": 1, "reset_timeout": 60.0, **parameters})
    assert fail(breaker, 1, now) is not None
    return breaker


def test_defaults() -> None:
    assert BreakerConfig() == BreakerConfig(5, 60.0, 1, 1)
    assert make().state(0.0) is CLOSED


def test_failures_in_a_row_open_it() -> None:
    breaker = make(failure_threshold=3)
    assert fail(breaker, 2) is None
    assert fail(breaker, 1, now=7.0) == Transition(CLOSED, OPEN, Cause.FAILURES, 7.0)
    assert breaker.state(7.0) is OPEN


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = make(failure_threshold=3)
    fail(breaker, 2)
    breaker.record_success(breaker.acquire(0.0), 0.0)
    fail(breaker, 2)
    assert breaker.state(0.0) is CLOSED
    assert breaker.stats(0.0)["failure_count"] == 2


def test_open_refuses_and_says_for_how_long() -> None:
    breaker = opened(now=10.0)
    assert breaker.try_acquire(20.0) is None
    with pytest.raises(CircuitOpenError, match="openai") as caught:
        breaker.acquire(20.0, name="openai")
    assert caught.value.remaining == 50.0


def test_its_time_over_it_reads_half_open_and_moves_with_the_first_probe() -> None:
    breaker = opened()
    assert breaker.state(59.9) is OPEN
    assert (breaker.state(60.0), breaker.remaining(60.0), breaker.free_probe_slots(60.0)) == (HALF_OPEN, 0.0, 1)
    permit = breaker.acquire(61.0)
    assert permit.is_probe
    assert permit.transition == Transition(OPEN, HALF_OPEN, Cause.PROBE_ADMITTED, 61.0)


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_exactly_as_many_probes_as_slots(slots: int) -> None:
    breaker = opened(half_open_max=slots)
    admitted = [breaker.try_acquire(60.0) for _ in range(100)]
    assert sum(permit is not None for permit in admitted) == slots
    assert sum(permit.transition is not None for permit in admitted if permit) == 1
    with pytest.raises(CircuitOpenError) as caught:
        breaker.acquire(60.0)
    assert caught.value.remaining == 0.0


def test_a_probes_success_closes_it() -> None:
    breaker = opened()
    moved = breaker.record_success(breaker.acquire(60.0), 61.0)
    assert moved == Transition(HALF_OPEN, CLOSED, Cause.PROBES_SUCCEEDED, 61.0)
    assert breaker.stats(61.0)["failure_count"] == 0


def test_a_finished_probe_frees_its_slot() -> None:
    breaker = opened(half_open_max=1, success_threshold=2)
    assert breaker.record_success(breaker.acquire(60.0), 61.0) is None
    assert breaker.state(61.0) is HALF_OPEN
    assert breaker.record_success(breaker.acquire(61.0), 62.0) is not None
    assert breaker.state(62.0) is CLOSED


def test_a_probes_failure_reopens_for_a_full_timeout() -> None:
    breaker = opened(success_threshold=2)
    breaker.record_success(breaker.acquire(60.0), 60.0)
    moved = breaker.record_failure(breaker.acquire(90.0), 100.0)
    assert moved == Transition(HALF_OPEN, OPEN, Cause.PROBE_FAILED, 100.0)
    assert breaker.remaining(100.0) == 60.0
    assert breaker.stats(160.0)["success_count"] == 0


def test_a_neutral_probe_frees_its_slot_and_counts_nothing() -> None:
    breaker = opened()
    breaker.release(breaker.acquire(60.0), 60.0)
    assert breaker.state(60.0) is HALF_OPEN
    assert breaker.stats(60.0)["failure_count"] == 1
    assert breaker.try_acquire(60.0) is not None


@pytest.mark.parametrize(
    ("reset_timeout", "lease_s", "end"), [(60.0, None, 300.0), (1000.0, None, 1000.0), (60.0, 5.0, 5.0)]
)
def test_a_lost_probe_is_reclaimed_when_its_lease_ends(reset_timeout: float, lease_s: float | None, end: float) -> None:
    breaker = opened(reset_timeout=reset_timeout)
    lost = breaker.acquire(reset_timeout, lease_s)
    assert breaker.try_acquire(reset_timeout + end - 0.1) is None
    probe = breaker.try_acquire(reset_timeout + end)
    assert probe is not None
    assert breaker.record_failure(lost, reset_timeout + end) is None
    assert breaker.state(reset_timeout + end) is HALF_OPEN
    assert breaker.record_success(probe, reset_timeout + end) is not None


def test_a_lease_that_ended_counts_for_nothing_even_if_the_slot_was_not_taken() -> None:
    breaker = opened()
    lost = breaker.acquire(60.0, lease_s=5.0)
    assert breaker.record_success(lost, 65.0) is None
    assert breaker.state(65.0) is HALF_OPEN


@pytest.mark.parametrize("outcome", ["record_success", "record_failure", "release"])
def test_a_late_result_neither_closes_nor_extends(outcome: str) -> None:
    breaker = make(failure_threshold=1, reset_timeout=60.0)
    late = [breaker.acquire(0.0) for _ in range(3)]
    fail(breaker, 1)
    getattr(breaker, outcome)(late[0], 30.0)
    assert (breaker.state(30.0), breaker.remaining(30.0)) == (OPEN, 30.0)
    probe = breaker.acquire(60.0)
    getattr(breaker, outcome)(late[1], 61.0)
    assert (breaker.state(61.0), breaker.probes_in_flight(61.0)) == (HALF_OPEN, 1)
    breaker.record_success(probe, 62.0)
    getattr(breaker, outcome)(late[2], 63.0)
    assert (breaker.state(63.0), breaker.stats(63.0)["failure_count"]) == (CLOSED, 0)


def test_a_permit_counts_once() -> None:
    breaker = make(failure_threshold=2)
    permit = breaker.acquire(0.0)
    breaker.record_failure(permit, 0.0)
    breaker.record_failure(permit, 0.0)
    breaker.record_success(permit, 0.0)
    assert breaker.stats(0.0)["failure_count"] == 1


def test_another_breakers_permit_counts_for_nothing() -> None:
    breaker, other = make(failure_threshold=1), make()
    assert breaker.record_failure(other.acquire(0.0), 0.0) is None
    assert breaker.state(0.0) is CLOSED


def test_without_a_permit() -> None:
    breaker = make(failure_threshold=2, reset_timeout=60.0, half_open_max=2)
    breaker.record_failure(None, 0.0)
    breaker.record_failure(None, 0.0)
    assert breaker.state(0.0) is OPEN
    breaker.record_success(None, 1.0)
    breaker.record_failure(None, 70.0)
    assert (breaker.state(1.0), breaker.state(70.0)) == (OPEN, HALF_OPEN)
    first, second = breaker.acquire(70.0), breaker.acquire(71.0)
    breaker.release(None, 72.0)
    assert (first.settled, second.settled) == (True, False)
    breaker.record_success(None, 73.0)
    assert breaker.state(73.0) is CLOSED


def test_by_hand() -> None:
    breaker = make(reset_timeout=60.0)
    assert breaker.reset(0.0) is None
    assert breaker.force_open(0.0) == Transition(CLOSED, OPEN, Cause.FORCED_OPEN, 0.0)
    assert breaker.force_open(10.0) is None
    assert breaker.remaining(10.0) == 60.0
    assert breaker.force_close(20.0) == Transition(OPEN, CLOSED, Cause.FORCED_CLOSED, 20.0)
    breaker.force_open(20.0, duration_s=500.0)
    assert breaker.remaining(20.0) == 500.0
    probe = breaker.acquire(520.0)
    assert breaker.force_open(521.0) == Transition(HALF_OPEN, OPEN, Cause.FORCED_OPEN, 521.0)
    assert breaker.record_success(probe, 522.0) is None
    assert breaker.reset(523.0) == Transition(OPEN, CLOSED, Cause.RESET, 523.0)
    fail(breaker, 4)
    breaker.reset(524.0)
    assert breaker.stats(524.0)["failure_count"] == 0


def test_a_clock_that_goes_backwards_neither_raises_nor_extends() -> None:
    breaker = opened(now=1000.0)
    assert (breaker.state(5.0), breaker.remaining(5.0)) == (OPEN, 60.0)
    assert breaker.try_acquire(5.0) is None
    assert breaker.try_acquire(1060.0) is not None


def test_stats_are_plain_data() -> None:
    breaker = opened(now=10.0)
    assert breaker.stats(20.0) == {
        "state": "open",
        "failure_count": 1,
        "success_count": 0,
        "remaining": 50.0,
        "probes_in_flight": 0,
        "free_probe_slots": 0,
        "config": {"failure_threshold": 1, "reset_timeout": 60.0, "half_open_max": 1, "success_threshold": 1},
    }


@pytest.mark.parametrize("name", ["failure_threshold", "half_open_max", "success_threshold"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, math.nan, None, "3"])
def test_counts_below_one_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        BreakerConfig(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, None, "60", 10**400])
def test_times_that_are_not_positive_and_finite_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="reset_timeout"):
        BreakerConfig(reset_timeout=value)  # type: ignore[arg-type]
    breaker = make()
    if value is not None:
        with pytest.raises(ValueError, match="lease_s"):
            breaker.try_acquire(0.0, value)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="duration_s"):
            breaker.force_open(0.0, value)  # type: ignore[arg-type]
    assert breaker.state(0.0) is CLOSED


def test_the_steps_that_need_no_lock_are_those_that_change_nothing() -> None:
    breaker = make(failure_threshold=2)
    permit, second, third = breaker.pass_closed(), breaker.pass_closed(), breaker.pass_closed()
    assert permit is not None
    assert second is not None
    assert third is not None
    assert breaker.changes_nothing(permit)
    assert not breaker.changes_nothing(permit)  # it has been handed back
    breaker.record_failure(second, 0.0)
    assert not breaker.changes_nothing(third)  # it ends a row of failures
    assert breaker.record_failure(third, 0.0) is not None
    assert breaker.pass_closed() is None
    breaker.record_success(breaker.acquire(60.0), 60.0)
    assert breaker.pass_closed() is not None


def test_a_permit_shows_no_secret_of_the_machine() -> None:
    assert repr(make().acquire(0.0)) == (
        "Permit(state=<CircuitState.CLOSED: 'closed'>, lease_end=inf, transition=None, settled=False)"
    )


class BreakerMachine(RuleBasedStateMachine):
    """Random events against a model that keeps every permit ever given and recounts from scratch."""

    LEASE = 100.0

    def __init__(self) -> None:
        super().__init__()
        self.config = BreakerConfig(failure_threshold=2, reset_timeout=10.0, half_open_max=2, success_threshold=3)
        self.breaker = CircuitBreaker(self.config)
        self.now = 0.0
        self.state = CLOSED
        self.generation = 0
        self.given: dict[Permit, int] = {}  # every permit, and the generation it belongs to
        self.out: list[Permit] = []  # not handed back yet
        self.failures = self.successes = 0
        self.open_until = 0.0

    def read(self) -> tuple[object, ...]:
        breaker, now = self.breaker, self.now
        return (breaker.state(now), breaker.remaining(now), breaker.free_probe_slots(now), str(breaker.stats(now)))

    def probes(self) -> list[Permit]:
        """The probes of this half-open phase whose lease runs."""
        return [p for p in self.out if self.given[p] == self.generation and p.is_probe and self.now < p.lease_end]

    def expect(self, moved: Transition | None, new: CircuitState) -> None:
        old, self.state = self.state, new
        assert moved is not None
        assert (moved.old, moved.new, moved.at) == (old, new, self.now)
        assert MOVES[old, moved.cause] is new
        self.generation += 1
        self.successes = 0
        self.failures = 0 if new is CLOSED else self.failures
        self.open_until = self.now + self.config.reset_timeout

    @rule(seconds=st.sampled_from([0.5, 4.0, 10.0, 99.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(without_lock=st.booleans())
    def acquire(self, without_lock: bool) -> None:
        before = self.read()
        permit = self.breaker.pass_closed() if without_lock else None
        assert permit is None or self.read() == before
        permit = permit or self.breaker.try_acquire(self.now, self.LEASE)
        if self.state is CLOSED:
            may_go = True
        else:
            may_go = (self.state is HALF_OPEN or self.now >= self.open_until) and len(self.probes()) < 2
        assert (permit is not None) == may_go
        if permit is None:
            assert self.read() == before
            return
        if self.state is OPEN:
            self.expect(permit.transition, HALF_OPEN)
        else:
            assert permit.transition is None
        self.given[permit] = self.generation
        self.out.append(permit)

    @precondition(lambda self: self.given)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["success", "failure", "neutral"]),
        nameless=st.booleans(),
        without_lock=st.booleans(),
    )
    def settle(self, data: st.DataObject, outcome: str, nameless: bool, without_lock: bool) -> None:
        permit: Permit | None = data.draw(st.sampled_from(list(self.given)))
        if nameless:
            permit = None
            meant = next(iter(self.probes()), None) if self.state is HALF_OPEN else None
            counts = self.state is CLOSED or meant is not None
        else:
            meant = permit
            counts = (
                permit in self.out
                and self.given[permit] == self.generation
                and (not permit.is_probe or self.now < permit.lease_end)
            )
        before = self.read()
        if meant in self.out:
            self.out.remove(meant)
        if outcome == "neutral":
            self.breaker.release(permit, self.now)
            return
        if outcome == "success" and without_lock and permit is not None and self.breaker.changes_nothing(permit):
            assert self.read() == before
        record = self.breaker.record_success if outcome == "success" else self.breaker.record_failure
        moved = record(permit, self.now)
        if not counts:
            assert moved is None
            assert self.read() == before
        elif outcome == "success":
            self.failures = 0
            self.successes += self.state is HALF_OPEN
            if self.successes == self.config.success_threshold:
                self.expect(moved, CLOSED)
            else:
                assert moved is None
        else:
            self.failures += 1
            if self.state is HALF_OPEN or self.failures == self.config.failure_threshold:
                self.expect(moved, OPEN)
            else:
                assert moved is None

    @rule(by=st.sampled_from(["reset", "force_close", "force_open"]))
    def by_hand(self, by: str) -> None:
        new = OPEN if by == "force_open" else CLOSED
        moved = getattr(self.breaker, by)(self.now)
        if self.state is new:
            assert moved is None
        else:
            self.expect(moved, new)
        if new is CLOSED:
            self.failures = 0
        self.open_until = self.now + self.config.reset_timeout

    @invariant()
    def reads_agree_and_change_nothing(self) -> None:
        seen = self.read()
        assert seen == self.read()
        lapsed = self.state is OPEN and self.now >= self.open_until
        state = HALF_OPEN if lapsed else self.state
        stats = self.breaker.stats(self.now)
        assert self.breaker.state(self.now) is state
        assert (stats["failure_count"], stats["success_count"]) == (self.failures, self.successes)
        assert stats["probes_in_flight"] == len(self.probes()) <= self.config.half_open_max
        assert stats["free_probe_slots"] == (2 - len(self.probes()) if state is HALF_OPEN else 0)
        assert stats["remaining"] == (self.open_until - self.now if state is OPEN else 0.0)

    def teardown(self) -> None:
        """No permit leaks: whatever happened, time alone brings all slots back."""
        self.now += 1000.0
        if self.state is not CLOSED:
            assert self.breaker.free_probe_slots(self.now) == self.config.half_open_max


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase
