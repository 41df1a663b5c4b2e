"""Error bodies in all their shapes, and what the router makes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from routerlab.core.errors import AuthenticationError
from routerlab.core.failures import Fault, Outcome, ProviderError, classify
from routerlab.core.types import Limits
from routerlab.providers.answers import Answer, ErrorBody, read_error, read_limits

NOW = 1_750_000_000.0


@pytest.fixture
def failing(scripted: Callable[..., Any], chat: Callable[..., Any]) -> Callable[..., ProviderError]:
    """The error that a chat request ends with."""

    def run(status: int, body: Any, **headers: str) -> ProviderError:
        content = body if isinstance(body, str) else json.dumps(body)
        provider = scripted(httpx.Response(status, content=content, headers=headers))
        provider._wall_clock = lambda: NOW
        with pytest.raises(ProviderError) as caught:
            asyncio.run(provider.complete(chat()))
        return caught.value

    return run


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "no", "type": "t", "code": "c"}}, "no", "c"),
        ({"error": {"message": "no", "type": "t", "code": None}}, "no", "t"),
        ({"error": {"message": "no", "code": 429, "status": "RESOURCE_EXHAUSTED"}}, "no", "RESOURCE_EXHAUSTED"),
        ([{"error": {"message": "no", "code": 400, "status": "INVALID_ARGUMENT"}}], "no", "INVALID_ARGUMENT"),
        ({"error": "model 'x' not found"}, "model 'x' not found", ""),
        ({"error": "invalid_request", "message": "no"}, "no", "invalid_request"),
        ({"message": "no", "request_id": "1"}, "no", ""),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, "no", "BadRequestError"),
        (
            {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "bad"}]}, "type": "t", "code": 1},
            "body.n: bad",
            "t",
        ),
        ({"detail": "Not found"}, "Not found", ""),
        ({"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}, {"msg": "no"}]},
         "body.messages.0: Field required; no", ""),
        ({"errors": [{"message": "no", "code": 7}]}, "no", ""),
        ({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": '{"x":1}'}}},
         'Provider returned error: {"x":1}', "400"),
        ({"error": {"code": "1211", "message": "no"}}, "no", "1211"),
        ({"error": {}}, "HTTP 418 without an explanation", ""),
        ({"error": {"type": "t"}}, "HTTP 418, t", "t"),
        ("<html><h1>Bad gateway</h1></html>", "<html><h1>Bad gateway</h1></html>", ""),
        ("upstream connect error", "upstream connect error", ""),
        ('"just a text"', "just a text", ""),
        ("", "HTTP 418 without an explanation", ""),
        ("[" * 100_000, "[" * 500 + "…", ""),
        ("null", "null", ""),
    ],
    ids=range(22),
)  # fmt: skip
def test_an_error_body(body: Any, message: str, code: str, failing: Callable[..., ProviderError]) -> None:
    error = failing(418, body)
    assert (error.message, error.code, error.status) == (message, code, 418)
    assert error.fault is Fault.STATUS
    assert error.sent


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"choices": [], "error": None}, None),
        ({"message": "no"}, None),
        ({"detail": "x"}, None),
        ([], None),
        ("error", None),
        ({"error": {"message": "no", "code": 502}}, ErrorBody("no", "502", 502)),
        ({"error": {"message": "no", "code": "502"}}, ErrorBody("no", "502", 502)),
        ({"error": {"message": "no", "code": 1302}}, ErrorBody("no", "1302", None)),
        ({"error": {"message": "no", "code": True}}, ErrorBody("no", "", None)),
        ({"error": True, "message": "no"}, ErrorBody("no", "", None)),
    ],
)
def test_an_error_inside_a_success(body: Any, expected: ErrorBody | None) -> None:
    assert read_error(body) == expected


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (400, {"error": {"message": "no", "code": "context_length_exceeded"}}, "ContextWindowError"),
        (400, {"message": "This model's maximum context length is 8192 tokens"}, "ContextWindowError"),
        (400, {"error": {"message": "no", "code": "content_filter"}}, "ContentFilterError"),
        (429, {"error": {"message": "no", "code": None, "type": "insufficient_quota"}}, "QuotaExceededError"),
        (402, {"error": {"message": "Insufficient Balance"}}, "QuotaExceededError"),
        (401, {"message": "Unauthorized"}, "AuthenticationError"),
        (404, {"error": {"message": "no", "code": "DeploymentNotFound"}}, "ModelNotFoundError"),
        (429, {"error": {"message": "no", "type": "invalid_request_error"}}, "RateLimitError"),
        (503, "", "ProviderUnavailableError"),
        (200, {"error": {"message": "no", "code": 503}}, "ProviderUnavailableError"),
        (200, {"error": {"message": "no", "type": "insufficient_quota"}}, "QuotaExceededError"),
        (200, {"error": {"message": "what"}}, "BadResponseError"),
    ],
)
def test_what_the_router_makes_of_it(
    status: int, body: Any, verdict: str, failing: Callable[..., ProviderError]
) -> None:
    outcome = classify(failing(status, body)).error
    assert outcome is not None
    assert outcome.__name__ == verdict


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Sun, 15 Jun 2025 15:07:00 GMT"}, 20.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_how_long_to_stay_away(
    headers: dict[str, str], seconds: float | None, failing: Callable[..., ProviderError]
) -> None:
    assert failing(429, {"message": "slow down"}, **headers).retry_after_s == seconds


def test_remaining_allowance_comes_with_errors_too(failing: Callable[..., ProviderError]) -> None:
    error = failing(429, {}, **{"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6s"})
    assert (error.limits.remaining_requests, error.limits.reset_requests_s) == (0, 6.0)
    assert failing(429, {}, **{"x-ratelimit-remaining-requests": "many"}).limits is None


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://login.example.com/x?token=abc", "login.example.com"),
        ("/elsewhere", "another path of the same host"),
        ("http://[", "an unreadable address"),
    ],
)
def test_a_redirect_names_its_target_and_is_not_followed(
    location: str, named: str, failing: Callable[..., ProviderError]
) -> None:
    error = failing(307, "", location=location)
    assert (error.status, error.fault) == (307, Fault.STATUS)
    assert named in error.message
    assert "base_url" in error.message
    assert "token" not in error.message
    assert classify(error).outcome is Outcome.CLIENT_ERROR


def test_messages_are_short_and_on_one_line(failing: Callable[..., ProviderError]) -> None:
    error = failing(500, {"error": {"message": "line\n" * 10_000, "code": "c" * 1000}})
    assert len(error.message) <= 501
    assert "\n" not in error.message
    assert len(error.code) <= 101


def test_a_failure_is_not_retried_here(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    provider = scripted(httpx.Response(503))
    with pytest.raises(ProviderError):
        asyncio.run(provider.complete(chat()))
    assert len(provider.requests) == 1


THEN = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-ratelimit-remaining-requests": "14399", "x-ratelimit-remaining-tokens": "29987",
          "x-ratelimit-reset-requests": "9m38.016s", "x-ratelimit-reset-tokens": "130ms"},
         Limits(14399, 29987, 578.016, 0.13)),
        ({"anthropic-ratelimit-requests-remaining": "3999", "anthropic-ratelimit-tokens-remaining": "480000",
          "anthropic-ratelimit-input-tokens-remaining": "1",
          "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:05Z"},
         Limits(3999, 480000, 5.0, None)),
        ({"x-ratelimit-remaining-req-10-second": "58", "x-ratelimit-remaining-tokens-minute": "1999829",
          "x-ratelimit-remaining-tokens-month": "77"}, Limits(58, 77)),
        ({"x-ratelimit-remaining-requests-day": "14369", "x-ratelimit-reset-requests-day": "33011.382867",
          "x-ratelimit-remaining-tokens-minute": "59948", "x-ratelimit-reset-tokens-minute": "11.38"},
         Limits(14369, 59948, 33011.382867, 11.38)),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "2"}, Limits(1, None, 2.0)),
        ({"x-ratelimit-remaining": "9", "x-ratelimit-reset": "1800000060000"}, Limits(9, None, 60.0)),
        ({"ratelimitbysize-remaining": "307190", "ratelimitbysize-reset": "33"}, Limits(None, 307190, None, 33.0)),
        ({"x-trial-endpoint-call-remaining": "8"}, Limits(8)),
        ({"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "soon"}, None),
        ({"retry-after": "58"}, None),
    ],
    ids=["OpenAI, Groq", "Anthropic", "Mistral", "Cerebras", "Together", "OpenRouter", "Mistral, older", "Cohere",
         "garbage", "none"],
)  # fmt: skip
def test_what_headers_say_of_the_allowance(headers: dict[str, str], expected: Limits | None) -> None:
    assert read_limits(headers, THEN) == expected


def test_googles_details_name_a_wrong_key_and_the_time_to_wait() -> None:
    body = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}]}}  # fmt: skip
    assert read_error(body) == ErrorBody("slow down", "RESOURCE_EXHAUSTED", 429, 37.0)
    failure = Answer(429, {}, json.dumps(body), NOW).failure()
    assert (failure.retry_after_s, classify(failure).cools) == (37.0, True)
    wrong = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}}  # fmt: skip
    assert classify(Answer(400, {}, json.dumps(wrong), NOW).failure()).error is AuthenticationError
