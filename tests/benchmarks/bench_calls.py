"""A routed, recorded call in the lab's loop (as replay runs) against clients and a router that people use."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import HttpxAiohttpClient
from local_lab import BODY, SPEC, local_lab
from measure import bar, crowd, installed, interleave, ratio, show

from routerlab.lab import Lab
from routerlab.mixins.http_transport import HttpClient

# concurrency: calls in a batch (many rounds of the crowd: it is at full strength but at its end), rounds, aim
PLAN = {1: (200, 20, 1.2), 16: (320, 20, 2.5), 128: (1280, 10, 4.0), 512: (1536, 6, 5.0)}
AGAINST_LITELLM = 5.0
ROUTING_CPU = 1.2

One = Callable[[], Awaitable[object]]


def main(*, quick: bool) -> None:
    plan = {2: (4, 2, 1.0)} if quick else PLAN
    with local_lab() as (lab, url):
        run = lab._session.run
        clients = run(open_clients())
        routed = {"routed": routed_call(lab)}
        against_clients(run, routed | bare_calls(clients, url), plan)
        if installed("litellm"):
            against_litellm(run, routed | {"litellm": litellm_call(url)}, plan)
        run(close_clients(clients))


def against_clients(run: Any, calls: Mapping[str, One], plan: Mapping[int, tuple[int, int, float]]) -> None:
    for concurrency, (count, rounds, aim) in plan.items():
        timings = interleave(batches(run, calls, count, concurrency), rounds)
        show(f"{concurrency} at once, against clients", timings, base="httpx")
        bar("routed calls/s against httpx", ratio(timings, "httpx", "routed"), aim, at_least=True)
        whole = ratio(timings, "routed", "same transport", "cpu_s")
        bar(
            "CPU of routing and recording, in calls of the same transport",
            whole.middle - 1,
            ROUTING_CPU,
            at_least=False,
        )
        print(f"     (the whole routed call: {whole} x)")


def against_litellm(run: Any, calls: Mapping[str, One], plan: Mapping[int, tuple[int, int, float]]) -> None:
    for concurrency, (count, rounds, _) in plan.items():
        timings = interleave(batches(run, calls, max(100, count // 4), concurrency), max(3, rounds // 3))
        show(f"{concurrency} at once, against LiteLLM's Router", timings, base="litellm")
        bar("routed calls/s against LiteLLM", ratio(timings, "litellm", "routed"), AGAINST_LITELLM, at_least=True)


def batches(run: Any, calls: Mapping[str, One], count: int, concurrency: int) -> dict[str, Callable[[], int]]:
    """Everything runs in the lab's loop."""
    return {name: lambda one=one: run(crowd(count, concurrency, one)) for name, one in calls.items()}


def routed_call(lab: Lab) -> One:
    session = lab._session

    async def routed() -> None:
        result = await session.call(SPEC)
        assert result.error is None, result.error

    return routed


async def open_clients() -> dict[str, Any]:
    return {
        "httpx": httpx.AsyncClient(timeout=60),  # by default a crowd of 512 runs into its limit of 5 s for the pool
        "same transport": HttpClient(timeout=None),
        "httpx-aiohttp": HttpxAiohttpClient(),
        "aiohttp": aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)),
    }


async def close_clients(clients: Mapping[str, Any]) -> None:
    for client in clients.values():
        await (client.close() if isinstance(client, aiohttp.ClientSession) else client.aclose())


def bare_calls(clients: Mapping[str, Any], url: str) -> dict[str, One]:
    def with_httpx(client: httpx.AsyncClient) -> One:
        async def call() -> None:
            answer = await client.post(url, json=BODY)
            assert answer.json()["choices"]

        return call

    async def with_aiohttp() -> None:
        async with clients["aiohttp"].post(url, json=BODY) as answer:
            assert (await answer.json())["choices"]

    return {
        name: with_aiohttp if isinstance(client, aiohttp.ClientSession) else with_httpx(client)
        for name, client in clients.items()
    }


def litellm_call(url: str) -> One:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no network
    import litellm

    address = url.removesuffix("/chat/completions")
    params = {"model": "openai/m", "api_base": address, "api_key": "none"}
    router = litellm.Router(model_list=[{"model_name": "m", "litellm_params": params}])

    async def call() -> None:
        answer = await router.acompletion(model="m", messages=BODY["messages"])
        assert answer.choices

    return call
