"""The pieces of one streamed attempt, put together to a whole answer."""

from __future__ import annotations

from typing import Any

from routerlab.core.types import CompletionResponse, Delta, Limits, TokenUsage, ToolCall

__all__ = ["Collector"]


class Collector:
    """Takes the deltas of one attempt; half a tool call of an attempt that failed never leaves it."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._tools: dict[int, dict[str, Any]] = {}
        self.chars = 0
        self.usage: TokenUsage | None = None
        self.finish_reason: str | None = None
        self.served_model: str | None = None
        self.limits: Limits | None = None
        self.malformed_events = 0

    def add(self, delta: Delta) -> None:
        """Take in one delta."""
        if delta.text:
            self._text.append(delta.text)
            self.chars += len(delta.text)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        if delta.tool_call is not None:
            self._add_tool_call(delta.tool_call)
        if delta.usage is not None:
            self.usage = delta.usage
        if delta.finish_reason:
            self.finish_reason = delta.finish_reason
        if delta.served_model:
            self.served_model = delta.served_model
        if delta.limits is not None:
            self.limits = delta.limits
        if delta.skipped_events:
            self.malformed_events += delta.skipped_events

    def _add_tool_call(self, fragment: Any) -> None:
        place = fragment.get("index", 0)
        call = self._tools.setdefault(place, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        function = fragment.get("function") or {}
        call["id"] = call["id"] or fragment.get("id") or ""
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    @property
    def any_tool_call(self) -> bool:
        """Whether a tool call has begun."""
        return bool(self._tools)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def response(self) -> CompletionResponse:
        """The whole answer."""
        tools: tuple[ToolCall, ...] = tuple(self._tools[place] for place in sorted(self._tools))
        return CompletionResponse(
            text=self.text,
            reasoning="".join(self._reasoning),
            tool_calls=tools,
            usage=self.usage,
            finish_reason=self.finish_reason,
            served_model=self.served_model,
            limits=self.limits,
        )
