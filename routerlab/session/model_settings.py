"""What health is told of each model."""

from __future__ import annotations

from collections.abc import Mapping

from routerlab.core.health import LatencyTarget, ModelSettings
from routerlab.providers.base import ProviderConnector
from routerlab.session.config import LabConfig
from routerlab.session.prices import list_model

__all__ = ["model_settings"]


def model_settings(config: LabConfig, connectors: Mapping[str, ProviderConnector]) -> list[ModelSettings]:
    """Breaker and latency target come from the first declared pool that holds a model, else from ``routing``."""
    targets: dict[str, LatencyTarget] = {}
    settings = []
    for provider in config.providers.values():
        for name, model in provider.models.items():
            full = f"{provider.name}/{name}"
            owner = config.model_owner.get(full)
            pool = config.pools[owner] if owner else config.routing
            fixed = None if pool.latency_target == "auto" else pool.latency_target
            target = targets.setdefault(owner or "", LatencyTarget(fixed))
            known = list_model(provider, name)
            window, features = known.context_window, model.features
            connector = connectors[provider.name]
            prefill = connector.takes_prefill(name) if features is None else "prefill" in features
            settings.append(
                ModelSettings(full, provider.name, pool.breaker, target, known.price, window, features, prefill=prefill)
            )
    return settings
