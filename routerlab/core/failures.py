"""What a connector raises, and what it means: every failure is one `ProviderError`, and `classify` reads it.

This is the fault table as code: outcome class, whether the same model is tried again, whether the next one is, what
the breaker counts, what happens to the model or its provider, and which error the caller sees if nothing is left.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

from routerlab.core import errors
from routerlab.core.record import record
from routerlab.core.types import Limits

__all__ = ["Count", "Ejection", "Fault", "Outcome", "ProviderError", "Verdict", "classify"]


class Fault(Enum):
    """Where on the way a request failed."""

    STATUS = "status"  # an error status, or an error object inside a 200 (its code stands in `status` and `code`)
    CONNECT = "connect"  # refused, DNS, reset or close before the headers
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    TIMEOUT = "timeout"  # a clock of the pool: request, first_token, idle, total
    BROKEN = "broken"  # reset, short body or bad chunk in mid-body, after the headers
    TOO_LARGE = "too_large"  # a body over the cap
    BAD_RESPONSE = "bad_response"  # a 2xx that makes no sense
    TRUNCATED = "truncated"  # a stream that ended without a finish reason and without [DONE]
    LOCAL = "local"  # refused before anything was sent
    NO_KEY = "no_key"  # the key could not be fetched, so nothing was sent
    DEADLINE = "deadline"  # the caller's limit for the whole request
    TAKEOVER = "takeover"  # a silent stream that was left early, because another model is free


class ProviderError(Exception):
    """One failed try, as a connector (or a clock of the driver) saw it.

    Attributes:
        message: the provider's words, redacted and capped.
        fault: where on the way it failed.
        status: HTTP status, or the one that an error inside a 200 names; None without one.
        code: the provider's own error code or type, such as ``insufficient_quota``.
        retry_after_s: seconds that the provider asks to wait; None: it did not say, or nothing that makes sense.
        sent: whether the request may have reached the provider (and may have been billed).
        clock: which clock ran out, for ``Fault.TIMEOUT``.
        limits: what the headers said of the remaining allowance.
        refreshable: the key was refused, and a connector that is called again would come with a fresh one.
    """

    def __init__(
        self,
        message: str,
        *,
        fault: Fault = Fault.STATUS,
        status: int | None = None,
        code: str = "",
        retry_after_s: float | None = None,
        sent: bool = True,
        clock: str = "",
        limits: Limits | None = None,
        refreshable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fault = fault
        self.status = status
        self.code = code
        sensible = retry_after_s is not None and 0 <= retry_after_s < math.inf
        self.retry_after_s = retry_after_s if sensible else None
        self.sent = sent
        self.clock = clock
        self.limits = limits
        self.refreshable = refreshable

    @property
    def maybe_billed(self) -> bool:
        """Whether the provider may have worked for it: it was sent, and no error status says that it did not."""
        return self.sent and (self.status is None or self.status < 300)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.message, self.__dict__))


def _rebuild(message: str, state: dict[str, Any]) -> ProviderError:
    error = ProviderError(message)
    error.__dict__.update(state)
    return error


class Outcome(Enum):
    """The class of an attempt's end; `attempts.outcome` and `calls.outcome` hold the value."""

    OK = "ok"
    TRUNCATED = "truncated"
    RETRYABLE = "retryable"
    MOVE_ON = "move_on"
    CLIENT_ERROR = "client_error"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Count(Enum):
    """What a breaker makes of an attempt's end."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


class Ejection(Enum):
    """Who is out until somebody acts (or a quota comes back)."""

    MODEL = "model"
    PROVIDER = "provider"
    QUOTA = "quota"


@record
class Verdict:
    """What to do about one end of an attempt.

    Attributes:
        outcome: its class.
        error: the error that the caller sees if nothing is left; None for a success.
        retries: immediate retries that this fault allows at most; None: as many as the pool's `max_retries`.
        moves_on: whether the next model may be tried.
        count: what the breaker counts.
        ejects: who is out from now on.
        cools: whether the model cools (429).
        refreshes: whether one more try, with a fresh key, is due at once; it is no retry.
    """

    outcome: Outcome
    error: type[errors.RequestError] | None = None
    retries: int | None = 0
    moves_on: bool = True
    count: Count = Count.NEUTRAL
    ejects: Ejection | None = None
    cools: bool = False
    refreshes: bool = False

    @property
    def blames_model(self) -> bool:
        """Whether it speaks against the model: a failure, a rate limit, or a reason to take it out."""
        return self.cools or self.ejects is not None or self.count is Count.FAILURE


SUCCESS = Verdict(Outcome.OK, moves_on=False, count=Count.SUCCESS)
CANCELLED = Verdict(Outcome.CANCELLED, moves_on=False)

_UNAVAILABLE = errors.ProviderUnavailableError
_RETRY = Verdict(Outcome.RETRYABLE, _UNAVAILABLE, retries=None, count=Count.FAILURE)
_NEXT = Verdict(Outcome.MOVE_ON, _UNAVAILABLE, count=Count.FAILURE)
_CLIENT = Verdict(Outcome.CLIENT_ERROR, errors.InvalidRequestError, moves_on=False)
_CONTEXT = Verdict(Outcome.MOVE_ON, errors.ContextWindowError)
_FILTER = Verdict(Outcome.CLIENT_ERROR, errors.ContentFilterError, moves_on=False)
_QUOTA = Verdict(Outcome.MOVE_ON, errors.QuotaExceededError, ejects=Ejection.QUOTA)
_KEY = Verdict(Outcome.MOVE_ON, errors.AuthenticationError, ejects=Ejection.PROVIDER)
_STALE_KEY = Verdict(Outcome.RETRYABLE, errors.AuthenticationError, refreshes=True)
_NO_MODEL = Verdict(Outcome.MOVE_ON, errors.ModelNotFoundError, ejects=Ejection.MODEL)
_RATE = Verdict(Outcome.MOVE_ON, errors.RateLimitError, retries=None, cools=True)

_FAULTS = {
    Fault.CONNECT: _RETRY,
    Fault.CONNECT_TIMEOUT: _RETRY,
    Fault.BROKEN: _RETRY,
    Fault.TLS: _NEXT,
    Fault.TIMEOUT: _NEXT,
    Fault.TOO_LARGE: _NEXT,
    Fault.BAD_RESPONSE: Verdict(Outcome.RETRYABLE, errors.BadResponseError, retries=1, count=Count.FAILURE),
    Fault.TRUNCATED: Verdict(Outcome.TRUNCATED, _UNAVAILABLE, retries=None, count=Count.FAILURE),
    Fault.LOCAL: _CLIENT,
    Fault.NO_KEY: Verdict(Outcome.MOVE_ON, errors.AuthenticationError, count=Count.FAILURE),
    Fault.DEADLINE: Verdict(Outcome.CANCELLED, errors.RequestTimeoutError, moves_on=False),
    Fault.TAKEOVER: Verdict(Outcome.MOVE_ON, _UNAVAILABLE),
}
_STATUSES = {
    **dict.fromkeys((401, 403), _KEY),
    402: _QUOTA,
    404: _NO_MODEL,
    **dict.fromkeys((408, 409, 425), _RETRY),
    429: _RATE,
}
# Providers' own codes, in lower case (OpenAI, Azure, Anthropic, Google, Mistral, Groq, DeepSeek, OpenRouter, …).
_QUOTA_CODES = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_balance",
    "insufficient balance",
    "credit_limit",
    "insufficient_credits",
    "quota_exceeded",
    "billing_error",
)
_QUOTA_WORDS = (
    "credit balance is too low",
    "enable billing on your",
    "api calls / month",
)  # Anthropic, Google …
_KEY_CODES = ("api_key_invalid", "api_key_expired", "invalid_api_key")  # Google, with a 400
_CONTEXT_CODES = ("context_length_exceeded", "string_above_max_length", "context_window_exceeded", "request_too_large")
_CONTEXT_WORDS = (
    "maximum context length",
    "context window",
    "context length",
    "too many tokens",
    "prompt is too long",
    "input token count",
)
_FILTER_CODES = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "moderation_blocked")
_FILTER_WORDS = ("requires moderation", "input was flagged", "content filter")  # OpenRouter (403), Anthropic (400)
_MODEL_CODES = ("model_not_found", "deploymentnotfound", "model_not_available", "unknown_model", "not_found_error")
_OVERLOAD_CODES = (
    "overloaded",
    "server_error",
    "internal_server_error",
    "api_error",
    "service_unavailable",
    "unavailable",
    "internal",
    "timeout_error",
    "deadline_exceeded",
)
_RATE_CODES = ("rate_limit", "too_many_requests", "resource_exhausted")


def classify(error: ProviderError) -> Verdict:
    """Read one failure: the fault table, row by row."""
    verdict = _read(error)
    return _STALE_KEY if error.refreshable and verdict.ejects is Ejection.PROVIDER else verdict


def _read(error: ProviderError) -> Verdict:
    if error.fault is not Fault.STATUS:
        return _FAULTS[error.fault]
    code, status = error.code.lower(), error.status
    if status is None or status < 300:  # an error object without a status of its own: its code decides
        return _by_code(code, error.message)
    if status in (400, 402, 403, 429) and (_any(code, _QUOTA_CODES) or _any(error.message.lower(), _QUOTA_WORDS)):
        return _QUOTA
    if status == 400 and _any(code, _KEY_CODES):
        return _KEY
    if status == 403 and (_any(code, _FILTER_CODES) or _any(error.message.lower(), _FILTER_WORDS)):
        return _FILTER  # the prompt is refused, not the key
    if status in (400, 413, 422):
        return _by_request(code, error.message, status)
    return _STATUSES.get(status) or _by_range(status)


def _by_request(code: str, message: str, status: int) -> Verdict:
    if _any(code, _FILTER_CODES) or _any(message.lower(), _FILTER_WORDS):
        return _FILTER
    if status == 413 or _any(code, _CONTEXT_CODES) or _any(message.lower(), _CONTEXT_WORDS):
        return _CONTEXT
    return _NO_MODEL if _any(code, _MODEL_CODES) else _CLIENT


def _by_range(status: int) -> Verdict:
    return _RETRY if status >= 500 else _CLIENT


def _by_code(code: str, message: str) -> Verdict:
    if _any(code, _QUOTA_CODES):
        return _QUOTA
    if _any(code, _RATE_CODES):
        return _RATE
    if _any(code, _OVERLOAD_CODES):
        return _RETRY
    if _any(code, _MODEL_CODES):
        return _NO_MODEL
    if _any(code, ("authentication", "permission", *_KEY_CODES)):
        return _KEY
    if code.startswith(("invalid_request", "invalid_argument")) or _any(code, _FILTER_CODES + _CONTEXT_CODES):
        return _by_request(code, message, 400)
    return _FAULTS[Fault.BAD_RESPONSE]  # an error that does not say what it is: once more, then elsewhere


def _any(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)
