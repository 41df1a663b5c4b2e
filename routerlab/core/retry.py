"""How long to wait before the next try: our own backoff, and what a server's headers ask for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

__all__ = ["backoff_s", "parse_reset_after", "parse_retry_after"]

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[dhms]))+")
_DURATION_PART = re.compile(r"([0-9.]+)(ms|[dhms])")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_TEXT = 64  # a longer value is no time in any of the forms
_EPOCH_S = 1e9  # a reset "in" thirty years is a point in time
_EPOCH_MS = 1e11
_LAST_DOUBLING = 64  # beyond, a float would run over


def backoff_s(
    attempt: int,
    initial_s: float = 1.0,
    *,
    factor: float = 2.0,
    max_s: float = math.inf,
    jitter_s: float = 0.0,
    rng: Callable[[], float] | None = None,
) -> float:
    """Returns the seconds to wait before a retry: exponential, with jitter added, never more than `max_s`.

    Args:
        attempt: how many retries came before this one; 0 for the first.
        initial_s: the wait before the first retry, in seconds.
        factor: what each further wait is multiplied by.
        max_s: the longest wait, jitter included.
        jitter_s: up to this many seconds are added, so that clients that failed together do not come back together.
        rng: gives a number in [0, 1), like `random.random`; None: no jitter.

    >>> [backoff_s(attempt, 0.5, max_s=8.0) for attempt in range(6)]
    [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    """
    jitter = jitter_s * rng() if rng is not None else 0.0
    return min(initial_s * factor ** min(attempt, _LAST_DOUBLING) + jitter, max_s)


def parse_retry_after(headers: Mapping[str, str], now_wall: float) -> float | None:
    """Returns for how many seconds the server asks the client to stay away, or None where it says nothing usable.

    ``retry-after-ms`` and ``x-ms-retry-after-ms`` come before ``Retry-After`` (seconds, decimals allowed, or an HTTP
    date). Garbage, negative and non-finite numbers and dates in the past count as absent; nothing raises.

    Args:
        headers: of the response; the case of the names does not matter.
        now_wall: the time now in seconds since the epoch, for dates.

    Source: RFC 9110, section 10.2.3; the headers in milliseconds are OpenAI's and Azure's.

    >>> parse_retry_after({"Retry-After": "1.5"}, 0.0)
    1.5
    """
    lower = {name.lower(): value for name, value in headers.items()}
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        millis = _number(lower.get(name, ""))
        if millis is not None:
            return millis / 1000.0
    text = lower.get("retry-after", "")
    seconds = _number(text)
    return seconds if seconds is not None else _until(_http_date(text), now_wall)


def parse_reset_after(text: str, now_wall: float) -> float | None:
    """Returns the seconds until a rate limit resets, read from the value of a header, or None where it is unusable.

    Understood: ``6s``, ``130ms``, ``1m30s``, ``1h2m3.5s``, plain seconds, points in time as RFC 3339 or as seconds
    or milliseconds since the epoch. A time in the past counts as absent; nothing raises.

    Args:
        text: the header's value.
        now_wall: the time now in seconds since the epoch.

    >>> parse_reset_after("1m30s", 0.0)
    90.0
    """
    text = text.strip()
    number = _number(text)
    if number is not None:
        if number < _EPOCH_S:
            return number
        return _until(number / 1000.0 if number >= _EPOCH_MS else number, now_wall)
    if len(text) <= _MAX_TEXT and _DURATION.fullmatch(text):
        return sum(float(amount) * _UNIT_S[unit] for amount, unit in _DURATION_PART.findall(text))
    return _until(_rfc3339(text), now_wall)


def _number(text: str) -> float | None:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _until(moment: float | None, now_wall: float) -> float | None:
    return moment - now_wall if moment is not None and moment >= now_wall else None


def _http_date(text: str) -> float | None:
    if not text or len(text) > _MAX_TEXT:
        return None
    from datetime import UTC
    from email.utils import parsedate_to_datetime  # costs more to import than all of this package

    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _rfc3339(text: str) -> float | None:
    if not text or len(text) > _MAX_TEXT:
        return None
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
