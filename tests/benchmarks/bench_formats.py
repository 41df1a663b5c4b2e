"""Streams in every provider's wire format against OpenAI's: chunks per second, read by our own connectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from measure import bar, crowd, interleave, ratio, show
from server import serving

from routerlab.core.types import CompletionRequest
from routerlab.providers.base import ProviderConnector
from routerlab.session.kinds import load_kind
from routerlab.session.loop import LoopThread

KINDS = ("openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere")
CHUNKS = 100
STREAMS, AT_ONCE, ROUNDS = 32, 8, 20
AIM = 0.9


def main(*, quick: bool) -> None:
    chunks, (streams, at_once, rounds) = (5, (2, 2, 2)) if quick else (CHUNKS, (STREAMS, AT_ONCE, ROUNDS))
    thread = LoopThread("benchmark")
    with serving() as address:
        base = f"{address}/{chunks}/0"
        connectors = {kind: _connector(kind, base) for kind in KINDS}
        try:
            contenders: dict[str, Callable[[], int]] = {
                kind: partial(_batch, thread, _reader(connector), streams, at_once, chunks)
                for kind, connector in connectors.items()
            }
            timings = interleave(contenders, rounds)
        finally:
            for connector in connectors.values():
                thread.run(connector.close())
            thread.stop()
    show(f"{at_once} streams at once, {chunks} chunks each", timings, base="openai", unit="chunk")
    for kind in KINDS[1:]:
        bar(f"{kind}: chunks/s against openai", ratio(timings, "openai", kind), AIM, at_least=True)


def _connector(kind: str, base: str) -> ProviderConnector:
    options = {"kind": kind, "base_url": base, "api_key": "k", "trust_env": False}
    if kind == "gemini":
        options["base_url"] = f"{base}/v1beta"
    return load_kind(kind)(kind, options)


def _reader(connector: ProviderConnector) -> Callable[[], Awaitable[int]]:
    request = CompletionRequest("c", "chat-completion", "m", ({"role": "user", "content": "Hi"},), stream=True)

    async def read() -> int:
        return sum([1 async for delta in connector.stream(request) if delta.text])

    return read


def _batch(thread: LoopThread, read: Callable[[], Awaitable[int]], streams: int, at_once: int, chunks: int) -> int:
    seen = 0

    async def one() -> None:
        nonlocal seen
        found = await read()
        seen += found

    thread.run(crowd(streams, at_once, one))
    assert seen == streams * chunks, f"{seen} chunks"
    return seen
