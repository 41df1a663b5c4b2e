"""`check_connector`: the connectors of the house keep every rule, and whoever breaks one is told which."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import CompletionRequest, CompletionResponse, Delta, TokenUsage
from routerlab.mixins import HttpClientMixin
from routerlab.providers.base import ProviderConnector
from routerlab.providers.own import chunks, no_error, one_error
from routerlab.session.kinds import load_kind
from routerlab.simulation.connector_probe import Probe
from routerlab.testing import check_connector

KINDS = ["openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere"]


class Good(HttpClientMixin, ProviderConnector):
    """A small connector for OpenAI's format that keeps all rules."""

    retries = 0

    def __init__(self, name: str, config: Any) -> None:
        super().__init__(name, config)
        self._init_http_client(config["base_url"], timeout=None, max_retries=self.retries)
        self._http_auth_token = config.get("api_key")

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        return {"model": request.model, "messages": list(request.messages), "stream": request.stream, **request.params}

    async def ask(self, request: CompletionRequest) -> CompletionResponse:
        body = no_error(await self._http_post("/chat/completions", json=self.body(request)))
        choice, counts = body["choices"][0], body["usage"]
        usage = TokenUsage(counts["prompt_tokens"], counts["completion_tokens"], counts["total_tokens"])
        return CompletionResponse(choice["message"]["content"], usage=usage, finish_reason=choice["finish_reason"])

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        with one_error(self):
            return await self.ask(request)

    async def deltas(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        finished = None
        async with aclosing(chunks(self._http_stream("/chat/completions", json=self.body(request)))) as parts:
            async for part in parts:
                choice = part["choices"][0]
                finished = finished or choice["finish_reason"]
                yield Delta(choice["delta"].get("content", ""), finish_reason=choice["finish_reason"])
        if not finished:
            raise ProviderError("the stream was cut", fault=Fault.TRUNCATED)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        with one_error(self):
            async with aclosing(self.deltas(request)) as deltas:
                async for delta in deltas:
                    yield delta

    async def close(self) -> None:
        await self._close_http_client()


@pytest.mark.parametrize("kind", KINDS)
def test_the_connectors_of_the_house_keep_every_rule(kind: str) -> None:
    check_connector(load_kind(kind), kind)


def test_a_small_connector_from_a_mixin_keeps_every_rule() -> None:
    check_connector(Good)


def test_a_factory_may_make_the_connector() -> None:
    made = []

    def make(url: str) -> ProviderConnector:
        made.append(Good("mine", {"base_url": url, "api_key": "a-key-of-its-own"}))
        return made[-1]

    check_connector(make, secret="a-key-of-its-own")
    assert made


def test_it_works_where_a_loop_runs_already() -> None:
    async def cell() -> None:
        check_connector(Good)

    asyncio.run(cell())


class Echo(ProviderConnector):
    """A connector without HTTP."""

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        return CompletionResponse(request.messages[-1]["content"], finish_reason="stop")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        yield Delta(request.messages[-1]["content"])
        yield Delta(finish_reason="stop")


def test_a_connector_without_http_is_checked_without_faults() -> None:
    check_connector(Echo, faults=False)
    check_connector(lambda _: Echo("echo", {}), faults=False, prompt="hello")


class EchoOfStreamsAlone(Echo):
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        raise OSError("no")


class EndlessEcho(Echo):
    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        yield Delta(request.messages[-1]["content"])


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (EchoOfStreamsAlone, r"one error: complete\(\) let OSError out"),
        (EndlessEcho, r"exactly one finish reason: stream\(\) gave none"),
    ],
)
def test_rules_that_need_no_server_are_checked_without_faults_too(broken: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=rf"^{broken.__name__}: {words}"):
        check_connector(broken, faults=False)


def test_a_connector_that_never_calls_the_server_is_told_so() -> None:
    with pytest.raises(AssertionError, match=r"^Echo: it sends: no request for the model 'checked' arrived"):
        check_connector(Echo)


# -- whoever breaks a rule -----------------------------------------------------------------------------------------


class Retries(Good):
    retries = 2


class LetsOut(Good):
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        return await self.ask(request)


class LetsOutOfStreams(Good):
    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        async with aclosing(self.deltas(request)) as deltas:
            async for delta in deltas:
                yield delta


class ForgetsUsage(Good):
    async def ask(self, request: CompletionRequest) -> CompletionResponse:
        found = await super().ask(request)
        return CompletionResponse(found.text, finish_reason=found.finish_reason)


class ForgetsReason(Good):
    async def ask(self, request: CompletionRequest) -> CompletionResponse:
        found = await super().ask(request)
        return CompletionResponse(found.text, usage=found.usage)


class OwnWordForReason(Good):
    async def ask(self, request: CompletionRequest) -> CompletionResponse:
        found = await super().ask(request)
        return CompletionResponse(found.text, usage=found.usage, finish_reason="end_turn")


