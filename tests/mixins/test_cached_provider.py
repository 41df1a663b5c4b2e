"""The example connector: HTTP and cache together."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from routerlab.mixins import CachedHttpProvider

MODELS = {"object": "list", "data": [{"id": "small"}, {"id": "large"}]}


class Provider(CachedHttpProvider):
    def __init__(self, base_url: str = "https://api.example.com/v1", api_key: str = "sk-1") -> None:
        self.requests: list[httpx.Request] = []
        super().__init__(base_url, api_key)

    def _make_http_client(self, **kwargs: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer), **kwargs)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path == "/v1/models":
            return httpx.Response(200, json=MODELS)
        if json.loads(request.content).get("stream"):
            return httpx.Response(
                200, text="data: one\n\ndata: [DONE]\n\n", headers={"content-type": "text/event-stream"}
            )
        return httpx.Response(200, json={"choices": [{"message": {"content": "hello"}}]})


def test_models_are_cached_for_five_minutes() -> None:
    async def main() -> None:
        now = 0.0
        provider = Provider()
        provider._clock = lambda: now
        assert await provider.list_models() == MODELS
        (await provider.list_models())["data"].clear()
        now = 299.0
        assert await provider.list_models() == MODELS
        assert len(provider.requests) == 1
        assert provider.requests[0].headers["authorization"] == "Bearer sk-1"
        now = 301.0
        assert await provider.list_models() == MODELS
        assert len(provider.requests) == 2
        assert provider._cache_max_entries == 256
        assert provider._cache_ttl_ms == 300_000

    asyncio.run(main())


def test_complete() -> None:
    provider = Provider()
    request = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
    answer = asyncio.run(provider.complete(request))
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert (provider.requests[0].method, provider.requests[0].url.path) == ("POST", "/v1/chat/completions")
    assert json.loads(provider.requests[0].content) == request


def test_stream_leaves_the_request_alone() -> None:
    async def main() -> None:
        provider = Provider()
        request = {"model": "small", "messages": []}
        assert [data async for data in provider.stream(request)] == ["one", "[DONE]"]
        assert request == {"model": "small", "messages": []}
        assert json.loads(provider.requests[0].content) == {**request, "stream": True}

    asyncio.run(main())


def test_close() -> None:
    async def main() -> None:
        provider = Provider()
        await provider.list_models()
        await provider.close()
        await provider.close()
        assert provider._http_client is None
        assert provider._cache_stats().size == 0
        with pytest.raises(RuntimeError, match="_init_http_client"):
            await provider.list_models()

    asyncio.run(main())
