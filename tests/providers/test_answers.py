"""Error bodies in all their shapes, and what the router makes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Fault, Outcome, ProviderError, classify
from routerlab.providers.answers import ErrorBody, read_error

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