class FinishesTwice(Good):
    async def deltas(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        async for delta in super().deltas(request):
            yield delta
        yield Delta(finish_reason="stop")


class NeverFinishes(Good):
    async def deltas(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        async for delta in super().deltas(request):
            yield Delta(delta.text)


class StripsText(Good):
    async def deltas(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        async for delta in super().deltas(request):
            yield Delta(delta.text.strip(), finish_reason=delta.finish_reason)


class TakesTheEndForFinished(Good):
    async def deltas(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        finished = False
        try:
            async for delta in super().deltas(request):
                finished = finished or delta.finish_reason is not None
                yield delta
        except ProviderError as error:
            if error.fault is not Fault.TRUNCATED:
                raise
            yield Delta(finish_reason="stop")


class ForgetsParameters(Good):
    def body(self, request: CompletionRequest) -> dict[str, Any]:
        return {"model": request.model, "messages": list(request.messages), "stream": request.stream}


class ReturnsText(Good):
    async def complete(self, request: CompletionRequest) -> Any:
        return (await self.ask(request)).text


class StreamsText(Good):
    async def stream(self, request: CompletionRequest) -> Any:
        async for delta in super().stream(request):
            yield delta.text


class StreamsAList(Good):
    async def stream(self, request: CompletionRequest) -> Any:  # type: ignore[override]  # the mistake
        return [delta async for delta in super().stream(request)]


class ChokesOnMalformedEvents(Good):
    async def deltas(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        async for data in self._http_stream("/chat/completions", json=self.body(request)):
            if data != "[DONE]":
                choice = json.loads(data)["choices"][0]
                yield Delta(choice["delta"].get("content", ""), finish_reason=choice["finish_reason"])


class Renames(Good):
    """Raises a `ProviderError` of its own for each failure."""

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        try:
            return await super().complete(request)
        except ProviderError as error:
            failure = self.renamed(error)
        raise failure

    def renamed(self, error: ProviderError) -> ProviderError:
        return ProviderError("it failed", fault=Fault.BROKEN)


class RenamesTheFault(Renames):
    def renamed(self, error: ProviderError) -> ProviderError:
        return ProviderError("it failed", fault=Fault.LOCAL, status=error.status)


class ForgetsRetryAfter(Renames):
    def renamed(self, error: ProviderError) -> ProviderError:
        return ProviderError(error.message, fault=error.fault, status=error.status, code=error.code)


class TellsTheKey(Renames):
    def renamed(self, error: ProviderError) -> ProviderError:
        return ProviderError(f"refused: {self._http_auth_token}", fault=error.fault, status=error.status)


class KeyInAVariable(Good):
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        headers = {"Authorization": f"Bearer {self._http_auth_token}"}
        with one_error(self):
            found = await self.ask(request)
            assert headers
            return found


class KeyInTheCause(Good):
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        try:
            return await self._asked({"Authorization": f"Bearer {self._http_auth_token}"}, request)
        except httpx.HTTPStatusError as error:
            failure = ProviderError("it failed", status=error.response.status_code)
            raise failure from error

    async def _asked(self, headers: dict[str, str], request: CompletionRequest) -> CompletionResponse:
        return await self.ask(request)


class KeyInItsRepr(Good):
    def __repr__(self) -> str:
        return f"Mine({self._http_auth_token})"


class SwallowsCancellation(Good):
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        try:
            return await super().complete(request)
        except asyncio.CancelledError:
            return CompletionResponse("", finish_reason="stop")


class RunsOn(Good):
    """Sends from a task of its own, which nobody cancels."""

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        self.task = asyncio.ensure_future(super().complete(request))
        return await asyncio.shield(self.task)


class RunsOnInStreams(Good):
    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        queue: asyncio.Queue[Delta | ProviderError | None] = asyncio.Queue()

        async def fill() -> None:
            try:
                async for delta in Good.stream(self, request):
                    queue.put_nowait(delta)
                queue.put_nowait(None)
            except ProviderError as error:
                queue.put_nowait(error)

        self.task = asyncio.ensure_future(fill())
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, ProviderError):
                    raise item
                yield item
        except asyncio.CancelledError:
            self.task.cancel()
            raise


class IgnoresTheEnd(Good):
    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        try:
            async for delta in super().stream(request):
                yield delta
        except GeneratorExit:
            yield Delta("one more")


class SendsAtOnce(Good):
    def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        deltas = super().stream(request)
        first = asyncio.ensure_future(anext(deltas))

        async def rest() -> AsyncGenerator[Delta, None]:
            async with aclosing(deltas):
                yield await first
                async for delta in deltas:
                    yield delta

        return rest()


class ClosesOnce(Good):
    async def close(self) -> None:
        assert self._http_client is not None
        await self._http_client.aclose()
        self._http_client = None


class NeverCloses(Good):
    async def close(self) -> None:
        pass


class KeepsStateOfACall(Good):
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        self.prompt = request.messages
        await asyncio.sleep(0)
        mine = CompletionRequest(request.call_id, request.capability, request.model, self.prompt, request.params)
        return await super().complete(mine)


class IsNoConnector:
    def __init__(self, name: str, config: Any) -> None:
        pass


class IgnoresErrorEvents(Good):
    async def deltas(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        finished = None
        async for data in self._http_stream("/chat/completions", json=self.body(request)):
            part = json.loads(data) if data.startswith("{") and data.endswith("}") else {}
            for choice in part.get("choices", []):
                finished = finished or choice["finish_reason"]
                yield Delta(choice["delta"].get("content", ""), finish_reason=choice["finish_reason"])
        if not finished:
            raise ProviderError("the stream was cut", fault=Fault.TRUNCATED)


BROKEN: dict[type, str] = {
    IsNoConnector: "the interface: it must be a ProviderConnector",
    Retries: r"no retries: complete\(\) that met HTTP (429|500)[^:]*(: 3)? sent 2 requests",
    LetsOut: r"one error: complete\(\) that met HTTP 400 let httpx.HTTPStatusError out",
    LetsOutOfStreams: r"one error: stream\(\) that met HTTP 400 let httpx.HTTPStatusError out",
    ForgetsUsage: r"complete gives usage",
    ForgetsReason: r"exactly one finish reason: complete\(\) gave none",
    OwnWordForReason: r"exactly one finish reason: complete\(\) gave 'end_turn'",
    FinishesTwice: r"exactly one finish reason: stream\(\) gave 2",
    NeverFinishes: r"exactly one finish reason: stream\(\) gave none",
    StripsText: r"stream gives the whole text: stream\(\) beside many others gave 'After0 comes",
    TakesTheEndForFinished: r"an end without a finish reason is a failure: stream\(\) that met a stream that ends",
    ForgetsParameters: r"parameters are translated: complete\(\) with max_tokens",
    ReturnsText: r"complete answers: complete\(\) must return a CompletionResponse, not str",
    StreamsText: r"stream answers: stream\(\) must yield Deltas, not str",
    StreamsAList: r"stream answers: stream must be an async generator function",
    ChokesOnMalformedEvents: r"stream answers: a stream with one malformed event, which is to be skipped raised",
    Renames: r"the error carries the status: complete\(\) that met HTTP 400 raised one with status=None",
    RenamesTheFault: r"classified as the table says: complete\(\) that met HTTP 401 .* the table says MOVE_ON",
    ForgetsRetryAfter: r"the error carries Retry-After: complete\(\) that met HTTP 429 .* expected 3",
    TellsTheKey: r"no secrets: the message of the error shows the key in complete\(\) that met HTTP 400",
    KeyInAVariable: r"no secrets: a traceback with its locals .* HTTP 400: a variable of complete\(\)",
    KeyInTheCause: r"no secrets: a traceback with its locals .* HTTP 400: a variable of _asked\(\)",
    KeyInItsRepr: r"no secrets: its repr shows the key",
    SwallowsCancellation: r"cancellation lets go at once: complete\(\) cancelled before the answer went on as if",
    RunsOn: r"cancellation lets go at once: complete\(\) cancelled before the answer kept its connection open",
    RunsOnInStreams: r"closing the generator closes the connection: a stream that was closed after its first text kept",
    IgnoresTheEnd: r"closing the generator closes the connection: aclose\(\) after the first text raised RuntimeError",
    SendsAtOnce: r"nothing is sent before the first anext: stream\(\) had sent its request",
    ClosesOnce: r"close\(\) twice is fine: closing twice raised AssertionError",
    NeverCloses: r"closing lets go: connections stay open after close\(\)",
    KeepsStateOfACall: r"complete gives the whole text: complete\(\) beside many others gave",
    IgnoresErrorEvents: r"classified as the table says: stream\(\) that met (a 200 with an error|an error event)",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_whoever_breaks_a_rule_is_told_which_and_where(broken: type) -> None:
    with pytest.raises(AssertionError, match=rf"^{broken.__name__}: {BROKEN[broken]}"):
        check_connector(broken)


def test_a_machine_that_holds_the_process_up_does_not_use_its_patience_up() -> None:
    async def looked_at_thrice() -> bool:
        loop, looks = asyncio.get_running_loop(), itertools.count(1)
        now, late = loop.time, [0]

        def holds() -> bool:
            late[0] += 3600
            return next(looks) == 3

        loop.time = lambda: now() + late[0]  # type: ignore[method-assign]
        return await Probe(Echo, None, "", "").soon(holds)

    assert asyncio.run(looked_at_thrice())


def test_every_connector_of_the_broken_ones_is_listed() -> None:
    mine = {one for one in globals().values() if isinstance(one, type) and one.__module__ == __name__}
    assert mine - {Good, Echo, EchoOfStreamsAlone, EndlessEcho} == set(BROKEN)
