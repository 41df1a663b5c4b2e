"""The connector for Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.types import CompletionRequest, CompletionResponse, ModelInfo
from routerlab.providers.answers import Answer
from routerlab.providers.anthropic_request import refused, takes_prefill, write_chat
from routerlab.providers.anthropic_wire import MessageReader, read_message
from routerlab.providers.http_provider import HttpProvider
from routerlab.providers.lists import model_rows
from routerlab.providers.requests import Call, versioned

__all__ = ["AnthropicProvider"]

_API_VERSION = "2023-06-01"


class AnthropicProvider(HttpProvider):
    """Claude: chat, streams, tools, images, thinking and the list of models. Anthropic has no embeddings.

    Args:
        name: the provider's name in the lab.
        config: see `HttpProvider`; ``api_version`` is the ``anthropic-version``.

    Raises:
        ConfigurationError: with every mistake found.

    Source: Anthropic's API reference, Messages, Streaming Messages, Models.
    """

    usual_kind = "anthropic"

    def refused_params(self, request: CompletionRequest) -> frozenset[str]:
        """Parameters that the Messages API does not know; see `ProviderConnector.refused_params`."""
        return refused(request)

    def takes_prefill(self, model: str) -> bool:
        """Up to Claude 4.5; see `ProviderConnector.takes_prefill`."""
        return takes_prefill(model)

    def _base_url(self, url: str) -> str:
        return versioned(url, "v1")

    def _usual_headers(self, config: Mapping[str, Any]) -> dict[str, str]:
        return {"anthropic-version": config.get("api_version") or _API_VERSION}

    def _chat_call(self, request: CompletionRequest, *, stream: bool) -> Call:
        return Call("/messages", write_chat(request, stream=stream))

    def _read_completion(self, answer: Answer) -> CompletionResponse:
        return read_message(answer)

    def _reader(self) -> MessageReader:
        return MessageReader()

    def _models_call(self) -> Call:
        return Call("/models", query={"limit": "1000"})

    def _read_models(self, answer: Answer) -> list[ModelInfo]:
        return [ModelInfo(row["id"]) for row in model_rows(answer, "data", "id")]
