"""The rest of a stream that broke off: a checkpoint keeps what was shown, a request asks for what is missing."""

from __future__ import annotations

import time
from dataclasses import replace

from routerlab.core.checkpoint import StreamCheckpoint
from routerlab.core.seam import carry_on
from routerlab.core.types import CompletionRequest

__all__ = ["checkpoint", "request_for_rest"]

_LIMITS = ("max_tokens", "max_completion_tokens")


def checkpoint(call_id: str, model: str, shown: str) -> StreamCheckpoint:
    """The text of a stream as far as it was shown; ``resumable`` says whether another model may carry on from it."""
    kept = StreamCheckpoint(call_id, model, clock=time.monotonic)
    kept.record(shown)
    kept.resumable = kept.resumable and bool(shown.strip())
    return kept


def request_for_rest(request: CompletionRequest, kept: StreamCheckpoint, *, prefill: bool) -> CompletionRequest:
    """The request for what is missing of an answer; a limit of its length counts what there is."""
    params = dict(request.params)
    for name in _LIMITS:
        if isinstance(params.get(name), int):
            params[name] = max(1, params[name] - kept.tokens_received)
    messages = carry_on(request.messages, kept.content_buffer, prefill=prefill)
    return replace(request, messages=messages, params=params)
