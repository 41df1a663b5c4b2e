"""What a model costs and holds: the user's own word, else the table that genai-prices brings along. Never online.

What neither knows stays unknown: None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from routerlab.core.types import Price, TokenUsage
from routerlab.providers.presets import PRESETS
from routerlab.session.config import ProviderConfig

__all__ = ["Listing", "cost_usd", "list_model", "price_of", "window_of"]

_IDS = {
    "anthropic": "anthropic",
    "azure": "azure",
    "cohere": "cohere",
    "gemini": "google",
    "openai_responses": "openai",
}
"""genai-prices' names of the providers that are not found by their address, or need none."""
_LOCAL = ("localhost", "127.0.0.1", "::1")
_OWN = "lab.yaml"


@dataclass(frozen=True, slots=True)
class Listing:
    """What is known of a model before it is asked anything.

    Attributes:
        price: None: unknown.
        context_window: tokens; None: unknown.
        source: of the price: ``lab.yaml``, ``genai-prices <version>``, ``unknown``; ``simulated (lab.yaml)``.
        window_source: of the context window, in the same words.
        note: why the price is unknown, or what else it depends on.
    """

    price: Price | None
    context_window: int | None
    source: str
    window_source: str
    note: str = ""


def list_model(provider: ProviderConfig, model: str) -> Listing:
    """What is known of a model of a lab; the table is read only for what its configuration leaves out.

    Args:
        provider: that has it.
        model: the provider's own name of it.
    """
    own, base_url = provider.models[model], provider.options.get("base_url")
    told = f"simulated ({_OWN})" if provider.kind == "simulated" else _OWN
    price, window, note = own.price, own.context_window, ""
    if price is None:
        price = price_of(provider.kind, model, base_url=base_url)
        note = _why_unknown(provider.kind, model, base_url) if price is None else _tiers(provider.kind, model, base_url)
    if window is None:
        window = window_of(provider.kind, model, base_url=base_url)
    return Listing(price, window, _source(own.price, price, told), _source(own.context_window, window, told), note)


def price_of(kind: str, model: str, *, base_url: str | None = None, prompt_tokens: int = 0) -> Price | None:
    """The public price of a model now.

    Args:
        kind: of its provider.
        model: the provider's own name of it.
        base_url: where the provider's requests go, if not where its kind's usually go: another host may ask another
            price.
        prompt_tokens: for models that ask more from a certain length of the prompt on.

    Returns:
        USD per million tokens; None where it is unknown, also for models that run at home.
    """
    found = _lookup(kind, model, base_url)[0]
    if found is None:
        return None
    prices = found.get_prices(datetime.now(UTC))  # some change with the hour
    fresh, output, cached = (
        _at(getattr(prices, f"{name}_mtok"), prompt_tokens) for name in ("input", "output", "cache_read")
    )
    if fresh is None:
        return None
    return Price(fresh, output or 0.0, cached)


def window_of(kind: str, model: str, *, base_url: str | None = None) -> int | None:
    """The public context window of a model in tokens; None where it is unknown. Arguments as for `price_of`."""
    found = _lookup(kind, model, base_url)[0]
    window = None if found is None else found.context_window
    return int(window) if window else None


def cost_usd(
    kind: str, model: str, usage: TokenUsage | None, own_price: Price | None = None, *, base_url: str | None = None
) -> float | None:
    """USD for one answer; None where price or usage is unknown.

    Args:
        kind: of the provider.
        model: the provider's own name of the model.
        usage: the tokens of the answer.
        own_price: what the user says that it costs; it wins.
        base_url: as in `price_of`.
    """
    if usage is None or usage.prompt_tokens is None:
        return None
    price = own_price or price_of(kind, model, base_url=base_url, prompt_tokens=usage.prompt_tokens)
    return None if price is None else price.cost_usd(usage)


@lru_cache(maxsize=4096)
def _lookup(kind: str, model: str, base_url: str | None) -> tuple[Any, str]:
    """The model's entry in the table, or None and why there is none."""
    name, address = _place(kind, base_url)
    if not (name or address):
        return None, f"nobody sells models of kind {kind!r}"
    host = urlsplit(address).hostname or address
    if not name and host in _LOCAL:
        return None, "the model runs at home"
    from genai_prices.data_snapshot import get_snapshot  # a table of one and a half megabytes: only when asked for

    table = get_snapshot()
    try:
        provider = table.find_provider(None, name, None if name else address)
    except LookupError:
        return None, f"genai-prices does not know {host}"
    if provider.id == "google":  # Google's own list writes its models so
        model = model.removeprefix("models/")
    try:
        return table.find_provider_model(model, provider, None, None)[1], ""
    except LookupError:
        return None, f"genai-prices does not know this model of {provider.name}"


def _place(kind: str, base_url: str | None) -> tuple[str | None, str]:
    """The provider by genai-prices' name of it, or by its address: another address may be another seller."""
    preset = PRESETS.get(kind)
    if kind == "azure":  # every customer has an address of his own
        return "azure", ""
    if preset is None and kind not in _IDS and kind != "openai_compatible":
        return None, ""
    if base_url:
        return None, base_url
    return (_IDS[kind], "") if kind in _IDS else (None, preset.base_url if preset else "")


def _at(price: Any, prompt_tokens: int) -> float | None:
    """One price, with the tier that a prompt of this length falls into (the whole prompt pays its price)."""
    if price is None:
        return None
    for tier in reversed(getattr(price, "tiers", ())):
        if prompt_tokens > tier.start:
            return float(tier.price)
    return float(getattr(price, "base", price))


def _source(own: Any, found: Any, told: str) -> str:
    if own is not None:
        return told
    return "unknown" if found is None else _table_version()


def _table_version() -> str:
    """The table by the version of its package, which it comes with; and its day, where the user keeps it fresh."""
    from genai_prices.data_snapshot import get_snapshot

    table = get_snapshot()
    day = f" of {table.timestamp:%Y-%m-%d}" if table.from_auto_update else ""
    return f"genai-prices {_package_version()}{day}"


@lru_cache(maxsize=1)
def _package_version() -> str:
    from importlib.metadata import version

    return version("genai-prices")


def _why_unknown(kind: str, model: str, base_url: str | None) -> str:
    reason = _lookup(kind, model, base_url)[1] or "genai-prices has no price per token for it"
    return f"{reason}: give it a price in {_OWN}"


def _tiers(kind: str, model: str, base_url: str | None) -> str:
    """From which length of the prompt on it costs more or less."""
    prices = _lookup(kind, model, base_url)[0].get_prices(datetime.now(UTC))
    both = (getattr(prices, name) for name in ("input_mtok", "output_mtok"))
    starts = sorted({tier.start for price in both for tier in getattr(price, "tiers", ())})
    return f"another price above {' and '.join(f'{start:,}' for start in starts)} prompt tokens" if starts else ""
