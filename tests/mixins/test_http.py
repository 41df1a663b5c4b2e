"""The HTTP mixin's decisions, over a mock transport: retries, headers, refusals, errors, what is kept secret."""

import asyncio
import base64
import json
import logging
import random
import traceback
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from routerlab.core.errors import BadResponseError
from routerlab.mixins import CacheMixin, HttpClientMixin, TimeoutMixin

TOKEN = "sk-very/secret+0123456789="
Handler = Callable[[httpx.Request], httpx.Response]
EVENTS = {"content-type": "text/event-stream"}


class Client(HttpClientMixin):
    """Sends to a handler in place of a network, and notes the waits."""

    def __init__(
        self, *answers: httpx.Response | Exception | Handler, base_url: str = "https://api.example.com/v1", **setup: Any
    ):
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        self._sleep = self._note
        self._random = lambda: 0.5
        self._init_http_client(base_url, **setup)

    def _make_http_client(self, **kwargs: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer), **kwargs)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    async def _note(self, seconds: float) -> None:
        self.slept.append(seconds)


def ok(body: Any = None) -> httpx.Response:
    return httpx.Response(200, json={"ok": True} if body is None else body)


def events(body: str | bytes, **headers: str) -> httpx.Response:
    return httpx.Response(200, content=body, headers={**EVENTS, **headers})


def get(client: Client, path: str = "/x", **kwargs: Any) -> Any:
    return asyncio.run(client._http_get(path, **kwargs))


async def collected(client: HttpClientMixin, **kwargs: Any) -> list[str]:
    return [data async for data in client._http_stream("/chat", **kwargs)]


def stream(client: Client, **kwargs: Any) -> list[str]:
    return asyncio.run(collected(client, **kwargs))


def shown(error: BaseException) -> str:
    """What a logger or a notebook may show of an exception."""
    text = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    return text + "".join(shown(other) for other in (error.__cause__, error.__context__) if other is not None)


# setup


def test_before_setup_and_after_closing() -> None:
    class Bare(HttpClientMixin): ...

    async def main() -> None:
        bare = Bare()
        assert bare._http_client is None
        assert bare._http_auth_token is None
        await bare._close_http_client()
        with pytest.raises(RuntimeError, match="_init_http_client"):
            await bare._http_get("/x")
        with pytest.raises(RuntimeError, match="_init_http_client"):
            await anext(bare._http_stream("/x"))
        client = Client(ok())
        assert isinstance(client._http_client, httpx.AsyncClient)
        await client._http_get("/x")
        used = client._http_client
        await client._close_http_client()
        await client._close_http_client()
        assert client._http_client is None
        assert used.is_closed
        with pytest.raises(RuntimeError, match="_init_http_client"):
            await client._http_get("/x")
        client._init_http_client("https://api.example.com")
        assert await client._http_get("/x") == {"ok": True}
        await client._close_http_client()

    asyncio.run(main())


def test_defaults() -> None:
    client = HttpClientMixin()
    client._init_http_client("https://api.example.com/v1/")
    assert client._http_base_url == "https://api.example.com/v1"
    assert client._http_max_retries == 3
    assert {429, 500, 502, 503} == client.RETRYABLE_STATUS_CODES
    assert client._http_client is not None
    assert client._http_client.timeout == httpx.Timeout(30.0)
    asyncio.run(client._close_http_client())


