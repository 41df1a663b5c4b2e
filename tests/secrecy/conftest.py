"""A gateway that gives away all that it was told, and a hunter who looks for it in everything that a user can reach.

Every secret holds the word `STEM`, so that half of one is found as well, however it is written.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import io
import json
import logging
import pickle
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pandas as pd
import pytest
import trustme
from cryptography.hazmat.primitives import serialization as forms
from IPython.core.ultratb import VerboseTB

import routerlab as rl
from routerlab.core.redact import Private, Redactor, Secrets
from routerlab.providers.keys import CommandKey, FixedKey, Key

STEM = "k4n4ry"
CANARIES = Private(
    key=f"sk-{STEM}/of+the=gateway-1f9c",  # printed by a command
    spare=f"gw.{STEM}+of/the=spare-77aa",  # of the environment
    header=f'{STEM} in a header; of "quotes"',
    plain=f"{STEM}InAHeaderWithoutAName42",
    query=f"{STEM}?in&the query",
    user="gateway-user",
    password=f"{STEM}/password:of the proxy",
    pem=f"{STEM} password of the certificate",
)


def written(secret: str) -> list[str]:
    """The forms in which a provider may give a secret back."""
    offsets = (base64.b64encode(b"x" * offset + secret.encode()).decode() for offset in range(3))
    return [secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], *offsets]


ECHO = " | ".join(form for secret in CANARIES.values() for form in written(secret))
_BLOCK = 4001  # bytes; odd, so that cuts fall everywhere
_TRACES = [STEM] + [
    base64.b64encode(b"x" * offset + secret.encode()).decode()[4:20].lower()
    for secret in CANARIES.values()
    if STEM in secret
    for offset in range(3)
]


def traces_in(text: str | bytes) -> list[str]:
    """What of any secret is in a text: the words around it."""
    text = (text.decode("latin-1") if isinstance(text, bytes) else text).lower()
    return [text[max(0, (at := text.find(trace)) - 60) : at + 30] for trace in _TRACES if trace in text]


# -- the gateway -------------------------------------------------------------------------------------------------------


def _head(status: int, kind: str, more: str = "") -> bytes:
    told = " ".join(form.replace("\n", "") for form in written(CANARIES["key"]))
    limits = f"x-ratelimit-remaining-requests: {told}\r\nretry-after: {told}\r\nx-request-id: {told}\r\n"
    return f"HTTP/1.1 {status} {CANARIES['key']}\r\ncontent-type: {kind}\r\n{limits}{more}".encode()


def _whole(status: int, body: Any, kind: str = "application/json", more: str = "") -> list[bytes]:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return [_head(status, kind, f"{more}content-length: {len(data)}\r\n\r\n"), data]


def _events(*events: Any, end: bool = True) -> list[bytes]:
    """An event stream, cut every 17 bytes."""
    lines = [event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n" for event in events]
    data = "".join([*lines, "data: [DONE]\n\n" if end else ""]).encode()
    return [
        _head(200, "text/event-stream", "transfer-encoding: chunked\r\n\r\n"),
        *(b"%x\r\n%b\r\n" % (len(data[i : i + 17]), data[i : i + 17]) for i in range(0, len(data), 17)),
        *([b"0\r\n\r\n"] if end else []),
    ]


def _delta(**delta: Any) -> dict[str, Any]:
    return {"id": ECHO, "model": CANARIES["key"], "choices": [{"delta": delta, "finish_reason": None}]}


def _pieces(text: str, size: int) -> list[Any]:
    return [_delta(content=text[i : i + size]) for i in range(0, len(text), size)]


_CALL = {"index": 0, "id": ECHO, "type": "function", "function": {"name": ECHO, "arguments": json.dumps({"x": ECHO})}}
_MESSAGE = {"content": f"You sent {ECHO}", "reasoning_content": ECHO, "tool_calls": [_CALL]}
_END = {"model": ECHO, "choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": ECHO}}
_ERROR = {"error": {"message": ECHO, "code": CANARIES["key"], "type": ECHO, "param": ECHO}}

ANSWERS: dict[str, list[Any]] = {
    "success": _whole(200, {"id": ECHO, "model": ECHO, "choices": [{"message": _MESSAGE, "finish_reason": ECHO}]}),
    "success, escaped": _whole(
        200, json.dumps({"choices": [{"message": {"content": ECHO}, "finish_reason": "stop"}]}).replace("/", "\\/")
    ),
    **{
        f"status {status}": _whole(status, _ERROR)
        for status in (400, 401, 402, 403, 404, 408, 413, 418, 422, 429, 500, 503)
    },
    "page": _whole(502, f"<html>{ECHO}", "text/html"),
    "page as a success": _whole(200, f"<html>{ECHO}", "text/html"),
    "no json": _whole(200, f"{{{ECHO}"),
    "no choices": _whole(200, {"choices": ECHO}),
    "error as a success": _whole(200, _ERROR),
    "refusal": _whole(200, {"choices": [{"message": {"refusal": ECHO, "content": None}, "finish_reason": "stop"}]}),
    "redirect": _whole(307, ECHO, more=f"location: https://{quote(CANARIES['key'])}@127.0.0.1/?{quote(ECHO)}\r\n"),
    "no http": [ECHO.encode() + b"\r\n\r\n"],
    "broken off": [_whole(200, _ERROR)[0], ECHO.encode()[:50]],
    "hung up": [],
    "silence": [None],
    "silence in the answer": [_whole(200, _ERROR)[0], ECHO.encode()[:50], None],
}
STREAMS: dict[str, list[Any]] = {
    **ANSWERS,
    "success": _events(
        *_pieces(f"You sent {ECHO}", 7), _delta(reasoning_content=ECHO), _delta(tool_calls=[_CALL]), _END
    ),
    "success in one": _events(*_pieces(f"You sent {ECHO}", 10_000), _END),
    "error event": _events(_ERROR),
    "error in the middle": _events(*_pieces(ECHO, 7), _ERROR),
    "cut": _events(*_pieces(ECHO, 7), end=False),
    "cut in an event": [*_events(*_pieces(ECHO, 90), end=False)[:-1]],
    "malformed": _events(*(f"data: {{{ECHO}\n\n" for _ in range(60))),
    "endless line": _events("data: " + ECHO * 3, end=False),
    "silence in a stream": [*_events(*_pieces(ECHO, 7), end=False), None],
}


def _blocks(answer: list[Any]) -> Iterator[bytes | None]:
    """The same bytes in few pieces, cut anywhere; to encrypt 17 at a time would take the loop longer than a client
    waits, and on and on once it has gone."""
    for is_silence, parts in groupby(answer, lambda part: part is None):
        if is_silence:
            yield from parts
        else:
            data = b"".join(parts)
            yield from (data[i : i + _BLOCK] for i in range(0, len(data), _BLOCK))


class Gateway:
    """A server over TLS that wants a certificate, behind a proxy with a login; and it talks.

    Attributes:
        answer: what it sends; a None in it: silence.
        requests: what has come in at the server; at the proxy.
    """

    def __init__(self, authority: trustme.CA) -> None:
        self.answer: list[Any] = []
        self.requests: list[str] = []
        self.greetings: list[str] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(self._context)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self._loop, self._tasks = asyncio.new_event_loop(), set[asyncio.Task[None]]()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._servers = [self._do(self._serve(self._answered, self._context)), self._do(self._serve(self._tunnelled))]
        self.port, self.proxy_port = (server.sockets[0].getsockname()[1] for server in self._servers)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _serve(self, play: Callable[..., Any], context: ssl.SSLContext | None = None) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await play(reader, writer)
            self._tasks.discard(task)
            writer.transport.abort()
            await asyncio.sleep(0)  # for the transport to let go of its socket

        return await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [line.partition(":")[2] for line in head.lower().split("\r\n") if line.startswith("content-length")]
        self.requests.append(head + (await reader.readexactly(int(lengths[0]))).decode())
        for part in _blocks(self.answer):
            if part is None:
                await reader.read()
            else:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)  # the proxy, in the same loop, passes it on, and tells when the client has gone
        writer.close()
        await writer.wait_closed()

    async def _tunnelled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.greetings.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        back, there = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Go on\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        try:
            await asyncio.gather(pump(reader, there), pump(back, writer))
        finally:
            there.transport.abort()

    def play(self, name: str) -> None:
        """Give one of the answers, by its name."""
        self.answer = (STREAMS | ANSWERS)[name]

    def close(self) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs all certificates."""
    return trustme.CA()


