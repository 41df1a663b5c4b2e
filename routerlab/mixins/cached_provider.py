"""A small, complete connector made of two mixins: the pattern to copy."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator
from typing import Any

from routerlab.mixins.cache import CacheMixin
from routerlab.mixins.http import HttpClientMixin

__all__ = ["CachedHttpProvider"]

_MODELS = "models"


class CachedHttpProvider(HttpClientMixin, CacheMixin):
    """An OpenAI-compatible server, spoken to in plain dicts; its list of models is cached for five minutes.

    Args:
        base_url: the server's, up to and including the version (``https://api.openai.com/v1``).
        api_key: sent as a bearer token; None for a server that wants none.
    """

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        super().__init__()
        self._init_http_client(base_url)
        self._http_auth_token = api_key
        self._init_cache(ttl_ms=300_000, max_entries=256)

    async def list_models(self) -> Any:
        """Returns the parsed body of ``GET /models``; what the caller does to it leaves the cache alone."""
        models = self._cache_get(_MODELS)
        if models is None:
            models = await self._http_get("/models")
            self._cache_set(_MODELS, models)
        return copy.deepcopy(models)

    async def complete(self, request: dict[str, Any]) -> Any:
        """Returns the parsed answer to a chat completion request in OpenAI's shape."""
        return await self._http_post("/chat/completions", json=request)

    def stream(self, request: dict[str, Any]) -> AsyncGenerator[str, None]:
        """Yields the data of each event of a streamed completion, ``[DONE]`` included; `request` stays as it is."""
        return self._http_stream("/chat/completions", json={**request, "stream": True})

    async def close(self) -> None:
        """Closes the client and clears the cache."""
        await self._close_http_client()
        self._cache_clear()
