"""Items of several turns: one request after the other, each with the answers to those before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from routerlab.core.types import CompletionResponse
from routerlab.experiments.items import Item
from routerlab.session.results import CallResult, CallSpec

__all__ = ["EARLIER_TURN", "PastTurns", "ask"]

EARLIER_TURN = "turn"
"""The ``purpose`` of a call whose answer is not an item's last one: the item is not finished with it."""

_SUMMED = (
    *("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
    *("attempts", "failovers", "queue_s", "latency_s", "backoff_s"),
)
_FIRST = ("scheduled_at", "started_at", "first_token_at", "ttft_s")


async def ask(call: Callable[[CallSpec], Awaitable[CallResult]], spec: CallSpec, item: Item) -> CallResult:
    """Send an item: one call, or one for each of its turns.

    Args:
        call: sends one call; a failed request comes back in the result.
        spec: of the first call.
        item: that `spec` is for.

    Returns:
        The last call's result; of several turns, its row covers the whole conversation (tokens, cost, attempts and
        durations are sums, times to the first token are the first turn's) and ``answers`` in it lists all answers. A
        turn that fails ends the item, and what the earlier ones cost is in the row.
    """
    if item.turns is None:
        return await call(spec)
    messages = list(spec.messages)
    results: list[CallResult] = []
    answers: list[str] = []
    for place, turn in enumerate(item.turns, 1):
        if place > 1:
            spec = replace(spec, scheduled_at=None)  # it waits for the answer before, not in a queue
            messages += [{"role": "assistant", "content": answers[-1]}, {"role": "user", "content": turn}]
        purpose = spec.purpose if place == len(item.turns) else EARLIER_TURN
        results.append(await call(replace(spec, messages=tuple(messages), purpose=purpose)))
        response = results[-1].response
        if not isinstance(response, CompletionResponse):
            break
        answers.append(response.text or "")
    last = results[-1]
    attempts = [attempt for result in results for attempt in result.attempts]
    return replace(last, row=_whole_row([result.row for result in results], answers), attempts=attempts)


class PastTurns:
    """Conversations that are over, put together again from the rows of their calls, which come in the order of time."""

    def __init__(self) -> None:
        self._earlier: dict[tuple[Any, Any, Any], list[dict[str, Any]]] = {}

    def add(self, call: dict[str, Any]) -> None:
        """Keep an answered turn that others followed."""
        self._earlier.setdefault(_place(call), []).append(call)

    def whole(self, call: dict[str, Any], request: Any, reply: str | None) -> dict[str, Any]:
        """The row of the whole conversation that ended with this call, as `ask` makes it.

        Args:
            call: its row.
            request, reply: its texts; the request holds the answers before. Where it was not kept, `call` stands for
                itself.
        """
        earlier = self._earlier.pop(_place(call), [])
        messages = (request or {}).get("messages") or ()
        answers = [message.get("content") for message in messages if message.get("role") == "assistant"]
        if not earlier or not answers:
            return call
        own = earlier[-len(answers) :]  # before them: what a process that died had begun
        return _whole_row([*own, call], answers if reply is None else [*answers, reply])


def _place(call: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return call["item_id"], call["variant"], call["repeat"]


def _whole_row(rows: Sequence[dict[str, Any]], answers: list[str]) -> dict[str, Any]:
    sums = {name: _sum([row[name] for row in rows]) for name in _SUMMED if all(name in row for row in rows)}
    first = {name: rows[0][name] for name in _FIRST if name in rows[0]}
    costs = [row["cost_usd"] for row in rows if row.get("cost_usd") is not None]
    # An answer without a known price makes the whole unknown; a failed call costs nothing that is known.
    answered = rows[: len(answers)]
    known = costs and all(row.get("cost_usd") is not None for row in answered)
    return {**rows[-1], **sums, **first, "cost_usd": sum(costs) if known else None, "answers": answers}


def _sum(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
