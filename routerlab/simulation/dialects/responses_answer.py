"""Answers in OpenAI's Responses format.

Source: OpenAI's API reference, "The response object" and "Streaming events".
"""

from __future__ import annotations

from typing import Any

from routerlab.core.script import Part, Script, Step
from routerlab.core.types import TokenUsage
from routerlab.simulation.dialects.base import Envelope, Writer
from routerlab.simulation.dialects.parts import Whole, assemble, event, usage_of
from routerlab.simulation.dialects.problems import Problem, in_answer

__all__ = ["ResponseWriter"]

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseWriter(Writer):
    """Writes responses, and the events that tell one item by item; each event has its number."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._number = 0
        self._items: list[dict[str, Any]] = []  # as far as they have been told
        self._is_open = False

    def headers(self) -> list[tuple[str, str]]:
        """The answer's identity."""
        return [("x-request-id", self.envelope.identity("req_"))]

    def begin(self, script: Script) -> bytes:
        """The response, before anything is said."""
        response = self._response("in_progress", [])
        created = self._event("response.created", response=response)
        return created + self._event("response.in_progress", response=response)

    def part(self, step: Step, script: Script) -> bytes:
        """The events that make one step."""
        match step.part:
            case Part.TEXT:
                return self._text(step.data)
            case Part.TOOL_CALL:
                return self._call(step.data)
            case Part.FINISH:
                return self._finish(step.data, usage_of(script))
            case Part.ERROR:
                return self._fail(in_answer(step.data))
            case Part.MALFORMED:
                return event(step.data, "response.output_text.delta")
            case _:
                return b""  # usage is told with the end, and there is no mark after it

    def _text(self, text: str) -> bytes:
        opened = b""
        if not self._is_open:
            item = self._message("in_progress", [])
            opened = self._open(item) + self._event(
                "response.content_part.added", **self._place(), content_index=0, part=_said("")
            )
            item["content"] = [_said("")]
        self._items[-1]["content"][0]["text"] += text
        where = {**self._place(), "content_index": 0}
        return opened + self._event("response.output_text.delta", **where, delta=text, logprobs=[])

    def _call(self, part: Any) -> bytes:
        if "id" in part:
            item = self._function_call(part, len(self._items), "in_progress")
            return self._close("completed") + self._open(item)
        delta = part["function"]["arguments"]
        self._items[-1]["arguments"] += delta
        return self._event("response.function_call_arguments.delta", **self._place(), delta=delta)

    def _open(self, item: dict[str, Any]) -> bytes:
        self._items.append(item)
        self._is_open = True
        return self._event("response.output_item.added", output_index=len(self._items) - 1, item=item)

    def _close(self, status: str) -> bytes:
        if not self._is_open:
            return b""
        self._is_open = False
        item, place = self._items[-1], self._place()
        item["status"] = status
        if item["type"] == "message":
            part, where = item["content"][0], {**place, "content_index": 0}
            done = self._event("response.output_text.done", **where, text=part["text"], logprobs=[])
            done += self._event("response.content_part.done", **where, part=part)
        else:
            arguments = item["arguments"]
            done = self._event("response.function_call_arguments.done", **place, arguments=arguments, name=item["name"])
        return done + self._event("response.output_item.done", output_index=place["output_index"], item=item)

    def _finish(self, reason: str, usage: TokenUsage | None) -> bytes:
        status = _status(reason)
        closed = self._close(status)
        response = self._response(status, self._items, reason=reason, usage=usage)
        return closed + self._event(f"response.{status}", response=response)

    def _fail(self, problem: Problem) -> bytes:
        code = problem.code or "server_error"
        told = self._event("error", code=code, message=problem.message, param=problem.param)
        failed = self._response("failed", self._items, error=problem)
        return told + self._event("response.failed", response=failed)

    def _event(self, kind: str, **content: Any) -> bytes:
        numbered = {"type": kind, "sequence_number": self._number, **content}
        self._number += 1
        return event(numbered, kind)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._items[-1]["id"], "output_index": len(self._items) - 1}

    def _message(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        identity = self.envelope.identity("msg_")
        return {"id": identity, "type": "message", "status": status, "content": content, "role": "assistant"}

    def _function_call(self, call: Any, index: int, status: str) -> dict[str, Any]:
        return {
            "id": self.envelope.identity(f"fc_{index}"),
            "type": "function_call",
            "status": status,
            "arguments": call["function"]["arguments"],
            "call_id": call["id"],
            "name": call["function"]["name"],
        }

    def _response(
        self,
        status: str,
        output: list[dict[str, Any]],
        *,
        reason: str | None = None,
        usage: TokenUsage | None = None,
        error: Problem | None = None,
    ) -> dict[str, Any]:
        body, created = self.envelope.body, int(self.envelope.created)
        return {
            "id": self.envelope.identity("resp_"),
            "object": "response",
            "created_at": created,
            "status": status,
            "background": False,
            "error": None if error is None else {"code": error.code or "server_error", "message": error.message},
            "incomplete_details": {"reason": _REASONS[reason or ""]} if status == "incomplete" else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": self.envelope.model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": body.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": {"format": {"type": "text"}, **(body.get("text") or {})},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": None if usage is None else _usage(usage),
            "user": None,
            "metadata": body.get("metadata") or {},
        }

    def whole(self, script: Script) -> Any:
        """One response."""
        parts = assemble(script)
        if parts.error is not None:
            return self._response("failed", [], error=in_answer(parts.error))
        status = _status(parts.finish)
        return self._response(status, self._output(parts, status), reason=parts.finish, usage=parts.usage)

    def _output(self, parts: Whole, status: str) -> list[dict[str, Any]]:
        said = [] if parts.text is None else [self._message(status, [_said(parts.text)])]
        return [*said, *(self._function_call(call, index, status) for index, call in enumerate(parts.calls))]


def _status(finish: str | None) -> str:
    return "incomplete" if finish in _REASONS else "completed"


def _said(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }
