"""The way into the lab's loop and back: what a sync verb and an async twin add to the call itself."""

from __future__ import annotations

import asyncio

from local_lab import PROMPT, local_lab
from measure import bar, crowd, difference, interleave, show

from routerlab.lab import Lab

TWINS = 128


def main(*, quick: bool) -> None:
    calls, rounds = (4, 2) if quick else (200, 20)
    with local_lab() as (lab, _):
        add_of_a_sync_verb(lab, calls, rounds)
        add_of_an_async_twin(lab, calls, rounds, 2 if quick else TWINS)


def add_of_a_sync_verb(lab: Lab, calls: int, rounds: int) -> None:
    async def inside() -> int:
        for _ in range(calls):
            await lab.achat(PROMPT)  # in the lab's own loop: nothing to cross
        return calls

    def verb() -> int:
        for _ in range(calls):
            lab.chat(PROMPT)
        return calls

    timings = interleave({"in the loop": lambda: lab._session.run(inside()), "lab.chat": verb}, rounds)
    show("one after the other", timings, base="in the loop")
    add = difference(timings, "lab.chat", "in the loop")
    bar("a sync verb adds", add.times(1e6), 200, at_least=False, unit="us")


def add_of_an_async_twin(lab: Lab, calls: int, rounds: int, concurrency: int) -> None:
    def crowded() -> object:
        return crowd(calls * 2, concurrency, lambda: lab.achat(PROMPT))

    with asyncio.Runner() as runner:  # the caller's loop, as a notebook has one
        contenders = {
            "in the loop": lambda: lab._session.run(crowded()),
            "lab.achat": lambda: runner.run(crowded()),
        }
        timings = interleave(contenders, rounds)
    show(f"{concurrency} at once", timings, base="in the loop")
    add = difference(timings, "lab.achat", "in the loop")
    bar(f"an async twin at {concurrency} adds", add.times(1e6), 150, at_least=False, unit="us")
