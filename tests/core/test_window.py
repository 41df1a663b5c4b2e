"""The rolling window against plain recomputation."""

from __future__ import annotations

import math
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.window import RollingWindow, Sample


class PlainWindow:
    """The same window, recomputed from its samples at each read."""

    def __init__(self, size: int, duration: float, alpha: float) -> None:
        self.samples: deque[Sample] = deque(maxlen=size)
        self.duration, self.alpha = duration, alpha

    def record(self, value: float, success: bool, now: float) -> None:
        self.samples.append(Sample(now, value, success))

    def prune(self, now: float) -> None:
        while self.samples and now > self.samples[0].timestamp + self.duration:
            self.samples.popleft()

    def rate(self) -> float:
        return sum(s.success for s in self.samples) / len(self.samples) if self.samples else 1.0

    def average(self) -> float:
        return math.fsum(s.value for s in self.samples) / len(self.samples) if self.samples else 0.0

    def score(self) -> float:
        if not self.samples:
            return 0.0
        ewma = self.samples[0].value
        for sample in list(self.samples)[1:]:
            ewma = self.alpha * sample.value + (1 - self.alpha) * ewma
        return ewma * self.rate()


def assert_same(window: RollingWindow, plain: PlainWindow, now: float) -> None:
    plain.prune(now)
    assert window.count(now) == len(plain.samples)
    assert window.rate(now) == pytest.approx(plain.rate(), rel=1e-9, abs=0)
    assert window.average(now) == pytest.approx(plain.average(), rel=1e-9, abs=1e-300)
    assert window.score(now) == pytest.approx(plain.score(), rel=1e-9, abs=1e-300)


def test_no_samples() -> None:
    window = RollingWindow()
    assert (window.count(0.0), window.rate(0.0), window.average(0.0), window.score(0.0)) == (0, 1.0, 0.0, 0.0)
    assert window.samples(0.0) == []


def test_one_sample_is_its_own_score() -> None:
    window = RollingWindow()
    window.record(0.7, success=True, now=5.0)
    assert (window.rate(5.0), window.average(5.0), window.score(5.0)) == (1.0, 0.7, 0.7)
    assert window.samples(5.0) == [Sample(timestamp=5.0, value=0.7, success=True)]


def test_score_starts_from_the_oldest_sample_and_is_weighed_by_the_rate() -> None:
    window = RollingWindow(size=2, duration=60.0, alpha=0.5)
    for now, (value, success) in enumerate([(100.0, True), (1.0, False), (3.0, True)]):
        window.record(value, success, now=float(now))
    assert window.score(2.0) == pytest.approx((0.5 * 3.0 + 0.5 * 1.0) * 0.5)


def test_a_sample_as_old_as_the_duration_stays_and_an_older_one_goes() -> None:
    window = RollingWindow(duration=10.0)
    window.record(1.0, success=True, now=0.0)
    assert window.count(10.0) == 1
    assert window.count(10.001) == 0
    assert window.rate(10.001) == 1.0


@pytest.mark.parametrize("first", [0.1, 1000.1, 8589.93, 123456.789])
def test_the_border_is_the_same_after_another_sample_has_gone(first: float) -> None:
    for duration in (0.3, 0.7, 5.1, 300.3):
        window = RollingWindow(duration=duration)
        window.record(1.0, success=True, now=math.nextafter(first, 0.0))
        window.record(1.0, success=True, now=first)
        assert window.count(math.nextafter(first, 0.0) + duration) >= 1
        assert window.count(first + duration) >= 1
        assert window.count(math.nextafter(first + duration, math.inf)) == 0


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_million_updates_with_outliers_equal_plain_recomputation(size: int) -> None:
    chance = random.Random(size)
    window, plain = RollingWindow(size, 50.0), PlainWindow(size, 50.0, 0.3)
    now = 0.0
    for step in range(1_000_000 if size == 100 else 20_000):
        now += 60.0 if chance.random() < 0.0005 else 0.5
        value = chance.choice([1e9, -1e9, 1e-9]) if chance.random() < 0.01 else chance.random()
        success = chance.random() < 0.8
        window.record(value, success, now)
        plain.record(value, success, now)
        if step % 997 == 0:
            assert_same(window, plain, now)
    assert_same(window, plain, now)


@given(
    size=st.integers(1, 9),
    alpha=st.floats(0, 1),
    steps=st.lists(
        st.tuples(
            st.floats(0, 1e12) | st.sampled_from([1e9, 1e-9]), st.booleans(), st.sampled_from([0.0, 1.0, 4.0, 11.0])
        ),
        max_size=60,
    ),
)
def test_every_step_equals_plain_recomputation(size: int, alpha: float, steps: list[tuple[float, bool, float]]) -> None:
    window, plain = RollingWindow(size, 10.0, alpha), PlainWindow(size, 10.0, alpha)
    now = 0.0
    for value, success, pause in steps:
        window.record(value, success, now)
        plain.record(value, success, now)
        now += pause
        assert_same(window, plain, now)
        assert window.samples(now) == list(plain.samples)


def test_an_outlier_that_left_leaves_no_trace() -> None:
    window = RollingWindow(size=3)
    for value in (1e300, 0.1, 0.2, 0.3):
        window.record(value, success=True, now=0.0)
    assert window.average(0.0) == pytest.approx(0.2, rel=1e-12)
    assert window.score(0.0) == pytest.approx(0.3 * 0.3 + 0.7 * (0.3 * 0.2 + 0.7 * 0.1), rel=1e-12)


def test_values_at_the_limit_of_floats_have_a_mean() -> None:
    window = RollingWindow()
    for _ in range(3):
        window.record(1.7e308, success=True, now=0.0)
    assert window.average(0.0) == pytest.approx(1.7e308)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_values_that_are_not_finite_are_refused_and_change_nothing(value: float) -> None:
    window = RollingWindow()
    window.record(2, success=True, now=0.0)
    with pytest.raises(ValueError, match="finite"):
        window.record(value, success=True, now=1.0)
    assert window.samples(1.0) == [Sample(0.0, 2.0, True)]
    assert window.score(1.0) == 2.0


def test_a_value_that_is_no_number_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        RollingWindow().record("0.5", success=True, now=0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings", [{"size": 0}, {"size": True}, {"size": 1.5}, {"duration": 0}, {"duration": math.nan}, {"alpha": 1.1}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RollingWindow(**settings)  # type: ignore[arg-type]


def test_reconfiguring_keeps_the_samples_that_fit() -> None:
    window = RollingWindow(size=4)
    for now in range(6):
        window.record(float(now), success=now % 2 == 0, now=float(now))
    window.configure(size=3, duration=1.0, alpha=1.0)
    assert [s.value for s in window.samples(5.0)] == [4.0, 5.0]
    assert window.score(5.0) == 2.5


def fold_steps(size: int) -> int:
    """How many samples are folded while ten windows' worth of samples pass through."""

    class Counting(RollingWindow):
        __slots__ = ("steps",)

        def _fold(self) -> None:
            self.steps = getattr(self, "steps", 0) + len(self._samples)
            super()._fold()

    window = Counting(size, duration=size / 2)
    for now in range(10 * size):
        window.record(0.5, success=True, now=float(now))
        window.score(float(now))
    return window.steps


@pytest.mark.parametrize("size", [10, 100, 10_000])
def test_each_sample_is_folded_at_most_once_at_any_size(size: int) -> None:
    assert fold_steps(size) <= 10 * size
