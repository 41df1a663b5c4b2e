"""What a provider's ``kind`` stands for: a table of dotted names, resolved when a lab is made.

A connector may live on a floor above this one, or in the user's own package; so it is named, not imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from routerlab.core.errors import ConfigurationError
from routerlab.core.suggest import nearest
from routerlab.providers.base import ProviderConnector
from routerlab.providers.presets import PRESETS

__all__ = ["KINDS", "is_built_in", "is_known_kind", "load_kind"]

_OPENAI_COMPATIBLE = "routerlab.providers.openai_compatible:OpenAICompatibleProvider"

KINDS: Mapping[str, str] = {
    **dict.fromkeys(PRESETS, _OPENAI_COMPATIBLE),
    "anthropic": "routerlab.providers.anthropic:AnthropicProvider",
    "cohere": "routerlab.providers.cohere:CohereProvider",
    "gemini": "routerlab.providers.gemini:GeminiProvider",
    "ollama": "routerlab.providers.ollama:OllamaProvider",
    "openai_responses": "routerlab.providers.openai_responses:OpenAIResponsesProvider",
    "openai_compatible": _OPENAI_COMPATIBLE,
    "simulated": "routerlab.simulation.provider:SimulatedProvider",
}
"""Every kind that has a name, with its ``package.module:Class``."""


def is_built_in(kind: str) -> bool:
    """Whether this is a provider of the house over HTTP, whose options can be checked before it is made."""
    return kind in PRESETS or kind == "openai_compatible"


def is_known_kind(kind: str) -> bool:
    """Whether this is a kind of the table, or has the form of one's own; nothing is imported."""
    return kind in KINDS or _parts(kind) is not None


def load_kind(kind: str) -> type[ProviderConnector]:
    """The connector class of a kind.

    Args:
        kind: of the table, or one's own: ``package.module:Class``.

    Raises:
        ConfigurationError: there is no such kind, module or class, or the class is no `ProviderConnector`; an error
            while the module was imported is its ``__cause__``.
    """
    parts = _parts(KINDS.get(kind, kind))
    if parts is None:
        raise ConfigurationError(f"unknown kind {kind!r}{nearest(kind, KINDS)}; your own is 'package.module:Class'")
    module_name, class_name = parts
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may fail in any way
        raise ConfigurationError(
            f"kind {kind!r}: module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, class_name, None)
    if found is None:
        raise ConfigurationError(f"kind {kind!r}: module {module_name!r} has no class {class_name!r}")
    if not (isinstance(found, type) and issubclass(found, ProviderConnector)):
        raise ConfigurationError(f"kind {kind!r}: {class_name} must be a subclass of ProviderConnector")
    return found


def _parts(dotted: str) -> tuple[str, str] | None:
    module, colon, name = dotted.partition(":")
    if colon and name.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return module, name
    return None
