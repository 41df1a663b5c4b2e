"""Error bodies in all their shapes, and answers that make no sense, as `ProviderError`.

Messages here are the provider's own and uncut; the connector redacts and caps every one before it leaves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.retry import parse_reset_after, parse_retry_after
from routerlab.core.types import Limits

__all__ = ["Answer", "ErrorBody", "blocked", "content_filtered", "error_of", "read_error", "read_limits"]


_REASONS = ("API_KEY_INVALID", "API_KEY_EXPIRED")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error body says.

    Attributes:
        message: in the provider's words; may be empty.
        code: its code, type or status word, the first that is not just a number.
        status: the HTTP status that it names itself, 400…599.
        retry_after_s: seconds that it asks to wait (Google's ``RetryInfo``).
    """

    message: str
    code: str = ""
    status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end.

    Attributes:
        status: HTTP status.
        headers: by lower-case names.
        text: the whole body.
        now_wall: seconds since the epoch when it came, for dates in its headers.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    now_wall: float

    def json(self) -> Any:
        """The body of a success.

        Raises:
            ProviderError: an error status, no JSON, or an error object where an answer should be.
        """
        if not 200 <= self.status < 300:
            raise self.failure()
        try:
            body = json.loads(self.text.removeprefix("\ufeff"))
        except (ValueError, RecursionError):
            raise self.senseless("is not JSON" if self.text.strip() else "is empty") from None
        error = read_error(body)
        if error is not None:
            raise error_of(error)
        return body

    def failure(self) -> ProviderError:
        """The error that an error status (or a redirect) means."""
        if 300 <= self.status < 400:
            return ProviderError(self._redirect(), status=self.status)
        error = self._error() or ErrorBody(self.text.strip())
        return ProviderError(
            error.message or f"HTTP {self.status}" + (f", {error.code}" if error.code else " without an explanation"),
            status=self.status,
            code=error.code,
            retry_after_s=_either(parse_retry_after(self.headers, self.now_wall), error.retry_after_s),
            limits=read_limits(self.headers, self.now_wall),
        )

    def senseless(self, what: str) -> ProviderError:
        """The error for a success that makes no sense; ``what`` completes the sentence "the answer …"."""
        kind = self.headers.get("content-type", "no content type")
        shown = f": {self.text}" if self.text.strip() else ""
        message = f"the answer {what} (status {self.status}, {kind}){shown}"
        return ProviderError(message, fault=Fault.BAD_RESPONSE, status=self.status)

    def _error(self) -> ErrorBody | None:
        try:
            return read_error(json.loads(self.text), failed=True)
        except (ValueError, RecursionError):
            return None

    def _redirect(self) -> str:
        from urllib.parse import urlsplit

        try:
            host = urlsplit(self.headers.get("location", "")).hostname or "another path of the same host"
        except ValueError:
            host = "an unreadable address"
        return f"the server redirects to {host}, which is not followed with a key: check base_url"


_KINDS = {"requests": ("requests", "req"), "tokens": ("tokens",)}
_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-", "ratelimit-", "ratelimitbysize-", "x-trial-endpoint-call-")


def read_limits(headers: Mapping[str, str], now_wall: float) -> Limits | None:
    """What the rate-limit headers say, the tightest window of each kind; None where there are none.

    OpenAI and most others: ``x-ratelimit-remaining-requests``, some with the window at the end (``-minute``, ``-day``,
    ``req-10-second``); Anthropic: ``anthropic-ratelimit-requests-remaining``; OpenRouter, Together and the IETF's
    draft: ``x-ratelimit-remaining`` or ``ratelimit-remaining``, which are requests; Mistral's older ones: ``…bysize``,
    which are tokens; Cohere's trial keys: ``x-trial-endpoint-call-remaining``.
    """
    if not any(name.startswith(_PREFIXES) for name in headers):
        return None
    requests, tokens = (_tightest(headers, kind, now_wall) for kind in ("requests", "tokens"))
    limits = Limits(requests[0], tokens[0], requests[1], tokens[1])
    return None if limits == Limits() else limits


def _tightest(headers: Mapping[str, str], kind: str, now_wall: float) -> tuple[int | None, float | None]:
    """What is left of one kind, and the seconds until it is renewed."""
    found: list[tuple[int, str]] = []
    resets: dict[str, float] = {}
    for name, value in headers.items():
        if not name.startswith(_PREFIXES):
            continue
        words = name.split("-")
        if "remaining" in words and _is_kind(words, kind) and (left := _count(value)) is not None:
            found.append((left, "-".join(word for word in words if word != "remaining")))
        elif "reset" in words and _is_kind(words, kind) and (after := parse_reset_after(value, now_wall)) is not None:
            resets["-".join(word for word in words if word != "reset")] = after
    left, window = min(found, default=(None, ""))
    return left, resets.get(window, None if found else next(iter(resets.values()), None))


