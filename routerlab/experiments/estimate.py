"""What a run would cost, before a call is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routerlab.core.types import TokenUsage
from routerlab.experiments.budget import PILOT_TOKENS, Price, max_output, prompt_tokens
from routerlab.experiments.plan import ReplayPlan

__all__ = ["estimate"]


def estimate(plan: ReplayPlan, price: Price, models: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """One row per arm of a plan; nothing is sent.

    Args:
        plan: of the run.
        price: what tokens cost.
        models: of each arm, those that may answer; the dearest of them counts.

    Returns:
        ``variant, model, calls, prompt_tokens, completion_tokens, cost_usd``: high estimates; an answer is taken to be
        as long as ``max_tokens`` allows, or 1,024 tokens without it. ``cost_usd`` is None where a price is unknown.
    """
    rows = []
    for arm, names in zip(plan.arms, models, strict=True):
        params = {**plan.params, **arm.params}
        asked = [prompt_tokens(arm.messages(item, plan.system), params) for item in plan.dataset]
        length = max_output(params) or PILOT_TOKENS
        costs = [_cost(price, name, asked, length) for name in names]
        known = [cost for cost in costs if cost is not None]
        rows.append(
            {
                "variant": arm.variant,
                "model": arm.model,
                "calls": len(asked) * plan.repeats,
                "prompt_tokens": sum(asked) * plan.repeats,
                "completion_tokens": length * len(asked) * plan.repeats,
                "cost_usd": max(known) * plan.repeats if known and len(known) == len(costs) else None,
            }
        )
    return rows


def _cost(price: Price, model: str, asked: Sequence[int], length: int) -> float | None:
    """Of all items, one by one: some prices depend on a prompt's length."""
    each = [price(model, TokenUsage(tokens, length, tokens + length)) for tokens in asked]
    return None if None in each else sum(cost for cost in each if cost is not None)
