"""Checks for a connector's own configuration: fields and types, URLs, durations."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, ClassVar
from urllib.parse import urlsplit

__all__ = ["ConfigValidatorMixin"]

_HOST_NAME = re.compile(r"\w(?:[\w-]*\w)?(?:\.\w(?:[\w-]*\w)?)*\.?")
# whitespace, control characters and what RFC 3986 never allows: urlsplit would drop some of them silently
_NOT_IN_URLS = re.compile(r'[\s\x00-\x20\x7f-\xa0"<>\\^`{|}]')


class ConfigValidatorMixin:
    """Checks a configuration before it is used; messages name fields and types, never values (they may be secret).

    Attributes:
        DURATION_PATTERN: what a duration looks like: a number and a unit.
        DURATION_MULTIPLIERS: seconds per unit.

    >>> class Provider(ConfigValidatorMixin): ...
    >>> provider = Provider()
    >>> provider._validate_config({"retries": "3"}, {"retries": {"type": int}, "key": {"type": str, "required": True}})
    ["'retries' must be int, found str", "'key' is required (str) and missing"]
    >>> provider._validate_duration("1.5h")
    5400.0
    """

    DURATION_PATTERN: ClassVar[re.Pattern[str]] = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])\Z")
    DURATION_MULTIPLIERS: ClassVar[Mapping[str, float]] = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

    def _validate_config(self, config: Any, schema: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Check a configuration against a schema.

        Args:
            config: the configuration, a mapping; whatever else was read from a file is reported as the one problem.
            schema: for each field ``{"type": type or tuple of types, "required": bool}``; both may be left out
                (any type; not required).

        Returns:
            Every problem found, one readable message each; empty if the configuration is valid.
        """
        if not isinstance(config, Mapping):
            return [f"the configuration must be a mapping, found {type(config).__name__}"]
        problems = (_problem(config, field, rules) for field, rules in schema.items())
        return [problem for problem in problems if problem]

    def _require_field(
        self, config: Mapping[str, Any], field: str, field_type: type | UnionType | tuple[type, ...]
    ) -> Any:
        """Take a field that must be there.

        Args:
            config: the configuration.
            field: the field's name.
            field_type: its type, or a tuple of types.

        Returns:
            The value.

        Raises:
            KeyError: the field is missing.
            TypeError: the value has another type.
        """
        problem = _problem(config, field, {"type": field_type, "required": True})
        if problem:
            raise TypeError(problem) if field in config else KeyError(problem)
        return config[field]

    def _validate_url(self, url: object) -> bool:
        """Whether this is an http or https URL with a host; never raises."""
        if not isinstance(url, str) or _NOT_IN_URLS.search(url):
            return False
        try:
            parts = urlsplit(url)
            _ = parts.port  # reading it checks it
        except ValueError:
            return False
        return parts.scheme in {"http", "https"} and _has_host(parts.netloc)

    def _validate_duration(self, value: object) -> float:
        """Read a duration such as ``"30s"``, ``"5m"``, ``"1.5h"`` or ``"7d"``.

        Returns:
            Seconds.

        Raises:
            ValueError: anything else, numbers and None included.
        """
        match = re.fullmatch(self.DURATION_PATTERN, value) if isinstance(value, str) else None
        seconds = float(match[1]) * self.DURATION_MULTIPLIERS[match[2]] if match else math.inf
        if not math.isfinite(seconds):
            raise ValueError(
                f"{value!r} is not a duration: expected a number and a unit, like '30s', '5m', '1.5h', '7d'"
            )
        return seconds


def _problem(config: Mapping[str, Any], field: str, rules: Mapping[str, Any]) -> str | None:
    expected = rules.get("type", object)
    if field not in config:
        return f"{field!r} is required ({_name(expected)}) and missing" if rules.get("required") else None
    if _matches(config[field], expected):
        return None
    return f"{field!r} must be {_name(expected)}, found {type(config[field]).__name__}"


def _matches(value: object, expected: Any) -> bool:
    if isinstance(expected, UnionType):
        expected = expected.__args__
    if isinstance(expected, tuple):
        return any(_matches(value, each) for each in expected)
    if isinstance(value, bool) and expected in {int, float, complex}:
        return False
    if expected is float:
        return isinstance(value, (int, float))
    return isinstance(value, type(None) if expected is None else expected)


def _name(expected: Any) -> str:
    if isinstance(expected, tuple):
        return " or ".join(_name(each) for each in expected)
    if expected is object:
        return "any type"
    return str(getattr(expected, "__name__", expected))


def _has_host(authority: str) -> bool:
    """Whether ``user@host:port`` holds a host name or an address."""
    host_and_port = authority.rpartition("@")[2]
    if not host_and_port.startswith("["):
        return _HOST_NAME.fullmatch(host_and_port.partition(":")[0]) is not None
    address, _, port = host_and_port[1:].partition("]")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return not port or port.startswith(":")
