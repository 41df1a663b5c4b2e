"""Real sockets that do as they are told, and a lab in front of them that is asked and then looked at.

A connection plays a *script*, which is plain data. Its steps:

    "read"                              a whole request; where the client hangs up instead, the script is over
    "hi"                                a request, and the answer Hi, whole or streamed
    b"..."                              these bytes, in a segment of their own
    0.05                                a pause in seconds
    a function                          a pause until it says True
    ("answer", status, body, headers)   a whole answer with its length; what is neither text nor bytes becomes JSON
    ("head", headers)                   status 200 and headers
    "stream"                            the head of an event stream in chunks
    ("chunks", ...)                     one HTTP chunk and one segment each, in one event: a text is content, a dict is
                                        the event's JSON, bytes are as they are
    "finish", "done"                    the chunk with the finish reason; ``[DONE]`` and the last chunk
    ("drip", data, seconds)             byte by byte
    ("take", n)                         reads n bytes and no more
    "stall"                             nothing, until the client hangs up
    "taken"                             a pause until the client has read what was sent, and done with it what it does:
                                        a reset takes back what it has not read, and a bad chunk spoils all that its
                                        parser is given together with it
    "again"                             from the start: the connection is kept alive
    "rst"                               a reset; at the end of a script the connection is closed in good order

``{key}`` in an answer is the lab's key as a provider might echo it: plain, URL-quoted and in base64.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import socket
import struct
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import certifi
import pytest

import routerlab as rl
from routerlab.simulation.connection import lies_unread

KEY = "canary/7h1s+1s=not-for-you:0123456789abcdef"
KEY_FORMS = (
    KEY,
    quote(KEY, safe=""),
    *(base64.b64encode(b"x" * shift + KEY.encode()).decode()[4:48] for shift in range(3)),
)
ECHO = f"{KEY} {quote(KEY, safe='')} {base64.b64encode(f'Bearer {KEY}'.encode()).decode()}"
ANSWER = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "model": "one-2025"}
HI = [("answer", 200, ANSWER)]
HI_IN_PIECES = ["stream", ("chunks", "H", "i"), "finish", "done"]

Script = list[Any]


@dataclass
class Connection:
    """One connection, as the server saw it. `clients`: the loops in which its other end may live."""

    clients: list[asyncio.AbstractEventLoop]
    requests: list[bytes] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class RawServer:
    """Plays the n-th script on the n-th connection, the last one on all others.

    Args:
        loop: its own.
        clients: the loops of those who may connect.

    Attributes:
        connections: since the last `play`, in their order.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clients: list[asyncio.AbstractEventLoop]) -> None:
        self._loop, self._clients = loop, clients
        self._scripts: tuple[Script, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections: list[Connection] = []
        self._server = self._on_loop(asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**26))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[bytes]:
        return [request for connection in self.connections for request in connection.requests]

    def play(self, *scripts: Script) -> RawServer:
        """What to do from now on."""
        self._scripts, self.connections = scripts, []
        return self

    def close(self) -> None:
        self._on_loop(self._close())

    def _on_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(self._clients)
        script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
        self.connections.append(connection)
        try:
            while await _play(script, connection, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            connection.hung_up.set()
        except asyncio.CancelledError:  # the server closes
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            connection.ended.set()


async def _play(  # noqa: PLR0912 - one branch for each step
    script: Script, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Play a script once; True: once more."""
    for step in script:
        if step == "again":
            return True
        if step == "read":
            await _read_request(reader, connection)
        elif step == "hi":
            streamed = b'"stream":true' in await _read_request(reader, connection)
            await _play(HI_IN_PIECES if streamed else HI, connection, reader, writer)
        elif step == "stall":
            while await reader.read(2**16):
                pass
            connection.hung_up.set()
        elif step == "taken":
            while lies_unread(writer.transport):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.005)
            for client in connection.clients:
                await _gone_round(client)
        elif step == "rst":
            plug = writer.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif isinstance(step, float):
            await asyncio.sleep(step)
        elif callable(step):
            while not step():  # noqa: ASYNC110 - it may look at anything
                await asyncio.sleep(0.005)
        elif step[0] == "take":
            await reader.readexactly(step[1])
        elif step[0] == "drip":
            for byte in step[1]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(step[2])
        else:
            for segment in _segments(step):
                writer.write(segment)
                await writer.drain()
                await asyncio.sleep(0.001)  # for each to arrive by itself
    return False


async def _read_request(reader: asyncio.StreamReader, connection: Connection) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    request = head + await reader.readexactly(length)
    connection.requests.append(request)
    return request


async def _gone_round(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until a loop in another thread has gone round often enough for all that follows from what it has read."""
    here, done = asyncio.get_running_loop(), asyncio.Event()

    def turn(left: int) -> None:
        if left:
            loop.call_soon(turn, left - 1)
        else:
            here.call_soon_threadsafe(done.set)

    if loop.is_running():
        loop.call_soon_threadsafe(turn, 50)
        await done.wait()


def _segments(step: Any) -> list[bytes]:
    match step:
        case bytes():
            return [step.replace(b"{key}", ECHO.encode())]
        case "stream":
            return [_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})]
        case "finish":
            return [_chunk({"choices": [{"delta": {}, "finish_reason": "stop"}], "model": "one-2025"})]
        case "done":
            return [_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"]
        case "chunks", *chunks:
            return [_chunk(chunk) for chunk in chunks]
        case "head", headers:
            return [_head(200, headers)]
        case "answer", status, body, *headers:
            return [_answer(status, body, *headers)]
        case _:
            raise ValueError(f"no such step: {step!r}")


def _answer(status: int, body: Any, headers: dict[str, str] | None = None) -> bytes:
    if not isinstance(body, bytes):
        text = body if isinstance(body, str) else json.dumps(body)
        body = text.replace("{key}", ECHO).encode()
    own = {name: value.replace("{key}", ECHO) for name, value in (headers or {}).items()}
    return _head(status, {"content-type": "application/json", "content-length": str(len(body))} | own) + body


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in ({"connection": "close"} | headers).items()]
    return "\r\n".join([f"HTTP/1.1 {status} Some Reason", *lines, "", ""]).encode()


