"""The interface between the router and a provider: four verbs, one error.

To write a connector, subclass `ProviderConnector`, implement `complete` and (if it can) `stream`, and name the class in
``lab.yaml`` as ``kind: "package.module:Class"``. The mixins (HTTP client, option checks, cache, …) are there to be
inherited beside it, `routerlab.providers.own` turns what goes wrong into the one error, and
`routerlab.testing.check_connector` proves what was written. These rules are what the router relies on:

- **One error.** Every failure is raised as one `routerlab.core.failures.ProviderError`, whose ``fault`` says where on
  the way it happened and whose ``status``, ``code`` and ``retry_after_s`` repeat what the provider said. Nothing else
  leaves a connector, `asyncio.CancelledError` apart. The message is redacted (`routerlab.core.redact.Redactor`).
- **No retries, no breaker.** The router decides about both; a connector tries once.
- **No clocks** but the one for connecting, ``request.connect_timeout_s``. All others cancel the call from outside,
  so a connector must let go of its connection when it is cancelled.
- **A key that can be had anew**: its refusal is marked as ``refreshable``, and the router comes once more.
- **No secrets** in ``repr``, messages, or the locals of the frames that an error passes through.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.redact import Secrets
from routerlab.core.types import (
    CompletionRequest,
    CompletionResponse,
    Delta,
    EmbeddingRequest,
    EmbeddingResponse,
    ModelInfo,
)

__all__ = ["ProviderConnector"]


class ProviderConnector(ABC):
    """One provider: speaks its wire format and turns its answers and failures into routerlab's types.

    Args:
        name: the provider's name in the lab; the part of ``provider/model`` before the slash.
        config: its options from ``lab.yaml``, references such as ``${env:…}`` already resolved; ``api_key: ${cmd:…}``
            is a `routerlab.providers.keys.CommandKey`, to be asked before each request. A connector checks its own
            options and raises `routerlab.core.errors.ConfigurationError` with every mistake found.

    All methods run on the lab's event loop, and many calls share one connector, so it keeps no state of a call.

    Example:
        >>> import asyncio
        >>> class Echo(ProviderConnector):
        ...     async def complete(self, request):
        ...         return CompletionResponse(text=request.messages[-1]["content"], finish_reason="stop")
        ...     async def stream(self, request):
        ...         yield Delta(text=request.messages[-1]["content"])
        ...         yield Delta(finish_reason="stop")
        >>> request = CompletionRequest("c1", "chat-completion", "any", ({"role": "user", "content": "Hello"},))
        >>> asyncio.run(Echo("echo", {}).complete(request)).text
        'Hello'
    """

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.name = name

    @abstractmethod
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        """Answer one chat request in one piece.

        Args:
            request: ``model`` is the provider's own name of the model. ``params`` hold the parameters with one meaning
                everywhere (``max_tokens``, ``temperature``, ``top_p``, ``stop``, ``seed``, ``tools``, ``tool_choice``,
                ``response_format``, ``reasoning_effort``), to be translated for the provider; any other passes
                through unchanged, and ``extra_body`` is merged into the body as it is.

        Returns:
            Text without the reasoning, tool calls in OpenAI's shape, a finish reason of ``stop``, ``length``,
            ``tool_calls`` or ``content_filter``; what the provider does not say is None.

        Raises:
            ProviderError: for every failure.
        """

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        """Answer one chat request piece by piece: an async generator function.

        Nothing is sent before the first ``anext``. Closing the generator closes the connection at once.

        Yields:
            Deltas in the order of arrival. The finish reason comes once; usage before or after it (one that
            comes again replaces it). An end without a finish reason is a failure (``Fault.TRUNCATED``), never a silent
            stop.

        Raises:
            ProviderError: for every failure, before the first delta or after it; ``Fault.LOCAL`` (nothing is sent)
                where the connector cannot stream.
        """
        raise self._no_endpoint("streams")

    def streams(self, model: str) -> bool:
        """Whether this model answers piece by piece, as far as is known; runs then ask for that."""
        return type(self).stream is not ProviderConnector.stream

    def refused_params(self, request: CompletionRequest) -> frozenset[str]:
        """Names of ``request.params`` that this model is known not to take; nothing is asked of anybody."""
        return frozenset()

    def takes_prefill(self, model: str) -> bool:
        """Whether this model carries on from a last message of the assistant's, as far as is known."""
        return False

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return one vector for each of ``request.inputs``, in their order.

        Raises:
            ProviderError: for every failure; ``Fault.LOCAL`` (nothing is sent) where the connector has no embeddings.
        """
        raise self._no_endpoint("embeddings")

    async def list_models(self) -> list[ModelInfo]:
        """List the models that the provider offers, with what it says of them.

        Raises:
            ProviderError: for every failure; ``Fault.LOCAL`` (nothing is sent) where the connector has no such list.
        """
        raise self._no_endpoint("a list of models")

    def keep_secret(self, secrets: Secrets) -> None:  # noqa: B027 - the lab masks what comes out of any connector
        """Learn the lab's secrets, those of other providers included: a prompt may hold one, and an answer repeat it.

        For a connector that cuts texts: half a secret is not recognised any more.
        """

    async def close(self) -> None:  # noqa: B027 - a connector without a client has nothing to close
        """Let go of connections and files. Closing twice is fine."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a connector holds keys and is not pickled")

    def _no_endpoint(self, what: str) -> ProviderError:
        return ProviderError(f"provider {self.name!r} does not offer {what}", fault=Fault.LOCAL, sent=False)