@pytest.fixture(scope="session")
def gateway(authority: trustme.CA) -> Iterator[Gateway]:
    """One for all tests."""
    server = Gateway(authority)
    yield server
    server.close()


@pytest.fixture(scope="session")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the certificates, and of what the command prints."""
    folder = tmp_path_factory.mktemp("files")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf = authority.issue_cert("client@gateway.test")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    key = forms.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    lock = forms.BestAvailableEncryption(CANARIES["pem"].encode())
    (folder / "key.pem").write_bytes(key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, lock))
    (folder / "printed").write_text(CANARIES["key"])
    return folder


@pytest.fixture
def config(gateway: Gateway, files: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A lab of two models at the gateway, with secrets wherever there can be one; the values are in the environment."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, secret in CANARIES.items():
        monkeypatch.setenv(f"CANARY_{name.upper()}", secret)
    login = f"{quote(CANARIES['user'], safe='')}:{quote(CANARIES['password'], safe='')}"
    monkeypatch.setenv("CANARY_LOGIN", login)
    whom = {"base_url": f"https://127.0.0.1:{gateway.port}/v1", "kind": "openai_compatible", "models": ["one"]}
    certificate = {"cert": str(files / "cert.pem"), "key": str(files / "key.pem"), "password": "${env:CANARY_PEM}"}
    whom |= {
        "headers": {"X-Auth": "${env:CANARY_HEADER}", "X-Team": "${env:CANARY_PLAIN}"},
        "query": {"team": "${env:CANARY_QUERY}"},
        "ca_bundle": str(files / "ca.pem"),
        "client_cert": certificate,
        "proxy": f"http://${{env:CANARY_LOGIN}}@127.0.0.1:{gateway.proxy_port}",
    }
    return {
        "providers": {
            "gw": {**whom, "api_key": f"${{cmd:cat {files / 'printed'}}}"},
            "spare": {**whom, "api_key": "${env:CANARY_SPARE}"},
        },
        "routing": {
            "retry": {"initial_delay": 0.001},
            "timeouts": {"request": 0.5, "first_token": 0.5, "idle": 0.5},
        },
        "pools": {"chat": {"models": ["gw/one", "spare/one"]}},
    }


@pytest.fixture
def opened(config: dict[str, Any]) -> Callable[..., Any]:
    """Opens a lab of `config` that knows its key already: a busy machine may take longer to print it than a call has,
    and nobody can hide what nobody knows yet."""

    def open_lab(**options: Any) -> Any:
        lab = rl.Lab(config, **options)
        lab._session.loop.run(lab._session.connectors["gw"]._key())
        return lab

    return open_lab


# -- the hunter --------------------------------------------------------------------------------------------------------


def _pictures(thing: Any) -> Iterator[str]:
    """All that a notebook, a terminal or a debugger shows of a thing."""
    yield from (repr(thing), str(thing), f"{thing}")
    for name in dir(type(thing)):
        if name.startswith("_repr_") and name.endswith("_"):
            with contextlib.suppress(TypeError):
                yield repr(getattr(thing, name)())
    if isinstance(thing, pd.DataFrame):
        yield from (thing.to_csv(), thing.to_html(), repr(thing.attrs), repr(thing.to_dict("records")))


def _pickled(thing: Any) -> bytes:
    try:
        return pickle.dumps(thing)
    except Exception:  # noqa: BLE001 - refused, whatever it holds: that is as good
        return b""


KEEPERS = (httpx.Headers, Private, Secrets, Redactor, Key, CommandKey, FixedKey)
"""What is there to hold secrets; it shows none, but it is not looked into."""


def reach(root: Any, depth: int = 6) -> Iterator[Any]:
    """Every object of routerlab, and every container, that attributes lead to, private ones too."""
    seen, level = {id(root)}, [root]
    for _ in range(depth):
        following = []
        for thing in level:
            variables = getattr(thing, "__dict__", None)
            yield thing
            if isinstance(thing, KEEPERS):
                continue
            for part in variables.values() if isinstance(variables, dict) else gc.get_referents(thing):
                if id(part) in seen or not _is_shown(part):
                    continue
                seen.add(id(part))
                following.append(part)
        level = following


def _is_shown(part: Any) -> bool:
    ours = type(part).__module__.startswith("routerlab")
    return (ours or isinstance(part, dict | list | tuple | BaseException)) and not isinstance(part, type)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except AttributeError:  # half made, which is what the error is about
        return "?"


def told_by(error: BaseException) -> Iterator[str]:
    """All that anything makes of an exception: its chain, tracebacks with locals, IPython's verbose one, a pickle."""
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    yield VerboseTB("nocolor").text(type(error), error, error.__traceback__)
    queue, seen = [error], set[int]()
    while queue:
        one = queue.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        queue += [follow for follow in (one.__cause__, one.__context__) if follow is not None]
        queue += list(getattr(one, "exceptions", ()))
        yield from (repr(one), str(one), repr(one.args), repr(vars(one)))
        for frame, _ in traceback.walk_tb(one.__traceback__):
            yield from (f"{frame.f_code.co_qualname}: {name}={_shown(value)}" for name, value in frame.f_locals.items())
    yield _pickled(error).decode("latin-1")


