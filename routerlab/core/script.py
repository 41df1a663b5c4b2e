"""What a simulated model does with one request, step by step, and what a client makes of it.

A `Script` says nothing of any wire format: the server writes it as HTTP, the virtual-clock driver reads its `outcome`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.record import record
from routerlab.core.retry import parse_retry_after
from routerlab.core.types import TokenUsage

__all__ = ["Ending", "Outcome", "Part", "Script", "Step", "outcome"]


class Part(Enum):
    """What one step of an answer carries, and the type of its data."""

    TEXT = "text"  # str
    TOOL_CALL = "tool_call"  # a fragment in OpenAI's shape
    STOPPED = "stopped"  # str: the stop sequence that ended the text; only some formats tell it
    FINISH = "finish"  # str: the finish reason
    USAGE = "usage"  # TokenUsage
    DONE = "done"  # None: the mark that ends a stream
    ERROR = "error"  # the body of an error, in the middle of an answer
    MALFORMED = "malformed"  # str: an event of a stream that cannot be read
    VECTORS = "vectors"  # tuple of embeddings


class Ending(Enum):
    """How the connection is left."""

    COMPLETE = "complete"
    CLOSE = "close"  # an orderly close before the answer is whole
    RESET = "reset"
    STALL = "stall"  # silence, the connection stays open
    BAD_CHUNK = "bad_chunk"  # bytes that break the framing of the body


@record
class Step:
    """One part of an answer, `delay_s` seconds after the one before it."""

    part: Part
    data: Any = None
    delay_s: float = 0.0


@record
class Script:
    """What happens to one request.

    Attributes:
        stream: whether the answer goes out step by step; else it goes out whole, after all delays.
        delay_s: before the headers.
        status: HTTP status.
        headers: beside those that every answer has.
        body: sent in place of the steps: a mapping (JSON) or a text; an answer that is no answer.
        steps: the parts of the answer.
        ending: how it ends, after the steps (a whole answer: after half of its body).
        headed: whether headers are sent at all; without them only the ending happens.
        byte_delay_s: the body trickles, one byte each time; 0: it does not.
        padding: bytes of white space before the body.
        gzip: whether the body is compressed.
        faults: the kinds that shaped this script, for the log.
    """

    stream: bool = False
    delay_s: float = 0.0
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | str | None = None
    steps: tuple[Step, ...] = ()
    ending: Ending = Ending.COMPLETE
    headed: bool = True
    byte_delay_s: float = 0.0
    padding: int = 0
    gzip: bool = False
    faults: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Seconds from the request to the last step; infinite for a stall."""
        if self.ending is Ending.STALL:
            return math.inf
        return self.delay_s + sum(step.delay_s for step in self.steps)


@record
class Outcome:
    """What a client without any clock makes of a script.

    Attributes:
        elapsed_s: until success or failure is known; infinite: it never is, a clock must end it.
        first_token_s: until the first text or tool call of a stream; None: none came.
        text: what was received, all of it or what came before the failure.
        usage: as the model counted it; None where it did not say.
        finish_reason: None where none came.
        error: the failure; None: a success (or a stall, see `elapsed_s`).
    """

    elapsed_s: float
    first_token_s: float | None = None
    text: str = ""
    usage: TokenUsage | None = None
    finish_reason: str | None = None
    error: ProviderError | None = None


BODY_CAP = 32 * 1024 * 1024
"""Decoded bytes that a client reads of a body at most (the fault table's cap)."""

_ENVELOPE = 250  # bytes of JSON around the first text, about: what a trickling body must deliver before it


