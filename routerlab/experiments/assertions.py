"""Assertions that an item carries in its metadata, in promptfoo's words, and the share of them that holds.

Source: https://www.promptfoo.dev/docs/configuration/expected-outputs/deterministic/
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from routerlab.core.checks import is_number
from routerlab.experiments.fields import FieldError
from routerlab.experiments.items import Item

__all__ = ["TYPES", "check_assertion", "share_that_holds", "with_call"]

Assertion = Mapping[str, Any]


def check_assertion(assertion: Any) -> None:
    """See that an assertion is one that can be checked here.

    Args:
        assertion: ``type`` (one of `TYPES`, or ``not-`` and one), with ``value`` or ``threshold``.

    Raises:
        FieldError: it is not; the message names what stands in the way.
    """
    if not isinstance(assertion, Mapping) or not isinstance(assertion.get("type"), str):
        raise FieldError("an assertion is an object with a type")
    kind = assertion["type"].removeprefix("not-")
    if kind not in TYPES:
        raise FieldError(f"the assertion type {assertion['type']!r} is not supported (supported: {', '.join(TYPES)})")
    needed = _NEEDED[kind]
    if needed is None and "value" in assertion:
        raise FieldError("is-json with a value (a JSON Schema) is not supported")
    others = sorted(set(assertion) - {"type", needed})
    if others:
        raise FieldError(f"{others[0]!r} of an assertion of type {assertion['type']!r} is not supported")
    if needed is not None:
        _check_operand(kind, needed, assertion.get(needed))


def share_that_holds(text: str, item: Item) -> float | None:
    """How many of an item's assertions hold of a reply, 0…1.

    Args:
        text: of the reply.
        item: with its assertions under ``assert`` in its metadata and, for those of cost and latency, what `with_call`
            puts there.

    Returns:
        The share; None where the item has no assertions.

    Raises:
        FieldError: an assertion is not supported.
        ValueError: one cannot be checked, because the cost or the latency is not known.

    Example:
        >>> item = Item("1", metadata={"assert": [{"type": "icontains", "value": "PARIS"}, {"type": "is-json"}]})
        >>> share_that_holds("Paris.", item)
        0.5
    """
    assertions = item.metadata.get("assert")
    if not assertions:
        return None
    if not isinstance(assertions, list):
        raise FieldError("assert is a list of assertions")
    for assertion in assertions:
        check_assertion(assertion)
    call = item.metadata.get("call") or {}
    return sum(_holds(assertion, text, call) for assertion in assertions) / len(assertions)


def with_call(item: Item, row: Mapping[str, Any]) -> Item:
    """The item with its call's cost and latency under ``call`` in the metadata, where it has assertions."""
    if not item.metadata.get("assert"):
        return item
    call = {name: row.get(name) for name in ("cost_usd", "latency_s")}
    return replace(item, metadata={**item.metadata, "call": call})


def _check_operand(kind: str, name: str, operand: Any) -> None:
    if name == "threshold":
        if not is_number(operand) or not 0 <= operand < math.inf:
            raise FieldError(f"{kind} needs a threshold, a number of at least 0, found {operand!r}")
    elif operand is None or (kind != "equals" and not isinstance(operand, str | int | float)):
        raise FieldError(f"{kind} needs a value, a text or a number, found {operand!r}")
    elif isinstance(operand, str) and operand.startswith("file://"):
        raise FieldError(f"the value {operand!r} is a file, which is not supported")
    elif kind == "regex":
        try:
            re.compile(_written(operand))
        except re.error as error:
            raise FieldError(f"the regex {operand!r} is not one of Python's: {error}") from None


def _holds(assertion: Assertion, text: str, call: Mapping[str, Any]) -> bool:
    kind = assertion["type"]
    holds = TYPES[kind.removeprefix("not-")](assertion, text, call)
    return not holds if kind.startswith("not-") else holds


def _equals(assertion: Assertion, text: str, call: Mapping[str, Any]) -> bool:
    value = assertion["value"]
    if not isinstance(value, Mapping | list):
        return text == _written(value)
    try:
        return bool(_json(text) == value)
    except ValueError:
        return False


def _is_json(assertion: Assertion, text: str, call: Mapping[str, Any]) -> bool:
    try:
        _json(text)
    except (ValueError, RecursionError):
        return False
    return True


def _at_most(name: str, scale: float) -> Callable[[Assertion, str, Mapping[str, Any]], bool]:
    def check(assertion: Assertion, text: str, call: Mapping[str, Any]) -> bool:
        measured = call.get(name)
        if measured is None:
            raise ValueError(f"{assertion['type']} cannot be checked: the {name} is not known")
        return bool(measured * scale <= assertion["threshold"])

    return check


TYPES: dict[str, Callable[[Assertion, str, Mapping[str, Any]], bool]] = {
    "equals": _equals,
    "contains": lambda assertion, text, call: _written(assertion["value"]) in text,
    "icontains": lambda assertion, text, call: _written(assertion["value"]).lower() in text.lower(),
    "regex": lambda assertion, text, call: re.search(_written(assertion["value"]), text) is not None,
    "is-json": _is_json,
    "cost": _at_most("cost_usd", 1),
    "latency": _at_most("latency_s", 1000),
}
"""What can be asserted; each also with ``not-`` before it. The threshold of cost is in USD, of latency in ms."""

_NEEDED: dict[str, str | None] = {
    **dict.fromkeys(("equals", "contains", "icontains", "regex"), "value"),
    **dict.fromkeys(("cost", "latency"), "threshold"),
    "is-json": None,
}


def _written(value: Any) -> str:
    """As JavaScript writes it: ``true``, ``4`` for 4.0."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _json(text: str) -> Any:
    """The value of a JSON text; NaN and Infinity, which Python reads, are none."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)
