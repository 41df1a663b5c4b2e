"""``routerlab check``: what is wrong with a ``lab.yaml``, or what is in it; and whether its models answer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from routerlab.core.errors import ConfigurationError
from routerlab.core.redact import Redactor
from routerlab.providers.keys import CommandKey
from routerlab.providers.options import has_key_header
from routerlab.providers.presets import PRESETS
from routerlab.session.config import LabConfig, ProviderConfig, load_config
from routerlab.session.ping import Ping, ping
from routerlab.session.prices import Listing, list_model
from routerlab.session.recorder import Recorder
from routerlab.session.session import Session
from routerlab.views.console import console as new_console
from routerlab.views.console import print_lines, print_table
from routerlab.views.words import count, seconds

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["check"]

_MESSAGE_CHARS = 160
_PER_MILLION = "$/M in / out"


def check(path: str, *, asks: bool = False, timeout_s: float = 30.0, console: Console | None = None) -> int:
    """Check a configuration and print what came of it; no key is shown.

    Args:
        path: of the ``lab.yaml``.
        asks: whether each model gets one tiny call, which costs next to nothing.
        timeout_s: for each of these calls.
        console: of rich; None: standard output.

    Returns:
        The exit code: 1 where the file has mistakes or a model did not answer, else 0.

    Raises:
        ConfigurationError: `timeout_s` is not above 0.
    """
    if not timeout_s > 0:
        raise ConfigurationError(f"the timeout must be above 0 seconds, not {timeout_s:g}")
    out = console or new_console()
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            config = load_config(path)
        session = Session(config, Recorder())
    except ConfigurationError as error:
        problems = error.problems or [str(error)]
        print_lines(out, [f"{path}: {count(len(problems), 'mistake')}", *(f"- {problem}" for problem in problems)])
        return 1
    try:
        print_lines(out, [f"{path}: no mistakes"])
        _summary(config, out)
        print_lines(out, [f"Warning: {warning.message}" for warning in told])
        return _ask_all(session, timeout_s, out) if asks else 0
    finally:
        session.close()


# -- what is in it -----------------------------------------------------------------------------------------------------


def _summary(config: LabConfig, out: Console) -> None:
    redact = Redactor(config.secrets).redact
    providers = [
        (one.name, one.kind, _host(one), redact(_key(one)), str(len(one.models))) for one in config.providers.values()
    ]
    print_table(out, ("provider", "kind", "host", "key", "models"), providers, numbers={4})
    models = [
        (f"{one.name}/{name}", _short(model.capabilities), _features(model.features), *_known(list_model(one, name)))
        for one in config.providers.values()
        for name, model in one.models.items()
    ]
    print_table(out, ("model", "can", "features", "window", _PER_MILLION), models, numbers={3, 4})
    pools = [
        (f"{name}{' (default)' if pool.default else ''}", _short([pool.capability]), pool.strategy, _list(pool.models))
        for name, pool in config.pools.items()
    ]
    if pools:
        print_table(out, ("pool", "for", "strategy", "models"), pools)
    else:
        print_lines(out, ["No pools: every call goes to any model that can serve it."])


def _host(provider: ProviderConfig) -> str:
    if provider.kind == "simulated":
        return "this process"
    preset = PRESETS.get(provider.kind)
    address = str(provider.options.get("base_url") or (preset.base_url if preset else ""))
    try:
        parts = urlsplit(address)
        return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:  # a kind of one's own may call anything so
        return ""


def _key(provider: ProviderConfig) -> str:
    """Where the key comes from, never the key."""
    key = provider.options.get("api_key")
    if isinstance(key, CommandKey):
        return key.origin
    if not key:
        return "headers" if has_key_header(provider.options) else "none"
    return str(provider.options.get("key_source") or "in the file")


def _short(capabilities: Sequence[str]) -> str:
    return ", ".join(name.rpartition(".")[2] for name in capabilities)


def _features(features: frozenset[str] | None) -> str:
    return "unknown" if features is None else ", ".join(sorted(features)) or "none"


def _list(models: Sequence[str]) -> str:
    return "\n".join(models)


def _known(known: Listing) -> tuple[str, str]:
    """Window and price."""
    window, price = known.context_window, known.price
    return (
        "unknown" if window is None else f"{window:,}",
        "unknown" if price is None else f"{price.input:g} / {price.output:g}",
    )


# -- whether it answers ------------------------------------------------------------------------------------------------


def _ask_all(session: Session, timeout_s: float, out: Console) -> int:
    print_lines(out, [f"Asking {count(len(session.models), 'model')} …"])
    answers = session.run(ping(session, timeout_s=timeout_s))
    rows = []
    for answer in answers:
        provider, _, name = answer.model.partition("/")
        window, price = _known(list_model(session.config.providers[provider], name))
        rows.append((answer.model, _reachable(answer), seconds(answer.latency_s), price, window))
    print_table(out, ("model", "reachable", "latency", _PER_MILLION, "window"), rows, numbers={2, 3, 4})
    failed = sum(answer.ok is False for answer in answers)
    asked = sum(answer.ok is not None for answer in answers)
    print_lines(out, [f"{asked - failed} of {count(asked, 'model')} answered"])
    return 1 if failed else 0


def _reachable(answer: Ping) -> str:
    if answer.ok:
        return "✓ ok"
    message = " ".join(answer.message.split())
    if len(message) > _MESSAGE_CHARS:
        message = f"{message[: _MESSAGE_CHARS - 1]}…"
    return f"- not asked: {message}" if answer.ok is None else f"✗ {answer.error}: {message}"
