"""A rolling window of samples with a success rate, a mean and an EWMA score, each in O(1) amortised.

How it works: a two-stack queue. New samples go to the *back*, old ones leave from the *front*. One EWMA step,
``E -> (1 - alpha) * E + alpha * x``, is an affine map, and so is any run of steps. The back keeps one running map (and
running sums); when the front has run empty, all samples are folded once, newest first, into suffix values: for each
sample, the EWMA, the successes and the sum from it to the newest sample folded. Whatever leaves is popped, never
subtracted: an outlier of 1e9 takes its rounding error with it. Each sample is folded at most once, whatever the size.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from routerlab.core.checks import is_whole

__all__ = ["RollingWindow", "Sample"]


class Sample(NamedTuple):
    """One observation: when (seconds on the owner's clock), its value, and whether it was a success."""

    timestamp: float
    value: float
    success: bool


class RollingWindow:
    """The newest samples of one key, bounded by number and by age.

    Every method takes the time of the call, in seconds. Reading drops what has become too old and changes no result.

    Args:
        size: the most samples kept, at least 1; above it the oldest drop out.
        duration: the greatest age of a sample in seconds, above 0 (``inf``: no limit).
        alpha: the weight of the newest value in the EWMA, 0 to 1; 0.3 lets a change show within a few samples.

    Raises:
        ValueError: a setting is out of its range.

    >>> window = RollingWindow(size=3, duration=60.0)
    >>> for second, value in enumerate([9.0, 0.0, 1.0, 1.0]):
    ...     window.record(value, value > 0, now=float(second))
    >>> window.count(3.0), round(window.rate(3.0), 3), round(window.average(3.0), 3)
    (3, 0.667, 0.667)
    >>> round(window.score(3.0), 3)  # the EWMA of 0, 1, 1 is 0.51; two of three succeeded
    0.34
    """

    __slots__ = (
        "_back_gain",
        "_back_lost",
        "_back_offset",
        "_back_successes",
        "_back_sum",
        "_front_ewmas",
        "_front_left",
        "_front_losts",
        "_front_successes",
        "_front_sums",
        "_keep",
        "_samples",
        "_stale_after",
        "alpha",
        "duration",
        "size",
    )
    _back_gain: float
    _back_lost: float
    _back_offset: float
    _back_successes: int
    _back_sum: float
    _front_left: int
    _front_ewmas: list[float]
    _front_successes: list[int]
    _front_sums: list[float]
    _front_losts: list[float]

    def __init__(self, size: int = 100, duration: float = 300.0, alpha: float = 0.3) -> None:
        self._samples: deque[tuple[float, float, bool]] = deque()
        self.configure(size, duration, alpha)

    def configure(self, size: int, duration: float, alpha: float) -> None:
        """Change the limits; samples that still fit stay. O(n).

        Args:
            size: as for the class.
            duration: as for the class.
            alpha: as for the class.

        Raises:
            ValueError: a setting is out of its range; nothing has changed.
        """
        if not is_whole(size):
            raise ValueError(f"window size must be a whole number of at least 1, got {size!r}")
        if not duration > 0:
            raise ValueError(f"window duration must be above 0 seconds, got {duration!r}")
        if not 0 <= alpha <= 1:
            raise ValueError(f"EWMA alpha must be between 0 and 1, got {alpha!r}")
        self.size, self.duration, self.alpha = size, duration, alpha
        self._keep = 1.0 - alpha
        self._samples = deque(self._samples, maxlen=size)
        self._stale_after = -math.inf
        self._fold()

    def record(self, value: float, success: bool, now: float) -> None:
        """Add one observation.

        Args:
            value: the measurement, finite.
            success: whether the observed request succeeded.
            now: when, in seconds.

        Raises:
            ValueError: the value is not finite; nothing has changed.
        """
        if value.__class__ is not float:
            value = _as_float(value)
        if value - value != 0.0:
            raise ValueError("a window takes finite values only")
        samples = self._samples
        if len(samples) == self.size:
            if not self._front_left:
                self._fold()
            self._front_left -= 1
        if success:
            self._back_successes += 1
        samples.append((now, value, success))  # at full size, the deque itself drops its oldest
        keep = self._keep
        self._back_gain *= keep
        self._back_offset = keep * self._back_offset + self.alpha * value
        total = self._back_sum
        self._back_sum = summed = total + value
        part = summed - total  # Knuth's two-sum: what the addition lost, exactly
        self._back_lost += (total - (summed - part)) + (value - part)

    def count(self, now: float) -> int:
        """The number of samples in the window; 0 tells "no data" from a real rate, mean or score."""
        if now > self._stale_after:
            self._prune(now)
        return len(self._samples)

    def rate(self, now: float) -> float:
        """The share of successes, 0 to 1; 1.0 with no samples."""
        if now > self._stale_after:
            self._prune(now)
        count = len(self._samples)
        if not count:
            return 1.0
        return (self._back_successes + self._front_successes[self._front_left]) / count

    def average(self, now: float) -> float:
        """The mean value; 0.0 with no samples."""
        if now > self._stale_after:
            self._prune(now)
        count = len(self._samples)
        if not count:
            return 0.0
        left = self._front_left
        total = (self._back_sum + self._front_sums[left]) + (self._back_lost + self._front_losts[left])
        if total - total != 0.0:  # finite values whose sum is beyond the range of floats
            return math.fsum(value / count for _, value, _ in self._samples)
        return total / count

    def score(self, now: float) -> float:
        """The EWMA of the values, starting from the oldest sample, times the success rate; 0.0 with no samples."""
        if now > self._stale_after:
            self._prune(now)
        count = len(self._samples)
        if not count:
            return 0.0
        left = self._front_left
        start = self._front_ewmas[left] if left else self._samples[0][1]
        successes = self._back_successes + self._front_successes[left]
        return (self._back_gain * start + self._back_offset) * (successes / count)

    @property
    def steady_until(self) -> float:
        """Up to when every reading stays as it was at the latest one, unless something is recorded."""
        return self._stale_after if self._samples else math.inf

    def samples(self, now: float) -> list[Sample]:
        """The samples in the window, oldest first."""
        self._prune(now)
        return [Sample(*sample) for sample in self._samples]

    def _prune(self, now: float) -> None:
        samples = self._samples
        while samples and now > samples[0][0] + self.duration:
            if not self._front_left:
                self._fold()
            self._front_left -= 1
            samples.popleft()
        self._stale_after = samples[0][0] + self.duration if samples else -math.inf

    def _fold(self) -> None:
        """Turn all samples into suffix values, newest first: the oldest comes last and leaves first."""
        alpha, keep = self.alpha, self._keep
        gain, offset, total, lost, successes = 1.0, 0.0, 0.0, 0.0, 0
        # Place n of each column: what the n newest samples come to. (Columns: tuples would be more than large windows
        # can keep in the processor's cache.)
        self._front_ewmas, self._front_successes = ewmas, counts = [0.0], [0]
        self._front_sums, self._front_losts = sums, losts = [0.0], [0.0]
        for _, value, success in reversed(self._samples):
            weighted = gain * value
            ewmas.append(weighted + offset)  # this sample starts the EWMA, all newer ones follow
            offset += alpha * weighted
            gain *= keep
            summed = total + value
            part = summed - total
            lost += (total - (summed - part)) + (value - part)
            total = summed
            if success:
                successes += 1
            counts.append(successes)
            sums.append(total)
            losts.append(lost)
        self._front_left = len(self._samples)  # the place that counts; what lies above has left
        self._back_gain = 1.0
        self._back_offset = self._back_sum = self._back_lost = 0.0
        self._back_successes = 0


def _as_float(value: float) -> float:
    try:
        return float(value) if math.isfinite(value) else math.inf
    except OverflowError:  # an int beyond the range of floats
        return math.inf
