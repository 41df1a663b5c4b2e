"""Runs in virtual time: an outage costs time, not items; an item that breaks its model costs only itself."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from routerlab.core.breaker import BreakerConfig, CircuitBreaker
from routerlab.core.errors import ModelNotFoundError, NoModelAvailableError, ProviderUnavailableError, RateLimitError
from routerlab.core.types import CompletionResponse
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.replay import Arm, Replay, ReplayPlan
from routerlab.session.recorder import Recorder
from routerlab.session.results import CallResult


class World:
    """Models behind real breakers, a second of virtual time an answer; `down(model, item, now)` says when not."""

    def __init__(self, loop, down):
        self.loop, self.down = loop, down
        self.sent: Counter[tuple[str, str]] = Counter()
        self.breakers: dict[str, CircuitBreaker] = {}

    async def __call__(self, spec):
        breaker = self.breakers.setdefault(spec.model, CircuitBreaker(BreakerConfig()))
        permit = breaker.try_acquire(self.loop.time(), None)
        if permit is None:
            left = max(1.0, breaker.remaining(self.loop.time()))
            return self.result(spec, NoModelAvailableError("circuit open", retry_after_s=left))
        self.sent[spec.model, spec.item_id] += 1
        await asyncio.sleep(1.0)
        error = self.down(spec.model, spec.item_id, self.loop.time())
        if error is None:
            breaker.record_success(permit, self.loop.time())
        elif isinstance(error, ProviderUnavailableError):
            breaker.record_failure(permit, self.loop.time())
        else:
            breaker.release(permit, self.loop.time())
        return self.result(spec, error)

    @staticmethod
    def result(spec, error):
        row = {"call_id": "c", "model": spec.model, "outcome": "ok", "cost_usd": None, "failovers": 0}
        return CallResult("c", spec, row, None if error else CompletionResponse("yes"), error)


def replay(loop, down, size, models=("sim/a", "sim/b"), **options):
    data = load_dataset([f"item {number}" for number in range(size)])
    world = World(loop, down)
    plan = ReplayPlan(data, [Arm(model, model=model) for model in models], **options)
    return Replay(plan, call=world, recorder=Recorder(), clock=loop.time), world


def test_ten_minutes_of_outage_in_20_000_items_lose_and_fail_none(virtual_loop):
    def down(model, item, now):
        return ProviderUnavailableError("503") if model == "sim/a" and 300 <= now < 900 else None

    run, world = replay(virtual_loop, down, 20_000, concurrency=32)
    seen = []

    async def watched():
        going = asyncio.ensure_future(run.run())
        await asyncio.sleep(600)
        seen.append(run.progress)
        await going

    virtual_loop.run_until_complete(watched())

    assert (run.status, run.progress.ok, run.progress.failed) == ("done", 40_000, 0)
    assert run.progress.complete == 20_000
    (lane,) = seen[0].waiting
    assert lane.variant == "sim/a"
    assert 0 < lane.seconds <= 60
    assert seen[0].ok > 300 * 32 * 1.9 / 2, "the other lane goes on"
    assert sum(world.sent.values()) - 40_000 < 60, "few calls are wasted on a model that is out"
    assert virtual_loop.time() < 40_000 / 32 + 600


def test_an_item_that_breaks_its_model_fails_after_three_rounds_and_holds_up_nobody(virtual_loop):
    def down(model, item, now):
        return ProviderUnavailableError("500") if (model, item) == ("sim/a", "00100") else None

    run, world = replay(virtual_loop, down, 1000)
    virtual_loop.run_until_complete(run.run())

    assert (run.status, run.progress.ok, run.progress.failed) == ("done", 1999, 1)
    assert world.sent["sim/a", "00100"] == 3
    failed = [row for row in run.rows() if row["status"] == "failed"]
    assert [(row["item_id"], row["variant"], row["error_message"]) for row in failed] == [("00100", "sim/a", "500")]


def test_an_item_that_breaks_its_model_in_a_small_run_fails_within_a_minute(virtual_loop):
    run, _ = replay(
        virtual_loop, lambda model, item, now: ProviderUnavailableError("500") if item == "00003" else None, 6
    )
    virtual_loop.run_until_complete(run.run())
    assert (run.status, run.progress.ok, run.progress.failed) == ("done", 10, 2)
    assert virtual_loop.time() < 120


def test_a_model_that_nobody_knows_ends_its_lane_and_its_items_stay_pending(virtual_loop):
    run, world = replay(
        virtual_loop, lambda model, item, now: ModelNotFoundError("404") if model == "sim/b" else None, 50
    )
    virtual_loop.run_until_complete(run.run())
    assert (run.status, run.progress.ok, run.progress.failed) == ("stopped", 50, 0)
    assert run.notes[0] == "sim/b: the provider does not know this model; 50 of its rows stay pending"
    assert sum(count for (model, _), count in world.sent.items() if model == "sim/b") <= 8


def test_a_rate_limit_makes_its_lane_rest_until_then_and_costs_no_item(virtual_loop):
    limited_until = 0.0

    def down(model, item, now):
        nonlocal limited_until
        if model == "sim/a" and 10 <= now < 11:
            limited_until = now + 45
        return RateLimitError("429", retry_after_s=limited_until - now) if now < limited_until else None

    run, _ = replay(virtual_loop, down, 100, models=["sim/a"])
    virtual_loop.run_until_complete(run.run())
    assert (run.status, run.progress.ok) == ("done", 100)
    assert virtual_loop.time() < 100 / 8 + 60


def test_a_stop_leaves_whole_prompts(virtual_loop):
    run, _ = replay(virtual_loop, lambda *_: None, 100, models=["sim/a", "sim/b", "sim/c"], concurrency=6)

    async def stopped():
        going = asyncio.ensure_future(run.run())
        await asyncio.sleep(10.5)
        run.stop()
        await going

    virtual_loop.run_until_complete(stopped())
    assert run.notes == ["20 of 100 prompts complete on all 3"]
    counts = Counter(row["item_id"] for row in run.rows() if row["status"] == "ok")
    assert set(counts.values()) == {3}
    assert sorted(counts) != [f"{number:05d}" for number in range(1, 21)], "a sample, not the beginning"


@pytest.mark.parametrize("give_up_after_s", [60.0, 1800.0])
def test_a_lane_gives_up_when_its_time_is_over(virtual_loop, give_up_after_s):
    run, _ = replay(
        virtual_loop,
        lambda model, item, now: ProviderUnavailableError("503") if model == "sim/a" else None,
        20,
        give_up_after_s=give_up_after_s,
    )
    virtual_loop.run_until_complete(run.run())
    assert (run.status, run.progress.ok, run.progress.failed) == ("stopped", 20, 0)
    assert virtual_loop.time() <= give_up_after_s + 10
