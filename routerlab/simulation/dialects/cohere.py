"""Cohere's format (version 2).

Source: Cohere's API reference ("Chat", "Embed" of API v2, "List models"), and its rate limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request

from routerlab.core.simulated import SimulatedModel
from routerlab.simulation.dialects.base import Dialect, Endpoint, Limit
from routerlab.simulation.dialects.cohere_answer import ChatWriter, EmbeddingWriter
from routerlab.simulation.dialects.cohere_errors import WORDS, error_body
from routerlab.simulation.dialects.cohere_request import chat_problem, embedding_problem, read, read_texts
from routerlab.simulation.dialects.problems import Problem

__all__ = ["Cohere"]

_OF_LISTING = ("page_size", "page_token", "endpoint", "default_only")


class Cohere(Dialect):
    """Cohere's format."""

    kind = "cohere"
    prefix = "/v2"
    endpoints = (
        Endpoint(("/v2/chat",), chat_problem, read, ChatWriter),
        Endpoint(("/v2/embed",), embedding_problem, read_texts, EmbeddingWriter),
    )
    listing = ("/v1/models",)
    words = WORDS

    def error(self, problem: Problem, retry_after: str | None = None) -> Mapping[str, Any]:
        """An identity and a message."""
        return error_body(problem)

    def models(self, models: Iterable[SimulatedModel]) -> Mapping[str, Any]:
        """One page with all of them, and where each serves."""
        return {"models": [_model(model) for model in models]}

    def lists(self, request: Request) -> bool:
        """OpenAI's models have the same address; Cohere's own client, and its own options, tell them apart."""
        is_own = request.headers.get("x-fern-sdk-name") == "cohere" or "x-client-name" in request.headers
        return is_own or any(name in request.query_params for name in _OF_LISTING)

    def limit_headers(self, limits: Iterable[Limit], now: float) -> list[tuple[str, str]]:
        """The requests of a trial key; of tokens nothing is told."""
        return [
            pair
            for limit in limits
            if limit.what == "requests"
            for pair in (
                ("x-trial-endpoint-call-limit", str(limit.per_minute)),
                ("x-trial-endpoint-call-remaining", str(limit.remaining)),
            )
        ]


def _model(model: SimulatedModel) -> dict[str, Any]:
    embeds = [capability.startswith("representation") for capability in model.capabilities]
    endpoints = [*([] if all(embeds) else ["chat"]), *(["embed"] if any(embeds) else [])]
    return {"name": model.name, "endpoints": endpoints, "context_length": model.context_window, "finetuned": False}
