"""Watches a connector at work: what it gives, what leaves it, what arrives at the server, what stays open."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from routerlab.core.capabilities import CHAT
from routerlab.core.failures import ProviderError
from routerlab.core.types import CompletionRequest, CompletionResponse, Delta, TokenUsage
from routerlab.providers.base import ProviderConnector
from routerlab.simulation.server import SimulatedServer

__all__ = ["MODEL", "Answered", "Make", "Probe"]

T = TypeVar("T")

Make = type[ProviderConnector] | Callable[[str], ProviderConnector]
"""A connector class, or a function from a base URL to a connector."""

MODEL = "checked"
"""The name of the model that is asked for."""

# Patience is counted in looks, not in seconds: while a busy machine holds up the whole process, none is used up.
_LOOK_S = 0.01
_LOOKS = 200  # for the server to hear that a connection was closed: two seconds at rest
_LOOKS_AT_A_CALL = 1500  # none here takes more than a moment by itself
_REASONS = ("stop", "length", "tool_calls", "content_filter")


@dataclass(slots=True)
class Answered:
    """What came of one call."""

    text: str = ""
    tool_calls: bool = False
    finish_reasons: list[str] = field(default_factory=list)
    usages: list[TokenUsage] = field(default_factory=list)


class Probe:
    """Makes connectors, calls them and says which rule they break.

    Args:
        make: the connector's class, or a factory.
        server: that it talks with; None where it talks with nobody of ours.
        secret: its key, which must not be shown.
        url: the base URL that it is given.
    """

    def __init__(self, make: Make, server: SimulatedServer | None, secret: str, url: str) -> None:
        self.name = getattr(make, "__name__", type(make).__name__)
        self.server = server
        self._make = make
        self._url = url
        self._secret = secret

    def __repr__(self) -> str:
        return f"Probe({self.name})"

    def fail(self, rule: str, found: str) -> NoReturn:
        """Say which rule was broken, and where."""
        raise AssertionError(f"{self.name}: {rule}: {found}")

    def require(self, holds: bool, rule: str, found: str) -> None:
        """Go on if it holds."""
        if not holds:
            self.fail(rule, found)

    def new(self) -> ProviderConnector:
        """A connector that was never used."""
        if isinstance(self._make, type):
            made: Any = self._make("checked", {"base_url": self._url, "api_key": self._secret})
        else:
            made = self._make(self._url)
            self.name = type(made).__name__
        self.require(isinstance(made, ProviderConnector), "the interface", "it must be a ProviderConnector")
        self.require(self._secret not in repr(made) + str(made), "no secrets", "its repr shows the key")
        connector: ProviderConnector = made
        return connector

    def request(self, verb: str, prompt: str, call: str = "check", **params: Any) -> CompletionRequest:
        """A request for the one model."""
        messages = ({"role": "user", "content": prompt},)
        return CompletionRequest(call, CHAT, MODEL, messages, params, stream=verb == "stream")

    async def answer(
        self, connector: ProviderConnector, request: CompletionRequest, where: str, *, alone: bool = True
    ) -> Answered:
        """The answer to a request that nothing is wrong with."""
        found = await self.outcome(connector, request, where, alone=alone)
        if isinstance(found, ProviderError):
            verb = "stream" if request.stream else "complete"
            self.fail(f"{verb} answers", f"{where} raised ProviderError: {found.message}")
        return found

    async def outcome(
        self, connector: ProviderConnector, request: CompletionRequest, where: str, *, alone: bool = True
    ) -> Answered | ProviderError:
        """What one call gives or raises; it must end, and where it is `alone` its requests are counted: one."""
        before = self._arrived() if alone else None
        result = await self._within_limit(self._caught(connector, request, where), before, where)
        if self.server is not None and before is not None:
            arrived = self._arrived() - before
            self.require(arrived > 0, "it sends", f"no request for the model {MODEL!r} arrived in {where}")
            self.require(arrived == 1, "no retries", f"{where} sent {arrived} requests, not one")
        return result

    async def no_connections(self, rule: str, found: str) -> None:
        """Go on if all connections to the server are closed, now or in a moment."""
        if self.server is not None and not await self.soon(lambda: self._connections() == 0):
            self.fail(rule, f"{found} (open at the server: {self._connections()})")

    async def no_tasks_but(self, known: set[asyncio.Task[Any]]) -> bool:
        """Whether no task is left but these, now or in a moment."""
        return await self.soon(lambda: asyncio.all_tasks() <= known | {asyncio.current_task()})

    async def soon(self, holds: Callable[[], bool]) -> bool:
        """Whether it holds, now or in a moment."""
        for _ in range(_LOOKS):
            if holds():
                return True
            await asyncio.sleep(_LOOK_S)
        return holds()

    def _connections(self) -> int:
        return 0 if self.server is None else self.server.connections

    def _arrived(self) -> int:
        return 0 if self.server is None else self.server.requests(MODEL)

    async def _within_limit(self, call: Coroutine[Any, Any, T], before: int | None, where: str) -> T:
        task = asyncio.ensure_future(call)
        for _ in range(_LOOKS_AT_A_CALL):
            await asyncio.wait((task,), timeout=_LOOK_S)
            if before is not None and (arrived := self._arrived() - before) > 1:
                task.cancel()
                self.fail("no retries", f"{where} sent {arrived} requests, not one")
            if task.done():
                return task.result()
        task.cancel()
        return self.fail("it ends", f"{where} did not end within {_LOOKS_AT_A_CALL * _LOOK_S:g} s")

    async def _caught(
        self, connector: ProviderConnector, request: CompletionRequest, where: str
    ) -> Answered | ProviderError:
        try:
            if request.stream:
                return await self._streamed(connector, request, where)
            return self._whole(await connector.complete(request), where)
        except AssertionError:
            raise
        except ProviderError as error:
            self._look_for_the_key(error, where)
            return error
        except Exception as error:  # noqa: BLE001 - this is what it looks for
            shown = f"{type(error).__module__}.{type(error).__name__}".removeprefix("builtins.")
            self.fail("one error", f"{where} let {shown} out: only ProviderError may leave a connector")

    def _whole(self, response: Any, where: str) -> Answered:
        good = isinstance(response, CompletionResponse)
        self.require(
            good, "complete answers", f"{where} must return a CompletionResponse, not {type(response).__name__}"
        )
        self.require(isinstance(response.text, str), "complete answers", f"the text in {where} is no str")
        reasons = [response.finish_reason] if response.finish_reason is not None else []
        usages = [response.usage] if response.usage is not None else []
        return self._sensible(Answered(response.text, bool(response.tool_calls), reasons, usages), where)

    async def _streamed(self, connector: ProviderConnector, request: CompletionRequest, where: str) -> Answered:
        heard = Answered()
        async with aclosing(self.stream(connector, request)) as deltas:
            async for delta in deltas:
                kind = type(delta).__name__
                self.require(isinstance(delta, Delta), "stream answers", f"{where} must yield Deltas, not {kind}")
                self.require(isinstance(delta.text, str), "stream answers", f"the text of a Delta in {where} is no str")
                heard.text += delta.text
                heard.tool_calls = heard.tool_calls or delta.tool_call is not None
                if delta.finish_reason is not None:
                    heard.finish_reasons.append(delta.finish_reason)
                if delta.usage is not None:
                    heard.usages.append(delta.usage)
        return self._sensible(heard, where)

    def stream(self, connector: ProviderConnector, request: CompletionRequest) -> Any:
        """Its stream, which must be an async generator: only such a one can be closed."""
        stream: Any = connector.stream(request)
        if inspect.iscoroutine(stream):
            stream.close()
        good = hasattr(stream, "__anext__") and hasattr(stream, "aclose")
        self.require(good, "stream answers", "stream must be an async generator function: async def with yield")
        return stream

    def _sensible(self, heard: Answered, where: str) -> Answered:
        count = len(heard.finish_reasons)
        rule = "exactly one finish reason"
        self.require(count == 1, rule, f"{where} gave {count or 'none'}; an end without one is Fault.TRUNCATED")
        reason = heard.finish_reasons[0]
        self.require(reason in _REASONS, rule, f"{where} gave {reason!r}, which is none of {', '.join(_REASONS)}")
        good = all(isinstance(usage, TokenUsage) for usage in heard.usages)
        self.require(good, "usage is counted", f"{where} gave something else than a TokenUsage")
        return heard

    def _look_for_the_key(self, error: ProviderError, where: str) -> None:
        told = f"{error.message} {error} {error.code} {error!r}"
        self.require(self._secret not in told, "no secrets", f"the message of the error shows the key in {where}")
        for place, text in _frames(error):
            if self._secret in text:
                self.fail("no secrets", f"a traceback with its locals shows the key in {where}: {place}")


def _frames(error: BaseException) -> Iterator[tuple[str, str]]:
    """The words and the local variables of an error and of all that it came from, each with its place."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        kind = type(one).__name__
        yield f"the words of {kind}", f"{one} {one!r}"
        told = traceback.TracebackException(type(one), one, one.__traceback__, capture_locals=True)
        for frame in told.stack:
            yield f"a variable of {frame.name}(), on the way of {kind}", " ".join((frame.locals or {}).values())
        waiting += [one.__cause__, one.__context__]
