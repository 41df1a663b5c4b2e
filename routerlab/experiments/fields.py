"""Which field of a row is the prompt, the target, the id: names, dotted paths, templates, callables and guesses."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from routerlab.core.errors import DatasetError

__all__ = ["CANONICAL", "FieldError", "Fields", "Gathered", "Getter", "find_canonical", "getter", "names_of", "nearest"]

Fields = Mapping[str, Any]
Getter = Callable[[Fields], Any]

CANONICAL: dict[str, tuple[str, ...]] = {
    "id": ("id", "item_id", "question_id", "uid"),
    "prompt": ("prompt", "question", "input", "query", "instruction", "problem", "text"),
    "messages": ("messages", "conversation"),
    "target": (
        *("target", "targets", "answer", "answers", "expected", "expected_answer", "expected_output"),
        *("reference", "references", "ideal", "gold", "solution", "label"),
    ),
}
"""The names under which other people's files keep our fields; the first that a row has is taken."""


class FieldError(Exception):
    """One row has not got what was asked of it; the message says why (the caller knows where)."""


class Gathered(dict[str, Any]):
    """A row's value that its file has no field for: what a shape gathers from several."""


def names_of(fields: Fields) -> str:
    """The fields that a row's file has, for messages.

    >>> names_of({"city": "Rome", "metadata": Gathered(description="a test")}), names_of({})
    ('city', 'none')
    """
    return ", ".join(name for name, value in fields.items() if not isinstance(value, Gathered)) or "none"


def find_canonical(role: str, fields: Iterable[str]) -> str | None:
    """The field that holds ``role`` (a key of ``CANONICAL``), whatever its case; None when there is none."""
    by_name = {name.casefold(): name for name in reversed(list(fields))}
    return next((by_name[name] for name in CANONICAL[role] if name in by_name), None)


def getter(spec: str | Callable[[Fields], Any], argument: str) -> Getter:
    """A function that takes the value that ``spec`` names from a row.

    Args:
        spec: a field name or a dotted path (``meta.topic``), a template with ``{field}`` placeholders, or a callable
            that is given the row.
        argument: the keyword that ``spec`` was given as, for messages.

    Raises:
        DatasetError: ``spec`` is none of these. The returned function raises FieldError.
    """
    if callable(spec):
        return lambda fields: _called(spec, fields, argument)
    if not isinstance(spec, str) or not spec:
        raise DatasetError(f"{argument}= is a field name, a template or a callable, not {spec!r}")
    if "{" not in spec and "}" not in spec:
        return lambda fields: _lookup(fields, spec)
    template = _Template()
    _check_template(template, spec, argument)
    return lambda fields: _filled(template, spec, fields)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name (``; did you mean 'question'?``); empty when nothing is near."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _called(function: Callable[[Fields], Any], fields: Fields, argument: str) -> Any:
    try:
        return function(fields)
    except Exception as error:  # the user's own code: whatever it raises is this row's problem
        raise FieldError(f"the {argument} function raised {type(error).__name__}: {error}") from error


def _lookup(fields: Fields, path: str) -> Any:
    """The value at ``path``: a field of exactly that name, else one step into nested objects for each dot."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            raise FieldError(f"no field {path!r} (fields: {names_of(fields)}{nearest(path, fields)})")
        value = value[step]
    return value


class _Template(string.Formatter):
    """``str.format`` over a row; a dot steps into nested objects and never reads an attribute."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        value = _lookup(kwargs, field_name)
        if value is None:
            raise FieldError(f"field {field_name!r} of the template is empty")
        return value, field_name


def _check_template(template: _Template, spec: str, argument: str) -> None:
    try:
        names = [name for _, name, _, _ in template.parse(spec)]
    except ValueError as error:
        raise DatasetError(f"{argument}={spec!r} is no template: {error} (a brace itself is written twice)") from None
    if "" in names:
        raise DatasetError(f"{argument}={spec!r}: write the field's name between the braces")


def _filled(template: _Template, spec: str, fields: Fields) -> str:
    try:
        return template.vformat(spec, (), fields)
    except (ValueError, TypeError) as error:  # a format specification that does not fit the value
        raise FieldError(f"template {spec!r}: {error}") from error
