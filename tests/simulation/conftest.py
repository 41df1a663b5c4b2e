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
PATIENCE_S = 30.0
FAST = {"ttft_s": 0, "tokens_per_s": 0, "answers": {PROMPT: ANSWER}}


@dataclass
class Seen:
    """What a client saw of one request."""

    kind: str = "openai"
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    error: Exception | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def chunks(self) -> list[Any]:
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def text(self) -> str:
        """The text, whole or streamed."""
        contents = self.chunks if self.events or not self.body else [self.json]
        return "".join(_TEXTS[self.kind](content) for content in contents if isinstance(content, dict))


def _silence(limit_s: float) -> httpx.Timeout:
    """A limit for the silence of a server, and for nothing else."""
    return httpx.Timeout(PATIENCE_S, read=limit_s)


def _of_openai(content: Any) -> str:
    choices = content.get("choices", [])
    return "".join((choice.get("delta") or choice.get("message") or {}).get("content") or "" for choice in choices)


def _of_anthropic(content: Any) -> str:
    blocks = [*content.get("content", []), content.get("delta", {})]
    return "".join(block.get("text", "") for block in blocks)


def _of_responses(content: Any) -> str:
    if content.get("type") == "response.output_text.delta":
        return str(content["delta"])
    return "".join(part["text"] for item in content.get("output", []) for part in item.get("content", []))


def _of_gemini(content: Any) -> str:
    candidates = content.get("candidates", [])
    return "".join(part.get("text", "") for one in candidates for part in one["content"].get("parts", []))


def _of_ollama(content: Any) -> str:
    return str(content.get("message", {}).get("content", ""))


def _of_cohere(content: Any) -> str:
    if content.get("type") == "content-delta":
        return str(content["delta"]["message"]["content"]["text"])
    parts = content.get("message", {}).get("content", []) if "finish_reason" in content else []
    return "".join(part["text"] for part in parts)


_TEXTS: dict[str, Callable[[Any], str]] = {
    "openai": _of_openai,
    "openai_responses": _of_responses,
    "anthropic": _of_anthropic,
    "gemini": _of_gemini,
    "ollama": _of_ollama,
    "cohere": _of_cohere,
}
KINDS = tuple(_TEXTS)


def _body(kind: str, turns: list[tuple[str, str]], stream: bool) -> tuple[str, dict[str, Any]]:
    """Path (below the base URL) and body of a talk in a wire format; the assistant is called so in `turns`."""
    messages = [{"role": role, "content": text} for role, text in turns]
    chat = {"model": "alpha", "messages": messages, "stream": stream}
    match kind:
        case "openai":
            return "/chat/completions", chat
        case "openai_responses":
            return "/responses", {"model": "alpha", "input": messages, "stream": stream}
        case "anthropic":
            return "/v1/messages", {**chat, "max_tokens": 1000}
        case "gemini":
            roles = {"assistant": "model"}
            contents = [{"role": roles.get(role, role), "parts": [{"text": text}]} for role, text in turns]
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"/models/alpha:{method}", {"contents": contents}
        case "ollama":
            return "/api/chat", chat
        case _:
            return "/v2/chat", chat


@pytest.fixture
def talk() -> Iterator[Callable[..., Seen]]:
    """Talks to a server in one of the wire formats, over plain HTTP: about the prompt that it knows, or `turns`."""
    with httpx.Client() as client:

        def send(
            server: SimulatedServer,
            kind: str,
            *turns: tuple[str, str],
            stream: bool = False,
            path: str | None = None,
            headers: dict[str, str] | None = None,
            timeout: float = PATIENCE_S,
            without: tuple[str, ...] = (),
            **more: Any,
        ) -> Seen:
            usual, body = _body(kind, list(turns) or [("user", PROMPT)], stream)
            body = {key: value for key, value in {**body, **more}.items() if key not in without}
            url = server.url(kind=kind) + (usual if path is None else path)
            return _send(client, url, body, Seen(kind), headers=headers, timeout=_silence(timeout))

        yield send


def _send(client: httpx.Client, url: str, body: Any, seen: Seen, **options: Any) -> Seen:
    decoder = SSEDecoder()
    try:
        with client.stream("POST", url, json=body, **options) as response:
            seen.status, seen.headers = response.status_code, dict(response.headers)
            for piece in response.iter_bytes():
                seen.body += piece
                if response.headers["content-type"].startswith("text/event-stream"):
                    events = decoder.feed(piece)
                    seen.events += [event.data for event in events]
                    seen.names += [event.event for event in events]
    except httpx.HTTPError as error:
        seen.error = error
    if seen.headers.get("content-type") == "application/x-ndjson":
        seen.events = [line for line in seen.body.decode().split("\n") if line]
    return seen


@pytest.fixture
def serve() -> Iterator[Callable[..., SimulatedServer]]:
    """Starts servers: models with their options (fast, with one known answer, where not said otherwise)."""
    with ExitStack() as running:

        def start(models: dict[str, dict[str, Any]] | None = None, **options: Any) -> SimulatedServer:
            wanted = {name: {**FAST, **given} for name, given in (models or {"alpha": {}}).items()}
            return running.enter_context(SimulatedServer(read_models(wanted), **options))

        yield start


@pytest.fixture
def until_silence() -> Callable[..., Seen]:
    """Asks (`ask`, `talk`) a server that falls silent: with more and more patience, until what is seen is `enough`."""

    def listen(ask: Callable[..., Seen], *args: Any, enough: Callable[[Seen], Any], **body: Any) -> Seen:
        for timeout in (0.1, 1.0, 10.0):
            seen = ask(*args, timeout=timeout, **body)
            if enough(seen):
                break
        return seen

    return listen


@pytest.fixture
def ask() -> Iterator[Callable[..., Seen]]:
    """Asks a server's first model (or `model`) the prompt that it knows, over plain HTTP."""
    with httpx.Client() as client:

        def send(
            server: SimulatedServer, *, timeout: float = PATIENCE_S, path: str = "chat/completions", **body: Any
        ) -> Seen:
            messages = [{"role": "user", "content": body.pop("prompt", PROMPT)}]
            model = body.pop("model", next(iter(server.models)))
            if path == "chat/completions":
                body = {"messages": messages, **body}
            url = f"{server.url(model if model in server.models else None)}/{path}"
            seen, decoder = Seen(), SSEDecoder()
            try:
                with client.stream("POST", url, json={"model": model, **body}, timeout=_silence(timeout)) as response:
                    seen.status, seen.headers = response.status_code, dict(response.headers)
                    for piece in response.iter_bytes():
                        seen.body += piece
                        if response.headers["content-type"].startswith("text/event-stream"):
                            seen.events += [event.data for event in decoder.feed(piece)]
            except httpx.HTTPError as error:
                seen.error = error
            return seen

        yield send
