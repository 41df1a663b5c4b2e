"""The connector for Cohere's v2 API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.capabilities import CHAT, EMBEDDING
from routerlab.core.types import CompletionRequest, CompletionResponse, EmbeddingRequest, EmbeddingResponse, ModelInfo
from routerlab.providers.answers import Answer
from routerlab.providers.cohere_wire import ChatReader, read_chat, read_embeddings
from routerlab.providers.http_provider import HttpProvider
from routerlab.providers.lists import model_rows
from routerlab.providers.messages import json_schema
from routerlab.providers.requests import Call, Params, merge_params

__all__ = ["CohereProvider"]

_REFUSED = frozenset({"logit_bias", "n", "parallel_tool_calls", "top_logprobs", "user"})
_RENAMES = {"top_p": "p", "top_k": "k", "max_completion_tokens": "max_tokens"}
_CHOICES = {"auto": None, "required": "REQUIRED", "none": "NONE"}
_BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24_576}
_ENDPOINTS = {"chat": CHAT, "embed": EMBEDDING}


class CohereProvider(HttpProvider):
    """Command and Embed: chat, streams, tools, images, thinking, structured output, embeddings, the list of models.

    Args:
        name: the provider's name in the lab.
        config: see `HttpProvider`.

    Raises:
        ConfigurationError: with every mistake found.

    Source: Cohere's API reference, version 2.
    """

    usual_kind = "cohere"

    def refused_params(self, request: CompletionRequest) -> frozenset[str]:
        """Parameters that the API does not know; see `ProviderConnector.refused_params`."""
        names = {name for name in _REFUSED if request.params.get(name) is not None}
        if isinstance(request.params.get("tool_choice"), Mapping):
            names.add("tool_choice")  # it can ask for a call, not for which
        return frozenset(names)

    def _usual_headers(self, config: Mapping[str, Any]) -> dict[str, str]:
        return {"X-Client-Name": "routerlab"}

    def _base_url(self, url: str) -> str:
        return url.removesuffix("/v1").removesuffix("/v2")

    def _chat_call(self, request: CompletionRequest, *, stream: bool) -> Call:
        params = Params(request.params)
        body: dict[str, Any] = {"model": request.model, "messages": _messages(request.messages), "stream": stream}
        params.move(body, _RENAMES)
        if (stop := params.take("stop")) is not None:
            body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
        kind, schema = json_schema(params.take("response_format"))
        if kind != "text":
            body["response_format"] = {"type": "json_object", **({"json_schema": schema} if schema else {})}
        choice = params.take("tool_choice", "auto")
        if choice not in _CHOICES:
            raise ValueError(f"tool_choice: expected auto, required or none, not {choice!r}")
        if _CHOICES[choice]:
            body["tool_choice"] = _CHOICES[choice]
        if (effort := params.take("reasoning_effort")) is not None:
            body["thinking"] = _thinking(effort)
        return Call("/v2/chat", params.over(body))

    def _read_completion(self, answer: Answer) -> CompletionResponse:
        return read_chat(answer)

    def _reader(self) -> ChatReader:
        return ChatReader()

    def _embedding_call(self, request: EmbeddingRequest) -> Call:
        params = {("output_dimension" if name == "dimensions" else name): v for name, v in request.params.items()}
        body = {
            "model": request.model,
            "texts": list(request.inputs),
            "input_type": "search_document",
            "embedding_types": ["float"],
        }
        return Call("/v2/embed", merge_params(body, params))

    def _read_embeddings(self, answer: Answer, count: int) -> EmbeddingResponse:
        return read_embeddings(answer, count)

    def _models_call(self) -> Call:
        return Call("/v1/models")

    def _read_models(self, answer: Answer) -> list[ModelInfo]:
        return [_model(row) for row in model_rows(answer, "models", "name")]


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Nearly OpenAI's own shape; a missing content is left out."""
    return [{name: value for name, value in message.items() if value is not None} for message in messages]


def _thinking(effort: str) -> dict[str, Any]:
    if effort == "none":
        return {"type": "disabled"}
    if effort not in _BUDGETS:
        raise ValueError(f"reasoning_effort: expected none, {', '.join(_BUDGETS)}, not {effort!r}")
    return {"type": "enabled", "token_budget": _BUDGETS[effort]}


def _model(row: Mapping[str, Any]) -> ModelInfo:
    endpoints = row.get("endpoints")
    known = tuple(_ENDPOINTS[one] for one in endpoints if one in _ENDPOINTS) if isinstance(endpoints, list) else ()
    window = row.get("context_length")
    return ModelInfo(row["name"], known, int(window) if isinstance(window, int | float) and window > 0 else None)
