"""The cache at capacity: each new key evicts another one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, MutableMapping

from measure import bar, installed, interleave, ratio, show

from routerlab.mixins.cache import CacheMixin

SIZES = (1_000, 100_000)
FLAT, FASTER = 2.5, 2.5


class Provider(CacheMixin):
    """Nothing but the mixin."""


def main(*, quick: bool) -> None:
    sets, rounds = (200, 2) if quick else (20_000, 30)
    small, large = (100, 1_000) if quick else SIZES
    timings = interleave({f"{size:,} entries": ours(size, sets) for size in (small, large)}, rounds)
    show("set at capacity", timings, base=f"{small:,} entries", unit="set")
    value = ratio(timings, f"{large:,} entries", f"{small:,} entries")
    bar(f"at {large:,} entries, against {small:,}", value, FLAT, at_least=False)
    if not installed("cachetools"):
        return
    for size in (small, large):
        contenders = {"mixin": ours(size, sets), "TTLCache": theirs(size, sets, locked=False)}
        timings = interleave(contenders | {"TTLCache + lock": theirs(size, sets, locked=True)}, rounds)
        show(f"set at capacity of {size:,}", timings, base="TTLCache", unit="set")
        bar("times as fast as TTLCache", ratio(timings, "TTLCache", "mixin"), FASTER, at_least=True)


def ours(size: int, sets: int) -> Callable[[], int]:
    provider = Provider()
    provider._init_cache(ttl_ms=3_600_000, max_entries=size)
    keys = itertools.count()
    for _ in range(size):
        provider._cache_set(next(keys), 1)

    def work() -> int:
        for _ in range(sets):
            provider._cache_set(next(keys), 1)
        return sets

    return work


def theirs(size: int, sets: int, *, locked: bool) -> Callable[[], int]:
    from cachetools import TTLCache

    cache: MutableMapping[int, int] = TTLCache(size, ttl=3600)
    keys, lock = itertools.count(), threading.RLock()
    for _ in range(size):
        cache[next(keys)] = 1

    def work() -> int:
        for _ in range(sets):
            cache[next(keys)] = 1
        return sets

    def work_locked() -> int:  # ours is safe between threads, too
        for _ in range(sets):
            with lock:
                cache[next(keys)] = 1
        return sets

    return work_locked if locked else work
