"""References in a configuration, ``${env:NAME}`` and ``${cmd:…}``, and what must not be shown of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from routerlab.providers.options import SECRET_NAME

__all__ = ["Resolved", "command_in", "resolve", "variables_in"]

_REFERENCE = re.compile(r"\$\{(\w+):([^}]*)(\}?)")
_COMMAND, _END = "${cmd:", "}"


@dataclass(slots=True)
class Resolved:
    """A configuration without references.

    Attributes:
        data: a copy, with the values in place and every key a text (YAML reads ``4:`` as a number).
        problems: references that stand for nothing.
        values: what was put in; no message shows it.
        secrets: those of the values that came from, or went to, a name that looks like a secret's, and all that went
            into headers and queries.
    """

    data: Any = None
    problems: list[str] = field(default_factory=list)
    values: set[str] = field(default_factory=set, repr=False)
    secrets: set[str] = field(default_factory=set, repr=False)


def resolve(data: Any, environ: Mapping[str, str], *, dotenv: str, commands_at: Collection[str] = ()) -> Resolved:
    """Put the values of environment variables into every text of a configuration.

    Args:
        data: mappings, lists and scalars.
        environ: the variables; an empty one counts as missing.
        dotenv: the ``.env`` file that a message may point to.
        commands_at: paths at which ``${cmd:…}`` may stand; it is left as it is.
    """
    resolver = _Resolver(environ, dotenv, commands_at)
    resolver.found.data = resolver.resolved(data, "")
    return resolver.found


def command_in(text: Any) -> str | None:
    """The command of a ``${cmd:…}`` that stands alone, quotes and braces of its own included; None: it is none."""
    if isinstance(text, str) and text.startswith(_COMMAND) and text.endswith(_END):
        return text.removeprefix(_COMMAND).removesuffix(_END)
    return None


def variables_in(text: Any) -> list[str]:
    """The names of the environment variables that a text refers to."""
    references = _REFERENCE.findall(text) if isinstance(text, str) else []
    return [name for scheme, name, _ in references if scheme == "env"]


class _Resolver:
    def __init__(self, environ: Mapping[str, str], dotenv: str, commands_at: Collection[str]) -> None:
        self.found = Resolved()
        self._environ, self._dotenv, self._commands_at = environ, dotenv, commands_at

    def resolved(self, data: Any, path: str) -> Any:
        if isinstance(data, Mapping):
            return {
                str(key): self.resolved(value, f"{path}.{key}" if path else str(key)) for key, value in data.items()
            }
        if isinstance(data, list | tuple):
            return [self.resolved(value, f"{path}[{index}]") for index, value in enumerate(data)]
        if not isinstance(data, str) or "${" not in data:
            return data
        if path in self._commands_at and (command := command_in(data)) is not None:
            return _COMMAND + self._replaced(command, path) + _END
        return self._replaced(data, path)

    def _replaced(self, text: str, path: str) -> str:
        return _REFERENCE.sub(lambda match: self._value_of(match, path), text)

    def _value_of(self, match: re.Match[str], path: str) -> str:
        scheme, name, closed = match.groups()
        value = self._environ.get(name, "") if scheme == "env" else ""
        problem = ""
        if scheme == "cmd":
            problem = "${cmd:…} is for a provider's api_key, and stands there alone"
        elif scheme != "env":
            problem = f"${{{scheme}:…}} is not supported in this version, only ${{env:NAME}} is"
        elif not closed:
            problem = "${env:… lacks its closing brace"
        elif not value:
            hint = f"set it, or write {name}=… into {self._dotenv}"
            problem = f"the environment variable {name} is not set: {hint}"
        if problem:
            self.found.problems.append(f"{path}: {problem}")
            return value
        self.found.values.add(value)
        sent = ".headers." in path or ".query." in path
        if sent or SECRET_NAME.search(name) or SECRET_NAME.search(path.rpartition(".")[2]):
            self.found.secrets.add(value)
        return value
