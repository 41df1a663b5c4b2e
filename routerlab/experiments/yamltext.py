"""The text of a YAML file as data, or an error that names the file and the line."""

from __future__ import annotations

from typing import Any

from routerlab.core.errors import DatasetError
from routerlab.experiments.rows import undecodable
from routerlab.mixins.yaml_places import Path, YamlError, load_yaml_places

__all__ = ["parse_yaml"]


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
