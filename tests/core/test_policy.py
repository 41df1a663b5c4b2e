from __future__ import annotations

import math
from typing import Any

import pytest

from routerlab.core.policy import PoolPolicy, RetryPolicy, Timeouts


def test_defaults_are_those_of_the_fault_table() -> None:
    policy = PoolPolicy()
    retry = policy.retry
    assert (retry.max_retries, retry.initial_delay, retry.max_delay, retry.retry_after_max) == (1, 0.5, 8.0, 3.0)
    clocks = policy.timeouts
    assert (clocks.connect, clocks.request, clocks.first_token, clocks.idle, clocks.total) == (10, 120, 60, 30, 300)
    assert (policy.deadline, policy.takeover_after, policy.wait_max) == (None, None, 60.0)
    assert (policy.on_stream_failure, policy.on_content_filter) == ("continue", "error")


@pytest.mark.parametrize("value", [-1, 1.5, True, "1", None])
def test_max_retries_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ValueError, match="max_retries"):
        RetryPolicy(max_retries=value)
    assert RetryPolicy(max_retries=0).max_retries == 0


@pytest.mark.parametrize("name", ["initial_delay", "max_delay", "retry_after_max"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_delays_are_finite_and_not_negative(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: value})
    assert getattr(RetryPolicy(**{name: 0.0}), name) == 0.0


@pytest.mark.parametrize("name", ["connect", "request", "first_token", "idle", "total"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_clocks_are_positive_or_off(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Timeouts(**{name: value})
    assert getattr(Timeouts(**{name: None}), name) is None
