"""Datasets, scorers and statistics: plain data in, plain data out; nothing here draws.

Names are loaded at first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routerlab.experiments import arrivals
    from routerlab.experiments.datasets import Dataset, Item, load_dataset
    from routerlab.experiments.scorers import (
        Scorer,
        ScoreResult,
        asserts,
        choice,
        contains,
        exact,
        json_schema,
        numeric,
        regex,
        resolve_scorers,
        score_row,
        similarity,
    )

__all__ = [
    "Dataset",
    "Item",
    "ScoreResult",
    "Scorer",
    "arrivals",
    "asserts",
    "choice",
    "contains",
    "exact",
    "json_schema",
    "load_dataset",
    "numeric",
    "regex",
    "resolve_scorers",
    "score_row",
    "similarity",
]

_DATASET_NAMES = {"Dataset", "Item", "load_dataset"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "arrivals":  # a module: its functions read best behind its name
        return import_module(f"{__name__}.arrivals")
    home = "datasets" if name in _DATASET_NAMES else "scorers"
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
