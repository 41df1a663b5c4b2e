"""Rolling-window metrics per key, with an EWMA score: the documented face of ``core.window``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from routerlab.core.window import RollingWindow, Sample

__all__ = ["RollingWindowMixin", "Sample"]

_LIMITS = frozenset({"_window_size", "_window_duration", "_ewma_alpha"})


class RollingWindowMixin:
    """Success rate, mean and EWMA score of what was recorded under a key; every call is O(1) amortised.

    The score rises with the values, so the best key has the highest: record a quality, never a latency.

    Attributes:
        _window_size: the most samples per key. Settable, like the two below; they take effect with the next call.
        _window_duration: the greatest age of a sample in seconds.
        _ewma_alpha: the weight of the newest value in the score, 0 to 1.
        _clock: returns the time in seconds; monotonic.

    >>> class Provider(RollingWindowMixin): ...
    >>> provider = Provider()
    >>> provider._record_sample("fast", 0.9)
    >>> provider._record_sample("fast", 0.0, success=False)
    >>> provider._get_rate("fast"), provider._get_average("fast"), round(provider._get_score("fast"), 3)
    (0.5, 0.45, 0.315)
    """

    _window_size: int = 100
    _window_duration: float = 300.0
    _ewma_alpha: float = 0.3
    _clock: Callable[[], float] = time.monotonic
    _windows: Mapping[str, RollingWindow] = MappingProxyType({})  # each instance gets its own with its first sample

    def _init_window(self, window_size: int = 100, window_duration_seconds: float = 300.0) -> None:
        """Set the limits and start empty.

        Args:
            window_size: the most samples per key, at least 1; above it the oldest drop out.
            window_duration_seconds: the greatest age of a sample in seconds, above 0; older ones are pruned.

        Raises:
            ValueError: a limit is out of its range.
        """
        RollingWindow(window_size, window_duration_seconds)  # refuses what is out of range before anything changes
        self._windows = {}
        self._window_size = window_size
        self._window_duration = window_duration_seconds

    def _record_sample(self, key: str, value: float, success: bool = True) -> None:
        """Record one observation.

        Args:
            key: what was observed.
            value: the measurement, finite; a quality, so that higher is better.
            success: whether the observed request succeeded.

        Raises:
            ValueError: the value is not finite.
        """
        try:
            window = self._windows[key]
        except KeyError:
            window = self._new_window(key)
        window.record(value, success, self._clock())

    def _get_rate(self, key: str) -> float:
        """The share of successes, 0.0 to 1.0; 1.0 with no samples."""
        try:
            window = self._windows[key]
        except KeyError:
            return 1.0
        return window.rate(self._clock())

    def _get_average(self, key: str) -> float:
        """The mean value; 0.0 with no samples."""
        try:
            window = self._windows[key]
        except KeyError:
            return 0.0
        return window.average(self._clock())

    def _get_score(self, key: str) -> float:
        """The EWMA of the values, starting from the oldest sample, times the success rate; 0.0 with no samples."""
        try:
            window = self._windows[key]
        except KeyError:
            return 0.0
        return window.score(self._clock())

    def __setattr__(self, name: str, value: Any) -> None:
        # Limits may change at any time. Watching for that here costs nothing where it matters, in the calls above.
        super().__setattr__(name, value)
        if name in _LIMITS:
            for window in self._windows.values():
                window.configure(self._window_size, self._window_duration, self._ewma_alpha)

    def _new_window(self, key: str) -> RollingWindow:
        if "_windows" not in self.__dict__:
            self.__dict__.setdefault("_windows", {})  # first use without setup; setdefault: one table for all threads
        window = RollingWindow(self._window_size, self._window_duration, self._ewma_alpha)
        return cast("RollingWindow", self.__dict__["_windows"].setdefault(key, window))
