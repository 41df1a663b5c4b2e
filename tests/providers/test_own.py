"""`one_error`: whatever goes wrong in its block leaves as one `ProviderError` that is fit to be shown."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from routerlab import providers
from routerlab.core.failures import Fault, ProviderError
from routerlab.mixins import HttpClientMixin
from routerlab.providers.own import chunks, no_error, one_error

KEY = "canary-7f3a91bc"


class Mine(HttpClientMixin):
    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self._init_http_client("https://api.example/v1", max_retries=0, headers={"X-Auth-Token": "canary-in-a-header"})
        self._http_auth_token = KEY

    def _make_http_client(self, **kwargs: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer), **kwargs)

    async def ask(self) -> Any:
        with one_error(self):
            return no_error(await self._http_post("/chat"))["text"]

    async def stream(self) -> AsyncGenerator[Any, None]:
        with one_error(self):
            async with aclosing(chunks(self._http_stream("/chat"))) as parts:
                async for part in parts:
                    yield part


def failure_of(answer: Callable[[httpx.Request], httpx.Response], *, stream: bool = False) -> ProviderError:
    async def drain(mine: Mine) -> None:
        async for _ in mine.stream():
            pass

    mine = Mine(answer)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(drain(mine) if stream else mine.ask())
    return caught.value


def body(text: str, status: int = 200, kind: str = "application/json", **headers: str) -> Any:
    return lambda _: httpx.Response(status, headers={"content-type": kind, **headers}, text=text)


def breaks(error: Exception) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = dict(request.headers)  # a local that holds the key
        raise type(error)(f"{error} {headers['authorization']}")

    return answer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("answer", "fault", "status", "code"),
    [
        (body('{"error": {"message": "no", "code": "slow_down"}}', 429), Fault.STATUS, 429, "slow_down"),
        (body("", 503), Fault.STATUS, 503, ""),
        (body("", 307, location="https://elsewhere.example/"), Fault.STATUS, 307, ""),
        (body('{"error": {"message": "busy", "code": 503}}'), Fault.STATUS, 503, "503"),
        (body("<html>Sign in</html>", kind="text/html"), Fault.BAD_RESPONSE, 200, ""),
        (breaks(httpx.ConnectError("refused")), Fault.CONNECT, None, ""),
        (breaks(httpx.ConnectTimeout("late")), Fault.CONNECT_TIMEOUT, None, ""),
        (breaks(httpx.ReadError("reset")), Fault.BROKEN, None, ""),
    ],
)
def test_every_failure_is_one_provider_error(
    answer: Any, fault: Fault, status: int | None, code: str, stream: bool
) -> None:
    error = failure_of(answer, stream=stream)
    assert (error.fault, error.status, error.code) == (fault, status, code)


def test_retry_after_is_carried() -> None:
    assert failure_of(body("{}", 429, **{"retry-after": "7"})).retry_after_s == 7


@pytest.mark.parametrize("text", ['{"choices": []}', "[]", "null", "3"])
def test_an_answer_without_what_was_looked_for_makes_no_sense(text: str) -> None:
    error = failure_of(body(text))
    assert error.fault is Fault.BAD_RESPONSE
    assert error.message.startswith("the answer is not what was expected: ")


def test_a_closed_client_and_a_key_with_a_line_break_send_nothing() -> None:
    mine = Mine(body("{}"))
    mine._http_auth_token = "two\nlines"
    with pytest.raises(ProviderError, match="one line of ASCII") as caught:
        asyncio.run(mine.ask())
    assert (caught.value.fault, caught.value.sent) == (Fault.LOCAL, False)
    asyncio.run(mine._close_http_client())
    with pytest.raises(ProviderError, match="not set up") as caught:
        asyncio.run(mine.ask())
    assert caught.value.fault is Fault.LOCAL


@pytest.mark.parametrize(
    "answer", [body(f"{KEY} canary-in-a-header", 500), body(f"{KEY} canary-in-a-header"), breaks(httpx.ReadError("x"))]
)
@pytest.mark.parametrize("stream", [False, True])
def test_no_secret_stays_with_the_error(answer: Any, stream: bool) -> None:
    error = failure_of(answer, stream=stream)
    assert error.__context__ is None
    told = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    assert "canary" not in "".join(told.format()) + repr(error.__cause__)


def test_the_cause_is_kept_bare() -> None:
    cause = failure_of(breaks(httpx.ReadError("reset"))).__cause__
    assert isinstance(cause, httpx.ReadError)
    assert cause.__traceback__ is None


def test_a_message_is_capped() -> None:
    assert len(failure_of(body("x" * 5000, 500)).message) < 600


def test_cancellation_passes_as_it_is() -> None:
    async def cancelled() -> None:
        with one_error(Mine(body("{}"))):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


def test_chunks_pass_over_what_is_malformed_and_end_at_done() -> None:
    events = 'data: {"n": 1}\n\ndata: {"n":\n\ndata: [2]\n\ndata: [DONE]\n\ndata: {"n": 3}\n\n'

    async def drained() -> list[Any]:
        return [part async for part in Mine(body(events, kind="text/event-stream")).stream()]

    assert asyncio.run(drained()) == [{"n": 1}, [2]]


def test_an_error_among_the_chunks_is_raised() -> None:
    events = 'data: {"n": 1}\n\ndata: {"error": {"message": "busy", "code": "overloaded"}}\n\n'
    error = failure_of(body(events, kind="text/event-stream"), stream=True)
    assert (error.message, error.code) == ("busy", "overloaded")


def test_what_a_connector_is_written_with_is_at_hand_in_one_place() -> None:
    assert [name for name in providers.__all__ if not hasattr(providers, name)] == []
    assert providers.one_error is one_error
    assert set(providers.__all__) <= set(dir(providers))
    with pytest.raises(AttributeError, match="no attribute 'two_errors'"):
        providers.two_errors  # noqa: B018
