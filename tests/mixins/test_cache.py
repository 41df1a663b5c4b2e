"""CacheMixin: documented behaviour, against a plain model, at any size."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.mixins.cache import CacheMixin, CacheStats


class Provider(CacheMixin):
    pass


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(ttl_ms: float = 60_000, max_entries: int = 1024) -> tuple[Provider, Clock]:
    provider, clock = Provider(), Clock()
    provider._clock = clock
    provider._init_cache(ttl_ms, max_entries)
    return provider, clock


def test_defaults_without_setup() -> None:
    provider = Provider()
    assert (provider._cache_ttl_ms, provider._cache_max_entries) == (60_000, 1024)
    assert provider._cache_stats() == CacheStats(hits=0, misses=0, evictions=0, size=0)
    assert provider._cache_get("k") is None
    provider._cache_set("k", 1)
    assert provider._cache_get("k") == 1
    provider._cache_invalidate("missing")
    provider._cache_clear()
    assert provider._cache_stats() == CacheStats(0, 0, 0, 0)


@pytest.mark.parametrize("value", [0, "", [], False, {}, None])
def test_empty_values_are_hits(value: object) -> None:
    provider, _ = make()
    provider._cache_set("k", value)
    assert provider._cache_get("k") == value
    assert provider._cache_stats() == CacheStats(hits=1, misses=0, evictions=0, size=1)


def test_an_expired_entry_is_a_miss_and_gone() -> None:
    provider, clock = make(ttl_ms=500)
    provider._cache_set("k", 1)
    clock.now = 0.499
    assert provider._cache_get("k") == 1
    clock.now = 0.5
    assert provider._cache_get("k") is None
    assert provider._cache_stats() == CacheStats(hits=1, misses=1, evictions=0, size=0)


def test_rewriting_restarts_the_time_and_reading_does_not() -> None:
    provider, clock = make(ttl_ms=1000)
    for key in ("read", "rewritten"):
        provider._cache_set(key, 1)
    clock.now = 0.9
    provider._cache_get("read")
    provider._cache_set("rewritten", 2)
    clock.now = 1.5
    assert provider._cache_get("read") is None
    assert provider._cache_get("rewritten") == 2


def test_the_one_used_longest_ago_is_evicted() -> None:
    provider, _ = make(max_entries=3)
    for key in "abc":
        provider._cache_set(key, key)
    provider._cache_get("a")
    provider._cache_set("b", "B")
    provider._cache_set("d", "d")
    assert [provider._cache_get(key) for key in "abcd"] == ["a", "B", None, "d"]
    assert provider._cache_stats().evictions == 1


def test_rewriting_at_capacity_evicts_nothing() -> None:
    provider, _ = make(max_entries=2)
    for key in "abba":
        provider._cache_set(key, key)
    assert provider._cache_stats() == CacheStats(0, 0, evictions=0, size=2)


def test_expired_entries_are_not_counted_and_push_nothing_out() -> None:
    provider, clock = make(ttl_ms=1000, max_entries=3)
    provider._cache_set("live", 1)
    provider._cache_set("old", 1)
    clock.now = 0.9
    provider._cache_set("live", 2)
    provider._cache_get("old")  # used last, but it expires first
    clock.now = 1.1
    assert provider._cache_stats().size == 1
    provider._cache_set("b", 1)
    provider._cache_set("c", 1)
    assert provider._cache_get("live") == 2
    assert provider._cache_stats().evictions == 0


def test_limits_changed_later_take_effect() -> None:
    provider, clock = make(ttl_ms=1000, max_entries=10)
    for key in range(10):
        provider._cache_set(key, key)
    provider._cache_max_entries = 4
    provider._cache_set("new", 1)
    assert provider._cache_stats().size == 4
    clock.now = 5.0
    provider._cache_ttl_ms = 10_000
    assert provider._cache_get("new") == 1
    provider._cache_ttl_ms = 100
    assert provider._cache_stats().size == 0


def test_invalidate_and_clear() -> None:
    provider, _ = make()
    provider._cache_set("a", 1)
    provider._cache_set("b", 1)
    provider._cache_get("a")
    provider._cache_invalidate("a")
    assert provider._cache_get("a") is None
    provider._cache_clear()
    assert provider._cache_stats() == CacheStats(0, 0, 0, 0)


@pytest.mark.parametrize("limits", [{"max_entries": 0}, {"max_entries": True}, {"ttl_ms": -1}, {"ttl_ms": math.nan}])
def test_limits_out_of_range_are_refused(limits: dict[str, Any]) -> None:
    provider, _ = make()
    provider._cache_set("k", 1)
    with pytest.raises(ValueError, match=next(iter(limits))):
        provider._init_cache(**limits)
    assert provider._cache_get("k") == 1


def test_a_subclass_may_set_the_limits() -> None:
    class Small(CacheMixin):
        _cache_max_entries = 1

    provider = Small()
    provider._cache_set("a", 1)
    provider._cache_set("b", 1)
    assert provider._cache_get("a") is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["get", "set", "drop", "wait"]), st.integers(0, 5), st.sampled_from([0.1, 0.5, 1.0])),
        max_size=80,
    )
)
def test_every_step_equals_a_plain_model(steps: list[tuple[str, int, float]]) -> None:
    provider, clock = make(ttl_ms=1000, max_entries=3)
    model: dict[int, tuple[int, float]] = {}  # key -> value, written; in order of use
    hits = misses = evictions = 0
    for number, (action, key, seconds) in enumerate(steps):
        model = {k: entry for k, entry in model.items() if clock.now - entry[1] < 1.0}
        if action == "get":
            entry = model.pop(key, None)
            assert provider._cache_get(key) == (entry[0] if entry else None)
            hits, misses = (hits + 1, misses) if entry else (hits, misses + 1)
            if entry:
                model[key] = entry
        elif action == "set":
            model.pop(key, None)
            if len(model) == 3:
                del model[next(iter(model))]
                evictions += 1
            model[key] = (number, clock.now)
            provider._cache_set(key, number)
        elif action == "drop":
            model.pop(key, None)
            provider._cache_invalidate(key)
        else:
            clock.now += seconds
            model = {k: entry for k, entry in model.items() if clock.now - entry[1] < 1.0}
        assert provider._cache_stats() == CacheStats(hits, misses, evictions, len(model))


def test_threads_lose_nothing() -> None:
    provider = Provider()
    provider._init_cache(max_entries=50)
    barrier = threading.Barrier(8)

    def work(seed: int) -> None:
        barrier.wait()
        for step in range(2_000):
            key = (seed * 7 + step) % 100
            provider._cache_set(key, key)
            assert provider._cache_get(key) in (key, None)
            if step % 10 == 0:
                provider._cache_invalidate(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = provider._cache_stats()
    assert stats.hits + stats.misses == 16_000
    assert stats.size <= 50


def cost_per_set(size: int) -> float:
    """Seconds of the processor for one write to a full cache."""
    provider, _ = make(max_entries=size)
    for key in range(size):
        provider._cache_set(key, key)
    started = time.thread_time()
    for key in range(size, size + 5_000):
        provider._cache_set(key, key)
    return (time.thread_time() - started) / 5_000


def test_a_full_cache_costs_the_same_at_any_size() -> None:
    assert min(cost_per_set(50_000) for _ in range(3)) < 10 * min(cost_per_set(500) for _ in range(3))
