"""A YAML document with the line of every value, for messages that name the place of a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from routerlab.mixins.safe_yaml import load_yaml

__all__ = ["Path", "YamlError", "line_of", "load_yaml_places"]

Path = tuple[str | int, ...]
"""Keys and positions that lead to a value; ``()`` is the document."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"


class _WordLoader(_Loader):  # type: ignore[misc]
    """Leaves ``yes``, ``no``, ``on``, ``off`` and ``12:30`` texts, as YAML 1.2 does: they are people's answers.

    Source: https://yaml.org/spec/1.2.2/#1032-tag-resolution
    """

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """PyYAML's own, without the truth values and the base 60 of YAML 1.1."""
        tag = super().resolve(kind, value, implicit)
        word = tag == f"{_TAG}bool" and value.lower() not in {"true", "false"}
        base_60 = tag in {f"{_TAG}int", f"{_TAG}float"} and isinstance(value, str) and ":" in value
        return f"{_TAG}str" if kind is yaml.ScalarNode and implicit[0] and (word or base_60) else tag


class YamlError(ValueError):
    """No usable YAML; the message begins with the line where that is known."""


def load_yaml_places(text: str) -> tuple[Any, dict[Path, int]]:
    """Load one document and say where its values stand.

    Args:
        text: the document.

    Returns:
        Plain data, as from `load_yaml` (but ``yes``, ``no`` and ``12:30`` are texts), and the line (from 1) of each
        value by its path.

    Raises:
        YamlError: not valid, out of proportion, or a key that stands twice in one mapping.

    Example:
        >>> load_yaml_places("a:\\n  - 5")
        ({'a': [5]}, {(): 1, ('a',): 2, ('a', 0): 2})
    """
    try:
        data = load_yaml(text, _WordLoader)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f"line {mark.line + 1}: "
        raise YamlError(f"{place}not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(f"not readable YAML: {error}") from None
    return data, {} if node is None else dict(_walk(node, ()))


def line_of(places: Mapping[Path, int], path: Path) -> int:
    """The line of a value, or of the nearest one around it (what a merge key or an alias brought in has none)."""
    while path and path not in places:
        path = path[:-1]
    return places.get(path, 1)


def _walk(node: Any, path: Path) -> Iterator[tuple[Path, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for position, inner in enumerate(node.value):
            yield from _walk(inner, (*path, position))
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, inner in node.value:
            name = str(key.value)
            if name in seen:
                raise YamlError(f"line {key.start_mark.line + 1}: the key {name!r} stands twice")
            seen.add(name)
            yield from _walk(inner, (*path, name))
