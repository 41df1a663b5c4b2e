"""One small call to each model before the first real one: what would fail every item is told before money is spent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from routerlab.core.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextWindowError,
    InvalidRequestError,
    ModelNotFoundError,
    NoModelAvailableError,
    QuotaExceededError,
    RequestError,
)
from routerlab.experiments.budget import max_output
from routerlab.session.results import CallResult, CallSpec

__all__ = ["PURPOSE", "preflight", "preflight_spec", "refusal"]

PURPOSE = "preflight"
_PROMPT = 'Reply with OK (where JSON is asked for, with {"ok": true}).'
_PATIENCE_S = 30.0  # a model that is silent for so long is the lanes' business
_MAX_TOKENS = 16  # the least that every provider accepts
_FATAL = (AuthenticationError, InvalidRequestError, ModelNotFoundError, QuotaExceededError)
_PASSING = (ContentFilterError, ContextWindowError)  # they speak of this prompt, not of the items


def preflight_spec(spec: CallSpec) -> CallSpec:
    """The small call for an arm, made of one of its real ones: the same parameters, but for the answer's length."""
    most = min(max_output(spec.params) or _MAX_TOKENS, _MAX_TOKENS)
    limit = "max_completion_tokens" if "max_completion_tokens" in spec.params else "max_tokens"
    system = [message for message in spec.messages[:1] if message["role"] == "system"]
    return replace(
        spec,
        messages=(*system, {"role": "user", "content": _PROMPT}),
        params={**spec.params, limit: most},
        deadline_s=min(spec.deadline_s or _PATIENCE_S, _PATIENCE_S),
        item_id=None,
        repeat=None,
        purpose=PURPOSE,
    )


async def preflight(
    specs: Iterable[CallSpec], call: Callable[[CallSpec], Awaitable[CallResult]]
) -> list[tuple[CallSpec, CallResult]]:
    """Make these calls, all at once.

    Returns:
        What came of each.
    """
    asked = list(specs)
    return list(zip(asked, await asyncio.gather(*map(call, asked)), strict=True))


def refusal(results: Iterable[tuple[CallSpec, CallResult]]) -> RequestError | None:
    """The one error that stands for all models that will answer no item; None where each may.

    An outage or a rate limit is none: that passes, and the run waits for it.
    """
    found = [(spec, error) for spec, result in results if (error := _fatal(result.error)) is not None]
    if not found:
        return None
    first = found[0][1]
    lines = [f"{spec.variant}: {type(error).__name__}: {error}" for spec, error in found]
    first.args = ("\n- ".join(["the run was not begun, because its preflight failed:", *lines]),)
    return first


def _fatal(error: BaseException | None) -> RequestError | None:
    if isinstance(error, NoModelAvailableError):
        return error if error.retry_after_s is None and error.__cause__ is not None else None
    if not isinstance(error, _FATAL) or isinstance(error, _PASSING):
        return None
    if isinstance(error, QuotaExceededError) and error.retry_after_s is not None:
        return None
    return error
