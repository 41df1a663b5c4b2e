"""How many calls a provider gets at once, by what it answers; pure decisions, and runs in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from routerlab.core.errors import ConfigurationError, RateLimitError
from routerlab.core.types import CompletionResponse
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.pace import Held, Limit, Pace
from routerlab.experiments.plan import Arm, ReplayPlan
from routerlab.experiments.replay import Replay
from routerlab.session.recorder import Recorder
from routerlab.session.results import AttemptRecord, CallResult, CallSpec


def result(*statuses, error=None):
    """A call whose attempts, a second apart, met these statuses."""
    attempts = [
        AttemptRecord("c", None, place, "sim/a", "sim", "selected", float(place), status=status)
        for place, status in enumerate(statuses, 1)
    ]
    return CallResult("c", CallSpec(), error=error, attempts=attempts)


def test_a_burst_of_429s_is_one_reason_and_a_later_one_another():
    limit = Limit("sim", 8)
    for _ in range(8):
        limit.too_many(sent_at=1.0, now=2.0)
    assert (limit.now, limit.refused) == (4, 8)
    limit.too_many(sent_at=1.9, now=3.0)
    assert limit.now == 4
    for sent_at in (3.0, 5.0, 7.0, 9.0):
        limit.too_many(sent_at, sent_at + 1)
    assert (limit.now, limit.least) == (1, 1)


def rounds(limit, n):
    """Its value after each of `n` rounds of successes."""
    found = []
    for _ in range(n):
        for _ in range(limit.now):
            limit.succeeded(2.0)
        found.append(limit.now)
    return found


def test_it_grows_by_one_a_round_up_to_its_most():
    limit = Limit("sim", 16)
    for sent_at in (0.0, 1.0):
        limit.too_many(sent_at, sent_at + 1)
    assert rounds(limit, 3) == [5, 6, 7], "8 were too many: it is careful near them"
    later = rounds(limit, 100)
    assert sorted(later) == later
    assert later.count(7) >= 6
    assert later.count(8) >= 7
    assert later.count(12) < 3
    assert later[-1] == 16


def test_a_5xx_pauses_growth_and_shrinks_nothing():
    limit = Limit("sim", 8)
    limit.in_trouble(0.0)
    assert limit.now == 8
    limit.too_many(0.0, 1.0)
    for _ in range(40):
        limit.succeeded(9.9)
    assert limit.now == 4
    for _ in range(4):
        limit.succeeded(10.0)
    assert limit.now == 5


def test_models_of_one_provider_share_its_limit_and_a_pool_has_its_own():
    pace = Pace(["sim", "sim", "other", "chat"], lambda name: 2 if name == "sim" else 3, [False, False, False, True])
    assert pace.most == 2 + 3 + 3
    pace.took(0)
    pace.took(1)
    assert [pace.room(arm) for arm in range(4)] == [False, False, True, True]
    pace.learn(0, result(429, error=RateLimitError("429")), 0.0, 1.0)
    pace.gave_back(0)
    assert not pace.room(1), "one of one is in flight"
    assert list(pace.held()) == [Held("sim", 1, 2)]
    assert list(pace.remarks()) == ["sim answered 429 once: it got fewer calls at once, down to 1 of 2"]


def test_what_a_pool_failed_over_from_is_no_reason_to_hold_it_back():
    pace = Pace(["sim", "chat"], lambda name: 8, [False, True])
    for arm in (0, 1):
        pace.learn(arm, result(429, 200), 0.0, 2.0)
    assert list(pace.held()) == [Held("sim", 4, 8)]
    pace.learn(1, result(503, 429, error=RateLimitError("429")), 2.0, 4.0)
    assert list(pace.held()) == [Held("sim", 4, 8), Held("chat", 4, 8)]


def test_retries_within_a_call_are_told_apart_by_the_time_they_were_sent():
    limit_of = Pace(["sim"], lambda name: 8, [False])
    limit_of.learn(0, result(429, error=RateLimitError("429")), 0.0, 10.0)
    limit_of.learn(0, result(429, 429, error=RateLimitError("429")), 9.5, 12.0)  # sent at 9.5 and 10.5
    assert list(limit_of.held()) == [Held("sim", 2, 8)]


@pytest.mark.parametrize(
    ("concurrency", "words"),
    [
        ({"sim": 0}, r"concurrency\['sim'\]=0: expected a whole number"),
        ({"smi": 4}, "no model of this run is of provider 'smi'; did you mean 'sim'"),
        (0, "concurrency=0"),
        (True, "concurrency=True"),
    ],
)
def test_a_concurrency_that_makes_no_sense_is_refused(concurrency, words):
    with pytest.raises(ConfigurationError, match=words):
        ReplayPlan(load_dataset(["a"]), [Arm("a", model="sim/a")], concurrency=concurrency)


class World:
    """Providers in virtual time: `seconds` an answer; `takes` calls at once, more are refused."""

    def __init__(self, seconds, takes):
        self.seconds, self.takes = seconds, takes
        self.flying: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.refused = 0
        self.ended: dict[str, float] = {}

    async def __call__(self, spec):
        provider = spec.model.partition("/")[0]
        self.flying[provider] += 1
        self.most[provider] = max(self.most[provider], self.flying[provider])
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            error = None
            if self.flying[provider] > self.takes.get(provider, 10**6):
                self.refused += 1
                error = RateLimitError("429", retry_after_s=1.0)
                await asyncio.sleep(0.01)
            else:
                await asyncio.sleep(self.seconds[spec.model])
        finally:
            self.flying[provider] -= 1
        self.ended[spec.model] = loop.time()
        status = 429 if error else 200
        attempt = AttemptRecord("c", None, 1, spec.model, provider, "selected", started, status=status)
        row = {"call_id": "c", "model": spec.model, "outcome": "ok", "cost_usd": None, "failovers": 0}
        return CallResult("c", spec, row, None if error else CompletionResponse("yes"), error, [attempt])


def replay(loop, world, models, size, **options):
    plan = ReplayPlan(load_dataset([f"item {n}" for n in range(size)]), [Arm(m, model=m) for m in models], **options)
    run = Replay(plan, call=world, recorder=Recorder(), clock=loop.time)
    loop.run_until_complete(run.run())
    assert run.status == "done"
    return run


def test_each_provider_has_its_own_calls_in_flight_and_a_slow_one_holds_nobody_up(virtual_loop):
    world = World({"slow/a": 10.0, "fast/a": 0.1}, {})
    replay(virtual_loop, world, ["slow/a", "fast/a"], 240, concurrency={"slow": 4})
    assert world.most == {"slow": 4, "fast": 8}
    assert world.ended["fast/a"] == pytest.approx(240 / 8 * 0.1)
    assert world.ended["slow/a"] == pytest.approx(240 / 4 * 10)


def test_a_provider_that_takes_three_at_once_gets_about_three_and_the_other_all(virtual_loop):
    world = World({"narrow/a": 1.0, "wide/a": 1.0}, {"narrow": 3})
    run = replay(virtual_loop, world, ["narrow/a", "wide/a"], 240)
    assert world.ended["wide/a"] == pytest.approx(240 / 8)
    assert run.progress.failed == 0
    assert world.refused < 40, "it asks for more now and then, not all the time"
    assert world.ended["narrow/a"] < 2 * 240 / 3
    assert any(note.startswith("narrow answered 429") and note.endswith("of 8") for note in run.notes)
    assert not any(note.startswith("wide") for note in run.notes)


@pytest.mark.parametrize("budget_usd", [None, 1.0])
def test_no_model_runs_away_so_that_a_run_that_stops_has_whole_items(virtual_loop, budget_usd):
    world = World({"slow/a": 10.0, "fast/a": 0.1}, {})
    plan = ReplayPlan(
        load_dataset([f"item {n}" for n in range(2000)]),
        [Arm(m, model=m) for m in ("slow/a", "fast/a")],
        budget_usd=budget_usd,
    )
    run = Replay(plan, call=world, recorder=Recorder(), clock=virtual_loop.time)

    async def stopped():
        going = asyncio.ensure_future(run.run())
        await asyncio.sleep(200)
        run.stop()
        await going

    virtual_loop.run_until_complete(stopped())
    done = Counter(row["variant"] for row in run.rows() if row["status"] == "ok")
    assert done["slow/a"] == 8 * 20
    assert done["fast/a"] < done["slow/a"] + 300


def test_a_retry_after_rests_that_model_alone(virtual_loop):
    class Limited(World):
        async def __call__(self, spec):
            if spec.model == "sim/b" and asyncio.get_running_loop().time() < 30:
                error = RateLimitError("429", retry_after_s=30.0)
                return CallResult("c", spec, {"call_id": "c", "outcome": "move_on"}, error=error)
            return await super().__call__(spec)

    world = Limited({"sim/a": 1.0, "sim/b": 1.0}, {})
    replay(virtual_loop, world, ["sim/a", "sim/b"], 80)
    assert world.ended["sim/a"] < 14
    assert 30 < world.ended["sim/b"] < 45
