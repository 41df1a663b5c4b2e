"""What becomes of an item after a call: it has its answer, it failed, or it waits because only time was missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from routerlab.core.errors import ModelNotFoundError, NoModelAvailableError, RequestError
from routerlab.core.failures import Fault, ProviderError, classify
from routerlab.session.results import CallResult

__all__ = ["Fate", "Kind", "fate_of", "kind_of"]


class Kind(Enum):
    """How an item stands after a call."""

    OK = "ok"
    FAILED = "failed"  # the request itself was refused: another try would end the same way
    STRUCK = "struck"  # the model did not answer: back into the queue, and counted
    LATER = "later"  # the model could not be asked: back into the queue
    LOST = "lost"  # the model will never answer: its lane ends


@dataclass(frozen=True, slots=True)
class Fate:
    """A kind, with how long to wait (seconds; None: nobody knows) and why, in our own words."""

    kind: Kind
    seconds: float | None = None
    why: str = ""


_STRUCK = frozenset({"ProviderUnavailableError", "BadResponseError", "StreamInterruptedError"})
_LATER = {
    "RateLimitError": "rate limit reached",
    "QuotaExceededError": "no credit or quota left",
    "AuthenticationError": "the provider refused the key",
    "NoModelAvailableError": "not available",
}
_LOST = "ModelNotFoundError"
_HOW = {
    Fault.CONNECT_TIMEOUT: "no connection in time",
    Fault.TLS: "no secure connection",
    Fault.TIMEOUT: "too slow",
    Fault.BROKEN: "the connection broke",
    Fault.TOO_LARGE: "its answer is too large",
    Fault.BAD_RESPONSE: "its answer makes no sense",
    Fault.TRUNCATED: "its stream ended early",
}
_MANY = "FailoverExhaustedError"


def kind_of(error_type: str | None, attempts: Iterable[str | None] = ()) -> Kind:
    """The kind of a call by the class of its error.

    Args:
        error_type: name of the class; None: it succeeded.
        attempts: the same of each attempt, for an error that stands for several models.

    >>> kind_of("InvalidRequestError"), kind_of("FailoverExhaustedError", ["RateLimitError", "InvalidRequestError"])
    (<Kind.FAILED: 'failed'>, <Kind.FAILED: 'failed'>)
    """
    if error_type is None:
        return Kind.OK
    if error_type == _MANY:
        met = {name for name in attempts if name}
        if not met <= _STRUCK | _LATER.keys() | {_LOST}:
            return Kind.FAILED
        return Kind.STRUCK if not met or met & _STRUCK else Kind.LATER
    if error_type in _STRUCK:
        return Kind.STRUCK
    if error_type in _LATER:
        return Kind.LATER
    return Kind.LOST if error_type == _LOST else Kind.FAILED


def fate_of(result: CallResult) -> Fate:
    """What becomes of the item of a finished call."""
    error = result.error
    if error is None:
        return Fate(Kind.OK)
    name = type(error).__name__
    kind = kind_of(name, [attempt.error_type for attempt in result.attempts])
    seconds = error.retry_after_s if isinstance(error, RequestError) else None
    if isinstance(error, NoModelAvailableError) and seconds is None:
        kind = _of_cause(error.__cause__)
    return Fate(kind, seconds, _why(result, name, kind))


def _of_cause(cause: BaseException | None) -> Kind:
    """Nobody knows when a model will be there: what put it out decides; without a cause no model can serve the item."""
    if not isinstance(cause, ProviderError):
        return Kind.FAILED
    return Kind.LOST if classify(cause).error is ModelNotFoundError else Kind.LATER


def _why(result: CallResult, name: str, kind: Kind) -> str:
    """In our own words: a provider's may hold what nobody wants to see on a panel."""
    if kind is Kind.LOST:
        return "the provider does not know this model"
    if kind is Kind.STRUCK:
        how = _how(result.error.__cause__) if result.error else ""
        return f"not answering ({how})" if how else "not answering"
    candidates = result.decisions[-1].get("candidates", ()) if result.decisions else ()
    reasons = {candidate["excluded_because"] for candidate in candidates if candidate.get("excluded_because")}
    if name == "NoModelAvailableError" and len(reasons) == 1:
        return str(reasons.pop())
    return _LATER.get(name, "not available")


def _how(cause: BaseException | None) -> str:
    """Of which kind the last failure was; empty where nobody knows."""
    if not isinstance(cause, ProviderError):
        return ""
    if cause.status is not None and cause.status >= 300:
        return str(cause.status)
    if cause.fault is Fault.CONNECT:
        return "closed before it answered" if cause.sent else "no connection"
    return _HOW.get(cause.fault, "")