def _is_kind(words: Sequence[str], kind: str) -> bool:
    if "input" in words or "output" in words:  # Anthropic also gives their sum
        return False
    named = [one for one, names in _KINDS.items() if any(name in words for name in names)]
    if not named:
        named = ["tokens" if any(word.endswith("bysize") for word in words) else "requests"]
    return named == [kind]


def content_filtered(refusal: str, categories: str = "") -> ProviderError:
    """The provider's policy left nothing of the answer: the same as its 400 for a refused prompt."""
    message = refusal or "the provider's content filter left nothing of the answer" + (categories and f": {categories}")
    return ProviderError(message, status=400, code="content_filter")


def blocked(results: Any) -> str:
    """The categories in which Azure's filter found something, whatever lists they are wrapped in."""
    if isinstance(results, list):
        return ", ".join(filter(None, map(blocked, results)))
    if not isinstance(results, dict):
        return ""
    if "content_filter_results" in results:
        return blocked(results["content_filter_results"])
    return ", ".join(
        name for name, result in results.items() if isinstance(result, dict) and result.get("filtered") is True
    )


def error_of(error: ErrorBody) -> ProviderError:
    """The error that an error object inside a success means; its own status and code decide."""
    message = error.message or error.code or "an error"
    return ProviderError(message, status=error.status, code=error.code, retry_after_s=error.retry_after_s)


def read_error(body: Any, *, failed: bool = False) -> ErrorBody | None:
    """Read an error body; None where it is none.

    Args:
        body: parsed JSON of any shape.
        failed: something else (the status, the event's type) says already that this is an error, so that
            ``{"message": …}`` and ``{"detail": …}`` count too.

    >>> read_error({"error": {"message": "no such model", "code": "model_not_found"}})
    ErrorBody(message='no such model', code='model_not_found', status=None)
    """
    if isinstance(body, list):  # Gemini wraps the one error in a list
        body = next((item for item in body if isinstance(item, dict)), None)
    if not isinstance(body, dict):
        return ErrorBody(str(body)) if failed and body else None
    error = body.get("error")
    if isinstance(error, dict) and error:
        return _from_object(error)
    if isinstance(error, str) and error:
        return _from_text(error, body)
    if failed or error is True or body.get("object") == "error":
        return _from_object(body)
    return None


def _from_text(error: str, body: Mapping[str, Any]) -> ErrorBody:
    """``{"error": "model 'x' not found"}`` (Ollama), or a word with the message beside it."""
    message = _words(body.get("message") or body.get("detail"))
    inner = _from_object({**body, "message": message or error})
    return ErrorBody(inner.message, inner.code or (error if message else ""), inner.status, inner.retry_after_s)


def _from_object(error: Mapping[str, Any]) -> ErrorBody:
    message = next((text for key in ("message", "detail", "msg", "errors") if (text := _words(error.get(key)))), "")
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and metadata.get("raw"):  # OpenRouter: what the provider behind it said
        message = f"{message}: {_words(metadata['raw'])}"
    reason, retry_after_s = _details(error.get("details"))
    named = [str(value) for key in ("code", "type", "status") if (value := error.get(key)) and _is_scalar(value)]
    code = reason or next((name for name in named if not name.isdigit()), named[0] if named else "")
    statuses = (_http_status(error.get(key)) for key in ("status_code", "code", "status"))
    return ErrorBody(message, code, next(filter(None, statuses), None), retry_after_s)


def _details(details: Any) -> tuple[str, float | None]:
    """What Google's details add: a reason that the status hides (a 400 for a wrong key), and when to come back."""
    reason, retry_after_s = "", None
    for one in details if isinstance(details, list) else ():
        if not isinstance(one, dict):
            continue
        if one.get("reason") in _REASONS:
            reason = one["reason"]
        if "PerDay" in json.dumps(one.get("violations")):  # the same status, code and words as a limit per minute
            reason = "quota_exceeded_per_day"
        if isinstance(one.get("retryDelay"), str):
            retry_after_s = parse_reset_after(one["retryDelay"], 0.0)
    return reason, retry_after_s


def _either(first: float | None, second: float | None) -> float | None:
    return second if first is None else first


def _words(value: Any) -> str:
    """A message, whatever it is wrapped in: a text, FastAPI's list of ``{"loc", "msg"}``, an object of its own."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_words, value)))
    if not isinstance(value, dict):
        return ""
    text = next((text for key in ("message", "msg", "detail", "error") if (text := _words(value.get(key)))), "")
    place = value.get("loc")
    if text and isinstance(place, list):
        return f"{'.'.join(map(str, place))}: {text}"
    return text or json.dumps(value)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _http_status(value: Any) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and 400 <= value <= 599 else None


def _count(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
