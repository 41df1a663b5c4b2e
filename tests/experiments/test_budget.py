"""The money of a run: reserved, settled, forecast."""

from __future__ import annotations

import asyncio
import random

import pytest

from routerlab.core.types import CompletionResponse, Price, TokenUsage
from routerlab.experiments.budget import PILOT_TOKENS, Budget, prompt_tokens
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.estimate import estimate
from routerlab.experiments.judge import judge
from routerlab.experiments.replay import Arm, Replay, ReplayPlan
from routerlab.session.recorder import Recorder
from routerlab.session.results import AttemptRecord, CallResult, CallSpec

PRICE = Price(1.0, 10.0)
ARMS = [Arm("a", model="sim/a"), Arm("b", model="sim/b")]


def price(model, usage):
    return PRICE.cost_usd(usage)


def attempt(cost=None, tokens=10, **columns):
    outcome = columns.pop("outcome", "ok")
    return AttemptRecord(
        "c",
        None,
        1,
        "sim/a",
        "sim",
        "selected",
        0.0,
        outcome=outcome,
        cost_usd=cost,
        completion_tokens=tokens,
        **columns,
    )


def spec(**params):
    return CallSpec(({"role": "user", "content": "x" * 30},), params=params, model="sim/a", variant="a")


def test_a_call_reserves_its_prompt_and_max_tokens_for_every_try():
    budget = Budget(1.0, price=price, models=[["sim/a"]], tries=2)
    assert budget.most_usd(0, spec(max_tokens=100)) == pytest.approx(2 * (18 * 1e-6 + 100 * 10e-6))
    assert budget.most_usd(0, spec()) == pytest.approx(2 * (18 * 1e-6 + PILOT_TOKENS * 10e-6))


def test_a_conversation_reserves_all_its_turns_each_with_the_answers_before_it():
    budget = Budget(1.0, price=price, models=[["sim/a"]], tries=1)
    asked, turn = 18, 8 + 18  # tokens: of the first prompt, of each later one with what frames it
    prompts = asked + (asked + 100 + turn) + (asked + 2 * (100 + turn))
    most = budget.most_usd(0, spec(max_tokens=100), ["x" * 30] * 2)
    assert most == pytest.approx(prompts * 1e-6 + 300 * 10e-6)


def test_without_a_limit_the_running_p99_of_the_answers_is_reserved_after_a_pilot():
    budget = Budget(1.0, price=price, models=[["sim/a"]], tries=1)
    for number in range(9):
        budget.settle(number, spec(), [attempt(0.0001, 50)])
        assert budget.output_tokens(spec()) == PILOT_TOKENS
    budget.settle(9, spec(), [attempt(0.0001, 80)])
    assert budget.output_tokens(spec()) == 80


def test_what_is_reserved_counts_until_it_is_settled():
    budget = Budget(0.0025, price=price, models=[["sim/a"]], tries=1)
    asked = spec(max_tokens=100)
    assert budget.reserve(1, 0, asked)
    assert budget.reserve(2, 0, asked)
    assert not budget.reserve(3, 0, asked)
    budget.settle(1, asked, [attempt(0.0001)])
    assert budget.reserve(3, 0, asked)
    budget.refund(3)
    assert budget.reserved_usd == pytest.approx(0.001018)


def test_every_attempt_counts_and_a_broken_stream_is_billed_for_what_came():
    budget = Budget(1.0, price=price, models=[["sim/a"]])
    broken = attempt(None, None, outcome="retryable", maybe_billed=True, committed=True, chars=300)
    free = attempt(None, None, outcome="retryable")
    budget.settle(1, spec(), [broken, free, attempt(0.01)])
    assert budget.known_usd == 0.01
    assert budget.guessed_usd == pytest.approx(18e-6 + 100 * 10e-6)


def test_the_forecast_says_for_how_many_prompts_the_money_is_enough():
    budget = Budget(40.0, price=price)
    for number in range(300):
        budget.settle(number, spec(), [attempt(0.001)])
    assert budget.reaches(100, 300, 3) == 100 + int(39.7 / 0.003)
    assert Budget(None).reaches(1, 1, 1) is None


@pytest.mark.parametrize("seed", range(6))
def test_a_run_never_spends_more_than_its_budget(virtual_loop, seed):
    chance, spent = random.Random(seed), 0.0

    async def call(spec):
        nonlocal spent
        await asyncio.sleep(chance.random())
        attempts = []
        for number in range(chance.choice((1, 1, 1, 2))):
            usage = TokenUsage(chance.randrange(1, 10), chance.randrange(1, spec.params["max_tokens"] + 1), None)
            cost = PRICE.cost_usd(usage)
            spent += cost
            outcome = "ok" if number == 0 else "retryable"
            attempts.append(attempt(cost, usage.completion_tokens, outcome=outcome, maybe_billed=True))
        row = {"call_id": "c", "outcome": "ok", "cost_usd": attempts[0].cost_usd, "failovers": 0}
        return CallResult("c", spec, row, CompletionResponse("y"), None, attempts)

    data = load_dataset([f"item {number}" for number in range(500)])
    plan = ReplayPlan(data, ARMS, params={"max_tokens": 100}, budget_usd=0.2, concurrency=16)
    budget = Budget(0.2, price=price, models=[["sim/a"], ["sim/b"]], tries=2)
    run = Replay(plan, call=call, recorder=Recorder(), clock=virtual_loop.time, budget=budget)
    virtual_loop.run_until_complete(run.run())

    assert run.status == "stopped"
    assert 0.19 < spent <= 0.2
    assert run.budget.spent_usd == pytest.approx(spent)
    assert run.notes[0].startswith("stopped at its budget: $0.19")
    assert 0 <= run.progress.done - 2 * run.progress.complete <= 16
    assert run.progress.reaches == pytest.approx(run.progress.complete, abs=12)


