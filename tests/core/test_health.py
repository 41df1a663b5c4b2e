from __future__ import annotations

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.breaker import BreakerConfig, Permit
from routerlab.core.failures import CANCELLED, SUCCESS, Fault, ProviderError, classify
from routerlab.core.health import Health, HealthEvent, LatencyTarget, ModelSettings, quality
from routerlab.core.types import Limits, Price

A, B, OTHER = "p/a", "p/b", "q/c"
T = 1000.1


def make_health(threshold: int = 3, **settings: object) -> Health:
    breaker = BreakerConfig(failure_threshold=threshold, reset_timeout=60.0)
    return Health(
        [ModelSettings(model, model.partition("/")[0], breaker, **settings) for model in (A, B, OTHER)]  # type: ignore[arg-type]
    )


def succeed(health: Health, model: str = A, now: float = T, latency_s: float = 1.0) -> list[HealthEvent]:
    permit, moved = health.claim(model, now)
    assert permit is not None
    return moved + health.settle(model, permit, SUCCESS, now, latency_s=latency_s)


def fail(health: Health, model: str = A, now: float = T, **error: object) -> list[HealthEvent]:
    failure = ProviderError("oops", **{"status": 500, **error})  # type: ignore[arg-type]
    permit, moved = health.claim(model, now)
    assert permit is not None
    return moved + health.settle(model, permit, classify(failure), now, error=failure)


MODELS = (A, B, OTHER)
_ENDS = {
    "succeed": None,
    "fail": ProviderError("down", status=503),
    "slow down": ProviderError("slow", status=429, retry_after_s=5.0),
    "refuse the key": ProviderError("key", status=401),
    "no model": ProviderError("model", status=404, code="model_not_found"),
}
_BY_HAND = ("open", "close", "reset")


class Story:
    """A model's health, and what happens to it."""

    def __init__(self) -> None:
        self.health = make_health(threshold=2, window_size=4, window_s=30.0)
        self.now = T
        self._permits: list[Permit] = []

    def tell(self, event: str, gap_s: float) -> None:
        self.now += gap_s
        if event == "claim":
            permit, _ = self.health.claim(A, self.now)
            self._permits += [permit] if permit else []
        elif event == "open":
            self.health.open_breaker(A, self.now)
        elif event == "close":
            self.health.close_breaker(A, self.now)
        elif event == "reset":
            self.health.reset("p", self.now)
        elif self._permits:
            error = _ENDS[event]
            verdict = classify(error) if error else SUCCESS
            self.health.settle(A, self._permits.pop(), verdict, self.now, latency_s=gap_s, error=error)

    def see(self, now: float) -> list[list[object]]:
        """All snapshots, without the last digits, which depend on when a sum was made."""
        seen = [astuple(snapshot) for snapshot in self.health.snapshots(MODELS, now)]
        return [[round(value, 9) if isinstance(value, float) else value for value in values] for values in seen]


class TestSnapshots:
    def test_nothing_known_is_none(self) -> None:
        price = Price(1.0, 2.0)
        health = make_health(price=price, context_window=8192, features=frozenset({"tools"}))
        seen = health.snapshot(A, T)
        assert (seen.model, seen.provider, seen.at) == (A, "p", T)
        assert (seen.score, seen.latency_s, seen.success_rate, seen.samples) == (None, None, None, 0)
        assert (seen.breaker, seen.probe_free, seen.in_flight, seen.cooling_until) == ("closed", False, 0, 0.0)
        assert (seen.price, seen.context_window, seen.features) == (price, 8192, frozenset({"tools"}))
        assert health.score(A, T) is None

    def test_they_come_in_the_order_asked_for(self) -> None:
        assert [seen.model for seen in make_health().snapshots([OTHER, A], T)] == [OTHER, A]

    def test_reading_changes_nothing(self) -> None:
        health = make_health(threshold=1)
        fail(health)
        first = health.snapshot(A, T + 60.0)
        assert first.breaker == "half_open"
        assert first.probe_free
        assert health.snapshot(A, T + 1.0).breaker == "open"
        assert health.snapshot(A, T + 1.0).seconds_to_probe == pytest.approx(59.0)
        assert health.snapshot(A, T + 60.0) == first

    def test_while_nothing_happens_only_the_time_moves_on(self) -> None:
        health = make_health(window_s=300.0)
        succeed(health)
        first = health.snapshot(A, T)
        assert health.snapshot(A, T + 300.0) is first
        assert (first.at, first.samples) == (T + 300.0, 1)
        assert health.snapshot(A, T + 300.5).samples == 0  # too old by now
        assert health.snapshot(A, T).at == T

    @given(st.lists(st.tuples(st.sampled_from(["claim", *_ENDS, *_BY_HAND]), st.floats(0.0, 40.0)), max_size=40))
    def test_what_was_seen_before_changes_nothing_that_is_seen_now(self, story: list[tuple[str, float]]) -> None:
        watched, told_at_once = Story(), Story()
        for event, gap_s in story:
            watched.tell(event, gap_s)
            watched.see(watched.now)
        for event, gap_s in story:
            told_at_once.tell(event, gap_s)
        for later_s in (0.0, 7.0, 14.0):
            now = watched.now + later_s
            assert watched.see(now) == told_at_once.see(now)


