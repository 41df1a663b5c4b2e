"""OpenAI's request format: parameters translated for each server, written as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import CompletionRequest
from routerlab.providers.presets import Preset

__all__ = ["chat_body", "merge_params", "write_body"]

_as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_REASONING_MODEL = re.compile(r"(?:openai/)?(?:o\d|gpt-5)", re.IGNORECASE)


def chat_body(request: CompletionRequest, preset: Preset, *, stream: bool, stream_usage: bool) -> dict[str, Any]:
    """The body of a chat request: parameters translated for the provider, ``extra_body`` merged over them."""
    params = dict(request.params)
    if preset.reasoning_limit and "max_tokens" in params and _REASONING_MODEL.match(request.model):
        params.setdefault("max_completion_tokens", params.pop("max_tokens"))
    if params.get("response_format") == "json":
        params["response_format"] = {"type": "json_object"}
    body = merge_params({"model": request.model, "messages": list(request.messages)}, params, preset)
    if stream:
        body["stream"] = True
        if stream_usage:
            body.setdefault("stream_options", {"include_usage": True})
    return body


def merge_params(body: dict[str, Any], params: Mapping[str, Any], preset: Preset) -> dict[str, Any]:
    """``body`` with the parameters (None means: not set) under the provider's names and ``extra_body`` over all."""
    own = dict(params)
    extra = own.pop("extra_body", None) or {}
    if not isinstance(extra, Mapping):
        raise ProviderError("extra_body: a mapping was expected", fault=Fault.LOCAL, sent=False)
    named = {preset.renames.get(name, name): value for name, value in own.items() if value is not None}
    return {**body, **named, **extra}


def write_body(body: Mapping[str, Any]) -> bytes:
    """JSON as UTF-8.

    Raises:
        ProviderError: a value cannot be written as JSON; nothing is sent.
    """
    try:
        return _as_json(body).encode()
    except (TypeError, ValueError, RecursionError) as cause:
        message = f"the request cannot be written as JSON: {cause}"
        raise ProviderError(message, fault=Fault.LOCAL, sent=False) from None
