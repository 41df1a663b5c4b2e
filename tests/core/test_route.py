"""The route by itself: its legal moves, its clocks and waits, and what must hold whatever happens."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from routerlab.core import errors, moves
from routerlab.core.breaker import BreakerConfig, Permit
from routerlab.core.decisions import Pool, decide
from routerlab.core.failures import CANCELLED, SUCCESS, Fault, Outcome, ProviderError, classify
from routerlab.core.health import Health, ModelSettings
from routerlab.core.policy import PoolPolicy, RetryPolicy, Timeouts
from routerlab.core.route import IllegalMove, Route, RouteState
from routerlab.core.strategies import STRATEGIES, Priority, make_strategy
from routerlab.core.types import CompletionRequest, ModelSnapshot

A, B, C = "a/a", "b/b", "c/c"
T = 1000.1
OUTAGE = ProviderError("gone", status=503)


def ask(*, stream: bool = False) -> CompletionRequest:
    return CompletionRequest("call", "generation", "", (), stream=stream)


def seen(now: float = T, **known: dict[str, Any]) -> list[ModelSnapshot]:
    """Snapshots of a, b and c; `known` says by first letter what is special about them."""
    return [ModelSnapshot(model, model[0], at=now, **known.get(model[0], {})) for model in (A, B, C)]


def make_route(policy: PoolPolicy | None = None, *, stream: bool = False, **options: Any) -> Route:
    return Route(ask(stream=stream), Pool("chat", "generation", (A, B, C), Priority(), policy), **options)


def dump(route: Route) -> bytes:
    return pickle.dumps(vars(route))


EVENTS = [
    moves.Committed(),
    moves.Succeeded(),
    moves.Failed(OUTAGE),
    moves.Refused(),
    moves.Waited(),
    moves.Cancelled(),
]
LEGAL = {
    RouteState.NEW: set(),
    RouteState.TRYING: {moves.Committed, moves.Succeeded, moves.Failed, moves.Refused, moves.Cancelled},
    RouteState.WAITING: {moves.Waited, moves.Cancelled},
    RouteState.DONE: set(),
}


def route_in(state: RouteState) -> Route:
    route = make_route()
    if state is not RouteState.NEW:
        route.start(seen(), T)
    if state is RouteState.WAITING:
        route.receive(moves.Failed(OUTAGE), seen(), T)
    if state is RouteState.DONE:
        route.receive(moves.Succeeded(), seen(), T)
    assert route.state is state
    return route


@pytest.mark.parametrize("state", RouteState)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_move_is_legal_or_refused_and_changes_nothing(state: RouteState, event: moves.Event) -> None:
    route = route_in(state)
    if type(event) in LEGAL[state]:
        assert isinstance(route.receive(event, seen(), T + 1.0), moves.Action)
        return
    before = dump(route)
    with pytest.raises(IllegalMove, match=type(event).__name__):
        route.receive(event, seen(), T + 1.0)
    assert dump(route) == before


@pytest.mark.parametrize("state", [state for state in RouteState if state is not RouteState.NEW])
def test_a_route_starts_once(state: RouteState) -> None:
    route = route_in(state)
    before = dump(route)
    with pytest.raises(IllegalMove, match="started already"):
        route.start(seen(), T)
    assert dump(route) == before


def test_an_attempt_commits_once() -> None:
    route = make_route(stream=True)
    route.start(seen(), T)
    assert route.receive(moves.Committed(), (), T) == moves.Proceed()
    before = dump(route)
    with pytest.raises(IllegalMove):
        route.receive(moves.Committed(), (), T)
    assert dump(route) == before


class TestClocks:
    def test_a_whole_answer_has_one_clock(self) -> None:
        action = make_route().start(seen(), T)
        assert action == moves.Attempt(A, moves.Clocks(connect_s=10.0, request_s=120.0))

    def test_a_stream_has_its_own(self) -> None:
        action = make_route(stream=True).start(seen(), T)
        clocks = moves.Clocks(connect_s=10.0, first_token_s=60.0, idle_s=30.0, total_s=300.0)
        assert action == moves.Attempt(A, clocks)

    def test_the_deadline_is_what_is_left_of_it(self) -> None:
        route = make_route(PoolPolicy(deadline=100.0), deadline_s=5.0)
        first = route.start(seen(), T)
        assert isinstance(first, moves.Attempt)
        assert first.clocks.deadline_s == pytest.approx(5.0)
        route.receive(moves.Failed(OUTAGE), seen(), T + 1.0)
        second = route.receive(moves.Waited(), seen(), T + 1.5)
        assert isinstance(second, moves.Attempt)
        assert second.clocks.deadline_s == pytest.approx(3.5)

    def test_the_pools_deadline_holds_where_the_caller_has_none(self) -> None:
        action = make_route(PoolPolicy(deadline=7.0)).start(seen(), T)
        assert isinstance(action, moves.Attempt)
        assert action.clocks.deadline_s == pytest.approx(7.0)

    def test_clocks_can_be_off(self) -> None:
        off = Timeouts(connect=None, request=None, first_token=None, idle=None, total=None)
        action = make_route(PoolPolicy(timeouts=off), stream=True).start(seen(), T)
        assert action == moves.Attempt(A, moves.Clocks())

    @pytest.mark.parametrize(
        ("others", "takeover_s"),
        [({}, 4.0), ({"b": {"breaker": "open"}}, 4.0), ({"b": {"breaker": "open"}, "c": {"out_because": "key"}}, None)],
        ids=["both free", "one free", "none free"],
    )
    def test_a_takeover_needs_another_model_that_is_free(
        self, others: dict[str, dict[str, Any]], takeover_s: float | None
    ) -> None:
        action = make_route(PoolPolicy(takeover_after=4.0), stream=True).start(seen(**others), T)
        assert isinstance(action, moves.Attempt)
        assert action.clocks.takeover_s == takeover_s

    def test_a_deadline_that_is_over_starts_nothing(self) -> None:
        action = make_route(deadline_s=0.0).start(seen(), T)
        assert isinstance(action, moves.Finish)
        assert action.outcome is Outcome.CANCELLED
        assert isinstance(action.error, errors.RequestTimeoutError)


class TestTheTurn:
    """What becomes of a turn while it waits for its retry."""

    def wait(self, route: Route, **known: dict[str, Any]) -> None:
        route.start(seen(**known), T)
        assert isinstance(route.receive(moves.Failed(OUTAGE), seen(**known), T), moves.Wait)

    def test_it_goes_on(self) -> None:
        route = make_route()
        self.wait(route)
        action = route.receive(moves.Waited(), seen(T + 0.6), T + 0.6)
        assert isinstance(action, moves.Attempt)
        assert (action.model, action.reason) == (A, "retry")

    @pytest.mark.parametrize(
        "change",
        [
            {"out_because": "the provider refused the key"},
            {"breaker": "open", "seconds_to_probe": 50.0},
            {"breaker": "half_open", "probe_free": False},
            {"cooling_until": T + 30.0},
        ],
        ids=["out", "open", "probe in flight", "cooling"],
    )
    def test_it_ends_where_other_requests_have_closed_its_model(self, change: dict[str, Any]) -> None:
        route = make_route()
        self.wait(route)
        action = route.receive(moves.Waited(), seen(T + 0.6, a=change), T + 0.6)
        assert isinstance(action, moves.Attempt)
        assert (action.model, action.reason) == (B, "failover")

    def test_it_sits_a_cooling_out_where_nobody_else_can_serve(self) -> None:
        others = {"b": {"breaker": "open"}, "c": {"breaker": "open"}}
        route = make_route()
        self.wait(route, **others)
        action = route.receive(moves.Waited(), seen(T + 0.6, a={"cooling_until": T + 30.6}, **others), T + 0.6)
        assert action == moves.Wait(pytest.approx(30.0))
        again = route.receive(moves.Waited(), seen(T + 30.6, a={"cooling_until": T + 30.6}, **others), T + 30.6)
        assert isinstance(again, moves.Attempt)
        assert again.reason == "retry"

    def test_a_timer_that_fires_a_little_early_is_no_cooling(self) -> None:
        limited = ProviderError("slow down", status=429, retry_after_s=2.0)
        route = make_route()
        route.start(seen(), T)
        known = {"a": {"cooling_until": T + 2.0}}
        assert route.receive(moves.Failed(limited), seen(**known), T) == moves.Wait(pytest.approx(2.0))
        early = T + 1.99
        action = route.receive(moves.Waited(), seen(early, **known), early)
        assert isinstance(action, moves.Attempt)
        assert (action.model, action.reason) == (A, "retry")

    def test_no_attempt_after_the_deadline(self) -> None:
        route = make_route(deadline_s=2.0)
        self.wait(route)
        action = route.receive(moves.Waited(), seen(T + 2.5), T + 2.5)
        assert isinstance(action, moves.Finish)
        assert isinstance(action.error, errors.RequestTimeoutError)
        assert action.error.__cause__ is OUTAGE

    def test_a_refused_permit_ends_it_and_counts_nothing(self) -> None:
        route = make_route()
        route.start(seen(), T)
        action = route.receive(moves.Refused(), seen(), T)
        assert isinstance(action, moves.Attempt)
        assert (action.model, action.reason) == (B, "selected")
        assert route.tries == []

    def test_its_own_cooling_is_not_sat_out_where_another_one_ends_sooner(self) -> None:
        limited = ProviderError("slow down", status=429, retry_after_s=30.0)
        known = {"a": {"cooling_until": T + 30.0}, "b": {"cooling_until": T + 5.0}, "c": {"breaker": "open"}}
        route = make_route()
        route.start(seen(b=known["b"], c=known["c"]), T)
        assert route.receive(moves.Failed(limited), seen(**known), T) == moves.Wait(pytest.approx(5.0))
        action = route.receive(moves.Waited(), seen(T + 5.0, **known), T + 5.0)
        assert isinstance(action, moves.Attempt)
        assert action.model == B


def test_all_waits_for_cooling_models_together_have_a_limit() -> None:
    route = make_route()

    def cooling(until: float) -> dict[str, dict[str, Any]]:
        return {letter: {"cooling_until": until} for letter in "abc"}

    assert route.start(seen(**cooling(T + 40.0)), T) == moves.Wait(pytest.approx(40.0))
    now = T + 40.0  # others have prolonged it meanwhile
    action = route.receive(moves.Waited(), seen(now, **cooling(now + 40.0)), now)
    assert isinstance(action, moves.Finish)
    assert isinstance(action.error, errors.NoModelAvailableError)
    assert action.error.retry_after_s == pytest.approx(40.0)


@pytest.mark.parametrize("now", [61.9, 1000.1, 123456.7, 1e7 + 0.3])
def test_a_wait_of_exactly_the_limit_is_within_it_whatever_the_clock_shows(now: float) -> None:
    """(now + 60) - now may be a little more than 60, and (now + 3) - now than 3."""
    limited = ProviderError("slow down", status=429, retry_after_s=60.0)
    alone = {"b": {"out_because": "key"}, "c": {"out_because": "key"}}
    route = make_route()
    route.start(seen(now, **alone), now)
    cooling = {"a": {"cooling_until": now + 60.0}}
    assert route.receive(moves.Failed(limited), seen(now, **cooling, **alone), now) == moves.Wait(pytest.approx(60.0))

    short = ProviderError("slow down", status=429, retry_after_s=3.0)
    route = make_route()
    route.start(seen(now), now)
    action = route.receive(moves.Failed(short), seen(now, a={"cooling_until": now + 3.0}), now)
    assert action == moves.Wait(pytest.approx(3.0))


def test_the_reasons_of_attempts() -> None:
    cooled = make_route()
    cooling = {letter: {"cooling_until": T + 5.0} for letter in "abc"}
    assert cooled.start(seen(**cooling), T) == moves.Wait(pytest.approx(5.0))
    action = cooled.receive(moves.Waited(), seen(T + 5.0, **cooling), T + 5.0)
    assert isinstance(action, moves.Attempt)
    assert action.reason == "cooled"

    probing = make_route().start(seen(c={"breaker": "half_open", "probe_free": True}), T)
    assert isinstance(probing, moves.Attempt)
    assert (probing.model, probing.reason) == (C, "probe")


class TestNobodyCanServe:
    def finish(self, **known: dict[str, Any]) -> moves.Finish:
        action = make_route().start(seen(**known), T)
        assert isinstance(action, moves.Finish)
        assert action.outcome is Outcome.REJECTED
        return action

    def test_it_says_when_the_first_may_be_tried(self) -> None:
        error = self.finish(
            a={"breaker": "open", "seconds_to_probe": 42.0},
            b={"breaker": "open", "seconds_to_probe": 30.0, "cooling_until": T + 100.0},
            c={"out_because": "no credit", "out_until": T + 70.0},
        ).error
        assert isinstance(error, errors.NoModelAvailableError)
        assert error.retry_after_s == pytest.approx(42.0)
        assert "circuit open, probe in 30.0 s" in str(error)

    def test_none_where_only_the_user_can_help(self) -> None:
        out = {"out_because": "the provider refused the key"}
        error = self.finish(a=out, b=out, c=out).error
        assert error is not None
        assert error.retry_after_s is None

    def test_a_model_that_does_not_fit_will_not_fit_later(self) -> None:
        route = Route(
            CompletionRequest("call", "generation", "", (), needs=_needs_vision()),
            Pool("chat", "generation", (A, B, C), Priority()),
        )
        known = {"a": {"features": frozenset({"tools"})}, "b": {"breaker": "open", "seconds_to_probe": 9.0}}
        action = route.start(seen(c={"out_because": "key"}, **known), T)
        assert isinstance(action, moves.Finish)
        assert action.error is not None
        assert action.error.retry_after_s == pytest.approx(9.0)

    def test_an_empty_pool(self) -> None:
        action = Route(ask(), Pool("chat", "generation", (), Priority())).start([], T)
        assert isinstance(action, moves.Finish)
        assert "the pool has no models" in str(action.error)


def _needs_vision() -> Any:
    from routerlab.core.types import Needs

    return Needs(frozenset({"vision"}))


# -- whatever happens --------------------------------------------------------------------------------------------------

statuses = st.sampled_from([301, 400, 401, 402, 404, 408, 413, 418, 422, 429, 500, 503, 529])
failures = st.builds(
    ProviderError,
    st.just("oops"),
    fault=st.sampled_from([Fault.STATUS] * 4 + list(Fault)),
    status=statuses,
    code=st.sampled_from(["", "insufficient_quota", "content_filter", "context_length_exceeded", "server_error"]),
    retry_after_s=st.none() | st.floats(0, 100) | st.sampled_from([3.0, 60.0]),
    clock=st.sampled_from(["", "idle", "total"]),
)
policies = st.builds(
    PoolPolicy,
    retry=st.builds(
        RetryPolicy, max_retries=st.integers(0, 3), initial_delay=st.floats(0, 2), retry_after_max=st.floats(0, 5)
    ),
    deadline=st.none() | st.floats(0, 200),
    takeover_after=st.none() | st.just(2.0),
    on_stream_failure=st.sampled_from(["restart", "error", "buffer"]),
    on_content_filter=st.sampled_from(["error", "move_on"]),
    wait_max=st.floats(0, 80),
)


@dataclass(eq=False)
class Running:
    """A route under way and what its driver holds."""

    route: Route
    started: float
    action: moves.Action
    permit: Permit | None = None
    tried: list[str] = field(default_factory=list)
    wake: float = 0.0


class RandomLife(RuleBasedStateMachine):
    """Many requests at once on shared health, under random answers, cancellations, hands on the breakers."""

    @initialize(
        models=st.integers(1, 4),
        policy=policies,
        strategy=st.sampled_from(sorted(STRATEGIES)),
        threshold=st.integers(1, 3),
    )
    def begin(self, models: int, policy: PoolPolicy, strategy: str, threshold: int) -> None:
        names = [A, B, C, "a/d"][:models]
        self.now = T
        self.pool = Pool("chat", "generation", names, make_strategy(strategy), policy)
        breaker = BreakerConfig(failure_threshold=threshold, reset_timeout=20.0)
        windows = dict(zip([A, B, C, "a/d"], [8192, 100_000, None, 8192], strict=True))
        self.health = Health(ModelSettings(m, m[0], breaker, context_window=windows[m]) for m in names)
        self.running: list[Running] = []
        self.calls = 0

    def snapshots(self) -> list[ModelSnapshot]:
        return self.health.snapshots(self.pool.models, self.now)

    # -- the driver, by hand ---------------------------------------------------------------------------------------

    def perform(self, run: Running, action: moves.Action) -> None:
        """Take an action up to where the world must answer, and check it."""
        run.action = action
        policy = self.pool.policy
        while isinstance(run.action, moves.Attempt):
            self.check_attempt(run, run.action)
            run.permit, _ = self.health.claim(run.action.model, self.now, run.action.clocks.lease_s)
            if run.permit is not None:
                run.tried.append(run.action.model)
                if run.action.reason != "retry":
                    self.pool.learn("chosen", run.action.model, self.now)
                return
            run.action = run.route.receive(moves.Refused(), self.snapshots(), self.now)
        if isinstance(run.action, moves.Wait):
            longest = max(policy.retry.max_delay, policy.retry.retry_after_max, policy.wait_max) + 0.02
            assert 0 <= run.action.seconds <= longest
            run.wake = self.now + run.action.seconds
            assert policy.deadline is None or run.wake < run.started + policy.deadline
        else:
            assert isinstance(run.action, moves.Finish)
            assert run.route.state is RouteState.DONE
            assert (run.action.error is None) == (run.action.outcome is Outcome.OK) or self.was_cancelled(run.action)
            self.running.remove(run)

    def was_cancelled(self, finish: moves.Finish) -> bool:
        return finish.outcome is Outcome.CANCELLED

    def check_attempt(self, run: Running, attempt: moves.Attempt) -> None:
        if attempt.reason == "retry":
            assert run.tried
            assert run.tried[-1] == attempt.model
        else:
            assert attempt.model not in run.tried, "one turn per model"
        assert run.tried.count(attempt.model) < 1 + self.pool.policy.retry.max_retries
        assert attempt.clocks.deadline_s is None or attempt.clocks.deadline_s > 0
        assert self.health.snapshot(attempt.model, self.now).out_because == ""

    def settle(self, run: Running, error: ProviderError | None, *, cancelled: bool = False) -> None:
        assert isinstance(run.action, moves.Attempt)
        assert run.permit is not None
        verdict = CANCELLED if cancelled else classify(error) if error else SUCCESS
        self.health.settle(run.action.model, run.permit, verdict, self.now, latency_s=1.0, error=error)
        run.permit = None
        if not cancelled:
            self.pool.learn("failed" if error else "answered", run.action.model, self.now)

    def deliver(self, run: Running, event: moves.Event) -> None:
        self.perform(run, run.route.receive(event, self.snapshots(), self.now))

    # -- what may happen -------------------------------------------------------------------------------------------

    @rule(stream=st.booleans())
    def call(self, stream: bool) -> None:
        self.calls += 1
        request = CompletionRequest(f"call-{self.calls}", "generation", "", (), stream=stream)
        run = Running(Route(request, self.pool, 0), self.now, moves.Proceed())
        self.running.append(run)
        self.perform(run, run.route.start(self.snapshots(), self.now))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), error=st.none() | failures, commit=st.booleans())
    def answer(self, data: st.DataObject, error: ProviderError | None, commit: bool) -> None:
        trying = [run for run in self.running if run.permit is not None]
        assume(trying)
        run = data.draw(st.sampled_from(trying))
        if commit and run.route.request.stream:
            assert run.route.receive(moves.Committed(), (), self.now) == moves.Proceed()
        self.settle(run, error)
        self.deliver(run, moves.Failed(error) if error else moves.Succeeded())

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def wake(self, data: st.DataObject) -> None:
        waiting = [run for run in self.running if isinstance(run.action, moves.Wait)]
        assume(waiting)
        run = data.draw(st.sampled_from(waiting))
        self.now = max(self.now, run.wake)
        self.deliver(run, moves.Waited())

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.running))
        if run.permit is not None:
            self.settle(run, None, cancelled=True)
        tries = len(run.tried)
        self.deliver(run, moves.Cancelled())
        assert isinstance(run.action, moves.Finish)
        assert len(run.tried) == tries, "a cancellation never starts another attempt"

    @precondition(lambda self: self.running)
    @rule(data=st.data(), event=st.sampled_from(EVENTS))
    def make_a_mistake(self, data: st.DataObject, event: moves.Event) -> None:
        run = data.draw(st.sampled_from(self.running))
        assume(type(event) not in LEGAL[run.route.state])
        before = dump(run.route)
        with pytest.raises(IllegalMove):
            run.route.receive(event, self.snapshots(), self.now)
        with pytest.raises(IllegalMove):
            run.route.start(self.snapshots(), self.now)
        assert dump(run.route) == before

    @rule(step=st.integers(0, 3))
    def explain(self, step: int) -> None:
        snapshots = self.snapshots()
        before = pickle.dumps((snapshots, self.pool.memory, [vars(run.route) for run in self.running]))
        first = decide(ask(), self.pool, snapshots, seed=1, step=step)
        assert first == decide(ask(), self.pool, self.snapshots(), seed=1, step=step)
        assert self.snapshots() == snapshots
        assert pickle.dumps((snapshots, self.pool.memory, [vars(run.route) for run in self.running])) == before

    @rule(seconds=st.floats(0, 90))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(data=st.data(), hand=st.sampled_from(["open_breaker", "close_breaker", "reset"]))
    def by_hand(self, data: st.DataObject, hand: str) -> None:
        getattr(self.health, hand)(data.draw(st.sampled_from(self.pool.models)), self.now)

    # -- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def permits_are_where_they_should_be(self) -> None:
        if not hasattr(self, "health"):
            return
        for model in self.pool.models:
            held = [r for r in self.running if r.permit is not None and getattr(r.action, "model", "") == model]
            assert self.health.snapshot(model, self.now).in_flight == len(held)

    def teardown(self) -> None:
        if not hasattr(self, "health"):
            return
        models, retries = len(self.pool.models), self.pool.policy.retry.max_retries
        for run in list(self.running):
            for _ in range(2 * models * (2 + retries) + 2):
                if isinstance(run.action, moves.Finish):
                    break
                if isinstance(run.action, moves.Wait):
                    self.now = max(self.now, run.wake)
                    self.deliver(run, moves.Waited())
                else:
                    error = ProviderError("oops", status=429, retry_after_s=0.5)
                    self.settle(run, error)
                    self.deliver(run, moves.Failed(error))
            assert isinstance(run.action, moves.Finish), "a route always finishes"
        for snapshot in self.health.snapshots(self.pool.models, self.now + 1000.0):
            assert snapshot.in_flight == 0
            assert snapshot.breaker != "half_open" or snapshot.probe_free, "no probe's slot is lost"
            assert math.isfinite(snapshot.cooling_until)


RandomLife.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestRandomLife = RandomLife.TestCase
