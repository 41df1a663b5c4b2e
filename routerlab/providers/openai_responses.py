"""The connector for OpenAI's Responses API."""

from __future__ import annotations

from routerlab.core.types import CompletionRequest, CompletionResponse
from routerlab.providers.answers import Answer
from routerlab.providers.openai_compatible import OpenAICompatibleProvider
from routerlab.providers.openai_request import fixed_sampling
from routerlab.providers.requests import Call
from routerlab.providers.responses_request import REFUSED, write_response
from routerlab.providers.responses_wire import ResponseReader, read_response

__all__ = ["OpenAIResponsesProvider"]


class OpenAIResponsesProvider(OpenAICompatibleProvider):
    """Chat and streams by ``/responses``; embeddings and models are those of the OpenAI API.

    Nothing is kept at OpenAI (``store: false``); ``extra_body={"store": True}`` changes that.

    Args:
        name: the provider's name in the lab.
        config: see `routerlab.providers.http_provider.HttpProvider`.

    Raises:
        ConfigurationError: with every mistake found.

    Source: OpenAI's API reference, Responses.
    """

    usual_kind = "openai_responses"

    def refused_params(self, request: CompletionRequest) -> frozenset[str]:
        """Parameters of the chat API that this one does not know; see `ProviderConnector.refused_params`."""
        return frozenset(name for name in REFUSED if request.params.get(name) is not None) | fixed_sampling(request)

    def _chat_call(self, request: CompletionRequest, *, stream: bool) -> Call:
        return Call("/responses", write_response(request, stream=stream))

    def _read_completion(self, answer: Answer) -> CompletionResponse:
        return read_response(answer)

    def _reader(self) -> ResponseReader:  # type: ignore[override]  # another format, the same promises
        return ResponseReader()
