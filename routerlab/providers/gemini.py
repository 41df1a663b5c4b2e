"""The connector for Google's Gemini API (Vertex AI's address works as well)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from routerlab.core.capabilities import CHAT, EMBEDDING
from routerlab.core.sse import ServerSentEvent
from routerlab.core.types import CompletionRequest, CompletionResponse, EmbeddingRequest, EmbeddingResponse, ModelInfo
from routerlab.providers.answers import Answer
from routerlab.providers.gemini_request import refused, write_chat, write_embeddings
from routerlab.providers.gemini_wire import CandidateReader, read_embeddings, read_whole
from routerlab.providers.http_provider import HttpProvider
from routerlab.providers.keys import Key
from routerlab.providers.lists import model_rows
from routerlab.providers.requests import Call, versioned

__all__ = ["GeminiProvider"]

_METHODS = {"generateContent": CHAT, "embedContent": EMBEDDING}


class GeminiProvider(HttpProvider):
    """Gemini: chat, streams, tools, images, thoughts, structured output, embeddings, the list of models.

    Args:
        name: the provider's name in the lab.
        config: see `HttpProvider`. For Vertex AI, ``base_url`` ends in ``/publishers/google``, and the key is what
            ``gcloud auth print-access-token`` prints.

    Raises:
        ConfigurationError: with every mistake found.

    Source: the Gemini API's reference (generateContent, streamGenerateContent, batchEmbedContents, models).
    """

    usual_kind = "gemini"

    def refused_params(self, request: CompletionRequest) -> frozenset[str]:
        """Parameters that the API does not know; see `ProviderConnector.refused_params`."""
        return refused(request)

    def takes_prefill(self, model: str) -> bool:
        """A last turn of the model's is carried on; see `ProviderConnector.takes_prefill`."""
        return True

    def _base_url(self, url: str) -> str:
        return versioned(url, "v1beta")

    def _key_header(self, key: Key) -> dict[str, str]:
        if key.value and self._host.endswith("aiplatform.googleapis.com"):
            return {"Authorization": f"Bearer {key.value}"}
        return super()._key_header(key)

    def _chat_call(self, request: CompletionRequest, *, stream: bool) -> Call:
        body = write_chat(request)
        if stream:
            return Call(_path(request.model, "streamGenerateContent"), body, {"alt": "sse"})
        return Call(_path(request.model, "generateContent"), body)

    def _read_completion(self, answer: Answer) -> CompletionResponse:
        return read_whole(answer)

    def _reader(self) -> CandidateReader:
        return CandidateReader()

    def _events_of_whole(self, answer: Answer) -> list[ServerSentEvent]:
        """Without ``alt=sse``, which some gateways drop, a stream is one JSON array."""
        body = answer.json()
        chunks = body if isinstance(body, list) else [body]
        if not any(isinstance(chunk, dict) and "candidates" in chunk for chunk in chunks):
            raise answer.senseless("is no event stream")
        return [ServerSentEvent(json.dumps(chunk)) for chunk in chunks]

    def _embedding_call(self, request: EmbeddingRequest) -> Call:
        return Call(_path(request.model, "batchEmbedContents"), write_embeddings(request))

    def _read_embeddings(self, answer: Answer, count: int) -> EmbeddingResponse:
        return read_embeddings(answer, count)

    def _models_call(self) -> Call:
        return Call("/models", query={"pageSize": "1000"})

    def _read_models(self, answer: Answer) -> list[ModelInfo]:
        return [_model(row) for row in model_rows(answer, "models", "name")]


def _path(model: str, method: str) -> str:
    name = model.removeprefix("models/")
    return f"/{'tunedModels' if name.startswith('tunedModels/') else 'models'}/{_quoted(name)}:{method}"


def _quoted(name: str) -> str:
    return quote(name.removeprefix("tunedModels/"), safe="")


def _model(row: Mapping[str, Any]) -> ModelInfo:
    methods = row.get("supportedGenerationMethods")
    known = tuple(_METHODS[method] for method in methods if method in _METHODS) if isinstance(methods, list) else ()
    window = row.get("inputTokenLimit")
    return ModelInfo(row["name"].removeprefix("models/"), known, window if isinstance(window, int) else None)
