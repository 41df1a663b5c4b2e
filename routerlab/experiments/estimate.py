"""What a run would cost, before a call is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routerlab.core.types import TokenUsage
from routerlab.experiments.budget import PILOT_TOKENS, Price, max_output, prompt_tokens, prompts_of_turns
from routerlab.experiments.items import Item
from routerlab.experiments.judge import Judge, split_judges
from routerlab.experiments.judge_prompts import pair_messages, question_text, score_messages
from routerlab.experiments.plan import ReplayPlan
from routerlab.experiments.scorer import target_list

__all__ = ["estimate"]


def estimate(plan: ReplayPlan, price: Price, models: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """One row per arm of a plan, and one per judge; nothing is sent.

    Args:
        plan: of the run.
        price: what tokens cost.
        models: of each arm, those that may answer; the dearest of them counts.

    Returns:
        ``variant, model, calls, prompt_tokens, completion_tokens, cost_usd``: high estimates; an answer is taken to be
        as long as ``max_tokens`` allows, or 1,024 tokens without it. ``cost_usd`` is None where a price is unknown.
        A judge's ``variant`` is ``judge:<name>``.
    """
    rows = []
    for arm, names in zip(plan.arms, models, strict=True):
        params = {**plan.params, **arm.params}
        length = max_output(params) or PILOT_TOKENS
        first = [prompt_tokens(arm.messages(item, plan.system), params) for item in plan.dataset]
        turns = (
            prompts_of_turns(*one, length) for one in zip(first, (item.later for item in plan.dataset), strict=True)
        )
        asked = [tokens for prompts in turns for tokens in prompts]
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
    longest = max(max_output({**plan.params, **arm.params}) or PILOT_TOKENS for arm in plan.arms)
    return rows + [_of_judge(judge, plan, price, longest) for judge in split_judges(plan.scorers)[1]]


def _of_judge(judge: Judge, plan: ReplayPlan, price: Price, longest: int) -> dict[str, Any]:
    """A judge's row; the answers that it reads are taken to be as long as they may get."""
    arms = len(plan.arms)
    each, shown = (arms * (arms - 1), 2) if judge.pairwise else (arms, 1)  # a pair is judged in both orders
    calls = each * plan.repeats
    asked = [_judge_tokens(judge, item) + shown * longest for item in plan.dataset]
    length = max_output(judge.params) or PILOT_TOKENS
    cost = _cost(price, judge.model, asked, length)
    return {
        "variant": f"judge:{judge.name}",
        "model": judge.model,
        "calls": len(asked) * calls,
        "prompt_tokens": sum(asked) * calls,
        "completion_tokens": length * len(asked) * calls,
        "cost_usd": None if cost is None else cost * calls,
    }


def _judge_tokens(judge: Judge, item: Item) -> int:
    """What a judge is asked about an item, but for the answers."""
    question, reference = question_text(item.asked()), " or: ".join(target_list(item.target))
    if judge.pairwise:
        messages = pair_messages(judge.rubric, question=question, first="", second="", reference=reference)
    else:
        messages = score_messages(judge.rubric, judge.scale, question=question, answer="", reference=reference)
    return prompt_tokens(messages, judge.params)


def _cost(price: Price, model: str, asked: Sequence[int], length: int) -> float | None:
    """Of all calls, one by one: some prices depend on a prompt's length."""
    each = [price(model, TokenUsage(tokens, length, tokens + length)) for tokens in asked]
    return None if None in each else sum(cost for cost in each if cost is not None)
