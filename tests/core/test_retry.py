"""Waits between tries: our own and what servers ask for."""

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.retry import backoff_s, parse_reset_after, parse_retry_after

NOW = 1_700_000_000.0


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


def test_backoff_doubles() -> None:
    assert [backoff_s(attempt) for attempt in range(4)] == [1.0, 2.0, 4.0, 8.0]
    assert backoff_s(2, 0.5, factor=3.0) == 4.5


def test_backoff_is_capped_with_its_jitter() -> None:
    assert backoff_s(9, 0.5, max_s=8.0, jitter_s=0.5, rng=lambda: 0.9) == 8.0
    assert backoff_s(0, 1.0, jitter_s=0.5, rng=lambda: 0.5) == 1.25


def test_backoff_never_overflows() -> None:
    assert math.isfinite(backoff_s(10_000))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "5"}, 5.0),
        ({"RETRY-AFTER": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "99999999999999999999"}, 1e20),
        ({"retry-after": "9" * 400}, None),
        ({"Retry-After-Ms": "250", "retry-after": "9"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": http_date(30)}, 30.0),
        ({"retry-after": http_date(-30)}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
        *(
            ({"retry-after": text}, None)
            for text in ("", "-1", "nan", "inf", "1e5", "0x10", "1_000", "٣", "soon", "+5")
        ),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert parse_retry_after(headers, NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6s", 6.0),
        ("130ms", 0.13),
        ("1m30s", 90.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("2d", 172_800.0),
        ("20", 20.0),
        ("0.25", 0.25),
        ("2023-11-14T22:14:20Z", 60.0),
        ("2023-11-14T23:14:20+01:00", 60.0),
        ("2020-01-01T00:00:00Z", None),
        (str(int(NOW) + 60), 60.0),
        (str(int(NOW + 60) * 1000), 60.0),
        (str(int(NOW) - 60), None),
        *((text, None) for text in ("", "s", "-6s", "1m30", "nan", "inf", "soon", "6 s", "1.2.3s")),
    ],
)
def test_reset_after(text: str, expected: float | None) -> None:
    assert parse_reset_after(text, NOW) == pytest.approx(expected)


@given(st.text(max_size=80) | st.from_regex(r"[A-Za-z]{0,3},? ?[0-9]{0,3} [A-Za-z]{0,4} [0-9:+ -]{0,20}"))
def test_nothing_raises(text: str) -> None:
    for value in (parse_retry_after({"Retry-After": text, "retry-after-ms": text}, NOW), parse_reset_after(text, NOW)):
        assert value is None or (math.isfinite(value) and value >= 0)
