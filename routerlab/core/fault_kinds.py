"""What can go wrong with a simulated model: each kind of fault is a function from one script to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from routerlab.core.record import record
from routerlab.core.script import Ending, Part, Script, Step
from routerlab.core.simulated_answers import tokenize
from routerlab.core.simulated_errors import ERRORS, error_body

__all__ = ["FAULT_KINDS", "FaultKind"]

Transform = Callable[..., Script]


@record
class FaultKind:
    """One kind of fault: what it means, its options with their defaults, and what it makes of a script."""

    name: str
    meaning: str
    options: Mapping[str, Any]
    apply: Transform


FAULT_KINDS: dict[str, FaultKind] = {}
"""Every kind by its name."""


def _fault(meaning: str, **defaults: Any) -> Callable[[Transform], Transform]:
    def register(apply: Transform) -> Transform:
        def with_defaults(script: Script, **options: Any) -> Script:
            return apply(script, **{**defaults, **options})

        name = apply.__name__.strip("_")
        FAULT_KINDS[name] = FaultKind(name, meaning, defaults, with_defaults)
        return apply

    return register


# --- an error status -------------------------------------------------------------------------------------------------


@_fault("any status", status=500, message="Simulated error", code=None, body=None, retry_after=None, headers=None)
def _status(
    script: Script, status: int, message: str, code: str | None, body: Any, retry_after: Any, headers: Any
) -> Script:
    content = error_body(message, "simulated", code) if body is None else body
    return _refuse(script, status, content, _headers(retry_after, headers))


@_fault("a redirect to another host", location="https://elsewhere.invalid/v1/chat/completions", status=307)
def _redirect(script: Script, location: str, status: int) -> Script:
    return _refuse(script, status, "", (("location", location),))


def _register_errors() -> None:
    for name, (status, body) in ERRORS.items():

        def refuse(
            script: Script, retry_after: Any, headers: Any, status: int = status, body: Mapping[str, Any] | str = body
        ) -> Script:
            return _refuse(script, status, body, _headers(retry_after, headers))

        refuse.__name__ = name
        _fault(f"HTTP status {status}", retry_after=None, headers=None)(refuse)


def _refuse(
    script: Script, status: int, body: Mapping[str, Any] | str, headers: tuple[tuple[str, str], ...] = ()
) -> Script:
    # an error comes at once: nothing was computed
    return Script(stream=script.stream, status=status, body=body, headers=headers)


def _headers(retry_after: float | str | None, more: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """`retry_after`: seconds, or the header's value as it is (a date, garbage); `more`: any other headers."""
    value = f"{retry_after:g}" if isinstance(retry_after, int | float) else retry_after
    first = (("retry-after", value),) if value is not None else ()
    return (*first, *(more or {}).items())


_register_errors()

# --- the connection --------------------------------------------------------------------------------------------------


@_fault("the connection is reset before the headers", after_s=0.0)
def _reset(script: Script, after_s: float) -> Script:
    return replace(script, headed=False, ending=Ending.RESET, delay_s=after_s, steps=())


@_fault("the connection is closed before the headers", after_s=0.0)
def _close(script: Script, after_s: float) -> Script:
    return replace(script, headed=False, ending=Ending.CLOSE, delay_s=after_s, steps=())


@_fault("no answer at all: silence before the headers")
def _stall(script: Script) -> Script:
    return replace(script, headed=False, ending=Ending.STALL, steps=())


@_fault("headers, then silence before the first token")
def _stall_first_token(script: Script) -> Script:
    return replace(_headers_first(script), steps=(), ending=Ending.STALL)


@_fault("silence in the middle of the answer", after_tokens=3)
def _stall_midway(script: Script, after_tokens: int) -> Script:
    return _cut(script, after_tokens, Ending.STALL)


@_fault("the connection is reset in the middle of the body", after_tokens=3)
def _reset_midway(script: Script, after_tokens: int) -> Script:
    return _cut(script, after_tokens, Ending.RESET)


@_fault("the connection is closed in the middle of the body: fewer bytes than announced", after_tokens=3)
def _short_body(script: Script, after_tokens: int) -> Script:
    return _cut(script, after_tokens, Ending.CLOSE)


@_fault("bytes that break the framing of the body", after_tokens=3)
def _bad_chunk(script: Script, after_tokens: int) -> Script:
    return _cut(script, after_tokens, Ending.BAD_CHUNK)


@_fault("the body trickles, one byte at a time", byte_delay_s=1.0)
def _drip(script: Script, byte_delay_s: float) -> Script:
    return replace(script, byte_delay_s=byte_delay_s)


@_fault("a body over every cap; gzip: a small one that unfolds", size=64 * 1024 * 1024, gzip=False)
def _huge_body(script: Script, size: int, gzip: bool) -> Script:
    return replace(script, stream=False, padding=size, gzip=gzip)


# --- slowness --------------------------------------------------------------------------------------------------------


@_fault("everything takes longer: times `factor`, and `extra_s` more before the answer", factor=1.0, extra_s=0.0)
def _slow(script: Script, factor: float, extra_s: float) -> Script:
    steps = tuple(replace(step, delay_s=step.delay_s * factor) for step in script.steps)
    return replace(script, delay_s=script.delay_s * factor + extra_s, steps=steps)