@pytest.mark.parametrize(
    ("base_url", "setup"),
    [
        ("api.example.com", {}),
        ("ftp://api.example.com", {}),
        ("https://", {}),
        ("https://user:hunter2@api.example.com", {}),
        ("https://api.example.com?key=hunter2", {}),
        ("https://api.example.com:port", {}),
        ("https://api.example.com", {"timeout": 0}),
        ("https://api.example.com", {"timeout": float("nan")}),
        ("https://api.example.com", {"max_retries": -1}),
        ("https://api.example.com", {"headers": {"X-Key": "hunter2\n"}}),
    ],
)
def test_a_setup_that_cannot_be_used(base_url: str, setup: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        HttpClientMixin()._init_http_client(base_url, **setup)
    assert "hunter2" not in str(caught.value)


def test_instances_share_nothing() -> None:
    first, second = Client(ok(), headers={"X-A": "1"}), Client(ok(), max_retries=0)
    first._http_auth_token = TOKEN
    get(second)
    assert "authorization" not in second.requests[0].headers
    assert "x-a" not in second.requests[0].headers
    assert (first._http_max_retries, second._http_max_retries) == (3, 0)


# requests


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/models", "https://api.example.com/v1/models"),
        ("models", "https://api.example.com/v1/models"),
        ("", "https://api.example.com/v1"),
        ("?a=b", "https://api.example.com/v1?a=b"),
        ("/models/a:b", "https://api.example.com/v1/models/a:b"),
        ("models:list", "https://api.example.com/v1/models:list"),
    ],
)
def test_paths(path: str, url: str) -> None:
    client = Client(ok(), base_url="https://api.example.com/v1/")
    get(client, path)
    assert str(client.requests[0].url) == url


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/x",
        "HTTP://evil.example",
        "//evil.example/x",
        "\\\\evil.example",
        "/\\evil.example",
        " //evil.example",
        "x\ny",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    client = Client(ok())
    for call in (client._http_get(path), client._http_post(path), anext(client._http_stream(path))):
        with pytest.raises(ValueError, match=r"path|URL"):
            asyncio.run(_awaited(call))
    assert client.requests == []


async def _awaited(call: Any) -> Any:
    return await call


def test_arguments_go_to_httpx() -> None:
    client = Client(ok(), headers={"X-Team": "nlp", "X-Mode": "a"})
    get(client, params={"q": "x y"}, headers={"X-Mode": "b"}, timeout=7.0)
    request = client.requests[0]
    assert request.url.query == b"q=x+y"
    assert (request.headers["x-team"], request.headers["x-mode"]) == ("nlp", "b")
    assert request.extensions["timeout"]["read"] == 7.0
    asyncio.run(client._http_post("/x", {"a": [1, "é"]}, params={"n": 1}))
    assert json.loads(client.requests[1].content) == {"a": [1, "é"]}
    assert client.requests[1].method == "POST"
    assert client.requests[1].headers["content-type"] == "application/json"


def test_the_arguments_stay_the_callers() -> None:
    client = Client(httpx.Response(500), ok())
    kwargs: dict[str, Any] = {"headers": {"X": "1"}, "timeout": 5.0, "params": {"a": "1"}}
    get(client, **kwargs)
    assert kwargs == {"headers": {"X": "1"}, "timeout": 5.0, "params": {"a": "1"}}
    assert [request.headers["x"] for request in client.requests] == ["1", "1"]


def test_the_connect_limit() -> None:
    class Both(TimeoutMixin, Client): ...

    client = Both(ok())
    get(client)
    client.configure_timeout(connect=3.0)
    get(client)
    client.configure_timeout(connect=0)
    get(client)
    assert [request.extensions["timeout"]["connect"] for request in client.requests] == [10.0, 3.0, None]
    assert client.requests[0].extensions["timeout"]["read"] == 30.0


def test_the_token_may_be_set_and_changed_at_any_time() -> None:
    client = Client(httpx.Response(500), ok(), headers={"Authorization": "Bearer old"})

    async def refresh(_: float) -> None:
        client._http_auth_token = "third"

    get(client)
    client._http_auth_token = "second"
    client.answers = [httpx.Response(500), ok()]
    client._sleep = refresh
    get(client)
    client._http_auth_token = None
    get(client)
    sent = [request.headers["authorization"] for request in client.requests]
    assert sent == ["Bearer old", "Bearer old", "Bearer second", "Bearer third", "Bearer old"]


