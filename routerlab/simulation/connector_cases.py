"""What a connector is put through: the fault table's rows that a server on loopback can play, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from routerlab.core.failures import Fault, ProviderError, Verdict, classify
from routerlab.core.record import record

__all__ = ["CASES", "Case", "in_words"]

_BOTH = ("complete", "stream")


@record
class Case:
    """One fault, and what it must become.

    Attributes:
        words: what a message calls it.
        fault: its kind, of `routerlab.core.fault_kinds.FAULT_KINDS`.
        expected: errors that the table takes for it; one of them must be classified alike.
        options: of the fault.
        verbs: that can meet it.
        retry_after_s: that the error must carry.
    """

    words: str
    fault: str
    expected: tuple[ProviderError, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    verbs: tuple[str, ...] = _BOTH
    retry_after_s: float | None = None

    @property
    def status(self) -> int | None:
        """That the error must carry; None: any."""
        status: int | None = self.options.get("status")
        return status


def _status(status: int, message: str = "Simulated error", **more: Any) -> Case:
    options = {"status": status, "message": message, **more}
    seconds = more.get("retry_after")
    words = f"HTTP {status}" + (f" with Retry-After: {seconds}" if seconds else "")
    return Case(words, "status", (ProviderError("", status=status),), options, retry_after_s=seconds)


def _fault(words: str, kind: str, *expected: Fault, verbs: tuple[str, ...] = _BOTH, **options: Any) -> Case:
    return Case(words, kind, tuple(ProviderError("", fault=fault) for fault in expected), options, verbs)


_SAID = (ProviderError("", status=500), ProviderError("", fault=Fault.BAD_RESPONSE))
"""An error object by its code; a format without codes cannot say which error it is."""

_NONSENSE = (Fault.BAD_RESPONSE, Fault.TRUNCATED)
"""Of a stream, what makes no sense may be taken for malformed events, which are passed over."""

CASES = (
    _status(400),
    _status(401, "Incorrect API key provided: {secret}"),
    _status(403),
    _status(404),
    _status(429, retry_after=3),
    _status(500),
    _status(503),
    _status(529),
    _fault("a connection that is reset before the headers", "reset", Fault.CONNECT),
    _fault("a connection that is reset within the answer", "reset_midway", Fault.BROKEN),
    _fault("a body that is shorter than announced", "short_body", Fault.BROKEN),
    _fault("a stream that ends without finish reason", "cut_stream", Fault.TRUNCATED, verbs=("stream",)),
    _fault("a 200 that is not JSON", "not_json", *_NONSENSE),
    _fault("a 200 with broken JSON", "broken_json", *_NONSENSE),
    _fault("a 200 with an empty body", "empty_body", Fault.BAD_RESPONSE, verbs=("complete",)),
    _fault("a 200 with an HTML page", "html_page", *_NONSENSE),
    _fault("a 200 without an answer in it", "no_choices", Fault.BAD_RESPONSE, verbs=("complete",)),
    Case("a 200 with an error object", "error_in_200", _SAID),
    Case("an error event within a stream", "error_event", _SAID, verbs=("stream",)),
)
"""In the order in which they are tried."""


def in_words(error: ProviderError) -> str:
    """How an error is classified.

    >>> in_words(ProviderError("", status=404))
    'MOVE_ON, breaker neutral, takes out the model'
    """
    verdict: Verdict = classify(error)
    said = [verdict.outcome.name, f"breaker {verdict.count.value}"]
    if verdict.ejects is not None:
        said.append(f"takes out the {verdict.ejects.value}")
    if verdict.cools:
        said.append("cools the model")
    return ", ".join(said)
