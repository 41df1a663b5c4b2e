"""Rows of a YAML file: a list of rows, or ``items:`` with one."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

from routerlab.core.errors import DatasetError
from routerlab.experiments.rows import Row, decode, iterable_rows, undecodable
from routerlab.mixins.yaml_places import Path, YamlError, line_of, load_yaml_places

__all__ = ["list_rows", "parse_yaml", "yaml_rows"]


def yaml_rows(path: pathlib.Path, encoding: str) -> Iterator[Row]:
    """The rows of a YAML file.

    Raises:
        DatasetError: the file as a whole cannot be read.
    """
    value, places = parse_yaml(decode(path, encoding), path.name)
    return list_rows(value, places, path.name)


def parse_yaml(text: str, name: str) -> tuple[Any, dict[Path, int]]:
    """The document and the lines of its values.

    Raises:
        DatasetError: it is no usable YAML.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if problem := undecodable(line):
            problem = f"{name}, line {number}: {problem}"
            raise DatasetError(problem, [problem])
    try:
        return load_yaml_places(text)
    except YamlError as error:
        problem = f"{name}, {error}" if str(error).startswith("line ") else f"{name}: {error}"
        raise DatasetError(problem, [problem]) from None


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
