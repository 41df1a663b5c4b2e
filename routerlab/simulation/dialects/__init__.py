"""The wire formats that simulated models speak, one object each."""

from __future__ import annotations

from routerlab.simulation.dialects.base import Dialect
from routerlab.simulation.dialects.openai import OpenAI

__all__ = ["DIALECTS", "dialect_of"]

DIALECTS: tuple[Dialect, ...] = (OpenAI(),)
"""Every format. Where several list models at one address, the first that claims a request answers it."""


def dialect_of(path: str) -> Dialect:
    """In whose words an address is refused that nobody answers at."""
    return max((one for one in DIALECTS if path.startswith(one.prefix)), key=lambda one: len(one.prefix))
