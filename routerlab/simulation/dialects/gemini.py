"""Google's Gemini format.

Source: Google's "Gemini API reference" (generateContent, streamGenerateContent, embedContent, models.list).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from routerlab.core.script import Part, Script, Step
from routerlab.core.simulated import SimulatedModel
from routerlab.simulation.dialects.base import Dialect, Endpoint
from routerlab.simulation.dialects.gemini_answer import BLOCKED, ContentWriter, VectorWriter
from routerlab.simulation.dialects.gemini_errors import RETRY_INFO, WORDS, error_body
from routerlab.simulation.dialects.gemini_request import (
    chat_problem,
    complete,
    embedding_problem,
    read,
    read_texts,
)
from routerlab.simulation.dialects.problems import Problem, name_of

__all__ = ["Gemini"]

_MODEL = "/v1beta/models/{name:path}"


class Gemini(Dialect):
    """Gemini's format."""

    kind = "gemini"
    root = "/v1beta"
    prefix = "/v1beta"
    endpoints = (
        Endpoint(
            (f"{_MODEL}:generateContent", f"{_MODEL}:streamGenerateContent"),
            chat_problem,
            read,
            ContentWriter,
            complete,
        ),
        Endpoint(
            (f"{_MODEL}:embedContent", f"{_MODEL}:batchEmbedContents"),
            embedding_problem,
            read_texts,
            VectorWriter,
            complete,
        ),
    )
    listing = ("/v1beta/models",)
    words = WORDS

    def error(self, problem: Problem, retry_after: str | None = None) -> Mapping[str, Any]:
        """A google.rpc.Status; when to come back stands in its details."""
        return error_body(problem, retry_after)

    def translated(self, script: Script) -> Script:
        """A blocked prompt is no error here, and the time to come back stands in the body alone."""
        if name_of(script.body) == "content_filter":
            return replace(script, status=200, body=None, steps=(Step(Part.FINISH, BLOCKED), Step(Part.DONE)))
        told = super().translated(script)
        if not isinstance(told.body, Mapping) or RETRY_INFO not in str(told.body):
            return told
        return replace(told, headers=tuple(pair for pair in told.headers if pair[0] != "retry-after"))

    def models(self, models: Iterable[SimulatedModel]) -> Mapping[str, Any]:
        """One page with all of them, and the methods that each has."""
        return {"models": [_model(model) for model in models]}

    def key(self, request: Request) -> str | None:
        """Its own header, or a part of the address."""
        return request.headers.get("x-goog-api-key") or request.query_params.get("key")


def _model(model: SimulatedModel) -> dict[str, Any]:
    embeds = [capability.startswith("representation") for capability in model.capabilities]
    methods = [] if all(embeds) else ["generateContent", "countTokens"]
    return {
        "name": f"models/{model.name}",
        "version": "001",
        "displayName": model.name,
        "inputTokenLimit": model.context_window or 1_048_576,
        "outputTokenLimit": 8192,
        "supportedGenerationMethods": [*methods, *(["embedContent"] if any(embeds) else [])],
    }
