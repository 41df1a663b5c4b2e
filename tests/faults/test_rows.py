"""The fault table over raw sockets: HTTP status, transport, and 200 but wrong, each row by its name."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from routerlab.core import errors
from routerlab.core.failures import ProviderError

Script = list[Any]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: as in the virtual driver's tests, where it stands there.
        script: what the server does, on every connection.
        tries: of the model, with the default of one retry.
        moves_on: whether the second model is asked.
        counts: F: the breaker counts each try as a failure; N: none.
        error: if nothing is left.
        status: in the record.
        says: words of the error.
        billed: whether the record says that it may have been.
        via: the provider of the bench.
        stream: what the server does where the answer is asked for as a stream; None: the same.
    """

    name: str
    script: Script
    tries: int
    moves_on: bool
    counts: str
    error: type[errors.RequestError]
    status: int | None
    says: str = "no"
    billed: bool = False
    via: str = "bad"
    stream: Script | None = None

    @property
    def model(self) -> str:
        """Each row has a model of its own, so that nothing is left of one row in the other."""
        return f"{self.via}/{self.name}"

    @property
    def outcome(self) -> str:
        return "retryable" if self.tries > 1 else "move_on" if self.moves_on else "client_error"


UNAVAILABLE, INVALID, BAD = errors.ProviderUnavailableError, errors.InvalidRequestError, errors.BadResponseError


def failure(status: int, code: str = "", **headers: str) -> Script:
    return ["read", ("answer", status, {"error": {"message": "no, dear {key}", "code": code}}, headers)]


def body(text: Any, **headers: str) -> Script:
    return ["read", ("answer", 200, text, {name.replace("_", "-"): value for name, value in headers.items()})]


def choice(**values: Any) -> dict[str, Any]:
    return {"choices": [values]}


STATUS = [
    *(Row(f"{n} from the first model", failure(n), 1, False, "N", INVALID, n) for n in (400, 405, 415, 422)),
    *(
        Row(f"{n} context too long", failure(n, code), 1, True, "N", errors.ContextWindowError, n)
        for n, code in ((400, "context_length_exceeded"), (413, ""))
    ),
    Row("content filter", failure(400, "content_filter"), 1, False, "N", errors.ContentFilterError, 400),
    Row(
        "content filter: the finish reason",
        body(choice(message={"content": None, "refusal": "I would rather not"}, finish_reason="content_filter")),
        1, False, "N", errors.ContentFilterError, 400, "I would rather not",
        stream=["read", "stream", ("chunks", choice(delta={"refusal": "I would rather not"}),
                                   choice(delta={}, finish_reason="content_filter")), "done"],
    ),
    *(
        Row(f"{n} quota used up", failure(n, "insufficient_quota"), 1, True, "N", errors.QuotaExceededError, n)
        for n in (400, 402, 429)
    ),
    Row("402 no credit", failure(402), 1, True, "N", errors.QuotaExceededError, 402),
    *(Row(str(n), failure(n), 1, True, "N", errors.AuthenticationError, n, "RAW_KEY") for n in (401, 403)),
    Row("404 model", failure(404, "model_not_found"), 1, True, "N", errors.ModelNotFoundError, 404),
    *(
        Row(str(n), failure(n), 2, True, "F", UNAVAILABLE, n)
        for n in (408, 409, 425, 500, 502, 503, 504, 520, 524, 529, 599)
    ),
    Row("418", failure(418), 1, False, "N", INVALID, 418),
    *(
        Row(str(n), failure(n, location="http://elsewhere.example/{key}"), 1, False, "N", INVALID, n, "elsewhere.ex")
        for n in (301, 302, 303, 307, 308)
    ),
]  # fmt: skip

WHOLE = json.dumps(choice(message={"content": "Hi"}, finish_reason="stop")).encode()
LENGTH = {"content-type": "application/json", "content-length": str(len(WHOLE))}
CHUNKED = {"content-type": "application/json", "transfer-encoding": "chunked"}
PACKED = {"content-type": "application/json", "content-encoding": "gzip"}
CONTENT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
HURRY_S = 0.5  # time for a busy machine to connect and to ask
MID_BODY = "reset, short body, bad chunk in mid-body"


def before_headers(name: str, *script: Any) -> Row:
    name = f"refused, DNS, reset or close before headers: {name}"
    return Row(name, ["read", *script], 2, True, "F", UNAVAILABLE, None, "127.0.0.1", billed=True)


def within(name: str, headers: dict[str, str], *script: Any) -> Row:
    """A body that breaks; as a stream, one that breaks before its first content."""
    broken = ["read", ("head", headers), *script]
    return Row(
        f"{MID_BODY}: {name}", broken, 2, True, "F", UNAVAILABLE, None, "broke off", billed=True,
        stream=["read", ("head", headers | {"content-type": "text/event-stream"}), *script],
    )  # fmt: skip


