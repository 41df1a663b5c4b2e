"""Reads ``lab.yaml`` and the ``.env`` file beside it; every mistake names its file, line and column."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.core.redact import Private
from routerlab.mixins.files import FileSerializerMixin, SerializationFormat
from routerlab.mixins.yaml_marks import Mark, duplicate_keys, place_of

__all__ = ["environment", "read_dotenv", "read_yaml", "store_in", "with_dotenv"]

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*\Z", re.ASCII)


def read_yaml(path: Path) -> Any:
    """The file's content as plain data.

    Raises:
        ConfigurationError: it is missing, no YAML, or says a key twice.
    """
    problems: list[str] = []
    try:
        data = _content(path, problems)
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    if problems:  # raised here, where no variable holds a line of the file
        raise ConfigurationError("\n".join(problems), problems)
    return data


def store_in(path: Path) -> str | None:
    """The store that a ``lab.yaml`` names, whether or not its keys are there; None: there is no such file, or no store.

    Raises:
        ConfigurationError: it is no YAML, or says a key twice.
    """
    data = read_yaml(path) if path.is_file() else None
    store = data.get("store") if isinstance(data, dict) else None
    return store if isinstance(store, str) and "${" not in store else None


def _content(path: Path, problems: list[str]) -> Any:
    raw = path.read_bytes()
    try:
        data = FileSerializerMixin()._deserialize(raw, SerializationFormat.YAML)  # noqa: SLF001 - documented name
    except ValueError as error:
        mark = place_of(error.__cause__)
        problems.append(_marked(path, mark) if mark else f"{path}: {error}")
        return None
    problems += [_marked(path, mark) for mark in duplicate_keys(raw.decode("utf-8-sig"))]
    return None if problems else data


def _marked(path: Path, mark: Mark) -> str:
    return f"{path}, line {mark.line}, column {mark.column}: {mark.problem}"


def environment() -> Private:
    """The process's variables, for whoever may raise: IPython shows what the lines name, ``os.environ`` as well."""
    return Private(os.environ)


def with_dotenv(environ: Mapping[str, str], dotenv: Path) -> Private:
    """The variables of an environment and those of a ``.env`` file that it does not set; an empty one is not set.

    Raises:
        ConfigurationError: as from `read_dotenv`.
    """
    return Private({**read_dotenv(dotenv), **{name: value for name, value in environ.items() if value}})


def read_dotenv(path: Path) -> Private:
    """The variables of a ``.env`` file; none where there is no file.

    Lines are ``NAME=value`` or ``export NAME=value``; quotes around a value are dropped, `` #`` begins a comment
    behind a value without quotes. Nothing is expanded.

    Raises:
        ConfigurationError: a line is none of this; the message does not show it.
    """
    found = _variables(path)
    if isinstance(found, str):  # raised here, where no variable holds a line of the file
        raise ConfigurationError(found)
    return found


def _variables(path: Path) -> Private | str:
    """The variables of the file, or in words what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Private()
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot read {path}: {type(error).__name__}"
    variables = Private()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.match(line)
        if match is None:
            return f"{path}, line {number}: expected NAME=value"
        variables[match[1]] = _unquoted(match[2])
    return variables


def _unquoted(value: str) -> str:
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        if end > 0:
            return value[1:end]
    return re.split(r"(?:^|\s+)#", value, maxsplit=1)[0]