def _chunk(event: str | bytes | dict[str, Any]) -> bytes:
    if isinstance(event, str):
        event = {"choices": [{"delta": {"content": event}}], "model": "one-2025"}
    data = event if isinstance(event, bytes) else f"data: {json.dumps(event)}\n\n".replace("{key}", ECHO).encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture(scope="session")
def _wire() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of all raw servers, in a thread of its own."""
    loop, running = asyncio.new_event_loop(), threading.Event()
    loop.call_soon(running.set)
    thread = threading.Thread(target=loop.run_forever, name="raw-servers")
    thread.start()
    running.wait()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


# -- a lab in front of them --------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """What became of one call.

    Attributes:
        text: what a reader has at the end.
        pieces: of a stream.
        rows: of the table ``attempts``.
        call: the row of ``calls``.
    """

    text: str = ""
    error: rl.RouterLabError | None = None
    pieces: list[Any] = field(default_factory=list)
    reply: Any = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    call: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


class Bench:
    """A lab whose providers speak to raw servers; every question and answer is searched for the key.

    Args:
        lab: its providers speak to raw servers.
        logs: what is logged, DEBUG included.
    """

    def __init__(self, lab: rl.Lab, logs: io.StringIO) -> None:
        self.lab = lab
        self._logs = logs

    def ask(self, stream: bool = False, **options: Any) -> Asked:
        """One call, to its end."""
        asked, before, started = Asked(), self.lab._session.recorder.count("attempts"), time.monotonic()
        try:
            if stream:
                pieces = self.lab.stream("hello", **options)
                for piece in pieces:
                    asked.pieces = [] if piece.restart else asked.pieces
                    asked.pieces.append(piece)
                asked.reply = pieces.reply
            else:
                asked.reply = self.lab.chat("hello", **options)
        except rl.RouterLabError as error:
            asked.error = error
        asked.seconds = time.monotonic() - started
        asked.text = asked.reply.text if asked.reply else "".join(asked.pieces)
        asked.rows = self._tail("attempts", self.lab._session.recorder.count("attempts") - before)
        asked.call = self._tail("calls", 1)[0]
        self.must_not_show_the_key(asked)
        self._logs.truncate(self._logs.seek(0))
        return asked

    def _tail(self, table: str, count: int) -> list[dict[str, Any]]:
        columns = self.lab._session.recorder.tail(table, count) if count else {}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def failures(self, model: str) -> int:
        """What the breaker has counted in a row."""
        stats: dict[str, int] = self.lab._session.health.breaker(model).stats(time.monotonic())
        return stats["failure_count"]

    def snapshot(self, model: str) -> Any:
        return self.lab._session.snapshot(model)

    def must_not_show_the_key(self, asked: Asked) -> None:
        shown = [repr(asked), self._logs.getvalue(), repr(self.lab)]
        if asked.error is not None:
            shown.append(
                "".join(traceback.TracebackException.from_exception(asked.error, capture_locals=True).format())
            )
        if asked.reply is not None:
            shown += [
                repr(asked.reply),
                repr(asked.reply.raw),
                asked.reply._repr_html_(),
                str(asked.reply.trace._repr_mimebundle_()),
            ]
        text = "\n".join(shown).lower()
        assert not [form for form in KEY_FORMS if form.lower() in text]


class Stage:
    """Servers and benches that are closed together.

    Args:
        loop: of the servers.
        stack: what is to be closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stack: contextlib.ExitStack) -> None:
        self._loop, self._stack, self._logs = loop, stack, io.StringIO()
        self._clients: list[asyncio.AbstractEventLoop] = []
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("RAW_KEY", KEY)
        patch.setenv("SSL_CERT_FILE", _one_authority(stack))
        root, handler = logging.getLogger(), logging.StreamHandler(self._logs)
        stack.callback(root.setLevel, root.level)
        root.setLevel(logging.DEBUG)
        root.addHandler(handler)
        stack.callback(root.removeHandler, handler)

    @staticmethod
    def until(condition: Callable[[], object]) -> None:
        """Wait until it says something true."""
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, "still waiting"
            time.sleep(0.005)

    def server(self, *scripts: Script) -> RawServer:
        server = RawServer(self._loop, self._clients).play(*(scripts or (["hi"],)))
        self._stack.callback(server.close)
        return server

    def bench(
        self,
        routing: dict[str, Any] | None = None,
        *,
        pools: dict[str, Any] | None = None,
        models: dict[str, Any] | None = None,
        lab: dict[str, Any] | None = None,
        **urls: str | RawServer,
    ) -> Bench:
        """A lab of the providers at these addresses.

        Args:
            routing: as in ``lab.yaml``; where it does not say so, retries come after 10 ms, and no breaker opens.
            pools: as in ``lab.yaml``.
            models: of a provider, where it has others than ``one``.
            lab: keywords of `Lab`.
            urls: by the provider's name.
        """
        providers = {
            name: {
                "kind": "openai",
                "base_url": url.url if isinstance(url, RawServer) else url,
                "api_key": "${env:RAW_KEY}",
                "models": (models or {}).get(name, ["one"]),
            }
            for name, url in urls.items()
        }
        routing = {"retry": {"initial_delay": 0.01}, "breaker": {"failure_threshold": 1000}} | (routing or {})
        config = {"providers": providers, "routing": routing, "pools": pools or {}}
        made = self._stack.enter_context(rl.Lab(config, **({"store": False} | (lab or {}))))
        self._clients.append(made._session.loop.loop)
        return Bench(made, self._logs)


def _one_authority(stack: contextlib.ExitStack) -> str:
    """A file with one authority in place of a hundred, which take 50 ms to read for each provider."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))  # noqa: SIM115 - the stack closes it
    file.write(first + end)
    file.flush()
    return file.name


@pytest.fixture(scope="module")
def module_stage(_wire: asyncio.AbstractEventLoop) -> Iterator[Stage]:
    """For what the tests of a module share."""
    with contextlib.ExitStack() as stack:
        yield Stage(_wire, stack)


@pytest.fixture
def stage(_wire: asyncio.AbstractEventLoop, no_leaks: None) -> Iterator[Stage]:
    """For one test, which leaves nothing behind."""
    with contextlib.ExitStack() as stack:
        yield Stage(_wire, stack)


@pytest.fixture
def key_forms() -> tuple[str, ...]:
    """What must be found nowhere; the key itself comes first."""
    return KEY_FORMS


@pytest.fixture
def in_threads() -> Iterator[Callable[..., list[Future[Any]]]]:
    """Runs functions at the same time, one thread each."""
    with ThreadPoolExecutor(64) as threads:
        yield lambda *work: [threads.submit(do) for do in work]
