"""Transport over raw sockets: what comes between a lab and its provider beyond the rows that all models share."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl

BODY = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
KEPT = ("answer", 200, BODY, {"connection": "keep-alive"})


# -- connections that were kept alive ----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [["rst"], []], ids=["reset", "close"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_stale_keep_alive_is_a_failed_try_and_one_retry(end: list[Any], stream: bool, stage) -> None:
    """The server hangs up when the second request arrives: exactly one layer tries again, and it is in the records."""
    server = stage.server(["read", KEPT, "read", *end], ["hi"])
    bench = stage.bench(a=server)
    assert bench.ask().text == "Hi"
    asked = bench.ask(stream=stream)
    assert (asked.text, asked.column("outcome")) == ("Hi", ["retryable", "ok"])
    assert asked.rows[0]["maybe_billed"]
    assert [len(connection.requests) for connection in server.connections] == [2, 1]


@pytest.mark.parametrize("end", [["rst"], []], ids=["reset", "close"])
def test_a_connection_that_ended_while_nobody_used_it_costs_nothing(end: list[Any], stage) -> None:
    server = stage.server(["read", KEPT, *end], ["hi"])
    bench = stage.bench(a=server)
    bench.ask()
    stage.until(lambda: not is_connected(bench))
    assert bench.ask().column("outcome") == ["ok"]


def is_connected(bench: Any) -> bool:
    """Whether a connection that was kept still stands, as the client sees it."""
    pool = bench.lab._session.connectors["a"]._http_client._transport.client.connector
    return any(protocol.is_connected() for kept in pool._conns.values() for protocol, _ in kept)


def test_a_healthy_connection_is_used_again(stage) -> None:
    server = stage.server(["read", KEPT, "again"])
    bench = stage.bench(a=server)
    assert [bench.ask().text for _ in range(5)] == ["Hi"] * 5
    assert len(server.connections) == 1


def test_what_broke_off_is_never_used_again(stage) -> None:
    """The rest of a body that nobody waited for must not become the next request's answer."""
    late = ("answer", 200, BODY.replace("Hi", "late"), {"connection": "keep-alive"})
    server = stage.server(["read", lambda: len(server.connections) == 2, late, "stall"], ["hi"])
    bench = stage.bench({"timeouts": {"request": 2.0}}, a=server)
    assert type(bench.ask().error) is rl.ProviderUnavailableError
    assert bench.ask().text == "Hi"
    assert [len(connection.requests) for connection in server.connections] == [1, 1]


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tls_url(tmp_path: Path) -> Iterator[Any]:
    """Starts HTTPS servers with a certificate for these names, signed by nobody whom we trust."""
    trustme = pytest.importorskip("trustme")
    import http.server
    import ssl

    servers = []

    def start(*names: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(*names).configure_cert(context)
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        server.handle_error = lambda *_: None  # the client hangs up in the handshake
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return f"https://127.0.0.1:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_certificate_that_nobody_signed(stream: bool, stage, tls_url) -> None:
    bench = stage.bench(a=tls_url("127.0.0.1"), b=stage.server())
    asked = bench.ask(stream=stream)
    assert (asked.column("model"), asked.text) == (["a/one", "b/one"], "Hi")
    assert bench.failures("a/one") == 1
    message = asked.rows[0]["error_message"]
    assert "no trusted TLS connection to 127.0.0.1" in message
    assert not any(word in message.lower() for word in ("disable", "verify=", "insecure", "skip", "ssl=false"))
    assert not asked.rows[0]["maybe_billed"]


# -- bodies over the cap -----------------------------------------------------------------------------------------------

CAP = 32 * 2**20
GZIP = {"content-type": "application/json", "content-encoding": "gzip"}


def bomb(size: int, **head: str) -> list[Any]:
    packed = gzip.compress(bytes(size), 1)
    return ["read", ("head", GZIP | head | {"content-length": str(len(packed))}), packed]


def peak_mib(work: Any) -> float:
    """Most memory that the process held while it worked, beyond what it held before, in MiB (Linux only)."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def held(name: str) -> float:
        line = next(line for line in status.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) / 1024

    try:
        clear.write_text("5")  # the high-water mark starts anew
    except OSError:
        pytest.skip("this system does not tell the most memory that was held")
    before = held("VmRSS")
    work()
    return held("VmHWM") - before


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_bomb_does_not_go_off(stream: bool, stage) -> None:
    """Half a gigabyte in half a megabyte."""
    script = bomb(2**29, **({"content-type": "text/event-stream"} if stream else {}))
    server = stage.server(script)
    bench = stage.bench(a=server, b=stage.server())
    asked = []
    peak = peak_mib(lambda: asked.append(bench.ask(stream=stream)))
    assert (asked[0].column("model"), asked[0].text) == (["a/one", "b/one"], "Hi")
    assert (asked[0].rows[0]["outcome"], asked[0].rows[0]["maybe_billed"]) == ("move_on", True)
    assert "than 3" in asked[0].rows[0]["error_message"]  # 32 MiB, or as many bytes
    assert bench.failures("a/one") == 1
    assert peak < 4 * CAP / 2**20


def test_a_body_over_the_cap_is_left_at_once(stage) -> None:
    piece = b"x" * 2**20
    server = stage.server(["read", ("head", {"content-length": str(2**40)}), *[piece] * 200])
    bench = stage.bench(a=server)
    asked = bench.ask()
    assert type(asked.error) is rl.ProviderUnavailableError
    assert asked.column("status") == [200]
    assert server.connections[0].hung_up.wait(30)


def test_a_body_just_under_it_is_an_answer(stage) -> None:
    answer = BODY.replace("Hi", "x" * (CAP - 2 * len(BODY)))
    reply = stage.bench(a=stage.server(["read", ("answer", 200, answer)])).lab.chat("hello")
    assert len(reply.text) == CAP - 2 * len(BODY)


# -- refused before anything is sent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["two\nlines-0123456789", "clé-0123456789", "ends-in-a-break-0123456789\n"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_key_with_a_line_break_or_non_ascii(key: str, stream: bool, stage, monkeypatch) -> None:
    monkeypatch.setenv("RAW_KEY", key)
    server, other = stage.server(), stage.server()
    bench = stage.bench(a=server, b=other)
    asked = bench.ask(stream=stream)
    assert type(asked.error) is rl.InvalidRequestError
    assert key.strip() not in str(asked.error)
    assert server.connections == other.connections == []
    assert not asked.rows[0]["maybe_billed"]
    assert (bench.failures("a/one"), bench.snapshot("a/one").samples) == (0, 0)


# -- clocks and hanging up ---------------------------------------------------------------------------------------------

STREAM_CLOCKS = {
    "first_token": ["stall"],
    "first_token, but the role": [("chunks", {"choices": [{"delta": {"role": "assistant"}}]}, ""), "stall"],
    "idle": [("chunks", "H"), "stall"],
    "total": [*[("chunks", "x"), 0.05] * 1000],
}


@pytest.mark.parametrize("clock", STREAM_CLOCKS)
def test_a_clock_of_a_stream_hangs_up_at_once(clock: str, stage) -> None:
    server = stage.server(["read", "stream", *STREAM_CLOCKS[clock]])
    routing = {"timeouts": {clock.partition(",")[0]: 2.0}, "on_stream_failure": "buffer"}
    bench = stage.bench(routing, a=server, b=stage.server())
    asked = bench.ask(stream=True)
    assert (asked.text, asked.column("model")) == ("Hi", ["a/one", "b/one"])
    assert server.connections[0].hung_up.wait(30)
    assert 2.0 <= asked.rows[0]["latency_s"] < 30
    assert (asked.rows[0]["outcome"], asked.rows[0]["maybe_billed"]) == ("move_on", True)
    assert bench.failures("a/one") == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_deadline_hangs_up_at_once_and_blames_nobody(stream: bool, stage) -> None:
    server, other = stage.server(["read", "stall"]), stage.server()
    bench = stage.bench(a=server, b=other)
    asked = bench.ask(stream=stream, deadline=2.0)
    assert type(asked.error) is rl.RequestTimeoutError
    assert server.connections[0].hung_up.wait(30)
    assert (asked.column("outcome"), asked.column("maybe_billed")) == (["cancelled"], [True])
    assert (bench.failures("a/one"), bench.snapshot("a/one").samples) == (0, 0)
    assert other.connections == []


# -- many loops, many threads ------------------------------------------------------------------------------------------


def test_from_any_loop_and_any_thread(stage, in_threads) -> None:
    """A notebook may call `asyncio.run` twice; all of it goes through the lab's own loop."""
    server = stage.server(["read", KEPT, "again"])
    lab = stage.bench(a=server).lab
    texts = [asyncio.run(lab.achat("hello")).text, asyncio.run(lab.achat("hello")).text]
    texts += [future.result(30).text for future in in_threads(*[lambda: lab.chat("hello")] * 8)]
    texts += [future.result(30).text for future in in_threads(*[lambda: asyncio.run(lab.achat("hello"))] * 8)]
    assert texts == ["Hi"] * 18
    assert len(server.connections) <= 8


def test_a_second_loop_after_the_first_is_closed(stage) -> None:
    lab = stage.bench(a=stage.server(["read", "stream", ("chunks", "H", "i"), "finish", "done"])).lab

    async def read() -> str:
        return "".join([piece async for piece in lab.astream("hello")])

    assert [asyncio.run(read()), asyncio.run(read())] == ["Hi", "Hi"]