def outcome(script: Script, now_wall: float = 0.0) -> Outcome:
    """Read a script as a client would.

    Args:
        script: what the model does.
        now_wall: seconds since the epoch, for a ``Retry-After`` that is a date.
    """
    if script.byte_delay_s:
        script = replace(script, delay_s=script.delay_s + _ENVELOPE * script.byte_delay_s, byte_delay_s=0.0)
    if not script.headed:
        return _lost(script, Fault.CONNECT, "connection lost before the headers")
    if script.status >= 300:
        return Outcome(script.duration_s, error=_error_of(script.body, script.status, dict(script.headers), now_wall))
    if script.padding > BODY_CAP:
        return Outcome(script.duration_s, error=ProviderError("body too large", fault=Fault.TOO_LARGE, status=200))
    if script.body is not None:
        return _read_body(script, script.body)
    return _read_stream(script) if script.stream else _read_whole(script)


def _lost(script: Script, fault: Fault, message: str, so_far: Outcome | None = None) -> Outcome:
    elapsed = script.duration_s
    status = script.status if fault in (Fault.BAD_RESPONSE, Fault.TRUNCATED) else None
    error = None if math.isinf(elapsed) else ProviderError(message, fault=fault, status=status)
    if so_far is None:
        return Outcome(elapsed, error=error)
    return Outcome(elapsed, so_far.first_token_s, so_far.text, so_far.usage, so_far.finish_reason, error)


def _error_of(
    body: Any, status: int | None = None, headers: Mapping[str, str] | None = None, now_wall: float = 0.0
) -> ProviderError:
    error = body.get("error") if isinstance(body, Mapping) else None
    error = error if isinstance(error, Mapping) else body if isinstance(body, Mapping) else {}
    code = error.get("code") or error.get("type") or ""
    if status is None and isinstance(code, int):
        status = code
    return ProviderError(
        str(error.get("message") or f"HTTP {status}"),
        status=status,
        code=str(code),
        retry_after_s=parse_retry_after(headers or {}, now_wall),
    )


def _read_body(script: Script, body: Mapping[str, Any] | str) -> Outcome:
    if script.ending is not Ending.COMPLETE:
        return _lost(script, Fault.BROKEN, "connection lost in the body")
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        return Outcome(script.duration_s, error=_error_of(body))
    error = ProviderError("an answer that makes no sense", fault=Fault.BAD_RESPONSE, status=script.status)
    return Outcome(script.duration_s, error=error)


def _read_whole(script: Script) -> Outcome:
    if script.ending is not Ending.COMPLETE:
        return _lost(script, Fault.BROKEN, "connection lost in the body")
    for step in script.steps:
        if step.part is Part.ERROR:
            return Outcome(script.duration_s, error=_error_of(step.data))
    return _unless_empty(_collect(script), script)


def _read_stream(script: Script) -> Outcome:
    so_far = _collect(script)
    if so_far.error is not None:
        return so_far
    if script.ending is not Ending.COMPLETE:
        return _lost(script, Fault.BROKEN, "connection lost in the stream", so_far)
    if so_far.finish_reason is None and all(step.part is not Part.DONE for step in script.steps):
        return _lost(script, Fault.TRUNCATED, "the stream ended without a finish reason", so_far)
    return _unless_empty(so_far, script)


def _unless_empty(so_far: Outcome, script: Script) -> Outcome:
    useful = (Part.TEXT, Part.TOOL_CALL, Part.VECTORS)
    if any(step.part in useful and step.data for step in script.steps):
        return so_far
    if so_far.finish_reason == "content_filter":
        error = ProviderError("the content filter left nothing of the answer", status=400, code="content_filter")
        return replace(so_far, error=error)
    return _lost(script, Fault.BAD_RESPONSE, "an answer without content", so_far)


def _collect(script: Script) -> Outcome:
    now, first, text = script.delay_s, None, ""
    usage: TokenUsage | None = None
    finish: str | None = None
    for step in script.steps:
        now += step.delay_s
        if step.part is Part.ERROR:
            return Outcome(now, first, text, usage, finish, _error_of(step.data))
        if first is None and script.stream and step.data and step.part in (Part.TEXT, Part.TOOL_CALL):
            first = now
        if step.part is Part.TEXT:
            text += step.data or ""
        elif step.part is Part.USAGE:
            usage = step.data
        elif step.part is Part.FINISH:
            finish = step.data
    return Outcome(now, first, text, usage, finish)
