"""Where the key of a provider comes from: the configuration, a variable, a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from routerlab.mixins.config import ConfigValidatorMixin
from routerlab.providers.keys import CommandKey
from routerlab.providers.options import SECRET_NAME, has_key_header
from routerlab.providers.presets import PRESETS
from routerlab.session.discovery import usual_variable
from routerlab.session.secrets_refs import command_in, variables_in

__all__ = ["add_usual_key", "command_paths", "literal_keys", "note_source", "take_command"]


def command_paths(data: Any) -> set[str]:
    """The paths at which a command may stand: the keys of providers that are not simulated."""
    return {
        f"providers.{name}.api_key"
        for name, provider in _written(data).items()
        if isinstance(provider, Mapping) and provider.get("kind") != "simulated"
    }


def take_command(path: str, options: dict[str, Any], learn: Callable[[str], None]) -> list[str]:
    """Turn ``api_key: ${cmd:…}`` and its ``refresh`` into a `CommandKey`; returns what is wrong with them.

    Args:
        path: of the provider.
        options: of the provider.
        learn: takes every key that the command prints.
    """
    command = command_in(options.get("api_key"))
    if command is None:
        return []
    problems, refresh_s = [], None
    if (refresh := options.pop("refresh", None)) is not None:
        try:
            refresh_s = _seconds(refresh)
        except ValueError as error:
            problems.append(f"{path}.refresh: {error}")
    try:
        options["api_key"] = CommandKey(command, refresh_s, learn=learn)
    except ValueError as error:
        problems.append(f"{path}.api_key: ${{cmd:…}} is no command: {str(error).lower()}")
    return problems


def add_usual_key(kind: str, options: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Add the key from the preset's variable, where nothing else says who asks; but never for another host."""
    preset = PRESETS.get(kind)
    if preset is None or not preset.api_key_env or "api_key" in options or has_key_header(options):
        return
    if preset.base_url and _host(options.get("base_url") or preset.base_url) != _host(preset.base_url):
        return
    if variable := usual_variable(preset, environ):
        options["api_key"] = environ[variable]
        options.setdefault("key_source", _words([variable]))


def note_source(options: dict[str, Any], written: Any) -> None:
    """Note in words where a key comes from that was written as a reference."""
    text = written.get("api_key") if isinstance(written, Mapping) else None
    if (names := variables_in(text)) and command_in(text) is None:
        options.setdefault("key_source", _words(names))


def literal_keys(data: Any) -> list[str]:
    """The paths where a key stands in the configuration itself, in place of a reference."""
    return [
        f"providers.{name}.{path}"
        for name, provider in _written(data).items()
        if isinstance(provider, Mapping)
        for path, value in _keys_in(provider)
        if isinstance(value, str) and value and "${" not in value
    ]


def _keys_in(provider: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "api_key", provider.get("api_key")
    for option in ("headers", "query"):
        values = provider.get(option)
        if isinstance(values, Mapping):
            yield from ((f"{option}.{key}", value) for key, value in values.items() if SECRET_NAME.search(str(key)))
    own, proxy = provider.get("client_cert"), provider.get("proxy")
    if isinstance(own, Mapping):
        yield "client_cert.password", own.get("password")
    if isinstance(proxy, str) and ":" in proxy.rpartition("@")[0].partition("://")[2]:
        yield "proxy", proxy


def _written(data: Any) -> Mapping[str, Any]:
    providers = data.get("providers") if isinstance(data, Mapping) else None
    return {str(name): one for name, one in providers.items()} if isinstance(providers, Mapping) else {}


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("expected a duration such as '50m' or a number of seconds")
    seconds = ConfigValidatorMixin()._validate_duration(value) if isinstance(value, str) else float(value)  # noqa: SLF001 - documented name
    if not 0 < seconds < float("inf"):
        raise ValueError("must be greater than 0")
    return seconds


def _words(names: list[str]) -> str:
    return f"the environment variable{'s' if len(names) > 1 else ''} {' and '.join(names)}"


def _host(address: Any) -> str | None:
    try:
        return urlsplit(str(address)).hostname
    except ValueError:  # no address at all, which its own check reports
        return None
