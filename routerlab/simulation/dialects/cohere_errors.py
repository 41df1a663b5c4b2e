"""Cohere's errors: an identity and a message.

Source: Cohere's documentation, "HTTP status codes", and the answers of its servers.
"""

from __future__ import annotations

from uuid import UUID

from routerlab.core.chance import Chance
from routerlab.simulation.dialects.problems import Problem

__all__ = ["WORDS", "error_body", "identity_of"]

WORDS = {
    "invalid_request": Problem(400, "invalid request: temperature must be between 0 and 1.0 inclusive."),
    "context_length_exceeded": Problem(
        400, "too many tokens: size limit exceeded by 809 tokens. Try using shorter or fewer inputs."
    ),
    "content_filter": Problem(400, "invalid request: the prompt was blocked by the safety mode."),
    "unauthorized": Problem(401, "invalid api token"),
    "payment_required": Problem(
        402, "Please add or update your payment method at https://dashboard.cohere.com/billing?tab=payment to continue"
    ),
    "forbidden": Problem(403, "you do not have access to this resource"),
    "model_not_found": Problem(
        404,
        "model '{model}' not found, make sure the correct model ID was used and that you have access to the model.",
    ),
    "request_timeout": Problem(504, "the request timed out"),
    "unprocessable": Problem(422, "unknown field: parameter 'foo' is not a valid field"),
    "rate_limit": Problem(
        429,
        "You are using a Trial key, which is limited to 20 API calls / minute. You can continue to use the Trial key "
        "for free or upgrade to a Production key with higher rate limits at "
        "'https://dashboard.cohere.com/api-keys'.",
    ),
    "insufficient_quota": Problem(
        429,
        "You are using a Trial key, which is limited to 1000 API calls / month. You can continue to use the Trial key "
        "for free or upgrade to a Production key with higher rate limits at "
        "'https://dashboard.cohere.com/api-keys'.",
    ),
    "server_error": Problem(500, "internal server error, this has been reported to our developers."),
    "unavailable": Problem(503, "service temporarily unavailable"),
    "overloaded": Problem(503, "the model is overloaded, please try again later"),
    "no_chat": Problem(400, "this model does not support chat"),
    "no_embeddings": Problem(400, "this model does not support embed"),
    "no_tools": Problem(400, "tools are not supported with this model"),
    "no_json": Problem(400, "response_format is not supported with this model"),
    "no_vision": Problem(400, "image_url content is not supported with this model"),
    "no_prefill": Problem(400, "invalid request: the last message must be from the user or a tool."),
}


def identity_of(*seed: int | str) -> str:
    """An identity in the form of Cohere's."""
    chance = Chance(*seed)
    return str(UUID(int=chance.bits() << 64 | chance.bits()))


def error_body(problem: Problem) -> dict[str, str]:
    """An error."""
    return {"id": identity_of(problem.message), "message": problem.message}