@pytest.mark.parametrize(
    "key", ["sk-hunter2\n", "sk-hunter2\r\nX: y", "sk-hunter2é", "sk-hunter2\u2028", "sk-hunter2\0"]
)
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    client = Client(ok())
    client._http_auth_token = key
    with pytest.raises(ValueError, match="key") as caught:
        get(client)
    assert "hunter2" not in shown(caught.value)
    client._http_auth_token = None
    with pytest.raises(ValueError, match="Authorization") as caught:
        get(client, headers={"Authorization": f"Bearer {key}"})
    assert "hunter2" not in str(caught.value)
    assert client.requests == []


# retries


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_retries_with_backoff(status: int) -> None:
    client = Client(httpx.Response(status))
    with pytest.raises(httpx.HTTPStatusError) as caught:
        get(client)
    assert caught.value.response.status_code == status
    assert len(client.requests) == 4
    assert client.slept == [1.25, 2.25, 4.25]


def test_jitter_is_at_most_half_a_second() -> None:
    client = Client(httpx.Response(503), max_retries=1)
    del client._random
    with pytest.raises(httpx.HTTPStatusError):
        get(client)
    assert 1.0 <= client.slept[0] <= 1.5


def test_the_jitter_may_come_from_a_seeded_generator() -> None:
    client = Client(httpx.Response(503), max_retries=1)
    client._random = random.Random(7)
    with pytest.raises(httpx.HTTPStatusError):
        get(client)
    assert client.slept == [1.0 + 0.5 * random.Random(7).random()]


def test_a_retry_that_succeeds() -> None:
    client = Client(httpx.Response(503), httpx.ConnectError("down"), ok())
    assert get(client) == {"ok": True}
    assert client.slept == [1.25, 2.25]


@pytest.mark.parametrize("status", [400, 401, 404, 408, 422, 501, 504])
def test_other_errors_are_raised_at_once(status: int) -> None:
    client = Client(httpx.Response(status, json={"error": {"message": "boom"}}))
    with pytest.raises(httpx.HTTPStatusError, match=f"{status}.*boom") as caught:
        get(client)
    assert caught.value.response.json() == {"error": {"message": "boom"}}
    assert len(client.requests) == 1


def test_a_subclass_chooses_what_to_retry() -> None:
    class Patient(Client):
        RETRYABLE_STATUS_CODES = frozenset({418})

    patient = Patient(httpx.Response(418), ok())
    assert get(patient) == {"ok": True}
    with pytest.raises(httpx.HTTPStatusError):
        get(Patient(httpx.Response(503), ok()))


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"), httpx.PoolTimeout("x")]
)
def test_transport_errors_are_retried_then_raised(error: httpx.TransportError) -> None:
    client = Client(error, max_retries=2)
    with pytest.raises(type(error)):
        get(client)
    assert len(client.requests) == 3


def test_no_retries() -> None:
    client = Client(httpx.Response(503), max_retries=0)
    with pytest.raises(httpx.HTTPStatusError):
        get(client)
    assert (len(client.requests), client.slept) == (1, [])


@pytest.mark.parametrize(
    ("headers", "slept"),
    [
        ({"Retry-After": "7"}, [7.0]),
        ({"Retry-After": "60"}, [60.0]),
        ({"Retry-After": "0.5"}, [1.25]),
        ({"retry-after-ms": "2500"}, [2.5]),
        ({"Retry-After": "61"}, []),
        ({"Retry-After": "86400"}, []),
        ({"Retry-After": "soon"}, [1.25]),
        ({"Retry-After": "-5"}, [1.25]),
        ({"Retry-After": "nan"}, [1.25]),
    ],
)
def test_retry_after(headers: dict[str, str], slept: list[float]) -> None:
    client = Client(httpx.Response(429, headers=headers), max_retries=1)
    with pytest.raises(httpx.HTTPStatusError):
        get(client)
    assert client.slept == slept


@pytest.mark.parametrize(("ahead", "low", "high"), [(30, 27, 30), (-30, 1.25, 1.25)])
def test_retry_after_as_a_date(ahead: int, low: float, high: float) -> None:
    def late(_: httpx.Request) -> httpx.Response:
        moment = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
        return httpx.Response(503, headers={"Retry-After": moment})

    client = Client(late, max_retries=1)
    with pytest.raises(httpx.HTTPStatusError):
        get(client)
    assert low <= client.slept[0] <= high


