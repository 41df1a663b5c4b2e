"""OpenAI's chat format as every provider writes it: whole answers, and the parts that streams share with them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.failures import ProviderError
from routerlab.core.record import record
from routerlab.core.types import CompletionResponse, TokenUsage, ToolCall
from routerlab.providers.openai_errors import Answer, blocked, content_filtered, error_of, read_error, read_limits

__all__ = ["Choice", "new_call_id", "read_choice", "read_completion", "read_usage", "tool_arguments", "tool_call"]

# The four reasons in every provider's words, in lower case; what is not here ended by itself.
_REASONS = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "context_length"), "length"),
    "model_context_window_exceeded": "length",
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "content_filtered", "safety", "recitation", "refusal"), "content_filter"),
    **dict.fromkeys(("blocklist", "prohibited_content", "spii", "sensitive", "image_safety"), "content_filter"),
}
# Reasons that mean: broken off by the server (Mistral and OpenRouter, Z.ai, DeepSeek, vLLM).
_BROKEN_OFF = ("error", "network_error", "insufficient_system_resource", "abort")


@record
class Choice:
    """The first choice of a body or of a chunk, in one shape for all providers.

    Attributes:
        text: without reasoning; empty where there is none.
        reasoning: the model's own thinking, where the provider shows it.
        tool_calls: as they came: whole, or fragments of a stream.
        finish_reason: the provider's own word.
        refusal: the words with which the model itself declined.
        null: the content is missing or null (an empty text is an answer, if a short one).
        filters: what Azure's content filter says of it.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = ""
    refusal: str = ""
    null: bool = True
    filters: Any = None

    def reason(self, *, tools: bool) -> str | None:
        """Why the answer ended: ``stop``, ``length``, ``tool_calls`` or ``content_filter``; None: not said (yet).

        Args:
            tools: whether the answer has tool calls; several providers say ``stop`` all the same.

        Raises:
            ProviderError: the server broke the answer off.
        """
        word = self.finish_reason.lower()
        if word in _BROKEN_OFF:
            raise ProviderError(f"the provider broke the answer off: {word}", status=503, code=word)
        if not word:
            return None
        reason = _REASONS.get(word, "stop")
        return "tool_calls" if tools and reason == "stop" else reason


def read_completion(answer: Answer) -> CompletionResponse:
    """Read a whole answer.

    Raises:
        ProviderError: an error status, an error inside a success, a refusal, or an answer that makes no sense.
    """
    body = answer.json()
    if not isinstance(body, dict):
        raise answer.senseless("is no JSON object")
    try:
        choice = read_choice(body, "message")
    except ValueError:
        raise answer.senseless("is no chat completion") from None
    if choice is None:
        if categories := blocked(body.get("prompt_filter_results")):
            raise content_filtered("", categories)
        raise answer.senseless("has no choices")
    calls = tuple(tool_call(call) for call in choice.tool_calls)
    reason = choice.reason(tools=bool(calls)) or ("tool_calls" if calls else None)
    if not choice.text and not calls:
        if choice.refusal or reason == "content_filter":
            raise content_filtered(choice.refusal, blocked(choice.filters))
        if choice.null and reason != "length":
            raise answer.senseless("has neither text nor a tool call")
    return CompletionResponse(
        text=choice.text,
        reasoning=choice.reasoning,
        tool_calls=calls,
        usage=read_usage(body),
        finish_reason=reason,
        served_model=_text(body.get("model")) or None,
        limits=read_limits(answer.headers, answer.now_wall),
        raw=body,
    )


def read_choice(body: Mapping[str, Any], key: str) -> Choice | None:
    """The first choice of a body (``key`` is ``message``) or of a chunk (``delta``); None where there is none.

    Raises:
        ProviderError: the choice holds an error (OpenRouter).
        ValueError: the choices are not what they should be.
    """
    choice = None
    for one in _listed(body.get("choices"), "choices"):
        if not one.get("index"):
            choice = one
            break
    if choice is None:
        return None
    error = read_error(choice)
    if error is not None:
        raise error_of(error)
    message = choice.get(key) or {}
    if not isinstance(message, dict):
        raise ValueError(f"{key}: an object was expected")
    content = message.get("content")
    text, thinking = (content, "") if isinstance(content, str) else _split_content(content)
    return Choice(
        text=text,
        reasoning=_text(message.get("reasoning_content")) or _text(message.get("reasoning")) or thinking,
        tool_calls=_raw_tool_calls(message),
        finish_reason=_text(choice.get("finish_reason")),
        refusal=_text(message.get("refusal")),
        null=content is None,
        filters=choice.get("content_filter_results"),
    )


def tool_call(raw: Mapping[str, Any]) -> ToolCall:
    """A whole tool call in OpenAI's shape: arguments as a JSON text, an id made up where the provider gave none."""
    function = raw.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = tool_arguments(function.get("arguments"))
    named = {"name": _text(function.get("name")), "arguments": arguments}
    return {"id": _text(raw.get("id")) or new_call_id(), "type": "function", "function": named}


def tool_arguments(value: Any) -> str:
    """The arguments as a JSON text; Ollama sends the object itself."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def new_call_id() -> str:
    """An id for a tool call that came without one; unlike all others of the conversation."""
    return f"call_{secrets.token_hex(12)}"


def read_usage(body: Mapping[str, Any]) -> TokenUsage | None:
    """The token counts of a body or a chunk; None where it has none."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        usage = _mapping(_mapping(body.get("x_groq")).get("usage"))
    if not usage:
        return None
    prompt, completion = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    total = _tokens(usage, "total_tokens")
    if total is None and prompt is not None:
        total = prompt + (completion or 0)
    cached = _tokens(_mapping(usage.get("prompt_tokens_details")), "cached_tokens")
    counted = TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=_tokens(usage, "prompt_cache_hit_tokens") if cached is None else cached,
        reasoning_tokens=_tokens(_mapping(usage.get("completion_tokens_details")), "reasoning_tokens"),
    )
    return None if counted == TokenUsage() else counted


def _split_content(content: Any) -> tuple[str, str]:
    """Text and reasoning of a content: a text, or Mistral's list of parts."""
    if not isinstance(content, list):
        return _text(content), ""
    text, thinking = [], []
    for part in content:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, dict) and part.get("type") == "thinking":
            thinking.append(_split_content(part.get("thinking"))[0])
        elif isinstance(part, dict):
            text.append(_text(part.get("text")))
    return "".join(text), "".join(thinking)


def _raw_tool_calls(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    calls = message.get("tool_calls")
    if not calls:
        if not isinstance(message.get("function_call"), dict):
            return ()
        calls = [{"index": 0, "function": message["function_call"]}]  # the format before tools
    return tuple(_listed(calls, "tool_calls"))


def _listed(value: Any, name: str) -> Sequence[Mapping[str, Any]]:
    value = value or ()
    if isinstance(value, (list, tuple)):
        for one in value:
            if not isinstance(one, dict):
                break
        else:
            return value
    raise ValueError(f"{name}: a list of objects was expected")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _tokens(usage: Mapping[str, Any], key: str) -> int | None:
    value = usage.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
