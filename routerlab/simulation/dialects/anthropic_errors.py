"""Anthropic's errors.

Source: Anthropic's API reference, "Errors", and the answers of its servers.
"""

from __future__ import annotations

from typing import Any

from routerlab.core.chance import Chance
from routerlab.simulation.dialects.problems import Problem

__all__ = ["WORDS", "error_body"]

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase "
    "credits."
)

WORDS = {
    "invalid_request": Problem(400, "temperature: range: 0..1"),
    "context_length_exceeded": Problem(400, "prompt is too long: 9001 tokens > 8192 maximum"),
    "content_filter": Problem(400, "Output blocked by content filtering policy"),
    "unauthorized": Problem(401, "invalid x-api-key"),
    "payment_required": Problem(402, "There is an issue with your billing or payment information."),
    "forbidden": Problem(403, "Your API key does not have permission to use the specified resource."),
    "model_not_found": Problem(404, "model: {model}"),
    "method_not_allowed": Problem(405, "Method Not Allowed"),
    "request_timeout": Problem(504, "The request timed out while processing."),
    "unprocessable": Problem(400, "foo: Extra inputs are not permitted"),
    "rate_limit": Problem(
        429,
        "This request would exceed your organization's rate limit of 60 requests per minute. For details, refer to: "
        "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage.",
    ),
    "insufficient_quota": Problem(400, _CREDIT),
    "server_error": Problem(500, "Internal server error"),
    "unavailable": Problem(503, "Service temporarily unavailable"),
    "overloaded": Problem(529, "Overloaded"),
    "no_chat": Problem(400, "This model does not support the Messages API."),
    "no_embeddings": Problem(404, "Not Found"),
    "no_tools": Problem(400, "tools: this model does not support tool use."),
    "no_json": Problem(400, "output_config.format: structured outputs are not supported by this model."),
    "no_vision": Problem(400, "messages: this model does not support image content blocks."),
    "no_prefill": Problem(
        400,
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    ),
}


def error_body(problem: Problem) -> dict[str, Any]:
    """An error, in an answer or in an event of a stream."""
    usual = "invalid_request_error" if problem.status < 500 else "api_error"
    error = {"type": problem.kind or _KINDS.get(problem.status, usual), "message": problem.message}
    return {"type": "error", "error": error, "request_id": f"req_{Chance(problem.message).bits():016x}"}
