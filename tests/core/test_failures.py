"""The fault table, row by row, as `classify` reads it."""

from __future__ import annotations

import math
import pickle

import pytest

from routerlab.core import errors
from routerlab.core.failures import (
    CANCELLED,
    SUCCESS,
    Count,
    Ejection,
    Fault,
    Outcome,
    ProviderError,
    Verdict,
    classify,
)

RETRY = Verdict(Outcome.RETRYABLE, errors.ProviderUnavailableError, retries=None, count=Count.FAILURE)
NEXT = Verdict(Outcome.MOVE_ON, errors.ProviderUnavailableError, count=Count.FAILURE)
CLIENT = Verdict(Outcome.CLIENT_ERROR, errors.InvalidRequestError, moves_on=False)
CONTEXT = Verdict(Outcome.MOVE_ON, errors.ContextWindowError)
FILTER = Verdict(Outcome.CLIENT_ERROR, errors.ContentFilterError, moves_on=False)
QUOTA = Verdict(Outcome.MOVE_ON, errors.QuotaExceededError, ejects=Ejection.QUOTA)
KEY = Verdict(Outcome.MOVE_ON, errors.AuthenticationError, ejects=Ejection.PROVIDER)
NO_MODEL = Verdict(Outcome.MOVE_ON, errors.ModelNotFoundError, ejects=Ejection.MODEL)
RATE = Verdict(Outcome.MOVE_ON, errors.RateLimitError, retries=None, cools=True)
BAD = Verdict(Outcome.RETRYABLE, errors.BadResponseError, retries=1, count=Count.FAILURE)


@pytest.mark.parametrize("status", [400, 405, 415, 422])
def test_a_refused_request_is_the_callers_to_fix(status: int) -> None:
    assert classify(ProviderError("temperature is too high", status=status)) == CLIENT


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 520, 524, 529])
def test_a_weak_moment_is_retried_and_counts(status: int) -> None:
    assert classify(ProviderError("oops", status=status)) == RETRY


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    assert classify(ProviderError("redirects to elsewhere.example", status=status)) == CLIENT


@pytest.mark.parametrize(("status", "like"), [(418, CLIENT), (451, CLIENT), (501, RETRY), (599, RETRY)])
def test_a_status_that_is_not_listed_is_read_by_its_range(status: int, like: Verdict) -> None:
    assert classify(ProviderError("what?", status=status)) == like


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "context_length_exceeded", ""),
        (400, "", "This model's maximum context length is 8192 tokens, however you requested 9000"),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        (413, "", "Request Entity Too Large"),
        (413, "request_too_large", ""),
        (422, "string_above_max_length", ""),
    ],
)
def test_a_context_too_long_moves_on(status: int, code: str, message: str) -> None:
    assert classify(ProviderError(message, status=status, code=code)) == CONTEXT


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "content_filter", ""),
        (400, "content_policy_violation", ""),
        (400, "ResponsibleAIPolicyViolation", ""),
        (403, "content_filter", ""),
        (403, "403", "openai/gpt-4 requires moderation. Your input was flagged for harassment"),
    ],
)
def test_a_content_filter_stops(status: int, code: str, message: str) -> None:
    assert classify(ProviderError(message, status=status, code=code)) == FILTER


@pytest.mark.parametrize("status", [400, 402, 403, 429])
@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached", "INSUFFICIENT_BALANCE"])
def test_no_credit_is_read_by_its_code(status: int, code: str) -> None:
    assert classify(ProviderError("pay", status=status, code=code)) == QUOTA


def test_402_means_no_credit_whatever_its_code() -> None:
    assert classify(ProviderError("Insufficient Balance", status=402, code="invalid_request_error")) == QUOTA


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_takes_the_provider_out(status: int) -> None:
    assert classify(ProviderError("no", status=status, code="invalid_api_key")) == KEY


def test_an_account_that_was_flagged_is_no_flagged_prompt() -> None:
    assert classify(ProviderError("Your account was flagged for abuse", status=403)) == KEY


