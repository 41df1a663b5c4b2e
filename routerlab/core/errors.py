"""Every error that routerlab raises, in one tree, split by what the caller can do about it.

RouterLabError
├── ConfigurationError (ValueError)        fix lab.yaml, a dataset or an argument
│   └── DatasetError                       fix a line of a dataset
├── RequestError                           one request failed; carries model, call_id, attempts, partial_text
│   ├── InvalidRequestError                fix the call
│   │   ├── ContextWindowError             shorten the prompt or choose a model with a larger window
│   │   └── ContentFilterError             change the prompt or the model
│   ├── AuthenticationError                set the key
│   ├── QuotaExceededError                 pay, or wait for the quota's reset
│   ├── ModelNotFoundError                 choose another model
│   ├── RateLimitError                     wait ``retry_after_s``
│   ├── ProviderUnavailableError           wait, or choose another provider
│   │   └── BadResponseError               the same; the answer made no sense
│   ├── StreamInterruptedError             a stream broke after its first text; ``partial_text``
│   ├── RequestTimeoutError (TimeoutError) the caller's own limit ran out
│   ├── NoModelAvailableError              wait ``retry_after_s``, or see ``__cause__``
│   └── FailoverExhaustedError             every model was tried; ``attempts``
├── LabClosedError (RuntimeError)          make a new lab
├── StoreError                             see to the disk or the file; what was written stays
│   ├── StoreInUseError                    close the other process's lab, or choose another store
│   └── LeaseLostError                     another process has taken the store over
└── CircuitOpenError                       wait ``remaining`` seconds
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "AuthenticationError",
    "BadResponseError",
    "CircuitOpenError",
    "ConfigurationError",
    "ContentFilterError",
    "ContextWindowError",
    "DatasetError",
    "FailoverExhaustedError",
    "InvalidRequestError",
    "LabClosedError",
    "LeaseLostError",
    "ModelNotFoundError",
    "NoModelAvailableError",
    "ProviderUnavailableError",
    "QuotaExceededError",
    "RateLimitError",
    "RequestError",
    "RequestTimeoutError",
    "RouterLabError",
    "StoreError",
    "StoreInUseError",
    "StreamInterruptedError",
]


class RouterLabError(Exception):
    """The base of every error that routerlab raises on purpose."""


class ConfigurationError(RouterLabError, ValueError):
    """A configuration, an argument or a file is wrong; ``problems`` lists every mistake found, each with its path."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems: list[str] = list(problems)


class DatasetError(ConfigurationError):
    """A dataset could not be read; ``problems`` holds one entry per bad line: file, line number, reason."""


class LabClosedError(RouterLabError, RuntimeError):
    """The lab was closed; make a new one."""


class CircuitOpenError(RouterLabError):
    """The circuit is open; ``remaining`` is how many seconds until a probe may be tried (0 when all probes are out)."""

    def __init__(self, remaining: float = 0.0, name: str = "") -> None:
        self.remaining = remaining
        self.name = name
        subject = f"circuit of {name}" if name else "circuit"
        hint = f"a probe may be tried in {remaining:.1f} s" if remaining > 0 else "its probes are already in flight"
        super().__init__(f"{subject} is open: {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.remaining, self.name))


class StoreError(RouterLabError):
    """The store could not be opened, written or read; the message says why, ``__cause__`` is SQLite's own error."""


class StoreInUseError(StoreError):
    """Another process writes to this store; ``pid`` and ``host`` name it."""

    def __init__(self, path: Any, pid: int, host: str) -> None:
        self.path = path
        self.pid = pid
        self.host = host
        super().__init__(
            f"{path} is being written by process {pid} on {host}: close its lab or choose another store "
            "(a process that died is noticed within 15 s); a lab with store=False can watch it: lab.attach(name)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.path, self.pid, self.host))


class LeaseLostError(StoreError):
    """Another process has taken the store over, because this one gave no sign of life for too long."""


class RequestError(RouterLabError):
    """One request failed.

    Attributes:
        model: ``provider/model`` that the error speaks of; empty when none was reached.
        call_id: the call in the lab's records; empty outside a lab.
        attempts: what was tried, in order (objects with ``model``, ``outcome``, ``status``, ``error_type``,
            ``error_message``); empty outside a lab.
        status: the HTTP status, where there was one.
        retry_after_s: seconds until another try makes sense; None when unknown.
        partial_text: what had been received before the failure.
    """

    def __init__(
        self,
        message: str,
        *,
        model: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        partial_text: str = "",
        attempts: Sequence[Any] = (),
        call_id: str = "",
    ) -> None:
        super().__init__(message)
        self.model = model
        self.status = status
        self.retry_after_s = retry_after_s
        self.partial_text = partial_text
        self.attempts: list[Any] = list(attempts)
        self.call_id = call_id


class InvalidRequestError(RequestError):
    """The provider refuses this request as it stands; fix the call."""


class ContextWindowError(InvalidRequestError):
    """Prompt and answer do not fit into the model's context window."""


class ContentFilterError(InvalidRequestError):
    """The provider's content policy refused the prompt or cut the answer."""


class AuthenticationError(RequestError):
    """The provider refused the key (401) or what it may do (403)."""


class QuotaExceededError(RequestError):
    """The account has no credit or has used up its quota."""


class ModelNotFoundError(RequestError):
    """The provider does not know this model (404)."""


class RateLimitError(RequestError):
    """Too many requests (429); ``retry_after_s`` tells how long to wait."""


class ProviderUnavailableError(RequestError):
    """The provider could not be reached, broke off, or took too long."""


class BadResponseError(ProviderUnavailableError):
    """A 2xx answer that makes no sense: no JSON, no choices, an HTML page."""


class StreamInterruptedError(RequestError):
    """A stream broke after its first text and the policy is ``error``; ``partial_text`` is what arrived."""


class RequestTimeoutError(RequestError, TimeoutError):
    """A limit ran out.

    Attributes:
        timeout: the limit in seconds.
        operation: which limit it was (``request``, ``first chunk``, ``deadline``, …).
    """

    def __init__(self, timeout: float, operation: str = "request", message: str = "", **details: Any) -> None:
        super().__init__(message or f"{operation} took longer than {timeout:g} s", **details)
        self.timeout = timeout
        self.operation = operation

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.timeout, self.operation, str(self)), self.__dict__)


class NoModelAvailableError(RequestError):
    """No model of the pool can take the request now; ``retry_after_s`` is None where only the user can help."""


class FailoverExhaustedError(RequestError):
    """Every model of the pool was tried and failed; ``attempts`` lists them, ``__cause__`` is the last error."""