def test_the_override_point_is_used() -> None:
    class Canned(Client):
        async def _request_with_retry(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
            return httpx.Response(200, json=[method, path, kwargs])

    client = Canned(ok())
    assert get(client, "/a", params={"x": 1}) == ["GET", "/a", {"params": {"x": 1}}]
    assert asyncio.run(client._http_post("/b", {"y": 2})) == ["POST", "/b", {"json": {"y": 2}}]


# answers


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, html="<html>Sign in</html>"),
        httpx.Response(200, content=b""),
        httpx.Response(204),
        httpx.Response(200, content=b'{"cut": '),
        httpx.Response(200, content=b"[" * 200_000 + b"]" * 200_000),
        httpx.Response(200, content=b"\xff\xfe\xfa{}"),
        httpx.Response(200, content=b"9" * 10_000),
    ],
)
def test_a_body_that_is_no_json(response: httpx.Response) -> None:
    client = Client(response)
    with pytest.raises(BadResponseError) as caught:
        get(client, "/models", params={"key": "hunter2"})
    error = caught.value
    assert not isinstance(error, json.JSONDecodeError)
    assert "https://api.example.com/v1/models" in str(error)
    assert error.status == response.status_code
    assert len(str(error)) < 500
    assert "hunter2" not in str(error) + repr(vars(error))
    assert len(client.requests) == 1


def test_the_excerpt() -> None:
    with pytest.raises(BadResponseError, match="<html>Sign in please</html>"):
        get(Client(httpx.Response(200, html="<html>Sign\n\n in  please</html>")))


def test_redirects_are_not_followed() -> None:
    moved = httpx.Response(307, headers={"Location": "https://other.example/v2?token=hunter2"})
    for call in (get, stream):
        client = Client(moved)
        with pytest.raises(httpx.HTTPStatusError, match=r"307.*other\.example") as caught:
            call(client)
        assert "hunter2" not in str(caught.value)
        assert len(client.requests) == 1
    with pytest.raises(httpx.HTTPStatusError, match="304"):
        get(Client(httpx.Response(304)))
    with pytest.raises(ValueError, match="redirects"):
        get(Client(ok()), follow_redirects=True)


# streams


def test_a_stream_yields_the_data_of_each_event() -> None:
    body = "\ufeffdata:one\r\ndata: two\r\n\r\n: ping\n\nevent: x\nid: 1\nretry: 5\n"
    body += 'data: {"a":"x\u2028y\x85"}\n\ndata: [DONE]\n\n'
    for kind in ("text/event-stream", "text/event-stream; charset=latin-1", "TEXT/EVENT-STREAM;charset=utf-16"):
        client = Client(events(body.encode(), **{"content-type": kind}))
        assert stream(client, json={"stream": True}) == ["one\ntwo", '{"a":"x\u2028y\x85"}', "[DONE]"]
        assert client.requests[0].method == "POST"
        assert json.loads(client.requests[0].content) == {"stream": True}


def test_an_event_that_was_cut_is_not_delivered() -> None:
    assert stream(Client(events(b"data: one\n\ndata: tw"))) == ["one"]


def test_a_stream_that_is_not_labelled_as_one() -> None:
    assert stream(Client(httpx.Response(200, content=b"data: one\n\n"))) == ["one"]
    assert stream(Client(httpx.Response(200, text="data: one\n\n"))) == ["one"]


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, json={"error": {"message": "boom"}}),
        httpx.Response(200, html="<html>boom</html>"),
        httpx.Response(200, text="boom"),
        httpx.Response(201, json={"text": "boom"}),
        httpx.Response(200, content=b'{"error": "boom"}'),
        httpx.Response(200, content=b' \n{"error": "boom"}', headers=EVENTS),
        httpx.Response(200, content=b"boom"),
    ],
)
def test_an_answer_that_is_no_event_stream(response: httpx.Response) -> None:
    client = Client(response)
    with pytest.raises(BadResponseError, match="boom") as caught:
        stream(client)
    assert "boom" in caught.value.response.text  # type: ignore[attr-defined]
    assert len(client.requests) == 1


