"""A raw HTTP server in a process of its own, fast enough that the client is what is measured.

It answers every POST to ``/<chunks>/<gap_ms>/…/chat/completions`` with the same chat completion; where a stream is
asked for, with so many chunks and so much silence before each, in the wire format that the path belongs to.

Run as a script it prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from formats import PATHS, WORD, pieces


def completion() -> bytes:
    """A whole answer, as OpenAI sends it."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m-2024",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": WORD * 40}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52},
    }
    payload = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


class Answering(asyncio.Protocol):
    """One connection, which is kept alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received = b""
        self._transport: asyncio.Transport
        self._whole = completion()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        _, chunks, gap_ms, rest = head.split(b"/", 3)
        first_line = b"/" + rest.partition(b"\r\n")[0]
        kind = next(kind for path, kind in PATHS.items() if path in first_line)
        if kind == "gemini" or b'"stream":true' in body.replace(b" ", b""):
            self._send(pieces(kind, int(chunks)), int(gap_ms) / 1000)
        else:
            self._transport.write(self._whole)

    def _send(self, pieces: Iterator[bytes], gap_s: float) -> None:
        """One piece now, the next when the others had their turn."""
        piece = next(pieces, None)
        if piece is None or self._transport.is_closing():
            return
        self._transport.write(piece)
        if gap_s:
            self._loop.call_later(gap_s, self._send, pieces, gap_s)
        else:
            self._loop.call_soon(self._send, pieces, gap_s)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if rest else 0


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(loop), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    await ended.wait()


@contextmanager
def serving() -> Iterator[str]:
    """The server in a process of its own; gives its base address."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve())
