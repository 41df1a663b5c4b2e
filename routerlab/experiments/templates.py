"""promptfoo's templates as far as they are plain: ``{{name}}`` and ``{{name.inner}}``, and nothing else of Nunjucks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from routerlab.experiments.fields import FieldError, nearest

__all__ = ["fill", "has_template"]

_PART = re.compile(r"\{\{(.*?)\}\}|\{%.*?%\}|\{#.*?#\}|\{\{|\{%|\{#", re.DOTALL)
_NAME = re.compile(r"\s*([^\W\d]\w*(?:\.\w+)*)\s*")


def has_template(value: Any) -> bool:
    """Whether a text holds anything that Nunjucks would read."""
    return isinstance(value, str) and _PART.search(value) is not None


def fill(value: Any, variables: Mapping[str, Any]) -> Any:
    """A text, or the texts inside lists and objects, with the variables put in.

    Raises:
        FieldError: a variable that there is not, or more than a variable's name.

    Example:
        >>> fill("Translate {{text}} to {{ to.language }}", {"text": "Hi", "to": {"language": "French"}})
        'Translate Hi to French'
    """
    if isinstance(value, str):
        return _PART.sub(lambda found: _value(found, variables), value)
    if isinstance(value, Mapping):
        return {key: fill(inner, variables) for key, inner in value.items()}
    return [fill(inner, variables) for inner in value] if isinstance(value, list) else value


def _value(found: re.Match[str], variables: Mapping[str, Any]) -> str:
    name = None if found[1] is None else _NAME.fullmatch(found[1])
    if name is None:
        raise FieldError(f"Nunjucks logic is not supported, only {{{{name}}}}: found {found[0]!r}")
    value: Any = variables
    for step in name[1].split("."):
        if not isinstance(value, Mapping) or step not in value:
            raise FieldError(f"there is no variable {name[1]!r}{nearest(name[1], variables)}")
        value = value[step]
    return _written(value)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else json.dumps(value, ensure_ascii=False)
