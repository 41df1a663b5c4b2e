"""What each model of a lab costs and holds, and who says so."""

from __future__ import annotations

import pandas as pd

from routerlab.session.config import LabConfig
from routerlab.session.prices import Listing, list_model
from routerlab.session.tables import ColumnType
from routerlab.views.frames import to_frame

__all__ = ["prices"]

_PRICES: dict[str, ColumnType] = {
    "model": "id",
    "input": "float",
    "output": "float",
    "cached_input": "float",
    "context_window": "int",
    "source": "id",
    "window_source": "id",
    "note": "text",
}


def prices(config: LabConfig) -> pd.DataFrame:
    """One row per model, in the order of the configuration.

    Args:
        config: of the lab.

    Returns:
        ``input``, ``output`` and ``cached_input`` in USD per million tokens (a missing ``cached_input``: cached tokens
        cost the same), ``context_window`` in tokens, ``source`` of the price and ``window_source`` of the window:
        ``lab.yaml``, ``genai-prices <version>``, ``simulated (lab.yaml)`` or ``unknown``; ``note``: why a price is
        unknown, or from which length of the prompt on it is another. What is unknown is missing, not 0.
    """
    rows = [
        _row(f"{provider.name}/{name}", list_model(provider, name))
        for provider in config.providers.values()
        for name in provider.models
    ]
    return to_frame({name: [row[name] for row in rows] for name in _PRICES}, _PRICES)


def _row(model: str, known: Listing) -> dict[str, object]:
    price = known.price
    return {
        "model": model,
        "input": price and price.input,
        "output": price and price.output,
        "cached_input": price and price.cached_input,
        "context_window": known.context_window,
        "source": known.source,
        "window_source": known.window_source,
        "note": known.note or None,
    }
