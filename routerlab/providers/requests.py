"""Requests on their way to any provider: one call of its API, parameters put together, JSON written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.record import record

__all__ = ["Call", "Params", "merge_params", "versioned", "write_body"]

_as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_VERSION = re.compile(r"v\d+\w*")


@record
class Call:
    """One HTTP request of a provider's API; without a body it is a GET."""

    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


def merge_params(
    body: dict[str, Any], params: Mapping[str, Any], renames: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """``body`` with the parameters (None means: not set) under the provider's names and ``extra_body`` over all."""
    own = dict(params)
    extra = own.pop("extra_body", None) or {}
    if not isinstance(extra, Mapping):
        raise ProviderError("extra_body: a mapping was expected", fault=Fault.LOCAL, sent=False)
    renames = renames or {}
    named = {renames.get(name, name): value for name, value in own.items() if value is not None}
    return {**body, **named, **extra}


def write_body(body: Mapping[str, Any]) -> bytes:
    """JSON as UTF-8.

    Raises:
        ProviderError: a value cannot be written as JSON; nothing is sent.
    """
    try:
        return _as_json(body).encode()
    except (TypeError, ValueError, RecursionError) as cause:
        message = f"the request cannot be written as JSON: {cause}"
        raise ProviderError(message, fault=Fault.LOCAL, sent=False) from None


def versioned(url: str, version: str) -> str:
    """A base URL that names a version of the API: its own, or this one.

    >>> versioned("https://api.anthropic.com", "v1"), versioned("http://localhost:4000/v1", "v1")
    ('https://api.anthropic.com/v1', 'http://localhost:4000/v1')
    """
    return url if any(_VERSION.fullmatch(segment) for segment in url.split("/")[3:]) else f"{url}/{version}"


class Params:
    """The parameters of a request on their way into another API: what is translated is taken out, the rest stays.

    Args:
        params: of the request; None means: not set.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._left = {name: value for name, value in params.items() if value is not None}

    def take(self, name: str, default: Any = None) -> Any:
        """One parameter, translated by the caller."""
        return self._left.pop(name, default)

    def move(self, into: dict[str, Any], names: Mapping[str, str]) -> None:
        """Take the parameters that only have another name, or another place."""
        for name, theirs in names.items():
            if name in self._left:
                into[theirs] = self._left.pop(name)

    def over(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with all that is left, and ``extra_body`` over it; objects are merged, not replaced."""
        return _merged(merge_params({}, self._left), body)


def _merged(over: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    merged = dict(body)
    for name, value in over.items():
        inner = merged.get(name)
        merged[name] = _merged(value, inner) if isinstance(value, Mapping) and isinstance(inner, dict) else value
    return merged
