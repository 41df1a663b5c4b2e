"""A fast HTTP server in a process of its own that counts what the client does: requests, connections, both at once.

It answers each POST one turn of its loop later, so that requests pile up where the client sends several at a time.
Every 40th is answered with 503, every 97th connection is closed after its answer without a word, and where the body
asks for a stream it gets one. For each line on its standard input it prints its counts; it ends when the input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any


def _framed(status: str, kind: str, payload: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload


def _answer() -> dict[str, Any]:
    message = {"role": "assistant", "content": "lorem ipsum " * 8}
    usage = {"prompt_tokens": 12, "completion_tokens": 16, "total_tokens": 28}
    return {
        "id": "1",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def _events() -> bytes:
    word = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "lorem "}, "finish_reason": None}]}
    last = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return (
        b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in (word, word, word, last))
        + b"data: [DONE]\n\n"
    )


WHOLE = _framed("200 OK", "application/json", json.dumps(_answer()).encode())
STREAM = _framed("200 OK", "text/event-stream", _events())
BUSY = _framed("503 Service Unavailable", "application/json", b'{"error": {"message": "try later"}}')

counts = {"requests": 0, "in_flight": 0, "most_in_flight": 0, "connections": 0, "most_connections": 0}


def _more(what: str) -> None:
    counts[what] += 1
    counts[f"most_{what}"] = max(counts[f"most_{what}"], counts[what])


class Counting(asyncio.Protocol):
    """One connection, which is kept alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        _more("connections")

    def connection_lost(self, exc: Exception | None) -> None:
        counts["connections"] -= 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        self._received = b""
        counts["requests"] += 1
        _more("in_flight")
        self._loop.call_soon(self._send, counts["requests"], b'"stream":true' in body.replace(b" ", b""))

    def _send(self, number: int, stream: bool) -> None:
        counts["in_flight"] -= 1
        self._transport.write(BUSY if number % 40 == 0 else STREAM if stream else WHOLE)
        if number % 97 == 0:
            self._transport.close()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Counting(loop), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def listen() -> None:
        for _ in sys.stdin:
            loop.call_soon_threadsafe(lambda: print(json.dumps(counts), flush=True))
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=listen, daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
