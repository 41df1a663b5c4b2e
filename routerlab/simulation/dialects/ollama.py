"""Ollama's own format.

Source: Ollama's API documentation (chat, embeddings, list of local models); errors are a text in ``error``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from routerlab.core.script import Part, Script, Step
from routerlab.core.simulated import SimulatedModel
from routerlab.core.types import TokenUsage
from routerlab.simulation.dialects.base import Dialect, Endpoint, Envelope, WholeWriter, Writer
from routerlab.simulation.dialects.ollama_request import chat_problem, embedding_problem, read, read_texts
from routerlab.simulation.dialects.parts import assemble, line, parsed_arguments, usage_of
from routerlab.simulation.dialects.problems import Problem, in_answer

__all__ = ["Ollama"]

_WORDS = {
    "context_length_exceeded": Problem(400, "the input length exceeds the context length"),
    "content_filter": Problem(400, "the prompt was blocked by the content filter"),
    "unauthorized": Problem(401, "unauthorized"),
    "model_not_found": Problem(404, "model '{model}' not found"),
    "unprocessable": Problem(400, 'json: unknown field "foo"'),
    "too_early": Problem(503, "llm server loading model"),
    "rate_limit": Problem(429, "you have reached your hourly usage limit, please upgrade to continue"),
    "server_error": Problem(500, "llama runner process has terminated: exit status 2"),
    "unavailable": Problem(503, "server busy, please try again.  maximum pending requests exceeded"),
    "overloaded": Problem(503, "server busy, please try again.  maximum pending requests exceeded"),
    "no_chat": Problem(400, "this model does not support chat"),
    "no_embeddings": Problem(400, "this model does not support embeddings"),
    "no_tools": Problem(400, "this model does not support tools"),
    "no_json": Problem(400, "this model does not support structured outputs"),
    "no_vision": Problem(400, "this model does not support images"),
    "no_prefill": Problem(400, "this model does not support a last message of the assistant"),
}
_DURATIONS = {
    "total_duration": 5_000_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_duration": 100_000_000,
    "eval_duration": 4_000_000_000,
}


def _error(problem: Problem) -> dict[str, str]:
    return {"error": problem.message}


class _ChatWriter(Writer):
    """Writes chats, one line for each part. What ends a stream is its last line, which says `done`."""

    stream_type = "application/x-ndjson"

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._fragments: list[Step] = []  # of calls: each goes out as a whole

    def begin(self, script: Script) -> bytes:
        """Nothing: the first line is the first text."""
        return b""

    def part(self, step: Step, script: Script) -> bytes:
        """One line, or none."""
        match step.part:
            case Part.TEXT:
                return line(self._line(step.data))
            case Part.TOOL_CALL:
                self._fragments.append(step)
                return b""
            case Part.FINISH:
                calls = assemble(Script(steps=tuple(self._fragments))).calls
                told = line(self._line("", calls)) if calls else b""
                return told + line({**self._line(""), **_end(step.data, usage_of(script))})
            case Part.ERROR:
                return line(_error(in_answer(step.data)))
            case Part.MALFORMED:
                return line(step.data)
            case _:
                return b""

    def _line(self, text: str, calls: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [
                {"function": {"name": call["function"]["name"], "arguments": parsed_arguments(call)}} for call in calls
            ]
        created = datetime.fromtimestamp(self.envelope.created, UTC).isoformat().replace("+00:00", "Z")
        return {"model": self.envelope.model, "created_at": created, "message": message, "done": False}

    def whole(self, script: Script) -> Any:
        """One chat."""
        parts = assemble(script)
        if parts.error is not None:
            return _error(in_answer(parts.error))
        whole = {**self._line(parts.text or "", parts.calls), **_end(parts.finish, parts.usage)}
        if not script.steps:
            del whole["message"]
        return whole


def _end(finish: str | None, usage: TokenUsage | None) -> dict[str, Any]:
    """The last line's own part: why it ended, and what it cost. A call of a tool is no reason here."""
    end: dict[str, Any] = {"done_reason": "length" if finish == "length" else "stop", "done": True, **_DURATIONS}
    if usage is not None:
        end |= {"prompt_eval_count": usage.prompt_tokens, "eval_count": usage.completion_tokens}
    return end


class _VectorWriter(WholeWriter):
    """Writes embeddings."""

    def whole(self, script: Script) -> Any:
        """All vectors."""
        parts = assemble(script)
        if parts.error is not None:
            return _error(in_answer(parts.error))
        whole: dict[str, Any] = {"model": self.envelope.model, "embeddings": parts.vectors or ()}
        if parts.usage is not None:
            whole["prompt_eval_count"] = parts.usage.prompt_tokens
        return {**whole, "total_duration": _DURATIONS["total_duration"], "load_duration": _DURATIONS["load_duration"]}


class Ollama(Dialect):
    """Ollama's own format."""

    kind = "ollama"
    prefix = "/api"
    endpoints = (
        Endpoint(("/api/chat",), chat_problem, read, _ChatWriter),
        Endpoint(("/api/embed",), embedding_problem, read_texts, _VectorWriter),
    )
    listing = ("/api/tags",)
    words = _WORDS

    def error(self, problem: Problem, retry_after: str | None = None) -> Mapping[str, Any]:
        """A text, no more."""
        return _error(problem)

    def models(self, models: Iterable[SimulatedModel]) -> Mapping[str, Any]:
        """What is on the machine."""
        details = {"format": "gguf", "family": "simulated", "parameter_size": "1B", "quantization_level": "Q4_0"}
        common = {"modified_at": "2026-01-01T00:00:00Z", "size": 1_000_000_000, "digest": "0" * 64, "details": details}
        return {"models": [{"name": model.name, "model": model.name, **common} for model in models]}
