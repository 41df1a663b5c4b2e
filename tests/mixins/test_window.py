"""RollingWindowMixin: documented names and defaults."""

from __future__ import annotations

import math

import pytest

from routerlab.mixins.window import RollingWindowMixin, Sample


class Provider(RollingWindowMixin):
    pass


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return self.now


def test_defaults_without_setup() -> None:
    provider = Provider()
    assert (provider._window_size, provider._window_duration, provider._ewma_alpha) == (100, 300.0, 0.3)
    assert (provider._get_rate("k"), provider._get_average("k"), provider._get_score("k")) == (1.0, 0.0, 0.0)
    provider._record_sample("k", 0.5)
    assert (provider._get_rate("k"), provider._get_average("k"), provider._get_score("k")) == (1.0, 0.5, 0.5)


def test_setup_sets_the_limits_and_starts_empty() -> None:
    provider = Provider()
    provider._record_sample("k", 0.5)
    provider._init_window(window_size=2, window_duration_seconds=10.0)
    assert (provider._window_size, provider._window_duration) == (2, 10.0)
    assert provider._get_average("k") == 0.0
    for value in (1.0, 2.0, 4.0):
        provider._record_sample("k", value)
    assert provider._get_average("k") == 3.0


def test_keys_and_instances_are_apart() -> None:
    one, other = Provider(), Provider()
    one._record_sample("a", 1.0)
    one._record_sample("b", 0.0, success=False)
    assert (one._get_score("a"), one._get_rate("b"), other._get_score("a")) == (1.0, 0.0, 0.0)


def test_rate_and_score() -> None:
    provider = Provider()
    for value, success in ((1.0, True), (0.0, False), (1.0, True), (1.0, True)):
        provider._record_sample("k", value, success)
    assert provider._get_rate("k") == 0.75
    ewma = 1.0
    for value in (0.0, 1.0, 1.0):
        ewma = 0.3 * value + 0.7 * ewma
    assert provider._get_score("k") == pytest.approx(ewma * 0.75, rel=1e-12)


def test_the_clock_may_be_replaced_at_any_time_and_is_read_once_per_call() -> None:
    provider, clock = Provider(), Clock()
    provider._clock = clock
    provider._init_window(window_duration_seconds=10.0)
    provider._record_sample("k", 1.0)
    provider._get_rate("k")
    provider._get_average("k")
    provider._get_score("k")
    assert clock.readings == 4
    later = Clock()
    later.now = 11.0
    provider._clock = later
    assert provider._get_average("k") == 0.0


def test_limits_changed_later_take_effect() -> None:
    provider = Provider()
    provider._clock = clock = Clock()
    for now, value in enumerate((1.0, 2.0, 3.0)):
        clock.now = float(now)
        provider._record_sample("k", value)
    provider._ewma_alpha = 1.0
    assert provider._get_score("k") == 3.0
    provider._window_size = 2
    assert provider._get_average("k") == 2.5
    provider._window_duration = 0.5
    assert provider._get_average("k") == 3.0


def test_a_subclass_may_set_the_limits() -> None:
    class Eager(RollingWindowMixin):
        _ewma_alpha = 1.0
        _window_size = 1

    provider = Eager()
    provider._record_sample("k", 1.0)
    provider._record_sample("k", 5.0)
    assert (provider._get_score("k"), provider._get_average("k")) == (5.0, 5.0)
    provider._window_size = 2
    provider._record_sample("k", 7.0)
    assert provider._get_average("k") == 6.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    provider = Provider()
    with pytest.raises(ValueError, match="finite"):
        provider._record_sample("k", value)
    assert provider._get_rate("k") == 1.0


@pytest.mark.parametrize("limits", [{"window_size": 0}, {"window_duration_seconds": -1.0}])
def test_limits_out_of_range_are_refused(limits: dict[str, int]) -> None:
    provider = Provider()
    provider._record_sample("k", 1.0)
    with pytest.raises(ValueError, match="window"):
        provider._init_window(**limits)
    assert provider._get_average("k") == 1.0


def test_sample_is_public() -> None:
    assert Sample(1.0, 2.0, False) == Sample(timestamp=1.0, value=2.0, success=False)
