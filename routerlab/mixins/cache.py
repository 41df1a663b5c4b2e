"""A TTL cache in memory with LRU eviction, O(1) amortised at any size."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, cast

from routerlab.core.checks import is_whole

__all__ = ["CacheMixin", "CacheStats"]


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Counters of a cache since it was set up or cleared, and its size now (expired entries not counted)."""

    hits: int
    misses: int
    evictions: int
    size: int


class CacheMixin:
    """Remembers values for a while; thread-safe.

    Attributes:
        _cache_ttl_ms: how long a value lives after it was written, in milliseconds. Settable, like the next one;
            they take effect with the next call, for the entries already there too.
        _cache_max_entries: the most entries kept.
        _clock: returns the time in seconds; monotonic.

    >>> class Provider(CacheMixin): ...
    >>> provider = Provider()
    >>> provider._init_cache(max_entries=2)
    >>> for key in "abc":
    ...     provider._cache_set(key, key.upper())
    >>> provider._cache_get("a"), provider._cache_get("c")
    (None, 'C')
    >>> provider._cache_stats()
    CacheStats(hits=1, misses=1, evictions=1, size=2)
    """

    _cache_ttl_ms: float = 60_000
    _cache_max_entries: int = 1024
    _clock: Callable[[], float] = time.monotonic
    _cache: _Cache | None = None  # each instance gets its own with its first call

    def _init_cache(self, ttl_ms: float = 60_000, max_entries: int = 1024) -> None:
        """Set the limits and start empty.

        Args:
            ttl_ms: how long a value lives after it was written, in milliseconds, at least 0 (``inf``: for good).
            max_entries: the most entries kept, at least 1.

        Raises:
            ValueError: a limit is out of its range; nothing has changed.
        """
        if not ttl_ms >= 0:
            raise ValueError(f"ttl_ms must be at least 0 milliseconds, got {ttl_ms!r}")
        if not is_whole(max_entries):
            raise ValueError(f"max_entries must be a whole number of at least 1, got {max_entries!r}")
        self._cache_ttl_ms = ttl_ms
        self._cache_max_entries = max_entries
        self._cache = _Cache()

    def _cache_get(self, key: Hashable) -> Any:
        """Look a key up; that makes it the one used last.

        Returns:
            The value, or None if the key is missing or expired (an expired one is removed now).
        """
        cache = self._cache or self._new_cache()
        with cache.lock:
            written = cache.written.get(key)
            if written is not None and self._clock() - written >= self._cache_ttl_ms / 1000:
                cache.remove(key)
                written = None
            if written is None:
                cache.misses += 1
                return None
            cache.hits += 1
            cache.values.move_to_end(key)
            return cache.values[key]

    def _cache_set(self, key: Hashable, value: Any) -> None:
        """Store a value and start its time anew; at capacity, a new key evicts the one used longest ago."""
        cache = self._cache or self._new_cache()
        with cache.lock:
            now = self._clock()
            values, written = cache.values, cache.written
            if now - cache.oldest >= self._cache_ttl_ms / 1000:
                cache.expire(now, self._cache_ttl_ms / 1000)
            if key in values:
                values.move_to_end(key)
                written.move_to_end(key)
            else:
                while len(values) >= self._cache_max_entries and values:
                    del written[values.popitem(False)[0]]
                    cache.evictions += 1
            values[key] = value
            written[key] = now

    def _cache_invalidate(self, key: Hashable) -> None:
        """Remove one key; a missing one is fine."""
        cache = self._cache or self._new_cache()
        with cache.lock:
            cache.remove(key)

    def _cache_clear(self) -> None:
        """Remove everything and set the counters back to 0."""
        cache = self._cache or self._new_cache()
        with cache.lock:
            cache.clear()

    def _cache_stats(self) -> CacheStats:
        """Counters and current size."""
        cache = self._cache or self._new_cache()
        with cache.lock:
            cache.expire(self._clock(), self._cache_ttl_ms / 1000)
            return CacheStats(cache.hits, cache.misses, cache.evictions, len(cache.values))

    def _new_cache(self) -> _Cache:
        # never set up; setdefault, so that all threads get the same one
        return cast("_Cache", self.__dict__.setdefault("_cache", _Cache()))


@dataclass(slots=True)
class _Cache:
    """Two orders over the same keys: by last use, for eviction, and by writing, for expiry (all live equally long)."""

    values: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)
    written: OrderedDict[Hashable, float] = field(default_factory=OrderedDict)
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    # re-entrant: a key's __eq__ or a value's __del__ may come back to this cache
    lock: threading.RLock = field(default_factory=threading.RLock)

    oldest: float = -math.inf  # no entry was written before; may lag behind, never ahead

    def expire(self, now: float, ttl_s: float) -> None:
        while self.written:
            key = next(iter(self.written))
            self.oldest = self.written[key]
            if now - self.oldest < ttl_s:
                return
            self.remove(key)
        self.oldest = now

    def remove(self, key: Hashable) -> None:
        self.values.pop(key, None)
        self.written.pop(key, None)

    def clear(self) -> None:
        self.values.clear()
        self.written.clear()
        self.hits = self.misses = self.evictions = 0