def test_the_body_of_an_error_on_a_stream_is_readable() -> None:
    client = Client(httpx.Response(400, json={"error": {"message": "boom"}}))
    with pytest.raises(httpx.HTTPStatusError, match="boom") as caught:
        stream(client)
    assert caught.value.response.json()["error"]["message"] == "boom"


def test_a_stream_is_retried_before_its_first_event() -> None:
    client = Client(httpx.Response(503), httpx.ReadError("x"), events(b"data: one\n\n"))
    assert stream(client) == ["one"]
    assert client.slept == [1.25, 2.25]


def test_a_stream_is_not_retried_after_its_first_event() -> None:
    async def broken() -> Any:
        yield b"data: one\n\n"
        raise httpx.ReadError("cut")

    async def main() -> None:
        client = Client(lambda _: httpx.Response(200, headers=EVENTS, content=broken()))
        seen = client._http_stream("/chat")
        assert await anext(seen) == "one"
        with pytest.raises(httpx.ReadError):
            await anext(seen)
        assert len(client.requests) == 1

    asyncio.run(main())


def test_an_error_of_the_reader_is_the_readers() -> None:
    async def main() -> None:
        client = Client(events(b"data: one\n\ndata: two\n\n"))
        reading = client._http_stream("/chat")
        await anext(reading)
        with pytest.raises(httpx.ConnectError, match="mine"):
            await reading.athrow(httpx.ConnectError("mine"))
        assert len(client.requests) == 1

    asyncio.run(main())


def test_events_come_with_their_response() -> None:
    async def main() -> None:
        client = Client(httpx.Response(503), events(b"event: delta\nid: 4\ndata: one\n\n", **{"x-remaining": "9"}))
        responses: list[httpx.Response] = []
        async with aclosing(client._http_events("/chat", {}, on_response=responses.append)) as reading:
            event = await anext(reading)
        assert (event.data, event.event, event.id) == ("one", "delta", "4")
        assert [response.headers["x-remaining"] for response in responses] == ["9"]

    asyncio.run(main())


# secrets


def test_the_token_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    forms = [TOKEN, quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode()]
    echo = " ".join(forms)

    def meet(answer: httpx.Response | Exception, call: Callable[..., Any]) -> str:
        client = Client(answer, max_retries=1)
        client._http_auth_token = TOKEN
        with pytest.raises((httpx.HTTPError, BadResponseError)) as caught:
            call(client, params={"key": TOKEN})
        assert client.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
        assert client.requests[0].url.params["key"] == TOKEN
        return shown(caught.value) + repr(client)

    texts = [
        meet(answer, call)
        for call in (get, stream)
        for answer in (
            httpx.Response(401, text=f"bad key {echo}"),
            httpx.Response(503, text=echo),
            httpx.Response(302, headers={"location": f"https://other.example/{TOKEN}"}),
            httpx.Response(200, text=echo),
            httpx.ConnectError("down"),
        )
    ]
    texts.append(caplog.text)
    assert "api.example.com" in caplog.text
    for text in texts:
        assert not [form for form in forms if form in text]


def test_a_key_in_a_header_of_its_own_is_not_shown() -> None:
    client = Client(httpx.Response(401, text="bad key hunter2"), headers={"x-api-key": "hunter2"})
    with pytest.raises(httpx.HTTPStatusError, match="bad key") as caught:
        get(client)
    assert "hunter2" not in shown(caught.value)


@pytest.mark.parametrize("bases", [(Client, CacheMixin, TimeoutMixin), (TimeoutMixin, CacheMixin, Client)])
def test_the_order_of_mixins_does_not_matter(bases: tuple[type, ...]) -> None:
    client = type("Connector", bases, {})(ok())
    client._init_cache()
    client.configure_timeout(default=1.0)
    assert asyncio.run(client.with_timeout(client._http_get("/x"))) == {"ok": True}
