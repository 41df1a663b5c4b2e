"""The connector for every server that speaks OpenAI's chat format, the well-known ones by preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from routerlab.core.types import CompletionRequest, CompletionResponse, EmbeddingRequest, EmbeddingResponse, ModelInfo
from routerlab.providers.answers import Answer
from routerlab.providers.http_provider import HttpProvider
from routerlab.providers.openai_catalog import read_embeddings, read_models
from routerlab.providers.openai_request import chat_body, fixed_sampling
from routerlab.providers.openai_stream import StreamReader
from routerlab.providers.openai_wire import read_completion
from routerlab.providers.requests import Call, merge_params

__all__ = ["OpenAICompatibleProvider"]

_API_VERSION = "2024-10-21"  # Azure's latest general release of the deployments API


class OpenAICompatibleProvider(HttpProvider):
    """Chat, streams, embeddings and the list of models over OpenAI's HTTP API.

    Args:
        name: the provider's name in the lab.
        config: see `HttpProvider`.

    Raises:
        ConfigurationError: with every mistake found.

    Source: OpenAI's API reference; Azure's for the deployments.
    """

    _deployments = False

    def refused_params(self, request: CompletionRequest) -> frozenset[str]:
        """What OpenAI's first reasoning models refuse; see `ProviderConnector.refused_params`."""
        return fixed_sampling(request) if self._preset.reasoning_limit else frozenset()

    def takes_prefill(self, model: str) -> bool:
        """As the preset says; see `ProviderConnector.takes_prefill`."""
        return bool(self._preset.prefill)

    def _prepare(self, config: Mapping[str, Any]) -> None:
        self._stream_usage = bool(config.get("stream_usage", self._preset.stream_usage))
        if self._deployments:
            self._query.setdefault("api-version", config.get("api_version") or _API_VERSION)

    def _base_url(self, url: str) -> str:
        self._deployments = self._preset.deployments and not url.endswith("/openai/v1")
        return url.removesuffix("/openai") if self._deployments else url

    def _usual_headers(self, config: Mapping[str, Any]) -> dict[str, str]:
        return {"OpenAI-Organization": config["organization"]} if config.get("organization") else {}

    def _chat_call(self, request: CompletionRequest, *, stream: bool) -> Call:
        body = chat_body(request, self._preset, stream=stream, stream_usage=self._stream_usage)
        return Call(self._path("chat/completions", request.model), body)

    def _read_completion(self, answer: Answer) -> CompletionResponse:
        return read_completion(answer)

    def _reader(self) -> StreamReader:
        return StreamReader()

    def _embedding_call(self, request: EmbeddingRequest) -> Call:
        body = {"model": request.model, "input": list(request.inputs)}
        return Call(self._path("embeddings", request.model), merge_params(body, request.params, self._preset.renames))

    def _read_embeddings(self, answer: Answer, count: int) -> EmbeddingResponse:
        return read_embeddings(answer, count)

    def _models_call(self) -> Call:
        return Call("/openai/models" if self._deployments else "/models")

    def _read_models(self, answer: Answer) -> list[ModelInfo]:
        return read_models(answer)

    def _path(self, endpoint: str, model: str) -> str:
        return f"/openai/deployments/{quote(model, safe='')}/{endpoint}" if self._deployments else f"/{endpoint}"
