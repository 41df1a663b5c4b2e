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
from routerlab.experiments.budget import Budget, max_output
from routerlab.session.results import CallResult, CallSpec

__all__ = ["PURPOSE", "Gate", "preflight_spec", "refusal"]

PURPOSE = "preflight"
_PROMPT = 'Reply with OK (where JSON is asked for, with {"ok": true}).'
_PATIENCE_S = 30.0  # a model that is silent for so long is the lanes' business
_MAX_TOKENS = 16  # the least that every provider accepts
_FATAL = (AuthenticationError, InvalidRequestError, ModelNotFoundError, QuotaExceededError)
_PASSING = (ContentFilterError, ContextWindowError)  # they speak of this prompt, not of the items


def preflight_spec(spec: CallSpec) -> CallSpec:
    """The small call for an arm, made of one of its real ones: the same parameters, but for the answer's length."""
    limit = "max_completion_tokens" if "max_completion_tokens" in spec.params else "max_tokens"
    most, given = max_output(spec.params), spec.params.get(limit)
    if most is not None or given is None:
        given = min(most or _MAX_TOKENS, _MAX_TOKENS)  # else it is no length: the provider shall say so
    system = [message for message in spec.messages[:1] if message["role"] == "system"]
    return replace(
        spec,
        messages=(*system, {"role": "user", "content": _PROMPT}),
        params={**spec.params, limit: given},
        deadline_s=min(spec.deadline_s or _PATIENCE_S, _PATIENCE_S),
        item_id=None,
        repeat=None,
        purpose=PURPOSE,
    )


class Gate:
    """Lets real calls pass once the small ones have been made; all wait for the same ones.

    Args:
        checks: gives the small calls, each with the position of its arm, when the first real one wants to pass.
        call: makes one.
        budget: counts what they cost.
        open_already: nothing is checked.
        comes_whole: hears of each small call that was refused as a stream and answered in one piece; None: such a
            refusal is final.
    """

    def __init__(
        self,
        checks: Callable[[], Iterable[tuple[int, CallSpec]]],
        call: Callable[[CallSpec], Awaitable[CallResult]],
        budget: Budget,
        *,
        open_already: bool,
        comes_whole: Callable[[CallSpec], None] | None = None,
    ) -> None:
        self._checks, self._call, self._budget, self._open = checks, call, budget, open_already
        self._comes_whole = comes_whole
        self._task: asyncio.Task[None] | None = None
        if not open_already:
            budget.aside_usd = sum(budget.most_usd(arm, spec) for arm, spec in checks())

    async def passed(self) -> None:
        """Wait for the small calls.

        Raises:
            RequestError: a model will answer no item.
        """
        if not self._open:
            self._task = self._task or asyncio.create_task(self._check())
            await asyncio.shield(self._task)
            self._open = True

    async def _check(self) -> None:
        results = await self._asked([spec for _, spec in self._checks()])
        self._budget.aside_usd = 0.0
        if self._comes_whole is not None:
            streams = [spec for spec, result in results if spec.stream and _refuses_streams(result.error)]
            whole = await self._asked([replace(spec, stream=False) for spec in streams])
            for spec, _ in whole:
                self._comes_whole(spec)
            results = [(spec, result) for spec, result in results if spec not in streams] + whole
        error = refusal(results)
        if error is not None:
            raise error

    async def _asked(self, specs: list[CallSpec]) -> list[tuple[CallSpec, CallResult]]:
        results = list(zip(specs, await asyncio.gather(*map(self._call, specs)), strict=True))
        for spec, result in results:
            self._budget.settle(None, spec, result.attempts)
        return results

    async def close(self) -> None:
        """Cancel the small calls, if they are still on their way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _refuses_streams(error: BaseException | None) -> bool:
    """OpenAI, for one, streams some models only to organizations that it has verified."""
    return isinstance(error, InvalidRequestError) and not isinstance(error, _PASSING) and "stream" in str(error).lower()


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
