"""Connectors: what speaks a provider's wire format. `base` is the interface, `openai_compatible` the widest of them.

Here is what a connector of one's own is written with, beside the mixins. Names are loaded on first use; the house's own
modules import one another one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routerlab.core.errors import ConfigurationError
    from routerlab.core.failures import Fault, ProviderError
    from routerlab.core.types import (
        CompletionRequest,
        CompletionResponse,
        Delta,
        EmbeddingRequest,
        EmbeddingResponse,
        ModelInfo,
        TokenUsage,
    )
    from routerlab.providers.base import ProviderConnector
    from routerlab.providers.own import chunks, no_error, one_error

__all__ = [
    "CompletionRequest",
    "CompletionResponse",
    "ConfigurationError",
    "Delta",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "Fault",
    "ModelInfo",
    "ProviderConnector",
    "ProviderError",
    "TokenUsage",
    "chunks",
    "no_error",
    "one_error",
]

_TYPES = "routerlab.core.types"
_MODULES = {
    "CompletionRequest": _TYPES,
    "CompletionResponse": _TYPES,
    "ConfigurationError": "routerlab.core.errors",
    "Delta": _TYPES,
    "EmbeddingRequest": _TYPES,
    "EmbeddingResponse": _TYPES,
    "Fault": "routerlab.core.failures",
    "ModelInfo": _TYPES,
    "ProviderConnector": "routerlab.providers.base",
    "ProviderError": "routerlab.core.failures",
    "TokenUsage": _TYPES,
    "chunks": "routerlab.providers.own",
    "no_error": "routerlab.providers.own",
    "one_error": "routerlab.providers.own",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