class TestScores:
    def test_quality_is_one_half_at_the_target(self) -> None:
        assert quality(2.0, 2.0) == 0.5
        assert quality(2.0, 6.0) == 0.25
        assert quality(2.0, 0.0) == 1.0
        assert quality(0.0, 0.0) == 0.5
        assert quality(0.0, 1.0) == 0.0

    def test_the_target_is_the_running_median_frozen_at_the_twentieth(self) -> None:
        target = LatencyTarget()
        assert [target.observe(seconds) for seconds in (4.0, 2.0, 9.0)] == [4.0, 3.0, 4.0]
        for _ in range(17):
            assert not target.frozen
            target.observe(1.0)
        assert target.frozen
        assert target.seconds == 1.0
        assert target.observe(100.0) == 1.0

    def test_a_given_target_stays(self) -> None:
        target = LatencyTarget(2.0)
        assert target.frozen
        assert target.observe(9.0) == 2.0

    def test_a_success_enters_both_windows(self) -> None:
        health = make_health(target=LatencyTarget(2.0))
        succeed(health, latency_s=6.0)
        seen = health.snapshot(A, T)
        assert (seen.score, seen.latency_s, seen.success_rate, seen.samples) == (0.25, 6.0, 1.0, 1)
        assert health.score(A, T) == 0.25

    def test_a_failure_weighs_twice_in_the_score_and_has_no_latency(self) -> None:
        health = make_health(target=LatencyTarget(2.0))
        succeed(health, latency_s=2.0)
        fail(health)
        seen = health.snapshot(A, T)
        assert seen.score == pytest.approx((0.7 * 0.5) * 0.5)  # the EWMA of 0.5 and 0, times the rate
        assert (seen.latency_s, seen.success_rate, seen.samples) == (2.0, 0.5, 2)

    def test_a_neutral_end_enters_no_window(self) -> None:
        health = make_health()
        fail(health, status=400)
        fail(health, status=429)
        permit, _ = health.claim(A, T)
        assert permit is not None
        health.settle(A, permit, CANCELLED, T)
        assert health.snapshot(A, T).samples == 0

    def test_the_slowest_does_not_win(self) -> None:
        health = make_health(target=LatencyTarget(1.0))
        succeed(health, A, latency_s=9.0)
        succeed(health, B, latency_s=0.5)
        slow, fast = health.score(A, T), health.score(B, T)
        assert slow is not None
        assert fast is not None
        assert fast > slow

    def test_what_is_too_old_is_forgotten(self) -> None:
        health = make_health()
        succeed(health)
        assert health.snapshot(A, T + 301.0).samples == 0
        assert health.snapshot(A, T + 301.0).score is None


