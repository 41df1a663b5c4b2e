"""The circuit breaker: what guarding and recording add to an async call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from measure import Timing, bar, installed, interleave, show, spread

from routerlab.core.breaker import CircuitBreaker
from routerlab.mixins.breaker import CircuitBreakerMixin

AIMS = {"purgatory": 0.5, "aiobreaker": 0.25}


class Provider(CircuitBreakerMixin):
    """Nothing but the mixin."""


async def work_itself() -> int:
    return 1


def main(*, quick: bool) -> None:
    calls, rounds = (100, 2) if quick else (5_000, 30)
    guarded = {"nothing": bare, "core": with_core(), "mixin": with_mixin()}
    guarded |= {name: PEERS[name]() for name in installed(*AIMS)}
    with asyncio.Runner() as runner:
        contenders: dict[str, Callable[[], int]] = {
            name: lambda loop=loop: runner.run(loop(calls)) for name, loop in guarded.items()
        }
        timings = interleave(contenders, rounds)
    show("guard + record around an async call", timings, base="nothing")
    added = {name: added_to_bare(timings["nothing"], rounds) for name, rounds in timings.items()}
    for peer in set(AIMS) & set(added):
        for name in ("core", "mixin"):
            shares = [ours / theirs for ours, theirs in zip(added[name], added[peer], strict=True)]
            bar(f"added by {name}, in what {peer} adds", spread(shares), AIMS[peer], at_least=False)


def added_to_bare(bare: list[Timing], guarded: list[Timing]) -> list[float]:
    return [with_guard.wall_s - without.wall_s for with_guard, without in zip(guarded, bare, strict=True)]


Loop = Callable[[int], Awaitable[int]]


async def bare(calls: int) -> int:
    for _ in range(calls):
        await work_itself()
    return calls


def with_core() -> Loop:
    breaker, clock = CircuitBreaker(), time.monotonic

    async def loop(calls: int) -> int:
        for _ in range(calls):
            permit = breaker.acquire(clock())
            try:
                await work_itself()
            except Exception:
                breaker.record_failure(permit, clock())
                raise
            breaker.record_success(permit, clock())
        return calls

    return loop


def with_mixin() -> Loop:
    provider = Provider()
    provider.configure_circuit_breaker()

    async def loop(calls: int) -> int:
        for _ in range(calls):
            permit = provider.check_circuit()
            try:
                await work_itself()
            except Exception:
                provider.record_failure(permit)
                raise
            provider.record_success(permit)
        return calls

    return loop


def with_purgatory() -> Loop:
    from purgatory import AsyncCircuitBreakerFactory

    return decorated(AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=60)("m"))


def with_aiobreaker() -> Loop:
    from aiobreaker import CircuitBreaker as Theirs

    return decorated(Theirs(fail_max=5))


def decorated(guard: Callable[[Any], Any]) -> Loop:
    """As both READMEs show first."""
    guarded = guard(work_itself)

    async def loop(calls: int) -> int:
        for _ in range(calls):
            await guarded()
        return calls

    return loop


PEERS: dict[str, Callable[[], Loop]] = {"purgatory": with_purgatory, "aiobreaker": with_aiobreaker}
