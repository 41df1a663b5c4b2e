"""Streams: chunks per second, and how soon the first one is there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
from local_lab import BODY, PROMPT, STREAM, local_lab
from measure import Timing, bar, crowd, interleave, ratio, show, spread

from routerlab.lab import Lab
from routerlab.mixins.http_transport import HttpClient
from routerlab.session.pipe import Piece

CHUNKS = 100
# concurrency: streams in a batch, rounds, aim against httpx
PLAN = {1: (4, 20, 1.6), 16: (32, 20, 2.0), 128: (128, 12, 3.0)}
FIRST_PLAN = {1: 30, 16: 10, 128: 5}
FIRST_AIM = 0.8

Read = Callable[[Callable[[], object]], Awaitable[object]]
"""Reads one stream and calls its argument at each chunk of text."""


def main(*, quick: bool) -> None:
    with local_lab(5 if quick else CHUNKS) as (lab, url):
        throughput(lab, url, {2: (2, 2, 1.0)} if quick else PLAN, 5 if quick else CHUNKS)
    with local_lab(3 if quick else 30, gap_ms=10) as (lab, url):
        first_chunks(lab, url, {2: 2} if quick else FIRST_PLAN)


def throughput(lab: Lab, url: str, plan: dict[int, tuple[int, int, float]], chunks: int) -> None:
    run, clients = lab._session.run, [httpx.AsyncClient(), HttpClient(timeout=None)]
    readers = {"routed": routed(lab), "httpx": lines_of(clients[0], url), "same transport": lines_of(clients[1], url)}

    def in_loop(read: Read, count: int, concurrency: int) -> int:
        seen = 0

        def see() -> None:
            nonlocal seen
            seen += 1

        run(crowd(count, concurrency, lambda: read(see)))
        assert seen == count * chunks, f"{seen} chunks"
        return seen

    def one_by_one(count: int) -> int:
        return sum(sum(1 for _ in lab.stream(PROMPT)) for _ in range(count))

    for concurrency, (count, rounds, aim) in plan.items():
        contenders: dict[str, Callable[[], int]] = {
            name: partial(in_loop, read, count, concurrency) for name, read in readers.items()
        }
        if concurrency == 1:
            contenders["lab.stream"] = partial(one_by_one, count)
        timings = interleave(contenders, rounds)
        show(f"{concurrency} streams at once, {chunks} chunks each", timings, base="httpx", unit="chunk")
        bar("routed chunks/s against httpx", ratio(timings, "httpx", "routed"), aim, at_least=True)
    run(close(clients))


def first_chunks(lab: Lab, url: str, plan: dict[int, int]) -> None:
    """All streams of a round begin together; what counts is the mean wait for the first chunk."""
    run, clients = lab._session.run, [httpx.AsyncClient()]
    readers = {"routed": routed(lab), "httpx": lines_of(clients[0], url)}

    async def wait_s(read: Read) -> float:
        started, first = time.perf_counter(), []
        await read(lambda: first.append(time.perf_counter()) if not first else None)
        return first[0] - started

    async def waits(read: Read, concurrency: int) -> float:
        return sum(await asyncio.gather(*(wait_s(read) for _ in range(concurrency)))) / concurrency

    for concurrency, rounds in plan.items():
        found: dict[str, list[Timing]] = {name: [] for name in readers}
        for number in range(rounds + 1):
            for name in list(readers)[:: 1 if number % 2 else -1]:
                wait = run(waits(readers[name], concurrency))
                if number:
                    found[name].append(Timing(wait, wait))
        print(f"\n{concurrency} streams at once, a chunk each 10 ms; {rounds} interleaved rounds")
        for name, timings in found.items():
            print(f"  {name:8} first chunk after {spread([timing.wall_s * 1e3 for timing in timings])} ms")
        bar("wait for the first chunk against httpx", ratio(found, "routed", "httpx"), FIRST_AIM, at_least=False)
    run(close(clients))


class Seeing:
    """A reader in the lab's loop who is never behind."""

    def __init__(self, see: Callable[[], object]) -> None:
        self._see = see

    def offer(self, piece: Piece) -> bool:
        self._see()
        return True

    async def drained(self) -> None:
        raise AssertionError("never full")


def routed(lab: Lab) -> Read:
    session = lab._session

    async def read(see: Callable[[], object]) -> None:
        result = await session.call(STREAM, Seeing(see))
        assert result.error is None, result.error

    return read


def lines_of(client: httpx.AsyncClient, url: str) -> Read:
    """The loop that everybody writes: lines, ``data:``, JSON, the delta's content."""
    body = {**BODY, "stream": True}

    async def read(see: Callable[[], object]) -> None:
        async with client.stream("POST", url, json=body) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]" and _text(json.loads(line[6:])):
                    see()

    return read


def _text(chunk: dict[str, Any]) -> str | None:
    return chunk["choices"][0]["delta"].get("content")


async def close(clients: list[httpx.AsyncClient]) -> None:
    for client in clients:
        await client.aclose()
