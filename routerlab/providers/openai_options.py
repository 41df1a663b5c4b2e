"""The options of an OpenAI-compatible provider in ``lab.yaml``: checked all at once, and turned into a client's."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.mixins.config import ConfigValidatorMixin
from routerlab.mixins.http_privacy import is_sendable
from routerlab.providers.presets import PRESETS, Preset, find_preset

__all__ = ["check_options", "client_options", "secrets_of"]

_SCHEMA: dict[str, dict[str, Any]] = {
    "api_key": {"type": str},
    "api_version": {"type": str},
    "base_url": {"type": str},
    "ca_bundle": {"type": str},
    "client_cert": {"type": (str, list, tuple)},
    "headers": {"type": Mapping},
    "kind": {"type": str},
    "models": {"type": (list, tuple, Mapping)},
    "organization": {"type": str},
    "proxy": {"type": str},
    "query": {"type": Mapping},
    "stream_usage": {"type": bool},
    "trust_env": {"type": bool},
}
_SECRET_NAME = re.compile(r"auth|key|token|secret|password|cookie|signature|^sig$", re.IGNORECASE)
_KEY_HEADERS = ("authorization", "api-key", "x-api-key")


def check_options(name: str, config: Mapping[str, Any], validator: ConfigValidatorMixin) -> None:
    """Check a provider's options.

    Raises:
        ConfigurationError: ``problems`` holds every mistake; no value is shown.
    """
    given = {option: value for option, value in config.items() if value is not None}
    problems = list(_unknown(given))
    for option, rules in _SCHEMA.items():
        if wrong := validator._validate_config(given, {option: rules}):  # noqa: SLF001 - documented name
            problems += wrong
            del given[option]
    problems += _wrong_values(name, given, validator)
    if problems:
        problems = [f"providers.{name}: {problem}" for problem in problems]
        raise ConfigurationError("; ".join(problems), problems)


def client_options(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the HTTP client: certificates, proxy, environment.

    Raises:
        ConfigurationError: a certificate cannot be read.
    """
    options = {key: config[key] for key in ("proxy", "trust_env") if config.get(key) is not None}
    authorities, own = config.get("ca_bundle"), config.get("client_cert")
    if authorities or own:
        try:
            context = ssl.create_default_context(cafile=authorities)
            if own:
                context.load_cert_chain(*([own] if isinstance(own, str) else own))
        except (OSError, TypeError) as cause:
            problem = f"providers.{name}: ca_bundle or client_cert cannot be read: {cause}"
            raise ConfigurationError(problem, [problem]) from cause
        options["verify"] = context
    return options


def secrets_of(config: Mapping[str, Any]) -> list[str]:
    """Every value of the options that must not be shown."""
    from urllib.parse import unquote, urlsplit

    secrets = [str(config.get("api_key") or "")]
    for option in ("headers", "query"):
        for name, value in (config.get(option) or {}).items():
            if _SECRET_NAME.search(str(name)):
                secrets += [str(value), str(value).partition(" ")[2]]  # "Bearer …" and what follows it
    if config.get("proxy"):
        secrets.append(unquote(urlsplit(config["proxy"]).password or ""))
    return [secret for secret in secrets if secret]


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
    if not given.get("proxy", "http://").startswith(("http://", "https://", "socks5://", "socks5h://")):
        yield "proxy must be an http, https or socks5 address"
    if preset.api_key_env and not given.get("base_url") and not given.get("api_key") and not _has_key_header(given):
        yield f"api_key is missing: set {preset.api_key_env}, or api_key in the configuration"


def _has_key_header(given: Mapping[str, Any]) -> bool:
    return any(name.lower() in _KEY_HEADERS for name in given.get("headers", {}))
