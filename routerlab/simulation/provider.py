"""The provider of kind ``simulated``: its models run in this process, behind real HTTP on loopback."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.core.redact import Secrets
from routerlab.core.simulated import SimulatedModel
from routerlab.core.suggest import nearest
from routerlab.core.types import (
    CompletionRequest,
    CompletionResponse,
    Delta,
    EmbeddingRequest,
    EmbeddingResponse,
    ModelInfo,
)
from routerlab.providers.base import ProviderConnector
from routerlab.providers.openai_compatible import OpenAICompatibleProvider
from routerlab.simulation.faults import FaultController
from routerlab.simulation.options import read_models
from routerlab.simulation.server import SimulatedServer

__all__ = ["SimulatedProvider"]

_OPTIONS = ("api_key", "at", "kind", "models", "seed")


class SimulatedProvider(ProviderConnector):
    """Speaks to simulated models as to any OpenAI-compatible server. The server starts with the provider.

    Args:
        name: the provider's name in the lab.
        config: ``models`` (required): names with the options of `routerlab.core.simulated.SimulatedModel`;
            ``seed``: of all answers, 0 by default; ``api_key``: the server asks for it, the connector sends it;
            ``at``: base URL by model of a server that runs already, as `urls` gives it; then none is started.

    Raises:
        ConfigurationError: with every mistake found.
    """

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        super().__init__(name, config)
        models = _checked_models(name, config)
        key = config.get("api_key")
        self.server = SimulatedServer(models, provider=name, seed=config.get("seed", 0), api_key=key)
        self.urls: dict[str, str] = config.get("at") or _started(self.server)
        # loopback is reached without the environment's proxies
        common = {"trust_env": False, **({"api_key": key} if key else {})}
        try:
            self._connectors = {
                model: OpenAICompatibleProvider(name, {"base_url": url, **common}) for model, url in self.urls.items()
            }
        except BaseException:
            self.server.stop()
            raise

    @property
    def faults(self) -> FaultController:
        """The schedule of faults; set another one to share it between providers."""
        return self.server.faults

    @faults.setter
    def faults(self, faults: FaultController) -> None:
        self.server.faults = faults

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        """Answer one chat request; see `ProviderConnector.complete`."""
        return await self._connector(request.model).complete(request)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        """Answer one chat request piece by piece; see `ProviderConnector.stream`."""
        async with aclosing(self._connector(request.model).stream(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return one vector for each input; see `ProviderConnector.embed`."""
        return await self._connector(request.model).embed(request)

    async def list_models(self) -> list[ModelInfo]:
        """List the simulated models with all that is known of them; asks nobody."""
        return [
            ModelInfo(model.name, model.capabilities, model.context_window, model.features, model.price)
            for model in self.server.models.values()
        ]

    def takes_prefill(self, model: str) -> bool:
        """Whether the simulated model has that feature; see `ProviderConnector.takes_prefill`."""
        return model in self.server.models and "prefill" in self.server.models[model].features

    def keep_secret(self, secrets: Secrets) -> None:
        """Learn the lab's secrets; see `ProviderConnector.keep_secret`."""
        for connector in self._connectors.values():
            connector.keep_secret(secrets)

    async def close(self) -> None:
        """Close all connections and stop the server. Closing twice is fine."""
        for connector in self._connectors.values():
            await connector.close()
        self.server.stop()  # here, not in an executor: at the interpreter's end there is none any more

    def _connector(self, model: str) -> OpenAICompatibleProvider:
        # a model that is not there is asked for all the same: the server knows how to say so
        return self._connectors.get(model) or next(iter(self._connectors.values()))


def _started(server: SimulatedServer) -> dict[str, str]:
    server.start()
    return {model: server.url(model) for model in server.models}


def _checked_models(name: str, config: Mapping[str, Any]) -> list[SimulatedModel]:
    path = f"providers.{name}"
    problems = [f"{path}.{key}: unknown option{nearest(str(key), _OPTIONS)}" for key in config if key not in _OPTIONS]
    if not isinstance(config.get("seed", 0), int):
        problems.append(f"{path}.seed: expected a whole number, not {config['seed']!r}")
    models: list[SimulatedModel] = []
    try:
        models = read_models(config.get("models"), f"{path}.models")
    except ConfigurationError as error:
        problems += error.problems or [str(error)]
    if problems:
        raise ConfigurationError("\n".join(problems), problems)
    return models
