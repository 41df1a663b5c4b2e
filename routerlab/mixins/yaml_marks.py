"""Where in a YAML document something is wrong: the place of a syntax error, and keys that were given twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import yaml

__all__ = ["Mark", "duplicate_keys", "place_of"]


class Mark(NamedTuple):
    """What is wrong, and in which line and column (both from 1)."""

    line: int
    column: int
    problem: str


def place_of(error: BaseException | None) -> Mark | None:
    """Where PyYAML stopped; None where the error is not PyYAML's, or has no place."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return Mark(error.problem_mark.line + 1, error.problem_mark.column + 1, str(error.problem))
    return None


def duplicate_keys(text: str) -> Iterator[Mark]:
    """Keys that stand twice in one mapping; PyYAML lets the last one win in silence.

    Args:
        text: a document that `routerlab.mixins.safe_yaml.load_yaml` has found to be in proportion.
    """
    waiting = [yaml.compose(text, Loader=yaml.SafeLoader)]
    seen: set[int] = set()  # an alias is the node that it stands for
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
            yield from _twice(node)


def _twice(mapping: yaml.MappingNode) -> Iterator[Mark]:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        name, mark = (key.tag, str(key.value)), key.start_mark
        if name in lines and key.value != "<<":
            problem = f"key {key.value!r} was given in line {lines[name]} already"
            yield Mark(mark.line + 1, mark.column + 1, problem)
        lines.setdefault(name, mark.line + 1)
