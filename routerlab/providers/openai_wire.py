"""OpenAI's chat format as every provider writes it: whole answers, and the parts that streams share with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.record import record
from routerlab.core.types import CompletionResponse, TokenUsage, ToolCall
from routerlab.providers import shapes
from routerlab.providers.answers import Answer, blocked, content_filtered, error_of, read_error, read_limits
from routerlab.providers.reading import finish_reason
from routerlab.providers.shapes import listed, mapping, text, tokens

__all__ = ["Choice", "read_choice", "read_completion", "read_usage"]


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
        reason = finish_reason(self.finish_reason)
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
    calls = tuple(_tool_call(call) for call in choice.tool_calls)
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
        served_model=text(body.get("model")) or None,
        limits=read_limits(answer.headers, answer.now_wall),
        raw=body,
    )


def read_choice(body: Mapping[str, Any], key: str) -> Choice | None:
    """The first choice of a body (``key`` is ``message``) or of a chunk (``delta``); None where there is none.

    Raises:
        ProviderError: the choice holds an error (OpenRouter), or is one of the completions API that came before chat.
        ValueError: the choices are not what they should be.
    """
    choice = None
    for one in listed(body.get("choices"), "choices"):
        if not one.get("index"):
            choice = one
            break
    if choice is None:
        return None
    error = read_error(choice)
    if error is not None:
        raise error_of(error)
    if key not in choice and "text" in choice:
        old = "this is an answer of the old completions API, not of chat completions: check base_url and the model"
        raise ProviderError(old, fault=Fault.BAD_RESPONSE, status=200)
    message = choice.get(key) or {}
    if not isinstance(message, dict):
        raise ValueError(f"{key}: an object was expected")
    content = message.get("content")
    words, thinking = (content, "") if isinstance(content, str) else _split_content(content)
    return Choice(
        text=words,
        reasoning=text(message.get("reasoning_content")) or text(message.get("reasoning")) or thinking,
        tool_calls=_raw_tool_calls(message),
        finish_reason=text(choice.get("finish_reason")),
        refusal=text(message.get("refusal")),
        null=content is None,
        filters=choice.get("content_filter_results"),
    )


def _tool_call(raw: Mapping[str, Any]) -> ToolCall:
    """A whole tool call in OpenAI's shape."""
    function = mapping(raw.get("function"))
    call = shapes.tool_call(text(function.get("name")), function.get("arguments"), text(raw.get("id")))
    return {**call, "extra_content": raw["extra_content"]} if raw.get("extra_content") else call


def read_usage(body: Mapping[str, Any]) -> TokenUsage | None:
    """The token counts of a body or a chunk; None where it has none."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        usage = mapping(mapping(body.get("x_groq")).get("usage"))
    if not usage:
        return None
    prompt, completion = tokens(usage, "prompt_tokens"), tokens(usage, "completion_tokens")
    total = tokens(usage, "total_tokens")
    if total is None and prompt is not None:
        total = prompt + (completion or 0)
    cached = tokens(mapping(usage.get("prompt_tokens_details")), "cached_tokens")
    counted = TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=tokens(usage, "prompt_cache_hit_tokens") if cached is None else cached,
        reasoning_tokens=tokens(mapping(usage.get("completion_tokens_details")), "reasoning_tokens"),
    )
    return None if counted == TokenUsage() else counted


def _split_content(content: Any) -> tuple[str, str]:
    """Text and reasoning of a content: a text, or Mistral's list of parts."""
    if not isinstance(content, list):
        return text(content), ""
    words, thinking = [], []
    for part in content:
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, dict) and part.get("type") == "thinking":
            thinking.append(_split_content(part.get("thinking"))[0])
        elif isinstance(part, dict):
            words.append(text(part.get("text")))
    return "".join(words), "".join(thinking)


def _raw_tool_calls(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    calls = message.get("tool_calls")
    if not calls:
        if not isinstance(message.get("function_call"), dict):
            return ()
        calls = [{"index": 0, "function": message["function_call"]}]  # the format before tools
    return tuple(listed(calls, "tool_calls"))
