"""ConfigValidatorMixin: documented messages, types, URLs and durations."""

from __future__ import annotations

import re
from typing import Any

import pytest

from routerlab.mixins.config import ConfigValidatorMixin


class Provider(ConfigValidatorMixin):
    pass


provider = Provider()

SCHEMA: dict[str, dict[str, Any]] = {
    "key": {"type": str, "required": True},
    "retries": {"type": int},
    "timeout": {"type": (float, type(None))},
    "anything": {},
    "noted": {"type": str, "description": "other keys of a rule are left alone"},
}


def test_a_valid_configuration_has_no_problems() -> None:
    assert (
        provider._validate_config({"key": "k", "retries": 3, "timeout": None, "anything": [], "extra": 1}, SCHEMA) == []
    )
    assert provider._validate_config({"key": "k", "timeout": 3}, SCHEMA) == []


def test_every_problem_is_found_and_no_value_is_shown() -> None:
    problems = provider._validate_config(
        {"retries": "sk-secret", "timeout": "sk-secret", "noted": b"sk-secret"}, SCHEMA
    )
    assert problems == [
        "'key' is required (str) and missing",
        "'retries' must be int, found str",
        "'timeout' must be float or NoneType, found str",
        "'noted' must be str, found bytes",
    ]


@pytest.mark.parametrize(
    ("value", "expected", "fits"),
    [
        (True, int, False),
        (True, float, False),
        (True, (str, int), False),
        (True, (int, bool), True),
        (False, bool, True),
        (1, bool, False),
        (1, float, True),
        (1, (str, float), True),
        (1.0, int, False),
        (1, str | float, True),
        (True, int | None, False),
        (None, str, False),
        (None, (str, None), True),
        ({}, dict, True),
        ([], (dict, (list, tuple)), True),
        (True, object, True),
    ],
)
def test_types(value: object, expected: Any, fits: bool) -> None:
    assert (provider._validate_config({"f": value}, {"f": {"type": expected}}) == []) is fits
    if fits:
        assert provider._require_field({"f": value}, "f", expected) is value
    else:
        with pytest.raises(TypeError, match="'f' must be"):
            provider._require_field({"f": value}, "f", expected)


@pytest.mark.parametrize("config", [None, [], "text", 3])
def test_a_configuration_that_is_no_mapping_is_a_problem(config: object) -> None:
    assert provider._validate_config(config, SCHEMA) == [
        f"the configuration must be a mapping, found {type(config).__name__}"
    ]


def test_require_field() -> None:
    assert provider._require_field({"a": 0}, "a", int) == 0
    with pytest.raises(KeyError, match="'key' is required"):
        provider._require_field({}, "key", str)
    with pytest.raises(TypeError, match="'key' must be str, found int") as caught:
        provider._require_field({"key": 987654}, "key", str)
    assert "987654" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "https://api.openai.com/v1",
        "HTTPS://Example.COM:8443/path?q=1#f",
        "http://127.0.0.1:8000",
        "http://[::1]:8000/v1",
        "https://user:pass@host.example",
        "http://my_service:80",
        "https://münchen.example/",
        "https://example.com.",
    ],
)
def test_urls(url: str) -> None:
    assert provider._validate_url(url) is True


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "//host",
        "ftp://host",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http:host",
        "http://:80",
        "http://@",
        "http://user@:80",
        "http://host:port",
        "http://host:99999",
        "http://host:-1",
        "http://[::1",
        "http://[junk]",
        "http://[::1]junk",
        "http://::1",
        "http://a b",
        " http://host",
        "http://host ",
        "http://host\n",
        "http://ho\tst",
        "http://host\x00",
        "http://host\u2028",
        "http://host\\path",
        "http://<host>",
        "http://.",
        "http://..",
        "http://-",
        "http://a..b",
        "http://\ud800",
        "http://\u2102\u2060",
        b"http://host",
        None,
        1,
        True,
        ["http://host"],
        {},
        object(),
    ],
)
def test_what_is_no_url(url: object) -> None:
    assert provider._validate_url(url) is False


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30s", 30.0), ("5m", 300.0), ("1.5h", 5400.0), ("7d", 604800.0), ("0.5s", 0.5), ("0s", 0.0), ("007s", 7.0)],
)
def test_durations(value: str, seconds: float) -> None:
    result = provider._validate_duration(value)
    assert result == seconds
    assert isinstance(result, float)


@pytest.mark.parametrize(
    "value",
    [
        "", "30", "s", "-5s", "+5s", "1e3s", " 30s", "30s ", "30 s", "30s\n", "30S", "1.s", ".5s", "1,5s", "1h30m",
        "500ms", "5w", "nans", "infs", "٣s", "9" * 400 + "d", "1_0s", 30, 30.0, 0, True, None, b"30s", ["30s"], {},
    ],
)  # fmt: skip
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"'30s', '5m', '1\.5h', '7d'") as caught:
        provider._validate_duration(value)
    assert repr(value) in str(caught.value)


def test_a_subclass_may_know_more_units() -> None:
    class Patient(ConfigValidatorMixin):
        DURATION_PATTERN = re.compile(r"(\d+)(s|w)")
        DURATION_MULTIPLIERS = {"s": 1, "w": 604800}  # noqa: RUF012 - as a connector author would write it

    assert Patient()._validate_duration("2w") == 1209600.0
    assert set(ConfigValidatorMixin.DURATION_MULTIPLIERS) == set("smhd")
