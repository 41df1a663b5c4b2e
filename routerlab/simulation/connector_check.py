"""Puts any connector through the rules that routing relies on, against a simulated server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from routerlab.core.failures import ProviderError, classify
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.providers.base import ProviderConnector
from routerlab.simulation.connector_cases import CASES, Case, in_words
from routerlab.simulation.connector_probe import MODEL, Make, Probe
from routerlab.simulation.server import SimulatedServer

__all__ = ["check_connector"]

_SECRET = "key-made-up-for-the-check-4f1d"  # noqa: S105 - it opens nothing
_PROMPT = "What is the capital of France?"
_ANSWER = (  # what a careless decoder of events breaks at; longer than the least that a provider lets one ask for
    'Paris, on the Seine.\n\n  "Fluctuat nec mergitur": \u00e9tant dit \U0001f5fc \u2028 and so\u0085 on, as everybody '
    "knows who has been there once, and as the others will learn when they come at last."
)
_SHORT = 16
_VERBS = ("complete", "stream")
_MANY = 16


def check_connector(
    connector: Make, kind: str = "openai", *, faults: bool = True, secret: str = _SECRET, prompt: str = _PROMPT
) -> None:
    """Prove that a connector keeps the rules that routing relies on (`routerlab.providers.base`, the fault table).

    It talks with a simulated server on loopback that answers, refuses, stalls and breaks off. Checked are: whole and
    streamed answers, that every failure leaves as one `ProviderError` which is classified as the fault table says,
    that it tries once, that cancelling a call and closing a stream let go of the connection at once, that the key is
    shown nowhere, that many calls may share it, and that closing twice is fine. It takes a few seconds.

    Args:
        connector: its class (made with the options ``base_url`` and ``api_key``), or a function from a base URL to a
            connector.
        kind: of the wire format that it speaks: ``openai``, ``openai_responses``, ``anthropic``, ``gemini``,
            ``ollama``, ``cohere``.
        faults: False for a connector that does not talk with the server (none over HTTP, or one with a server of its
            own): only the rules that need no server of ours are checked.
        secret: the key that a function gives its connector; looked for wherever it must not be.
        prompt: what is asked with ``faults=False``.

    Raises:
        AssertionError: it breaks a rule; the message says which, and where.

    Example:
        >>> from routerlab.providers.openai_compatible import OpenAICompatibleProvider
        >>> check_connector(OpenAICompatibleProvider)
    """
    answers = {_PROMPT: _ANSWER, **{_question(number): _reply(number) for number in range(_MANY)}}
    model = SimulatedModel(MODEL, ttft_s=Latency(0.0), tokens_per_s=Latency(0.0), answers=answers)
    with SimulatedServer([model]) as server, ThreadPoolExecutor(1) as elsewhere:  # a notebook's loop runs already
        probe = Probe(connector, server if faults else None, secret, server.url(MODEL, kind))
        check = _Served(probe, server, secret).run() if faults else _Alone(probe, prompt).run()
        elsewhere.submit(asyncio.run, check).result()


class _Alone:
    """The rules that need no server of ours."""

    def __init__(self, probe: Probe, prompt: str) -> None:
        self._probe = probe
        self._prompt = prompt

    async def run(self) -> None:
        known = asyncio.all_tasks()
        connector = self._probe.new()
        await self._answers(connector)
        await self._many(connector)
        await self._early_end(connector)
        await self._closes(connector, known)

    async def _answers(self, connector: ProviderConnector) -> None:
        for verb in _VERBS:
            found = await self._probe.answer(connector, self._probe.request(verb, self._prompt), f"{verb}()")
            good = bool(found.text) or found.tool_calls
            self._probe.require(good, f"{verb} answers", "there was neither text nor a tool call")

    async def _many(self, connector: ProviderConnector) -> None:
        calls = [self._probe.request(verb, self._prompt, f"check-{n}") for n in range(_MANY) for verb in _VERBS]
        where = "one of many calls at once"
        await asyncio.gather(*(self._probe.answer(connector, call, where, alone=False) for call in calls))

    async def _early_end(self, connector: ProviderConnector) -> None:
        stream = self._probe.stream(connector, self._probe.request("stream", self._prompt))
        await anext(stream)
        await _close_early(self._probe, stream)

    async def _closes(self, connector: ProviderConnector, known: set[asyncio.Task[Any]]) -> None:
        for time in ("once", "twice"):
            try:
                await connector.close()
            except Exception as error:  # noqa: BLE001 - whatever it is
                self._probe.fail("close() twice is fine", f"closing {time} raised {type(error).__name__}: {error}")
        await self._probe.no_connections("closing lets go", "connections stay open after close()")
        self._probe.require(await self._probe.no_tasks_but(known), "closing lets go", "tasks run on after close()")


class _Served(_Alone):
    """All rules, against the simulated server."""

    def __init__(self, probe: Probe, server: SimulatedServer, secret: str) -> None:
        super().__init__(probe, _PROMPT)
        self._server = server
        self._secret = secret

    async def run(self) -> None:
        known = asyncio.all_tasks()
        connector = self._probe.new()
        await self._answers(connector)
        await self._good_streams(connector)
        await self._limits_length(connector)
        for case in CASES:
            for verb in case.verbs:
                await self._meets(connector, case, verb)
        await self._answers(connector)  # after all that it is as good as new
        await self._many(connector)
        await self._closes(connector, known)
        for verb, fault in (("complete", "stall"), ("stream", "stall"), ("stream", "stall_midway")):
            await self._is_cancelled(verb, fault)
        await self._early_end(self._probe.new())
        await self._waits_for_the_reader()

    async def _answers(self, connector: ProviderConnector) -> None:
        for verb in _VERBS:
            found = await self._probe.answer(connector, self._probe.request(verb, _PROMPT), f"{verb}()")
            self._has_text(verb, found.text, _ANSWER, f"{verb}()")
            reason = found.finish_reasons[0]
            self._probe.require(reason == "stop", "exactly one finish reason", f"{verb}() gave {reason!r}, not 'stop'")
            if verb == "complete":
                good = bool(found.usages) and bool(found.usages[0].prompt_tokens and found.usages[0].completion_tokens)
                self._probe.require(good, "complete gives usage", "the server counted tokens, the answer does not")

    async def _good_streams(self, connector: ProviderConnector) -> None:
        """What is no failure: an event that cannot be read, no mark of the end, no usage."""
        for fault, where in (
            ("malformed_event", "a stream with one malformed event, which is to be skipped"),
            ("no_done", "a stream with a finish reason, but without the mark of its end"),
            ("no_usage", "a stream without usage"),
        ):
            with self._broken(fault):
                found = await self._probe.answer(connector, self._probe.request("stream", _PROMPT), where)
            self._has_text("stream", found.text, _ANSWER, where)

    async def _limits_length(self, connector: ProviderConnector) -> None:
        for verb in _VERBS:
            request = self._probe.request(verb, _PROMPT, max_tokens=_SHORT)
            found = await self._probe.answer(connector, request, f"{verb}() with max_tokens={_SHORT}")
            good = found.finish_reasons == ["length"] and len(found.text) < len(_ANSWER)
            words = (
                f"{verb}() with max_tokens={_SHORT} gave {found.text!r}, {found.finish_reasons[0]!r}; expected 'length'"
            )
            self._probe.require(good, "parameters are translated", words)

    async def _meets(self, connector: ProviderConnector, case: Case, verb: str) -> None:
        where = f"{verb}() that met {case.words}"
        options = {name: _filled(value, self._secret) for name, value in case.options.items()}
        with self._broken(case.fault, options):
            found = await self._probe.outcome(connector, self._probe.request(verb, _PROMPT), where)
        if not isinstance(found, ProviderError):
            rule = "an end without a finish reason is a failure" if case.fault == "cut_stream" else "one error"
            self._probe.fail(rule, f"{where} ended as if all were well")
        if case.status is not None:
            words = f"{where} raised one with status={found.status}"
            self._probe.require(found.status == case.status, "the error carries the status", words)
        if case.retry_after_s is not None:
            words = f"{where} raised one with retry_after_s={found.retry_after_s}, expected {case.retry_after_s}"
            self._probe.require(found.retry_after_s == case.retry_after_s, "the error carries Retry-After", words)
        if classify(found) not in map(classify, case.expected):
            words = f"{where} raised one of {found.fault}, status {found.status}, code {found.code!r}: "
            words += f"that is {in_words(found)}; the table says {in_words(case.expected[0])}"
            self._probe.fail("classified as the table says", words)

    async def _many(self, connector: ProviderConnector) -> None:
        async def ask(verb: str, number: int) -> None:
            request = self._probe.request(verb, _question(number), f"check-{number}")
            where = f"{verb}() beside many others"
            found = await self._probe.answer(connector, request, where, alone=False)
            self._has_text(verb, found.text, _reply(number), where)

        before = self._server.requests(MODEL)
        await asyncio.gather(*(ask(verb, number) for number in range(_MANY) for verb in _VERBS))
        sent = self._server.requests(MODEL) - before
        self._probe.require(sent == 2 * _MANY, "many calls at once", f"{2 * _MANY} calls sent {sent} requests")

    async def _is_cancelled(self, verb: str, fault: str) -> None:
        where = f"{verb}() cancelled {'within the answer' if fault == 'stall_midway' else 'before the answer'}"
        known, connector = asyncio.all_tasks(), self._probe.new()
        before = self._server.requests(MODEL)
        with self._broken(fault):
            request = self._probe.request(verb, _PROMPT)
            call = self._drained(connector, request) if verb == "stream" else connector.complete(request)
            task = asyncio.ensure_future(call)
            await self._probe.soon(lambda: self._server.requests(MODEL) > before or task.done())
            await asyncio.wait((task,), timeout=0.1)
            task.cancel()
            rule = "cancellation lets go at once"
            self._probe.require(await self._probe.soon(task.done), rule, f"{where} did not end at once")
            ended = (
                "raised something else" if not task.cancelled() and task.exception() else "went on as if it were not"
            )
            self._probe.require(task.cancelled(), rule, f"{where} {ended}: CancelledError must pass")
            await self._probe.no_connections(rule, f"{where} kept its connection open")
            self._probe.require(await self._probe.no_tasks_but(known), rule, f"{where} left a task running")
        await connector.close()

    async def _drained(self, connector: ProviderConnector, request: Any) -> None:
        async for _ in self._probe.stream(connector, request):
            pass

    async def _early_end(self, connector: ProviderConnector) -> None:
        with self._broken("stall_midway"):
            stream = self._probe.stream(connector, self._probe.request("stream", _PROMPT))
            async for delta in stream:
                if delta.text:
                    break
            await _close_early(self._probe, stream)
            words = "a stream that was closed after its first text kept its connection open"
            await self._probe.no_connections("closing the generator closes the connection", words)
        await connector.close()

    async def _waits_for_the_reader(self) -> None:
        connector, before = self._probe.new(), self._server.requests(MODEL)
        stream = self._probe.stream(connector, self._probe.request("stream", _PROMPT))
        await asyncio.sleep(0.05)
        sent = self._server.requests(MODEL) - before
        self._probe.require(sent == 0, "nothing is sent before the first anext", "stream() had sent its request")
        await stream.aclose()
        await connector.close()

    def _has_text(self, verb: str, found: str, expected: str, where: str) -> None:
        words = f"{where} gave {found!r}, the server sent {expected!r}"
        self._probe.require(found == expected, f"{verb} gives the whole text", words)

    @contextlib.contextmanager
    def _broken(self, fault: str, options: Mapping[str, Any] | None = None) -> Any:
        self._server.faults.inject(MODEL, fault, **(options or {}))
        try:
            yield
        finally:
            self._server.faults.clear()


async def _close_early(probe: Probe, stream: Any) -> None:
    rule = "closing the generator closes the connection"
    closing = asyncio.ensure_future(stream.aclose())
    if not await probe.soon(closing.done):
        closing.cancel()
        probe.fail(rule, "aclose() did not end at once")
    try:
        closing.result()
    except Exception as error:  # noqa: BLE001 - whatever it is
        probe.fail(rule, f"aclose() after the first text raised {type(error).__name__}: {error}")


def _filled(value: Any, secret: str) -> Any:
    return value.replace("{secret}", secret) if isinstance(value, str) else value


def _question(number: int) -> str:
    return f"What comes after {number}?"


def _reply(number: int) -> str:
    return f"After {number} comes {number + 1}, as everybody who counts knows."