class Hunter:
    """Collects what was shown, and says where a secret is in it."""

    def __init__(self) -> None:
        self.logs = io.StringIO()
        self.found: list[str] = []

    def search(self, where: str, *texts: str | bytes) -> None:
        self.found += [f"{where}: …{trace}…" for text in texts for trace in traces_in(text)]

    def look_at(self, where: str, *things: Any) -> None:
        for thing in things:
            name = f"{where} ({type(thing).__name__})"
            self.search(name, *_pictures(thing))
            self.search(f"pickle of {name}", _pickled(thing))

    def look_through(self, where: str, root: Any) -> None:
        """Look at whatever a thing leads to; pickles are for the thing itself."""
        for thing in reach(root):
            self.search(f"{where} → {type(thing).__module__}.{type(thing).__name__}", repr(thing), str(thing))

    def blame(self, where: str, error: BaseException) -> None:
        self.search(where, *told_by(error))

    def read_files(self, folder: Path) -> None:
        for file in (file for file in folder.rglob("*") if file.is_file()):
            self.search(file.name, file.read_bytes())

    def verdict(self) -> list[str]:
        """Everything that was found, logs included; each place once."""
        self.search("log", self.logs.getvalue())
        return list(dict.fromkeys(self.found))


@pytest.fixture
def hunter() -> Iterator[Hunter]:
    """Listens to all logs, at DEBUG."""
    found = Hunter()
    handler = logging.StreamHandler(found.logs)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    names = [None, "asyncio", "httpx", "httpcore", "aiohttp", "aiohttp.client", "uvicorn", "uvicorn.error", "routerlab"]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    yield found
    logging.getLogger().removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def canaries() -> dict[str, str]:
    """The secrets, by where they stand."""
    return CANARIES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``answer`` and ``stream`` are all answers of the gateway, ``streamed`` ones too."""
    for name, answers in (("answer", ANSWERS), ("stream", STREAMS)):
        if name in metafunc.fixturenames and metafunc.module.__name__.endswith("test_calls"):
            metafunc.parametrize(name, answers.values(), ids=answers)
