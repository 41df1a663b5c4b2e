"""What another process needs to make a lab's session again: its configuration as it was written, and no key."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.core.redact import Private, Redactor
from routerlab.core.version import VERSION
from routerlab.providers.options import SECRET_NAME
from routerlab.session.config import LabConfig
from routerlab.session.config_build import build
from routerlab.session.config_file import environment, with_dotenv
from routerlab.session.config_keys import literal_keys
from routerlab.session.session import Session
from routerlab.simulation.provider import SimulatedProvider

__all__ = ["pack", "unpack"]

_NOTEBOOK = "__main__:"


def pack(session: Session) -> dict[str, Any]:
    """A session's configuration as plain data that may travel: references stay references, keys stay here.

    Simulated providers stay here, too; the addresses of their servers go along.

    Raises:
        ConfigurationError: a key stands in it, or something that is no plain data; `problems` names each place.
    """
    config, packer = session.config, _Packer(session.config)
    written = packer.plain(config.written, "")
    simulated = {}
    for name, connector in session.connectors.items():
        if isinstance(connector, SimulatedProvider):
            simulated[name] = connector.urls
        elif config.providers[name].kind.startswith(_NOTEBOOK):
            packer.problems.append(
                f"providers.{name}.kind: {config.providers[name].kind!r} is defined in this notebook or script, where "
                "workers do not see it: move the class into a module that they can import"
            )
    if packer.problems:
        raise ConfigurationError("\n- ".join(["workers cannot have this lab:", *packer.problems]), packer.problems)
    written |= {"drop_params": config.drop_params, "seed": config.seed}
    place = {"dotenv": str(Path(config.dotenv).absolute()), "host": socket.gethostname()}
    return {"version": VERSION, "written": written, "simulated": simulated, **place}


def unpack(packed: Mapping[str, Any]) -> LabConfig:
    """The configuration that `pack` packed, with the keys of this process's environment.

    Raises:
        ConfigurationError: something of it is missing here; `problems` names each place.
    """
    problems = []
    if packed["simulated"] and packed["host"] != (here := socket.gethostname()):
        problems.append(f"the simulated providers run on {packed['host']}, and {here} cannot reach them")
    written = Private(packed["written"])
    providers = {name: dict(one or {}) for name, one in written["providers"].items()}
    for name, urls in packed["simulated"].items():
        providers[name]["at"] = urls
    variables = with_dotenv(environment(), Path(packed["dotenv"]))
    built = build({**written, "providers": providers}, variables, dotenv=packed["dotenv"])
    problems += built.problems
    if built.config is None or problems:
        raise ConfigurationError("\n- ".join(["this lab cannot be made here:", *problems]), problems)
    return built.config


class _Packer:
    """Copies plain data, and notes what may not travel."""

    def __init__(self, config: LabConfig) -> None:
        self.problems: list[str] = []
        self._redactor = Redactor(config.secrets)
        self._keys = set(literal_keys(config.written))

    def plain(self, value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return {str(key): self.plain(one, f"{path}.{key}" if path else str(key)) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(one, f"{path}[{place}]") for place, one in enumerate(value)]
        if isinstance(value, str):
            self._check(value, path)
        elif not (value is None or isinstance(value, bool | int | float)):
            self.problems.append(f"{path}: plain data can go to workers, a {type(value).__name__} cannot")
        return value

    def _check(self, text: str, path: str) -> None:
        if path in self._keys or _is_secret(text, path) or self._redactor.mask(text) != text:
            self.problems.append(
                f"{path} holds a key itself, and keys do not travel: write ${{env:NAME}}, and set the variable NAME "
                "where the workers run"
            )


def _is_secret(text: str, path: str) -> bool:
    """Whether an option of a provider holds a secret, by its name."""
    parts = path.split(".")
    option = len(parts) > 2 and parts[0] == "providers" and parts[2] != "models"
    return option and bool(text) and "${" not in text and any(SECRET_NAME.search(part) for part in parts[2:])