class TestPermits:
    def test_in_flight_counts_and_comes_back(self) -> None:
        health = make_health()
        first, _ = health.claim(A, T)
        second, _ = health.claim(A, T)
        assert first is not None
        assert second is not None
        assert health.snapshot(A, T).in_flight == 2
        health.settle(A, first, SUCCESS, T)
        health.settle(A, second, CANCELLED, T)
        assert health.snapshot(A, T).in_flight == 0

    def test_a_permit_that_comes_back_twice_counts_once(self) -> None:
        health = make_health()
        permit, _ = health.claim(A, T)
        assert permit is not None
        health.settle(A, permit, SUCCESS, T)
        health.settle(A, permit, SUCCESS, T)
        assert health.snapshot(A, T).in_flight == 0
        assert health.snapshot(A, T).samples == 1

    def test_an_open_breaker_gives_none_and_a_probe_closes_it(self) -> None:
        health = make_health(threshold=2)
        assert fail(health) == []
        assert fail(health) == [HealthEvent("breaker", A, "p", "closed", "open", "failures")]
        assert health.claim(A, T + 59.9) == (None, [])
        permit, events = health.claim(A, T + 60.0)
        assert permit is not None
        assert events == [HealthEvent("breaker", A, "p", "open", "half_open", "probe_admitted")]
        assert health.claim(A, T + 60.0) == (None, [])
        assert health.settle(A, permit, SUCCESS, T + 61.0) == [
            HealthEvent("breaker", A, "p", "half_open", "closed", "probes_succeeded")
        ]

    def test_a_late_success_during_the_break_does_not_close_it(self) -> None:
        health = make_health(threshold=1)
        late, _ = health.claim(A, T)
        assert late is not None
        fail(health)
        assert health.settle(A, late, SUCCESS, T + 1.0) == []
        assert health.snapshot(A, T + 1.0).breaker == "open"

    @pytest.mark.parametrize("status", [400, 401, 402, 404, 413, 429])
    def test_what_is_neutral_never_opens_a_breaker(self, status: int) -> None:
        health = make_health(threshold=1)
        for _ in range(5):
            fail(health, status=status)
        assert health.snapshot(A, T).breaker == "closed"
        assert health.breaker(A).stats(T)["failure_count"] == 0

    def test_a_lost_probe_is_reclaimed_when_its_lease_ends(self) -> None:
        health = make_health(threshold=1)
        fail(health)
        health.claim(A, T + 60.0, lease_s=5.0)
        assert not health.snapshot(A, T + 64.9).probe_free
        assert health.snapshot(A, T + 65.0).probe_free


class TestCooling:
    def test_as_long_as_the_provider_says(self) -> None:
        health = make_health()
        events = fail(health, status=429, retry_after_s=7.0)
        assert events == [HealthEvent("cooling", A, "p", "ready", "7.0 s", "oops")]
        assert health.snapshot(A, T).cooling_until == pytest.approx(T + 7.0)
        assert health.snapshot(B, T).cooling_until == 0.0

    def test_without_a_word_one_second_doubled_up_to_sixty(self) -> None:
        health, now, lengths = make_health(), T, []
        for _ in range(8):
            fail(health, now=now, status=429)
            lengths.append(round(health.snapshot(A, now).cooling_until - now, 6))
            now = health.snapshot(A, now).cooling_until
        assert lengths == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]

    def test_a_success_clears_the_doubling(self) -> None:
        health = make_health()
        fail(health, status=429)
        fail(health, now=T + 1.0, status=429)
        succeed(health, now=T + 3.0)
        fail(health, now=T + 4.0, status=429)
        assert health.snapshot(A, T).cooling_until == pytest.approx(T + 5.0)

    def test_a_burst_of_requests_sent_before_is_one_429(self) -> None:
        health = make_health()
        events = [event for _ in range(10) for event in fail(health, status=429)]
        assert len(events) == 1
        assert health.snapshot(A, T).cooling_until == pytest.approx(T + 1.0)

    def test_a_later_shorter_value_shortens_nothing(self) -> None:
        health = make_health()
        fail(health, status=429, retry_after_s=30.0)
        assert fail(health, now=T + 1.0, status=429, retry_after_s=2.0) == []
        assert health.snapshot(A, T).cooling_until == pytest.approx(T + 30.0)
        assert fail(health, now=T + 2.0, status=429, retry_after_s=50.0)[0].old == "cooling"
        assert health.snapshot(A, T).cooling_until == pytest.approx(T + 52.0)

    def test_an_outage_that_names_its_end_cools_and_counts(self) -> None:
        health = make_health(threshold=1)
        kinds = [event.kind for event in fail(health, status=503, retry_after_s=20.0)]
        assert sorted(kinds) == ["breaker", "cooling"]
        assert health.snapshot(A, T).cooling_until == pytest.approx(T + 20.0)

    def test_a_refused_request_cools_nothing(self) -> None:
        health = make_health()
        assert fail(health, status=400, retry_after_s=20.0) == []
        assert health.snapshot(A, T).cooling_until == 0.0

    def test_no_time_is_no_event(self) -> None:
        assert fail(make_health(), status=429, retry_after_s=0.0) == []


