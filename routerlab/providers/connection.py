"""How a provider is reached: certificates, proxies, and what the environment says of both."""

from __future__ import annotations

import importlib.util
import os
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from routerlab.core.suggest import nearest

__all__ = ["connection_options", "connection_problems", "proxies_of", "tls_context"]

_CERT_KEYS = ("cert", "key", "password")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # knows no authority: whatever it met, it would refuse


def connection_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Every mistake in the options of a connection; certificates are read."""
    own = config.get("client_cert")
    wrong = list(_wrong_cert(own)) if isinstance(own, Mapping) else []
    yield from wrong
    if not wrong and (own or config.get("ca_bundle")):
        try:
            tls_context(config)
        except ValueError as error:
            yield str(error)
    if config.get("proxy"):
        yield from _wrong_proxy(config["proxy"])


def connection_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the HTTP client.

    Raises:
        ValueError: a certificate cannot be read; the message names it.
    """
    options = {key: config[key] for key in ("proxy", "trust_env") if config.get(key) is not None}
    return options | {"verify": tls_context(config) if _may_need_tls(config) else _TRUSTS_NOBODY}


def _may_need_tls(config: Mapping[str, Any]) -> bool:
    """Whether a connection may be encrypted: loading the authorities takes as long as fifty local calls."""
    plain = str(config.get("base_url") or "").lower().startswith("http://")
    asked = config.get("ca_bundle") or config.get("client_cert")
    return not plain or bool(asked) or any(not proxy.lower().startswith("http://") for proxy in proxies_of(config))


def tls_context(config: Mapping[str, Any]) -> ssl.SSLContext:
    """What is trusted, and who we are.

    ``ca_bundle`` (a file or a folder) takes the place of the usual authorities, which are those of ``SSL_CERT_FILE``
    or ``SSL_CERT_DIR``, unless ``trust_env`` is false, or else certifi's.

    Raises:
        ValueError: a file cannot be read or used.
    """
    bundle = config.get("ca_bundle")
    try:
        context = _trusting(bundle) if bundle else httpx.create_ssl_context(trust_env=config.get("trust_env", True))
        problem = ""
    except OSError as error:
        where = f"ca_bundle: {bundle}" if bundle else "the file that the variable SSL_CERT_FILE or SSL_CERT_DIR names"
        problem = f"{where} cannot be read: {_reason(error)}"
    if not problem and config.get("client_cert"):
        problem = _present(context, config["client_cert"])
    if problem:
        raise ValueError(problem)
    return context


def proxies_of(config: Mapping[str, Any]) -> list[str]:
    """The addresses of all proxies that may be used."""
    own = config.get("proxy")
    if isinstance(own, str) and own:
        return [own]
    return list(getproxies().values()) if config.get("trust_env", True) else []


def _trusting(bundle: str) -> ssl.SSLContext:
    path = os.path.expanduser(bundle)
    folder = os.path.isdir(path)
    return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)


def _present(context: ssl.SSLContext, own: str | Mapping[str, str]) -> str:
    """Take up the client's certificate; returns what is wrong with it."""
    parts = {"cert": own} if isinstance(own, str) else own
    needed = False

    def password() -> str:  # always given: OpenSSL would ask on the terminal, and wait there
        nonlocal needed
        needed = True
        return parts.get("password") or ""

    try:
        context.load_cert_chain(
            os.path.expanduser(parts["cert"]),
            os.path.expanduser(parts["key"]) if parts.get("key") else None,
            password,
        )
        return ""
    except (OSError, ValueError) as error:  # ValueError: a password that is too long
        reason = _reason(error)
    if needed:
        reason = "its password does not open it" if parts.get("password") else "it is encrypted: give its password, too"
        return f"client_cert: the key cannot be used: {reason}"
    files = " or ".join(parts[name] for name in ("cert", "key") if parts.get(name))
    return f"client_cert: {files} cannot be used: {reason}"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not a certificate in PEM format").replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _wrong_cert(own: Mapping[str, Any]) -> Iterator[str]:
    for name, value in own.items():
        if name not in _CERT_KEYS:
            yield f"client_cert.{name}: unknown option{nearest(str(name), _CERT_KEYS)}"
        elif not isinstance(value, str):
            yield f"client_cert.{name} must be a text, not {type(value).__name__}"
    if "cert" not in own:
        yield "client_cert.cert is missing: the file of the certificate"


def _wrong_proxy(proxy: str) -> Iterator[str]:
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        yield "proxy must be an http, https or socks5 address, such as http://proxy.example:3128"
    elif parts.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        yield "proxy: SOCKS needs one package more: pip install 'httpx[socks]'"
