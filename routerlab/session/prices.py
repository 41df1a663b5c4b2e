"""What a model costs: the user's own price, else the table that genai-prices brings along. Never online."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from routerlab.core.types import Price, TokenUsage
from routerlab.providers.presets import PRESETS

__all__ = ["cost_usd", "price_of"]


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
    found = _lookup(kind, model, base_url)
    if found is None:
        return None
    prices = found.get_prices(datetime.now(UTC))  # some change with the hour
    fresh, output, cached = (
        _at(getattr(prices, f"{name}_mtok"), prompt_tokens) for name in ("input", "output", "cache_read")
    )
    if fresh is None:
        return None
    return Price(fresh, output or 0.0, cached)


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
def _lookup(kind: str, model: str, base_url: str | None) -> Any:
    """The model's entry in the table, or None."""
    preset = PRESETS.get(kind)
    elsewhere = base_url is not None and not (preset and base_url.rstrip("/") == preset.base_url)
    if preset is None or (preset.base_url.startswith("http://localhost") and not elsewhere):
        return None
    from genai_prices.data_snapshot import get_snapshot  # a table of one and a half megabytes: only when asked for

    try:
        if elsewhere and preset.base_url:
            return get_snapshot().find_provider_model(model, None, None, base_url)[1]
        return get_snapshot().find_provider_model(model, None, kind, None)[1]
    except LookupError:
        return None


def _at(price: Any, prompt_tokens: int) -> float | None:
    """One price, with the tier that a prompt of this length falls into (the whole prompt pays its price)."""
    if price is None:
        return None
    for tier in reversed(getattr(price, "tiers", ())):
        if prompt_tokens > tier.start:
            return float(tier.price)
    return float(getattr(price, "base", price))
