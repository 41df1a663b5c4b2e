"""Providers over a scripted transport, and raw servers on loopback where the transport itself matters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from routerlab.core.failures import ProviderError
from routerlab.core.types import CompletionRequest, Delta, TokenUsage
from routerlab.providers.openai_compatible import OpenAICompatibleProvider

KEY = "sk-canary-0123456789abcdef"


@dataclass
class Received:
    """A stream, put together again."""

    deltas: list[Delta] = field(default_factory=list)
    error: ProviderError | None = None

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def reasoning(self) -> str:
        return "".join(delta.reasoning for delta in self.deltas)

    @property
    def tool_calls(self) -> list[dict[str, str]]:
        calls: dict[int, dict[str, str]] = {}
        for fragment in (delta.tool_call for delta in self.deltas if delta.tool_call):
            call = calls.setdefault(fragment["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += fragment.get("id", "")
            call["name"] += fragment["function"].get("name", "")
            call["arguments"] += fragment["function"]["arguments"]
        return [calls[index] for index in sorted(calls)]

    @property
    def usage(self) -> TokenUsage | None:
        return next((delta.usage for delta in reversed(self.deltas) if delta.usage), None)

    @property
    def finish_reasons(self) -> list[str]:
        return [delta.finish_reason for delta in self.deltas if delta.finish_reason]

    @property
    def served_model(self) -> str | None:
        return next((delta.served_model for delta in self.deltas if delta.served_model), None)

    @property
    def skipped(self) -> int:
        return sum(delta.skipped_events for delta in self.deltas)


class Scripted(OpenAICompatibleProvider):
    """The connector over a transport that answers from a function and keeps the requests."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response], name: str, config: dict[str, Any]) -> None:
        self._answer_with = answer
        self.requests: list[httpx.Request] = []
        super().__init__(name, config)

    def _make_http_client(self, **kwargs: Any) -> httpx.AsyncClient:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return self._answer_with(request)

        return httpx.AsyncClient(transport=httpx.MockTransport(handle), **kwargs)

    @property
    def sent(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body


@pytest.fixture
def scripted() -> Callable[..., Scripted]:
    """Make a provider from an answer (a response, or a function of the request), a name and options."""

    def make(
        answer: httpx.Response | Callable[[httpx.Request], httpx.Response], name: str = "openai", **config: Any
    ) -> Scripted:
        config.setdefault("api_key", KEY)
        return Scripted(answer if callable(answer) else lambda _: answer, name, config)

    return make


@pytest.fixture
def chat() -> Callable[..., CompletionRequest]:
    """Make a chat request."""

    def make(model: str = "gpt-4o-mini", *, connect_timeout_s: float = 5.0, **params: Any) -> CompletionRequest:
        messages = ({"role": "user", "content": "Hello"},)
        return CompletionRequest("c1", "chat-completion", model, messages, params, connect_timeout_s=connect_timeout_s)

    return make


@pytest.fixture
def receive() -> Callable[[OpenAICompatibleProvider, CompletionRequest], Awaitable[Received]]:
    """Read a stream to its end, or to its error."""

    async def read(provider: OpenAICompatibleProvider, request: CompletionRequest) -> Received:
        received = Received()
        try:
            async for delta in provider.stream(request):
                received.deltas.append(delta)
        except ProviderError as error:
            received.error = error
        return received

    return read


@pytest.fixture
def loopback() -> Callable[..., Any]:
    """A raw server: each connection's request is read, then the script writes what it likes."""

    @asynccontextmanager
    async def serve(script: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                await reader.readexactly(length)
                await script(writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client hung up, which is what some of these tests are about
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            server.close()

    return serve