@pytest.mark.parametrize(("status", "code"), [(404, ""), (404, "model_not_found"), (400, "model_not_found")])
def test_an_unknown_model_is_out(status: int, code: str) -> None:
    assert classify(ProviderError("no such model", status=status, code=code)) == NO_MODEL


def test_429_cools() -> None:
    assert classify(ProviderError("slow down", status=429, code="rate_limit_exceeded", retry_after_s=2.0)) == RATE


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (Fault.CONNECT, RETRY),
        (Fault.CONNECT_TIMEOUT, RETRY),
        (Fault.BROKEN, RETRY),
        (Fault.TLS, NEXT),
        (Fault.TIMEOUT, NEXT),
        (Fault.TOO_LARGE, NEXT),
        (Fault.BAD_RESPONSE, BAD),
        (
            Fault.TRUNCATED,
            Verdict(Outcome.TRUNCATED, errors.ProviderUnavailableError, retries=None, count=Count.FAILURE),
        ),
        (Fault.LOCAL, CLIENT),
        (Fault.DEADLINE, Verdict(Outcome.CANCELLED, errors.RequestTimeoutError, moves_on=False)),
        (Fault.TAKEOVER, Verdict(Outcome.MOVE_ON, errors.ProviderUnavailableError)),
    ],
)
def test_faults_on_the_way(fault: Fault, verdict: Verdict) -> None:
    assert classify(ProviderError("x", fault=fault)) == verdict


def test_every_fault_has_a_verdict() -> None:
    for fault in Fault:
        assert isinstance(classify(ProviderError("x", fault=fault, status=500)), Verdict)


@pytest.mark.parametrize("status", [None, 200, 206])
@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("insufficient_quota", QUOTA),
        ("rate_limit_exceeded", RATE),
        ("overloaded_error", RETRY),
        ("server_error", RETRY),
        ("model_not_found", NO_MODEL),
        ("authentication_error", KEY),
        ("invalid_request_error", CLIENT),
        ("context_length_exceeded", CONTEXT),
        ("content_filter", FILTER),
        ("", BAD),
        ("zebra", BAD),
    ],
)
def test_an_error_object_inside_a_200_is_read_by_its_code(status: int | None, code: str, verdict: Verdict) -> None:
    assert classify(ProviderError("x", status=status, code=code)) == verdict


def test_an_error_object_inside_a_200_that_names_a_status_is_read_by_it() -> None:
    assert classify(ProviderError("x", status=502, code="")) == RETRY


def test_callers_errors_and_cancellations_blame_nobody() -> None:
    for verdict in (SUCCESS, CANCELLED, CLIENT, CONTEXT, FILTER, classify(ProviderError("x", fault=Fault.TAKEOVER))):
        assert not verdict.blames_model
    for verdict in (RETRY, NEXT, QUOTA, KEY, NO_MODEL, RATE, BAD):
        assert verdict.blames_model


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, -math.inf])
def test_a_pause_that_makes_no_sense_counts_as_absent(value: float) -> None:
    assert ProviderError("x", status=429, retry_after_s=value).retry_after_s is None
    assert ProviderError("x", status=429, retry_after_s=0.0).retry_after_s == 0.0


def test_a_provider_error_survives_pickling() -> None:
    error = ProviderError("x", fault=Fault.BROKEN, status=200, code="c", retry_after_s=1.5, sent=False, clock="idle")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert vars(copy) == vars(error)
    assert str(copy) == "x"


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        (ProviderError("silent", fault=Fault.TIMEOUT, clock="request"), True),
        (ProviderError("no choices", fault=Fault.BAD_RESPONSE, status=200), True),
        (ProviderError("down", status=503), False),
        (ProviderError("refused", fault=Fault.CONNECT, sent=False), False),
    ],
)
def test_what_may_have_been_billed(error: ProviderError, billed: bool) -> None:
    assert error.maybe_billed is billed