def unreached(name: str, via: str, says: str, tries: int = 2) -> Row:
    return Row(name, [], tries, True, "F", UNAVAILABLE, None, says, via=via)


def tls(name: str, *script: Any) -> Row:
    return Row(f"TLS: {name}", list(script), 1, True, "F", UNAVAILABLE, None, "TLS connection to 127.0.0.1", via="tls")


def slow(name: str, *script: Any, status: int | None = None) -> Row:
    says = f" within {HURRY_S:g} s"
    return Row(name, ["read", *script], 1, True, "F", UNAVAILABLE, status, says, billed=True, via="hurried")


TRANSPORT = [
    unreached("refused, DNS, reset or close before headers: refused", "gone", "connection refused"),
    unreached("refused, DNS, reset or close before headers: DNS", "nowhere", "no-such-host.invalid"),
    before_headers("reset", "rst"),
    before_headers("close"),
    before_headers("reset within the status line", b"HTTP/1.1 2", "rst"),
    before_headers("close within the headers", b"HTTP/1.1 200 OK\r\ncontent-ty"),
    before_headers("no HTTP at all", b"SSH-2.0-OpenSSH_9.6\r\n"),
    tls("plain HTTP behind https", ("take", 5), b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    tls("an alert in the handshake", ("take", 5), b"\x15\x03\x03\x00\x02\x02\x28", "taken"),
    unreached("connect timeout", "full", "in time"),
    slow("no answer before headers", "stall"),
    slow("no answer before headers: half of them", b"HTTP/1.1 200 OK\r\ncontent-ty", "stall"),
    slow("no answer before headers: 100 Continue", b"HTTP/1.1 100 Continue\r\n\r\n", "stall"),
    within("reset", LENGTH, WHOLE[:20], "taken", "rst"),
    within("short body", LENGTH, WHOLE[:20]),
    within("a whole answer in a short body", LENGTH | {"content-length": "2000"}, WHOLE),
    within("no last chunk", CHUNKED, b"%x\r\n%s\r\n" % (len(WHOLE), WHOLE)),
    within("bad chunk", CHUNKED, "taken", b"%x\r\n%s\r\nzz\r\n" % (len(WHOLE), WHOLE)),
    within("cut chunk", CHUNKED, b"9999\r\n" + WHOLE),
    within("no gzip", PACKED | {"content-length": str(len(WHOLE))}, WHOLE),
    within("cut gzip", PACKED | {"content-length": "30"}, gzip.compress(WHOLE)[:30]),
    within("packed in an unknown way", PACKED | {"content-encoding": "br"}, WHOLE),
    slow("slow drip, a byte a second", ("head", LENGTH), ("drip", WHOLE, 0.02), status=None),
    slow("slow drip, a byte a second: the headers", ("drip", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 9, 0.02)),
]  # fmt: skip

WRONG = [
    *(
        Row(f"200: not JSON, empty, HTML: {name}", script, 2, True, "F", BAD, 200, says, billed=True)
        for name, script, says in (
            ("not JSON", body("no, dear {key}"), "(status 200, application/json): no, dear ***"),
            ("empty", body(""), "is empty (status 200, application/json)"),
            ("blank", body(" \n"), "is empty"),
            ("HTML", body("<html>no", content_type="text/html"), "(status 200, text/html): <html>no"),
            ("nested 200 000 deep", body("[" * 200_000 + "]" * 200_000), "[[["),
            ("half of it", body(WHOLE[:-5]), "is not JSON"),
            ("a number", body("7"), "7"),
            ("a list", body("[]"), "[]"),
        )
    ),
    *(
        Row(f"200: error object, {name}", body({"error": {"message": "no", "code": code}}), *rest, None, billed=True)
        for name, code, *rest in (
            ("overloaded", "overloaded_error", 2, True, "F", UNAVAILABLE),
            ("no such model", "model_not_found", 1, True, "N", errors.ModelNotFoundError),
            ("invalid", "invalid_request_error", 1, False, "N", INVALID),
            ("quota", "insufficient_quota", 1, True, "N", errors.QuotaExceededError),
            ("who knows", "zebra", 2, True, "F", BAD),
        )
    ),
    Row("200: error object that names 502", body({"error": {"message": "no", "code": 502}}), 2, True, "F", UNAVAILABLE,
        502),
    *(
        Row(f"200: no choices, null content: {name}", body(answer), 2, True, "F", BAD, 200, "the", billed=True,
            stream=stream)
        for name, answer, stream in (
            ("no choices", {"choices": []}, ["read", "stream", ("chunks", {"choices": []}), "finish", "done"]),
            ("nothing at all", {}, ["read", "stream", ("chunks", {}), "finish", "done"]),
            ("null content", choice(message={"content": None}, finish_reason="stop"),
             ["read", "stream", ("chunks", choice(delta={"content": None})), "finish", "done"]),
        )
    ),
]  # fmt: skip
ROWS = [*STATUS, *TRANSPORT, *WRONG]
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@pytest.fixture(scope="module")
def full_queue() -> Iterator[int]:
    """A port whose queue is taken: connecting gets no answer."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        yield full.getsockname()[1]


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, and nobody else will."""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        yield plug.getsockname()[1]


@pytest.fixture(scope="module")
def server(module_stage) -> Any:
    return module_stage.server()


@pytest.fixture(scope="module")
def good(module_stage) -> Any:
    """Answers whatever it is asked."""
    return module_stage.server()


@pytest.fixture(scope="module")
def whole_bench(module_stage, server, good, full_queue, closed_port) -> Any:
    urls = {
        "bad": server.url,
        "hurried": server.url,
        "gone": f"http://127.0.0.1:{closed_port}/v1",
        "nowhere": "http://no-such-host.invalid/v1",
        "tls": f"https://127.0.0.1:{server.port}/v1",
        "full": f"http://127.0.0.1:{full_queue}/v1",
    }
    clocks = {"hurried": {"request": HURRY_S, "first_token": HURRY_S}, "full": {"connect": 0.1}}
    pools = {row.name: {"models": [row.model, "good/one"], "timeouts": clocks.get(row.via, {})} for row in ROWS}
    models = {via: [row.name for row in ROWS if row.via == via] for via in urls}
    return module_stage.bench(pools=pools, models=models, good=good.url, **urls)


@pytest.fixture
def bench(whole_bench, good) -> Any:
    good.play(["hi"])
    return whole_bench


def ask(row: Row, script: Script, bench: Any, server: Any, **how: Any) -> tuple[Any, int]:
    """What became of a call, and the samples of the model before it.

    Where the time was over before a busy machine had even asked, the server has not shown what it does: once more.
    """
    for _ in range(20):
        bench.lab.reset(row.via)
        server.play(script)
        samples = bench.snapshot(row.model).samples
        asked = bench.ask(**how)
        if row.via != "hurried" or server.requests:
            break
    return asked, samples


def check_attempts(row: Row, asked: Any, bench: Any, server: Any, samples: int) -> None:
    """What the record, the breaker and the server say of the first model's turn."""
    mine = [attempt for attempt in asked.rows if attempt["model"] == row.model]
    assert [attempt["reason"] for attempt in mine] == ["selected", "retry"][: row.tries]
    for attempt in mine:
        assert (attempt["outcome"], attempt["error_type"]) == (row.outcome, row.error.__name__)
        assert (attempt["status"], attempt["maybe_billed"]) == (row.status, row.billed)
        assert row.says in attempt["error_message"]
        assert (attempt["chars"], attempt["committed"]) == (0, False)
    counted = row.tries if row.counts == "F" else 0
    assert bench.failures(row.model) == counted
    snapshot = bench.snapshot(row.model)
    assert (snapshot.samples - samples, snapshot.in_flight) == (counted, 0)
    if row.script:
        assert len(server.connections) == row.tries
        assert len(server.requests) == (0 if row.via == "tls" else row.tries)
        for connection in server.connections:
            assert connection.ended.wait(30)


@each_row
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_nothing_is_left(row: Row, stream: bool, bench, server) -> None:
    """Pinned to the model: the table's error, with the last failure as its cause, bare of what could hold a key."""
    script = (stream and row.stream) or row.script
    asked, samples = ask(row, script, bench, server, stream=stream, model=row.model)
    error = asked.error
    assert type(error) is row.error
    assert row.says in str(error)
    assert error.model == row.model
    assert [attempt.outcome for attempt in error.attempts] == [row.outcome] * row.tries
    assert isinstance(error.__cause__, ProviderError)
    cause = error.__cause__.__cause__
    assert cause is None or cause.__traceback__ is cause.__cause__ is cause.__context__ is None
    assert asked.text == ""
    check_attempts(row, asked, bench, server, samples)
    assert (asked.call["outcome"], asked.call["error_type"]) == (row.outcome, row.error.__name__)
    if row.via == "hurried":
        assert HURRY_S <= asked.seconds < 60


@each_row
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_healthy_second_model(row: Row, stream: bool, bench, server, good) -> None:
    """Before the first content, retry and moving on are free under every policy of streams."""
    script = (stream and row.stream) or row.script
    asked, samples = ask(row, script, bench, server, stream=stream, pool=row.name)
    check_attempts(row, asked, bench, server, samples)
    if not row.moves_on:
        assert type(asked.error) is row.error
        assert good.requests == []
        return
    assert (asked.text, asked.error) == ("Hi", None)
    assert asked.reply.model == "good/one"
    assert asked.rows[-1]["reason"] == "failover"
    assert (asked.rows[-1]["outcome"], asked.rows[-1]["status"], asked.rows[-1]["chars"]) == ("ok", 200, 2)
    assert len(good.requests) == 1
    assert sum(attempt["wait_before_s"] for attempt in asked.rows) == pytest.approx(asked.call["backoff_s"])
