"""Reads ``lab.yaml`` and the ``.env`` file beside it; every mistake names its file, line and column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.mixins.files import FileSerializerMixin, SerializationFormat
from routerlab.mixins.yaml_marks import Mark, duplicate_keys, place_of

__all__ = ["read_dotenv", "read_yaml"]

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*\Z", re.ASCII)


def read_yaml(path: Path) -> Any:
    """The file's content as plain data.

    Raises:
        ConfigurationError: it is missing, no YAML, or says a key twice.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    try:
        data = FileSerializerMixin()._deserialize(raw, SerializationFormat.YAML)  # noqa: SLF001 - documented name
    except ValueError as error:
        mark = place_of(error.__cause__)
        problem = _marked(path, mark) if mark else f"{path}: {error}"
        raise ConfigurationError(problem, [problem]) from None
    twice = [_marked(path, mark) for mark in duplicate_keys(raw.decode("utf-8-sig"))]
    if twice:
        raise ConfigurationError("\n".join(twice), twice)
    return data


def _marked(path: Path, mark: Mark) -> str:
    return f"{path}, line {mark.line}, column {mark.column}: {mark.problem}"


def read_dotenv(path: Path) -> Mapping[str, str]:
    """The variables of a ``.env`` file; none where there is no file.

    Lines are ``NAME=value`` or ``export NAME=value``; quotes around a value are dropped, `` #`` begins a comment
    behind a value without quotes. Nothing is expanded.

    Raises:
        ConfigurationError: a line is none of this; the message does not show it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {type(error).__name__}") from None
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.match(line)
        if match is None:
            raise ConfigurationError(f"{path}, line {number}: expected NAME=value")
        variables[match[1]] = _unquoted(match[2])
    return variables


def _unquoted(value: str) -> str:
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        if end > 0:
            return value[1:end]
    return re.split(r"(?:^|\s+)#", value, maxsplit=1)[0]