@pytest.mark.parametrize("check_first", [False, True])
def test_conversations_and_small_calls_before_them_do_not_spend_more_either(virtual_loop, check_first):
    spent = 0.0

    async def call(spec):
        nonlocal spent
        await asyncio.sleep(1)
        usage = TokenUsage(prompt_tokens(spec.messages), spec.params["max_tokens"], None)
        spent += PRICE.cost_usd(usage)
        row = {"call_id": "c", "outcome": "ok", "cost_usd": PRICE.cost_usd(usage), "failovers": 0}
        done = attempt(PRICE.cost_usd(usage), usage.completion_tokens)
        return CallResult("c", spec, row, CompletionResponse("y" * 300), None, [done])

    data = load_dataset([{"id": str(n), "turns": ["Hello", "And then?", "Why?"]} for n in range(50)])
    plan = ReplayPlan(data, ARMS, params={"max_tokens": 100}, budget_usd=0.05, concurrency=16)
    budget = Budget(0.05, price=price, models=[["sim/a"], ["sim/b"]], tries=1)
    options = {"clock": virtual_loop.time, "budget": budget, "check_first": check_first}
    run = Replay(plan, call=call, recorder=Recorder(), **options)
    virtual_loop.run_until_complete(run.run())
    assert run.status == "stopped"
    assert 0.045 < spent <= 0.05


def test_an_estimate_counts_every_turn():
    data = load_dataset([{"id": str(n), "turns": ["x" * 30, "x" * 30]} for n in range(10)])
    (row,) = estimate(ReplayPlan(data, ARMS[:1], params={"max_tokens": 50}), price, [["sim/a"]])
    assert (row["calls"], row["prompt_tokens"], row["completion_tokens"]) == (20, 10 * (18 + 18 + 26 + 50), 1000)


def test_a_budget_that_is_too_small_for_one_call_says_what_it_takes(virtual_loop):
    async def call(spec):
        raise AssertionError

    plan = ReplayPlan(load_dataset(["x"]), ARMS[:1], budget_usd=0.001)
    budget = Budget(0.001, price=price, models=[["sim/a"]], tries=1)
    run = Replay(plan, call=call, recorder=Recorder(), clock=virtual_loop.time, budget=budget)
    virtual_loop.run_until_complete(run.run())
    assert run.notes[0] == (
        "stopped at its budget: $0 of $0.001 were spent, and the next call may cost $0.01025 "
        "(max_tokens= says how long an answer may be)"
    )


def test_an_estimate_takes_the_longest_answers_and_does_not_guess_prices():
    plan = ReplayPlan(
        load_dataset(["x" * 30] * 10), [*ARMS, Arm("c", model="sim/c")], params={"max_tokens": 50}, repeats=2
    )
    rows = estimate(plan, lambda m, u: None if m == "sim/c" else price(m, u), [["sim/a"], ["sim/b"], ["sim/c"]])
    assert rows[0] == {
        "variant": "a",
        "model": "sim/a",
        "calls": 20,
        "prompt_tokens": 360,
        "completion_tokens": 1000,
        "cost_usd": pytest.approx(360e-6 + 1000 * 10e-6),
    }
    assert rows[2]["cost_usd"] is None


def test_an_estimate_counts_what_judges_ask():
    judges = [judge("sim/b", name="grade", max_tokens=20), judge("sim/none", pairwise=True)]
    plan = ReplayPlan(load_dataset(["x"] * 10), ARMS, params={"max_tokens": 50}, repeats=2, scorers=judges)
    *arms, grade, pairs = estimate(plan, lambda m, u: None if m == "sim/none" else price(m, u), [["sim/a"], ["sim/b"]])
    assert [row["calls"] for row in arms] == [20, 20]
    assert (grade["variant"], grade["calls"], grade["completion_tokens"]) == ("judge:grade", 40, 800)
    assert grade["prompt_tokens"] > 40 * (50 + 300)  # the answer, and what the judge is told
    assert grade["cost_usd"] == pytest.approx(price("sim/b", TokenUsage(grade["prompt_tokens"], 800, 0)))
    assert (pairs["calls"], pairs["cost_usd"]) == (40, None)  # one pair an item and repeat, in both orders
    assert pairs["prompt_tokens"] > grade["prompt_tokens"] + 40 * 50
