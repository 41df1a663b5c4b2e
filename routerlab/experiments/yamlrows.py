"""Rows of a YAML file: a list of rows, or ``items:`` with one; or promptfoo's tests."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

from routerlab.core.errors import DatasetError
from routerlab.experiments.promptfoo import is_suite, suite_rows
from routerlab.experiments.rows import Row, decode, iterable_rows
from routerlab.experiments.yamltext import parse_yaml
from routerlab.mixins.yaml_places import Path, line_of

__all__ = ["list_rows", "yaml_rows"]


def yaml_rows(path: pathlib.Path, encoding: str) -> Iterator[Row]:
    """The rows of a YAML file.

    Raises:
        DatasetError: the file as a whole cannot be read.
    """
    value, places = parse_yaml(decode(path, encoding), path.name)
    if is_suite(value):
        return suite_rows(value, places, path, encoding)
    return list_rows(value, places, path.name)


def list_rows(value: Any, places: dict[Path, int], name: str) -> Iterator[Row]:
    """The rows of a document of plain rows.

    Raises:
        DatasetError: it is neither a list nor an object with ``items`` alone.
    """
    path: Path = ()
    if isinstance(value, dict) and "items" in value:
        others = sorted(str(key) for key in value if key != "items")
        if others:
            raise DatasetError(f"{name}: beside items there is {', '.join(map(repr, others))}, which nothing reads")
        value, path = value["items"], ("items",)
    if not isinstance(value, list):
        found = "nothing" if value is None else type(value).__name__
        raise DatasetError(f"{name}: expected a list of rows, or items: with one, found {found}")
    return _placed(value, places, path, name)


def _placed(values: list[Any], places: dict[Path, int], path: Path, name: str) -> Iterator[Row]:
    for position, row in enumerate(iterable_rows(values)):
        yield Row(f"{name}, line {line_of(places, (*path, position))}", row.fields, row.problem)
