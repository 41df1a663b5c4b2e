"""The errors of real servers, word for word: status, content and headers, by the name of the fault.

Source: the API references of OpenAI, Azure OpenAI, DeepSeek, Mistral and Anthropic; the pages of nginx and Cloudflare,
which often stand in front of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ERRORS", "error_body"]


def error_body(message: str, kind: str | None, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _page(title: str) -> str:
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )


_REQUEST = "invalid_request_error"
_SEVERITIES = {name: {"filtered": False, "severity": "safe"} for name in ("self_harm", "sexual", "violence")}
_AZURE_FILTER = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
        "Please modify your prompt and retry. To learn more about our content filtering policies please read our "
        "documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"hate": {"filtered": True, "severity": "high"}, **_SEVERITIES},
        },
    }
}
_MISTRAL_INVALID = {
    "object": "error",
    "message": {
        "detail": [{"type": "extra_forbidden", "loc": ["body", "foo"], "msg": "Extra inputs are not permitted"}]
    },
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}

ERRORS: Mapping[str, tuple[int, Mapping[str, Any] | str]] = {
    "invalid_request": (
        400,
        error_body("Invalid value: 'temperature' must be between 0 and 2.", _REQUEST, "invalid_value", "temperature"),
    ),
    "context_length_exceeded": (
        400,
        error_body(
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. "
            "Please reduce the length of the messages.",
            _REQUEST,
            "context_length_exceeded",
            "messages",
        ),
    ),
    "content_filter": (400, _AZURE_FILTER),
    "unauthorized": (
        401,
        error_body(
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
            _REQUEST,
            "invalid_api_key",
        ),
    ),
    "payment_required": (402, error_body("Insufficient Balance", "unknown_error", "invalid_request_error")),
    "forbidden": (
        403,
        error_body(
            "Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"
        ),
    ),
    "model_not_found": (
        404,
        error_body("The model does not exist or you do not have access to it.", _REQUEST, "model_not_found", "model"),
    ),
    "method_not_allowed": (405, error_body("Not allowed to POST here.", _REQUEST, "method_not_supported")),
    "request_timeout": (408, error_body("Request timed out.", "timeout")),
    "conflict": (409, error_body("The resource was updated by another request. Please try again.", "conflict_error")),
    "too_large": (413, _page("413 Request Entity Too Large")),
    "unsupported_media": (415, error_body("Invalid Content-Type header. Expected application/json.", _REQUEST)),
    "unprocessable": (422, _MISTRAL_INVALID),
    "too_early": (425, error_body("The model is still loading. Please try again.", "server_error", "model_loading")),
    "rate_limit": (
        429,
        error_body(
            "Rate limit reached for requests per min (RPM): Limit 60, Used 60, Requested 1. Please try again later. "
            "Visit https://platform.openai.com/account/rate-limits to learn more.",
            "requests",
            "rate_limit_exceeded",
        ),
    ),
    "insufficient_quota": (
        429,
        error_body(
            "You exceeded your current quota, please check your plan and billing details. For more information on this "
            "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
            "insufficient_quota",
            "insufficient_quota",
        ),
    ),
    "server_error": (
        500,
        error_body("The server had an error while processing your request. Sorry about that!", "server_error"),
    ),
    "bad_gateway": (502, _page("502 Bad Gateway")),
    "unavailable": (
        503,
        error_body(
            "The engine is currently overloaded, please try again later.", "server_error", "service_unavailable"
        ),
    ),
    "gateway_timeout": (504, _page("504 Gateway Time-out")),
    "unknown_error": (520, "error code: 520"),
    "origin_timeout": (524, "error code: 524"),
    "overloaded": (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
}