class TestOut:
    def test_a_refused_key_takes_the_whole_provider_out(self) -> None:
        health = make_health()
        events = fail(health, status=401)
        assert [(e.kind, e.model, e.new) for e in events] == [("out", A, "the provider refused the key")]
        assert [seen.out_because for seen in health.snapshots([A, B, OTHER], T + 1e9)] == [
            "the provider refused the key",
            "the provider refused the key",
            "",
        ]
        error = health.out_error(B, T)
        assert error is not None
        assert error.status == 401
        assert fail(health, B, status=401) == []  # known already

    def test_an_unknown_model_is_out_alone(self) -> None:
        health = make_health()
        fail(health, status=404)
        assert health.snapshot(A, T).out_because == "the provider does not know this model"
        assert health.snapshot(B, T).out_because == ""
        assert health.out_error(B, T) is None

    def test_a_quota_comes_back_where_its_reset_is_known(self) -> None:
        health = make_health()
        fail(health, status=429, code="insufficient_quota", retry_after_s=100.0)
        seen = health.snapshot(B, T + 99.0)
        assert (seen.out_because, seen.out_until) == ("no credit or quota left", pytest.approx(T + 100.0))
        assert seen.cooling_until == 0.0
        assert health.snapshot(B, T + 100.1).out_because == ""

    def test_a_quota_without_a_reset_time_is_out_for_good(self) -> None:
        health = make_health()
        fail(health, status=402)
        assert health.snapshot(A, T + 1e9).out_because
        assert health.snapshot(A, T).out_until is None


class TestByHand:
    def test_reset_of_a_model_brings_it_back_whole(self) -> None:
        health = make_health(threshold=1)
        fail(health, status=500)
        fail(health, B, status=404)
        fail(health, B, status=429, retry_after_s=50.0)
        assert [event.kind for event in health.reset(A, T)] == ["breaker"]
        assert [event.kind for event in health.reset(B, T)] == ["back"]
        for seen in health.snapshots([A, B], T):
            assert (seen.breaker, seen.out_because, seen.cooling_until) == ("closed", "", 0.0)

    def test_reset_of_a_provider_brings_all_its_models_back(self) -> None:
        health = make_health(threshold=1)
        fail(health, A, status=500)
        fail(health, B, status=500)
        fail(health, OTHER, status=500)
        health.reset("p", T)
        assert [seen.breaker for seen in health.snapshots([A, B, OTHER], T)] == ["closed", "closed", "open"]

    def test_reset_of_what_is_not_there(self) -> None:
        with pytest.raises(KeyError, match="nobody"):
            make_health().reset("nobody", T)

    def test_open_and_close(self) -> None:
        health = make_health()
        assert health.open_breaker(A, T) == [HealthEvent("breaker", A, "p", "closed", "open", "forced_open")]
        assert health.open_breaker(A, T + 30.0) == []
        assert health.snapshot(A, T + 89.0).breaker == "open"
        assert health.close_breaker(A, T + 89.0) == [HealthEvent("breaker", A, "p", "open", "closed", "forced_closed")]

    def test_a_permit_from_before_a_reset_still_comes_back(self) -> None:
        health = make_health(threshold=1)
        permit, _ = health.claim(A, T)
        assert permit is not None
        health.reset(A, T)
        health.settle(A, permit, SUCCESS, T)
        assert health.snapshot(A, T).in_flight == 0


def test_what_the_headers_said_is_kept() -> None:
    health = make_health()
    limits, later = Limits(remaining_requests=5), Limits(remaining_requests=0)
    permit, _ = health.claim(A, T)
    assert permit is not None
    health.settle(A, permit, SUCCESS, T, limits=limits)
    succeed(health)
    assert health.snapshot(A, T).remaining == limits
    fail(health, status=429, limits=later)
    assert health.snapshot(A, T).remaining == later


def test_a_connection_that_is_refused_counts() -> None:
    health = make_health(threshold=1)
    fail(health, status=None, fault=Fault.CONNECT)
    assert health.snapshot(A, T).breaker == "open"
