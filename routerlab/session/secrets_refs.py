"""References in a configuration, ``${env:NAME}``, and what must not be shown of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SECRET_NAME", "Resolved", "resolve"]

SECRET_NAME = re.compile(r"auth|key|token|secret|passw|cookie|credential|signature", re.IGNORECASE)
"""What the name of an option or variable looks like that holds a secret."""

_REFERENCE = re.compile(r"\$\{(\w+):([^}]*)(\}?)")


@dataclass(slots=True)
class Resolved:
    """A configuration without references.

    Attributes:
        data: a copy, with the values in place and every key a text (YAML reads ``4:`` as a number).
        problems: references that stand for nothing.
        values: what was put in; no message shows it.
        secrets: those of the values that came from, or went to, a name that looks like a secret's.
    """

    data: Any = None
    problems: list[str] = field(default_factory=list)
    values: set[str] = field(default_factory=set, repr=False)
    secrets: set[str] = field(default_factory=set, repr=False)


def resolve(data: Any, environ: Mapping[str, str], *, dotenv: str) -> Resolved:
    """Put the values of environment variables into every text of a configuration.

    Args:
        data: mappings, lists and scalars.
        environ: the variables; an empty one counts as missing.
        dotenv: the ``.env`` file that a message may point to.
    """
    found = Resolved()
    found.data = _resolved(data, "", environ, dotenv, found)
    return found


def _resolved(data: Any, path: str, environ: Mapping[str, str], dotenv: str, found: Resolved) -> Any:
    if isinstance(data, Mapping):
        return {
            str(key): _resolved(value, f"{path}.{key}" if path else str(key), environ, dotenv, found)
            for key, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [_resolved(value, f"{path}[{index}]", environ, dotenv, found) for index, value in enumerate(data)]
    if not isinstance(data, str) or "${" not in data:
        return data

    def value_of(match: re.Match[str]) -> str:
        scheme, name, closed = match.groups()
        value = environ.get(name, "")
        if scheme != "env":
            found.problems.append(f"{path}: ${{{scheme}:…}} is not supported in this version, only ${{env:NAME}} is")
        elif not closed:
            found.problems.append(f"{path}: ${{env:… lacks its closing brace")
        elif not value:
            hint = f"set it, or write {name}=… into {dotenv}"
            found.problems.append(f"{path}: the environment variable {name} is not set: {hint}")
        else:
            found.values.add(value)
            if SECRET_NAME.search(name) or SECRET_NAME.search(path.rpartition(".")[2]):
                found.secrets.add(value)
        return value

    return _REFERENCE.sub(value_of, data)
