"""Google's errors, as its Gemini API sends them.

Source: Google's "Gemini API: troubleshooting guide", google.rpc.Status with its details, and what its servers answer.
"""

from __future__ import annotations

from typing import Any

from routerlab.simulation.dialects.problems import Problem

__all__ = ["RETRY_INFO", "WORDS", "error_body"]

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_SERVICE = "generativelanguage.googleapis.com"
_BAD_KEY = "API_KEY_INVALID"
_KINDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)

WORDS = {
    "invalid_request": Problem(
        400,
        "* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].\n",
    ),
    "context_length_exceeded": Problem(
        400, "The input token count (9001) exceeds the maximum number of tokens allowed (8192)."
    ),
    "unauthorized": Problem(400, "API key not valid. Please pass a valid API key.", code=_BAD_KEY),
    "payment_required": Problem(
        400,
        "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI "
        "Studio.",
        "FAILED_PRECONDITION",
    ),
    "forbidden": Problem(403, "The caller does not have permission"),
    "model_not_found": Problem(
        404,
        "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call "
        "ModelService.ListModels to see the list of available models and their supported methods.",
    ),
    "request_timeout": Problem(504, "Deadline expired before operation could complete."),
    "conflict": Problem(409, "The operation was aborted."),
    "unprocessable": Problem(400, 'Invalid JSON payload received. Unknown name "foo": Cannot find field.'),
    "too_early": Problem(503, "The model is still loading. Please try again later."),
    "rate_limit": Problem(429, _QUOTA),
    "insufficient_quota": Problem(429, _QUOTA, code="insufficient_quota"),
    "server_error": Problem(500, "An internal error has occurred. Please retry or report in Developer Community."),
    "unavailable": Problem(503, "The service is currently unavailable."),
    "overloaded": Problem(503, "The model is overloaded. Please try again later."),
    "no_chat": Problem(
        404,
        "This model is not found for API version v1beta, or is not supported for generateContent. Call "
        "ModelService.ListModels to see the list of available models and their supported methods.",
    ),
    "no_embeddings": Problem(
        404,
        "This model is not found for API version v1beta, or is not supported for embedContent. Call "
        "ModelService.ListModels to see the list of available models and their supported methods.",
    ),
    "no_tools": Problem(400, "Function calling is not enabled for this model"),
    "no_json": Problem(400, "JSON mode is not enabled for this model"),
    "no_vision": Problem(400, "Image input modality is not enabled for this model"),
    "no_prefill": Problem(400, "Please ensure that multiturn requests end with a user role or a function response."),
}


def error_body(problem: Problem, retry_after: str | None = None) -> dict[str, Any]:
    """An error, in an answer or in a chunk of a stream.

    Args:
        problem: what is wrong.
        retry_after: seconds; another text is none of Google's and left out.
    """
    usual = "INVALID_ARGUMENT" if problem.status < 500 else "UNKNOWN"
    kind = problem.kind or _KINDS.get(problem.status, usual)
    error: dict[str, Any] = {"code": problem.status, "message": problem.message, "status": kind}
    details = [*_of_key(problem), *_of_limit(problem, retry_after)]
    return {"error": {**error, **({"details": details} if details else {})}}


def _of_key(problem: Problem) -> list[dict[str, Any]]:
    if problem.code != _BAD_KEY:
        return []
    return [{"@type": _ERROR_INFO, "reason": _BAD_KEY, "domain": "googleapis.com", "metadata": {"service": _SERVICE}}]


def _of_limit(problem: Problem, retry_after: str | None) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    window = {"rate_limit": "Minute", "insufficient_quota": "Day"}
    for name in (name for name in window if problem is WORDS[name]):
        quota_id = f"GenerateRequestsPer{window[name]}PerProjectPerModel"
        quota = {"quotaMetric": f"{_SERVICE}/generate_content_requests", "quotaId": quota_id}
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]})
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return details
    return [*details, {"@type": RETRY_INFO, "retryDelay": f"{seconds:.9g}s"}]
