"""The options of a provider over HTTP in ``lab.yaml``: checked all at once, and what of them is secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from routerlab.core.errors import ConfigurationError
from routerlab.mixins.config import ConfigValidatorMixin
from routerlab.mixins.http_privacy import is_sendable
from routerlab.providers.connection import connection_problems, proxies_of
from routerlab.providers.keys import CommandKey, FixedKey, KeySource
from routerlab.providers.presets import PRESETS, Preset, find_preset

__all__ = ["SECRET_NAME", "check_options", "has_key_header", "key_source", "keys_of", "secrets_of"]

SECRET_NAME = re.compile(r"auth|key|token|secret|passw|cookie|credential|signature|^sig$", re.IGNORECASE)
"""What the name of an option, header or variable looks like that holds a secret."""

_SCHEMA: dict[str, dict[str, Any]] = {
    "api_key": {"type": str},
    "api_version": {"type": str},
    "base_url": {"type": str},
    "ca_bundle": {"type": str},
    "client_cert": {"type": (str, Mapping)},
    "headers": {"type": Mapping},
    "key_source": {"type": str},
    "kind": {"type": str},
    "models": {"type": (list, tuple, Mapping)},
    "organization": {"type": str},
    "proxy": {"type": str},
    "query": {"type": Mapping},
    "stream_usage": {"type": bool},
    "trust_env": {"type": bool},
}
_KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
_PUBLIC_HEADERS = ("accept", "accept-encoding", "accept-language", "content-type", "user-agent")
_PLAIN = re.compile(r"[a-z\s,;:/._-]*|[\d\s,;:/._-]*", re.IGNORECASE)  # words, or a number, a date, a version
_RANDOM_CHARS = 12  # from this length on, a mix of letters and digits is taken for a key


def check_options(name: str, config: Mapping[str, Any], validator: ConfigValidatorMixin) -> None:
    """Check a provider's options.

    Raises:
        ConfigurationError: ``problems`` holds every mistake; no value is shown.
    """
    problems = [f"providers.{name}: {problem}" for problem in _problems(name, config, validator)]
    if problems:
        raise ConfigurationError("; ".join(problems), problems)


def key_source(config: Mapping[str, Any]) -> KeySource:
    """Where the key comes from; ``key_source`` says so in words."""
    key = config.get("api_key")
    if isinstance(key, CommandKey):
        return key
    usual = "api_key" if key else "headers" if has_key_header(config) else ""
    return FixedKey(key or "", config.get("key_source") or usual)


def secrets_of(config: Mapping[str, Any]) -> list[str]:
    """Every value of the options that no message may show: what goes to a gateway is nobody else's business."""
    values = [*keys_of(config), *(value for name, value in _sent(config) if name.lower() not in _PUBLIC_HEADERS)]
    for proxy in proxies_of(config):
        values += _login(proxy)
    return [value for value in values if value]


def keys_of(config: Mapping[str, Any]) -> list[str]:
    """The values that no record may show: keys, by their names or by their looks. A team's name is none."""
    values = [key] if isinstance(key := config.get("api_key"), str) else []
    for name, value in _sent(config):
        if SECRET_NAME.search(name) or (len(value) >= _RANDOM_CHARS and not _PLAIN.fullmatch(value)):
            values += [value, value.partition(" ")[2]]  # "Bearer …" and what follows it
    for proxy in proxies_of(config):
        values += _login(proxy)[1:]
    own = config.get("client_cert")
    if isinstance(own, Mapping) and isinstance(own.get("password"), str):
        values.append(own["password"])
    return [value for value in values if value]


def has_key_header(config: Mapping[str, Any]) -> bool:
    """Whether a header says who asks."""
    return any(name.lower() in _KEY_HEADERS for name in _names(config.get("headers")))


def _sent(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of the headers and of the query."""
    for option in ("headers", "query"):
        values = config.get(option)
        if isinstance(values, Mapping):
            yield from ((str(name), str(value)) for name, value in values.items())


def _names(values: Any) -> list[str]:
    return [str(name) for name in values] if isinstance(values, Mapping) else []


def _login(proxy: str) -> list[str]:
    """User and password of a proxy, and both in one as they are sent."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"//{proxy}")
    except ValueError:
        return [proxy]  # whatever it is
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return [user, password, f"{user}:{password}"] if password else [user]


def _problems(name: str, config: Mapping[str, Any], validator: ConfigValidatorMixin) -> list[str]:
    given = {
        option: value.origin if isinstance(value, CommandKey) else value
        for option, value in config.items()
        if value is not None
    }
    problems = list(_unknown(given))
    for option, rules in _SCHEMA.items():
        if wrong := validator._validate_config(given, {option: rules}):  # noqa: SLF001 - documented name
            problems += wrong
            del given[option]
    return [*problems, *_wrong_values(name, given, validator), *connection_problems(given)]


def _unknown(given: Mapping[str, Any]) -> Iterator[str]:
    from difflib import get_close_matches

    for option in given:
        if option not in _SCHEMA:
            near = get_close_matches(str(option), _SCHEMA, n=1)
            yield f"unknown option {option!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _wrong_values(name: str, given: Mapping[str, Any], validator: ConfigValidatorMixin) -> Iterator[str]:
    preset = find_preset(name, given.get("kind")) or Preset(name, name)
    address = given.get("base_url") or preset.base_url
    if not address:
        known = ", ".join(PRESETS)
        yield (
            f"base_url is missing (known without one: {known})"
            if not preset.deployments
            else ("base_url is missing: the endpoint of your Azure resource, such as https://NAME.openai.azure.com")
        )
    elif not validator._validate_url(address):  # noqa: SLF001 - documented name
        yield "base_url must be an http or https address with a host"
    elif any(part in address for part in "@?#"):
        yield "base_url must be without user, query and fragment: there are api_key, headers and query"
    for option in ("headers", "query"):
        for key, value in given.get(option, {}).items():
            if not isinstance(value, str | int | float) or isinstance(value, bool):
                yield f"{option}.{key} must be a text, not {type(value).__name__}"
            elif option == "headers" and not (is_sendable(key) and is_sendable(str(value))):
                yield f"headers.{key} must be one line of ASCII text"
    if preset.api_key_env and not given.get("base_url") and not given.get("api_key") and not has_key_header(given):
        yield f"api_key is missing: set {preset.api_key_env}, or api_key in the configuration"
    twice = [key for key in _names(given.get("headers")) if key.lower() == preset.key_header.lower()]
    if given.get("api_key") and twice:
        yield f"headers.{twice[0]} stands where api_key is sent: leave out one of them"
