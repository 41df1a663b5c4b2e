"""Simulated servers for the tests, and a plain HTTP client that says what it sees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from routerlab.core.sse import SSEDecoder
from routerlab.simulation.options import read_models
from routerlab.simulation.server import SimulatedServer

PROMPT = "What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
FAST = {"ttft_s": 0, "tokens_per_s": 0, "answers": {PROMPT: ANSWER}}


@dataclass
class Seen:
    """What a client saw of one request."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: list[str] = field(default_factory=list)
    error: Exception | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def chunks(self) -> list[Any]:
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def text(self) -> str:
        """The streamed text."""
        deltas = [choice["delta"] for chunk in self.chunks for choice in chunk.get("choices", [])]
        return "".join(delta.get("content") or "" for delta in deltas)


@pytest.fixture
def serve() -> Iterator[Callable[..., SimulatedServer]]:
    """Starts servers: models with their options (fast, with one known answer, where not said otherwise)."""
    with ExitStack() as running:

        def start(models: dict[str, dict[str, Any]] | None = None, **options: Any) -> SimulatedServer:
            wanted = {name: {**FAST, **given} for name, given in (models or {"alpha": {}}).items()}
            return running.enter_context(SimulatedServer(read_models(wanted), **options))

        yield start


@pytest.fixture
def ask() -> Iterator[Callable[..., Seen]]:
    """Asks a server's first model (or `model`) the prompt that it knows, over plain HTTP."""
    with httpx.Client(timeout=5.0) as client:

        def send(server: SimulatedServer, *, timeout: float = 5.0, path: str = "chat/completions", **body: Any) -> Seen:
            messages = [{"role": "user", "content": body.pop("prompt", PROMPT)}]
            model = body.pop("model", next(iter(server.models)))
            if path == "chat/completions":
                body = {"messages": messages, **body}
            url = f"{server.url(model if model in server.models else None)}/{path}"
            seen, decoder = Seen(), SSEDecoder()
            try:
                with client.stream("POST", url, json={"model": model, **body}, timeout=timeout) as response:
                    seen.status, seen.headers = response.status_code, dict(response.headers)
                    for piece in response.iter_bytes():
                        seen.body += piece
                        if response.headers["content-type"].startswith("text/event-stream"):
                            seen.events += [event.data for event in decoder.feed(piece)]
            except httpx.HTTPError as error:
                seen.error = error
            return seen

        yield send
