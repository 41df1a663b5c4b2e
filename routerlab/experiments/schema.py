"""Replies that must be JSON of a certain shape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.scorer import Scorer

__all__ = ["json_of", "json_schema"]

_FENCED = re.compile(r"\s*```(?:json|JSON)?[ \t]*\n(.*?)\n?\s*```\s*", re.DOTALL)


def json_schema(schema: Any, *, name: str = "json_schema") -> Scorer:
    """1 when the reply is JSON that fits a JSON Schema; the target plays no part.

    The whole reply must be the JSON, or one fenced block of it; prose around it scores 0, as it would break a program
    that reads the reply. Nothing is fetched: a ``$ref`` to an address elsewhere is a scorer's error.

    Args:
        schema: a JSON Schema (its ``$schema`` chooses the draft, 2020-12 without one), or a pydantic model's class.
        name: of the scorer.

    Raises:
        ConfigurationError: no valid schema, or the package ``jsonschema`` is missing
            (``pip install "routerlab[schema]"``).
    """
    validator = _validator(schema.model_json_schema() if hasattr(schema, "model_json_schema") else schema)
    return Scorer(name, lambda text, target, item: _fits(validator, text))


def json_of(text: str) -> Any:
    """The JSON that a reply is, bare or in one fenced block.

    Raises:
        ValueError: it is none.
    """
    fenced = _FENCED.fullmatch(text)
    return json.loads(fenced[1] if fenced else text, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _validator(schema: Any) -> Any:
    try:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import Draft202012Validator, validator_for
        from referencing import Registry
    except ImportError as error:
        raise ConfigurationError('json_schema needs jsonschema: pip install "routerlab[schema]"') from error
    if not isinstance(schema, Mapping | bool):
        raise ConfigurationError(f"json_schema({schema!r:.80}): expected a JSON Schema, a dict, or a pydantic class")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ConfigurationError(f"json_schema: no valid schema, at {error.json_path}: {error.message}") from None
    return kind(schema, registry=Registry())  # without one it would fetch what a $ref names


def _fits(validator: Any, text: str) -> bool:
    try:
        found = json_of(text)
    except (ValueError, RecursionError):
        return False
    return bool(validator.is_valid(found))
