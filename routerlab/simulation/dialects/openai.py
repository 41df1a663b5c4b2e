"""OpenAI's chat format, which most providers speak; Azure's addresses too.

Source: OpenAI's API reference (chat completions, embeddings, models, rate limits); Azure OpenAI's REST reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from starlette.requests import Request

from routerlab.core.script import Script
from routerlab.core.simulated import SimulatedModel
from routerlab.core.simulated_errors import error_body
from routerlab.simulation.dialects.base import Dialect, Endpoint, Limit
from routerlab.simulation.dialects.openai_answer import ChatWriter, EmbeddingWriter
from routerlab.simulation.dialects.openai_request import (
    chat_problem,
    embedding_problem,
    named_in_path,
    read_chat_body,
    read_embedding_body,
)
from routerlab.simulation.dialects.problems import Problem

__all__ = ["PREFIXES", "OpenAI"]

PREFIXES = ("/v1", "/openai/v1", "/openai/deployments/{name}")
_UNSUPPORTED = "unsupported_parameter"
_WORDS = {
    "unauthorized": Problem(
        401,
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    ),
    "model_not_found": Problem(
        404,
        "The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    ),
    "no_chat": Problem(400, "This is not a chat model and thus not supported in v1/chat/completions."),
    "no_embeddings": Problem(400, "You are not allowed to generate embeddings from this model"),
    "no_tools": Problem(400, "tools is not supported in this model.", code=_UNSUPPORTED, param="tools"),
    "no_json": Problem(
        400,
        "Invalid parameter: 'response_format' is not supported with this model.",
        code=_UNSUPPORTED,
        param="response_format",
    ),
    "no_vision": Problem(400, "Invalid content type. image_url is only supported by certain models."),
    # Mistral's words: OpenAI's own models take such a message, and begin anew after it
    "no_prefill": Problem(400, "Expected last role User or Tool for serving but got assistant", param="messages"),
}


class OpenAI(Dialect):
    """OpenAI's chat format."""

    kind = "openai"
    root = "/v1"
    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        Endpoint(
            tuple(f"{prefix}/chat/completions" for prefix in PREFIXES),
            chat_problem,
            read_chat_body,
            ChatWriter,
            named_in_path,
        ),
        Endpoint(
            tuple(f"{prefix}/embeddings" for prefix in PREFIXES),
            embedding_problem,
            read_embedding_body,
            EmbeddingWriter,
            named_in_path,
        ),
    )
    listing: ClassVar[tuple[str, ...]] = ("/v1/models", "/openai/v1/models")
    words = _WORDS

    def error(self, problem: Problem, retry_after: str | None = None) -> Mapping[str, Any]:
        """An error, with the parameter that is to blame."""
        return error_body(problem.message, problem.kind or "invalid_request_error", problem.code, problem.param)

    def translated(self, script: Script) -> Script:
        """As it is: this is the source."""
        return script

    def models(self, models: Iterable[SimulatedModel]) -> Mapping[str, Any]:
        """The list, with the context window that many compatible servers add."""
        common = {"object": "model", "created": 1_767_225_600, "owned_by": "routerlab-simulated"}
        data = [{"id": model.name, **common, "context_window": model.context_window} for model in models]
        return {"object": "list", "data": data}

    def key(self, request: Request) -> str | None:
        """Azure's header, or the usual one."""
        return request.headers.get("api-key") or super().key(request)

    def limit_headers(self, limits: Iterable[Limit], now: float) -> list[tuple[str, str]]:
        """Each limit, what remains of it, and the time until it is whole again as a duration."""
        headers = []
        for limit in limits:
            headers += [
                (f"x-ratelimit-limit-{limit.what}", str(limit.per_minute)),
                (f"x-ratelimit-remaining-{limit.what}", str(limit.remaining)),
                (f"x-ratelimit-reset-{limit.what}", f"{limit.reset_s * 1000:.0f}ms"),
            ]
        return headers