@_fault("headers at once, the first token late", extra_s=5.0)
def _slow_first_token(script: Script, extra_s: float) -> Script:
    late = _headers_first(script)
    if not late.steps:
        return replace(script, delay_s=script.delay_s + extra_s)
    first = replace(late.steps[0], delay_s=late.steps[0].delay_s + extra_s)
    return replace(late, steps=(first, *late.steps[1:]))


# --- streams ---------------------------------------------------------------------------------------------------------


@_fault("a stream ends in good order, but without finish reason and [DONE]", after_tokens=3)
def _cut_stream(script: Script, after_tokens: int) -> Script:
    # an answer that is not streamed can only be cut by its length
    return _cut(script, after_tokens, Ending.COMPLETE if script.stream else Ending.CLOSE)


@_fault("one event of a stream cannot be read", after_tokens=1, data='{"choices": [{"delta": {"content": "Par')
def _malformed_event(script: Script, after_tokens: int, data: str) -> Script:
    before, after = _split(script, after_tokens)
    return replace(script, steps=(*before, Step(Part.MALFORMED, data), *after))


@_fault("an error event in a stream (in the body of a whole answer)", after_tokens=3, message=None, code=None)
def _error_event(script: Script, after_tokens: int, message: str | None, code: str | None) -> Script:
    text = message or "The server had an error while processing your request. Sorry about that!"
    before, _ = _split(script, after_tokens)
    return replace(script, steps=(*before, Step(Part.ERROR, error_body(text, "server_error", code))))


@_fault("a stream without [DONE]")
def _no_done(script: Script) -> Script:
    return _without(script, Part.DONE)


@_fault("no usage")
def _no_usage(script: Script) -> Script:
    return _without(script, Part.USAGE)


# --- 200, but wrong --------------------------------------------------------------------------------------------------


@_fault("200 with a body that is not JSON")
def _not_json(script: Script) -> Script:
    return replace(script, body="upstream said something else", steps=())


@_fault("200 with JSON cut off in the middle, the length being right")
def _broken_json(script: Script) -> Script:
    return replace(script, body='{"id": "chatcmpl-1", "choices": [{"message": {"con', steps=())


@_fault("200 with an empty body")
def _empty_body(script: Script) -> Script:
    return replace(script, body="", steps=())


@_fault("200 with an HTML page, such as a login")
def _html_page(script: Script) -> Script:
    return replace(script, body="<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>", steps=())


@_fault("200 with JSON nested very deep", depth=200_000)
def _deep_json(script: Script, depth: int) -> Script:
    return replace(script, body="[" * depth + "]" * depth, steps=())


@_fault("200 with an error object", message="Provider returned error", code="server_error")
def _error_in_200(script: Script, message: str, code: str | int | None) -> Script:
    body: dict[str, Any] = {"error": {"message": message, "type": None, "param": None, "code": code}}
    return replace(script, body=body, steps=())


@_fault("200 without choices")
def _no_choices(script: Script) -> Script:
    return replace(script, body={"id": "chatcmpl-1", "object": "chat.completion", "choices": []}, steps=())


@_fault("200 with null content and no tool call")
def _null_content(script: Script) -> Script:
    useful = [step for step in script.steps if step.part not in (Part.TEXT, Part.TOOL_CALL)]
    return replace(script, steps=tuple(useful))


@_fault("the answer is cut by the content filter", after_tokens=0)
def _finish_content_filter(script: Script, after_tokens: int) -> Script:
    return _finish(script, after_tokens, "content_filter")


@_fault("the answer is cut for its length", after_tokens=2)
def _finish_length(script: Script, after_tokens: int) -> Script:
    return _finish(script, after_tokens, "length")


# --- scissors --------------------------------------------------------------------------------------------------------


def _headers_first(script: Script) -> Script:
    """The headers at once, what was waited for before them is waited for after them."""
    if not script.steps:
        return replace(script, delay_s=0.0)
    first = replace(script.steps[0], delay_s=script.steps[0].delay_s + script.delay_s)
    return replace(script, delay_s=0.0, steps=(first, *script.steps[1:]))


def _cut(script: Script, after_tokens: int, ending: Ending) -> Script:
    before, _ = _split(script, after_tokens)
    return replace(script, steps=before, ending=ending)


def _finish(script: Script, after_tokens: int, reason: str) -> Script:
    before, after = _split(script, after_tokens)
    rest = tuple(step for step in after if step.part in (Part.USAGE, Part.DONE))
    return replace(script, steps=(*before, Step(Part.FINISH, reason), *rest))


def _split(script: Script, after_tokens: int) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps up to so many tokens of content, and the rest; at least one token of content stays in the rest."""
    before: list[Step] = []
    left = after_tokens
    for index, step in enumerate(script.steps):
        if step.part is Part.TOOL_CALL and left > 0:
            left -= 1
        elif step.part is Part.TEXT and left > 0:
            tokens = tokenize(step.data)
            if len(tokens) > left:
                head, tail = "".join(tokens[:left]), "".join(tokens[left:])
                rest = Step(Part.TEXT, tail)
                return (*before, replace(step, data=head)), (rest, *script.steps[index + 1 :])
            left -= len(tokens)
        else:
            return tuple(before), script.steps[index:]
        before.append(step)
    return tuple(before), ()


def _without(script: Script, part: Part) -> Script:
    return replace(script, steps=tuple(step for step in script.steps if step.part is not part))
