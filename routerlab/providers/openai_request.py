"""OpenAI's request format: parameters translated for each server."""

from __future__ import annotations

import re
from typing import Any

from routerlab.core.types import CompletionRequest
from routerlab.providers.presets import Preset
from routerlab.providers.requests import merge_params

__all__ = ["chat_body", "fixed_sampling"]

_FIXED = re.compile(
    r"(?:openai/)?(?:o[134](?![\w.])|gpt-5(?![\w.])(?!-chat))", re.IGNORECASE
)  # gpt-5.1 takes them again
_SAMPLING = ("frequency_penalty", "logit_bias", "logprobs", "presence_penalty", "top_logprobs", "top_p")
_REASONING_MODEL = re.compile(r"(?:openai/)?(?:o\d|gpt-5)", re.IGNORECASE)


def chat_body(request: CompletionRequest, preset: Preset, *, stream: bool, stream_usage: bool) -> dict[str, Any]:
    """The body of a chat request: parameters translated for the provider, ``extra_body`` merged over them."""
    params = dict(request.params)
    if preset.reasoning_limit and "max_tokens" in params and _REASONING_MODEL.match(request.model):
        params.setdefault("max_completion_tokens", params.pop("max_tokens"))
    if params.get("response_format") == "json":
        params["response_format"] = {"type": "json_object"}
    messages = list(request.messages)
    if preset.prefill == "prefix" and messages[-1].get("role") == "assistant":
        messages[-1] = {**messages[-1], "prefix": True}
    body = merge_params({"model": request.model, "messages": messages}, params, preset.renames)
    if preset.prefill == "template" and messages[-1].get("role") == "assistant":
        body = {"add_generation_prompt": False, "continue_final_message": True, **body}
    if stream:
        body["stream"] = True
        if stream_usage:
            body.setdefault("stream_options", {"include_usage": True})
    return body


def fixed_sampling(request: CompletionRequest) -> frozenset[str]:
    """Parameters that the first reasoning models refuse: they choose their tokens in one way only.

    Source: OpenAI's guide to reasoning models.
    """
    if not _FIXED.match(request.model):
        return frozenset()
    names = {name for name in _SAMPLING if request.params.get(name) is not None}
    if request.params.get("temperature") not in (None, 1):
        names.add("temperature")
    return frozenset(names)
