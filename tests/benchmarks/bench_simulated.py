"""A simulated call on the virtual clock, against the same logic under simpy and under asyncio with virtual time.

Two comparisons, each with both peers, which are written as one writes them: simpy as a process that races the attempt
against its limit, asyncio with `asyncio.timeout`.

- *plain logic*: the peers route with `plain_router`, the same rules as somebody without routerlab would write them.
  This measures the whole: what a simulated call costs here, and what it would cost there.
- *our logic*: the peers use our `Route`, `Health`, pool and records. This measures the keeping of time alone; what
  makes the decisions faster makes the peers faster too.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Generator
from typing import Any

from measure import bar, installed, interleave, ratio, show
from plain_router import LIMIT_S, Model, Router, outcome

from routerlab.core import moves
from routerlab.core.breaker import BreakerConfig, Permit
from routerlab.core.capabilities import CHAT
from routerlab.core.decisions import Pool
from routerlab.core.failures import SUCCESS, Fault, ProviderError, classify
from routerlab.core.health import Health, LatencyTarget, ModelSettings
from routerlab.core.route import Route
from routerlab.core.strategies import BestScore
from routerlab.core.types import CompletionRequest
from routerlab.session.results import AttemptRecord
from routerlab.simulation.plays import Play
from routerlab.simulation.virtual import VirtualWorld

MODELS = ("a/one", "a/two", "b/three")
GAP_S = 0.05  # between two calls; an answer takes 0.2 s, so that some four are under way
AIMS = {
    "simpy, plain logic": 2.0,
    "asyncio, plain logic": 5.0,
    "simpy, our logic": 2.0,
    "asyncio, our logic": 5.0,
}
BROKEN = 50  # each so many requests of the first model begin an outage of five, which opens its breaker


def main(*, quick: bool) -> None:
    calls, rounds = (50, 2) if quick else (1_000, 20)
    contenders: dict[str, Callable[[], int]] = {
        "virtual clock": lambda: virtual(calls),
        "asyncio, plain logic": lambda: plain_asyncio(calls),
        "asyncio, our logic": lambda: asyncio_(calls),
    }
    if installed("simpy"):
        contenders["simpy, plain logic"] = lambda: plain_simpy(calls)
        contenders["simpy, our logic"] = lambda: simpy_(calls)
    timings = interleave(contenders, rounds)
    show("simulated calls: breakers, windows and records on", timings, base="virtual clock")
    for peer, aim in AIMS.items():
        if peer in timings:
            bar(f"times as fast as {peer}", ratio(timings, peer, "virtual clock"), aim, at_least=True)


def behaviour(model: str) -> Callable[[int], Play]:
    def play(number: int) -> Play:
        if model == MODELS[0] and number % BROKEN >= BROKEN - 5:
            return Play(0.05, ProviderError("overloaded", status=503))
        return Play(0.2)

    return play


def virtual(calls: int) -> int:
    world = VirtualWorld({model: behaviour(model) for model in MODELS}, strategy=BestScore())
    for number in range(calls):
        world.call(at=number * GAP_S)
    assert all(call.finish is not None for call in world.run())
    return calls


class World:
    """What both peers share: everything but the time."""

    def __init__(self) -> None:
        target = LatencyTarget()
        settings = [ModelSettings(model, model[0], BreakerConfig(), target) for model in MODELS]
        self.health = Health(settings)
        self.pool = Pool("bench", CHAT, MODELS, BestScore())
        self.plays = {model: behaviour(model) for model in MODELS}
        self.requests = dict.fromkeys(MODELS, 0)
        self.records: list[AttemptRecord] = []
        self.ended = 0

    def route(self, number: int) -> Route:
        return Route(CompletionRequest(f"call-{number}", CHAT, "", ({"role": "user", "content": ""},)), self.pool)

    def see(self, now: float) -> Any:
        return self.health.snapshots(MODELS, now)

    def begin(self, action: moves.Attempt, now: float) -> tuple[AttemptRecord, Permit, Play] | None:
        before = self.health.snapshot(action.model, now)
        permit, _ = self.health.claim(action.model, now, action.clocks.lease_s)
        if permit is None:
            return None
        self.pool.learn("chosen", action.model, now)
        record = AttemptRecord("", None, 1, action.model, action.model[0], action.reason, now)
        record.breaker_before, record.score_before = before.breaker, before.score
        play = self.plays[action.model](self.requests[action.model])
        self.requests[action.model] += 1
        return record, permit, play

    def end(self, record: AttemptRecord, permit: Permit, error: ProviderError | None, now: float) -> moves.Event:
        verdict = SUCCESS if error is None else classify(error)
        record.ended_at, record.latency_s, record.outcome = now, now - record.started_at, verdict.outcome.value
        self.health.settle(record.model, permit, verdict, now, latency_s=record.latency_s, error=error)
        self.pool.learn("failed" if error else "answered", record.model, now)
        after = self.health.snapshot(record.model, now)
        record.breaker_after, record.score_after = after.breaker, after.score
        self.records.append(record)
        return moves.Succeeded() if error is None else moves.Failed(error)


def simpy_(calls: int) -> int:
    import simpy

    world, env = World(), simpy.Environment()

    def attempt(play: Play) -> Generator[Any, Any, ProviderError | None]:
        yield env.timeout(play.seconds)
        return play.error

    def call(number: int) -> Generator[Any, Any, None]:
        yield env.timeout(number * GAP_S)
        route = world.route(number)
        action = route.start(world.see(env.now), env.now)
        while not isinstance(action, moves.Finish):
            event: moves.Event = moves.Waited()
            if isinstance(action, moves.Wait):
                yield env.timeout(action.seconds)
            elif begun := world.begin(action, env.now):  # type: ignore[arg-type]
                record, permit, play = begun
                work, limit = env.process(attempt(play)), env.timeout(action.clocks.request_s)  # type: ignore[union-attr]
                yield work | limit
                error = work.value if work.processed else ProviderError("late", fault=Fault.TIMEOUT)
                event = world.end(record, permit, error, env.now)
            else:
                event = moves.Refused()
            action = route.receive(event, world.see(env.now), env.now)
        world.ended += 1

    for number in range(calls):
        env.process(call(number))
    env.run()
    assert world.ended == calls
    return calls


def asyncio_(calls: int) -> int:
    world, loop = World(), VirtualLoop()

    async def call(number: int) -> None:
        await asyncio.sleep(number * GAP_S)
        route = world.route(number)
        action = route.start(world.see(loop.time()), loop.time())
        while not isinstance(action, moves.Finish):
            event: moves.Event = moves.Waited()
            if isinstance(action, moves.Wait):
                await asyncio.sleep(action.seconds)
            elif begun := world.begin(action, loop.time()):  # type: ignore[arg-type]
                record, permit, play = begun
                error = play.error
                try:
                    async with asyncio.timeout(action.clocks.request_s):  # type: ignore[union-attr]
                        await asyncio.sleep(play.seconds)
                except TimeoutError:
                    error = ProviderError("late", fault=Fault.TIMEOUT)
                event = world.end(record, permit, error, loop.time())
            else:
                event = moves.Refused()
            action = route.receive(event, world.see(loop.time()), loop.time())
        world.ended += 1

    loop.run(lambda: asyncio.gather(*(call(number) for number in range(calls))))
    assert world.ended == calls
    return calls


def plain_simpy(calls: int) -> int:
    import simpy

    router, env = Router(MODELS), simpy.Environment()
    plays = {model: behaviour(model) for model in MODELS}
    ended = []

    def attempt(play: Play) -> Generator[Any, Any, str | None]:
        yield env.timeout(play.seconds)
        return outcome(play)

    def call(number: int) -> Generator[Any, Any, None]:
        yield env.timeout(number * GAP_S)
        name, error = f"call-{number}", "nobody can serve"
        tried: list[Model] = []
        while (model := router.choose(name, tried, env.now)) is not None:
            tried.append(model)
            for retry in (False, True):
                if retry:
                    yield env.timeout(router.pause())
                if model.excluded(env.now):
                    break
                play = plays[model.name](model.requests)
                record = router.begin(name, model, env.now)
                work, limit = env.process(attempt(play)), env.timeout(LIMIT_S)
                yield work | limit
                error = work.value if work.processed else "late"
                router.end(record, model, error, env.now)
                if error is None:
                    break
            if error is None:
                break
        ended.append(error)

    for number in range(calls):
        env.process(call(number))
    env.run()
    assert len(ended) == calls
    return calls


def plain_asyncio(calls: int) -> int:
    router, loop = Router(MODELS), VirtualLoop()
    plays = {model: behaviour(model) for model in MODELS}
    ended = []

    async def call(number: int) -> None:
        await asyncio.sleep(number * GAP_S)
        name, error = f"call-{number}", "nobody can serve"
        tried: list[Model] = []
        while (model := router.choose(name, tried, loop.time())) is not None:
            tried.append(model)
            for retry in (False, True):
                if retry:
                    await asyncio.sleep(router.pause())
                if model.excluded(loop.time()):
                    break
                play = plays[model.name](model.requests)
                record = router.begin(name, model, loop.time())
                error = outcome(play)
                try:
                    async with asyncio.timeout(LIMIT_S):
                        await asyncio.sleep(play.seconds)
                except TimeoutError:
                    error = "late"
                router.end(record, model, error, loop.time())
                if error is None:
                    break
            if error is None:
                break
        ended.append(error)

    loop.run(lambda: asyncio.gather(*(call(number) for number in range(calls))))
    assert len(ended) == calls
    return calls


class _NoWait(selectors.SelectSelector):
    """Instead of waiting, time jumps."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.jump(timeout or 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a clock that jumps."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_NoWait(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def run(self, work: Callable[[], Any]) -> None:
        async def do() -> None:
            await work()

        try:
            self.run_until_complete(do())
        finally:
            self.close()
