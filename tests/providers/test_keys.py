"""Keys that a command prints: run when needed, once for all, and never shown."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Ejection, Fault, ProviderError, classify
from routerlab.core.types import EmbeddingRequest
from routerlab.providers.keys import CommandKey, FixedKey, Key
from routerlab.providers.openai_compatible import OpenAICompatibleProvider

CANARY = "canary-printed-77e1"


class Counted:
    """A command that prints another key each time, and remembers how often it ran; it waits while `hold` is there."""

    def __init__(self, folder: Path) -> None:
        self.log, self.hold = folder / "runs", folder / "hold"
        script = folder / "vault"
        script.write_text(
            f"#!/bin/sh\nsleep 0.02\nwhile [ -e {self.hold} ]; do sleep 0.01; done\necho run >> {self.log}\n"
            f"echo 'warning: {CANARY}' >&2\necho \"{CANARY}-$(wc -l < {self.log} | tr -d ' ')\"\n"
        )
        script.chmod(0o700)
        self.command = f"{script} 'read the key' --quiet"

    @property
    def runs(self) -> int:
        return len(self.log.read_text().split()) if self.log.exists() else 0


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    return Counted(tmp_path)


def in_loop(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await work()

    return asyncio.run(main())


def failing(command: str, **options: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        in_loop(CommandKey(command, **options).get)
    assert (caught.value.fault, caught.value.sent) == (Fault.NO_KEY, False)
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value


def test_nothing_runs_before_the_key_is_needed(counted: Counted) -> None:
    key = CommandKey(counted.command)
    assert counted.runs == 0
    assert in_loop(key.get).value == f"{CANARY}-1"


def test_one_run_serves_everybody_and_blocks_nobody(counted: Counted) -> None:
    learned: list[str] = []
    key = CommandKey(counted.command, learn=learned.append)
    counted.hold.touch()

    async def main() -> list[Key]:
        waiting = asyncio.gather(*(key.get() for _ in range(50)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        counted.hold.unlink()
        return [*await waiting, await key.get()]

    keys = asyncio.run(main())
    assert {one.value for one in keys} == {f"{CANARY}-1"}
    assert (counted.runs, learned) == (1, [f"{CANARY}-1"])


def test_it_is_fetched_anew_when_it_is_old(counted: Counted) -> None:
    now = 100.0
    key = CommandKey(counted.command, refresh_s=3000.0, clock=lambda: now)

    async def main() -> list[str]:
        nonlocal now
        values = []
        for now in (100.0, 3099.9, 3100.0, 6099.0):  # noqa: B007 - the clock reads it
            values.append((await key.get()).value)
        return values

    assert [value[-1] for value in asyncio.run(main())] == ["1", "1", "2", "2"]


class TestRefusals:
    def test_one_fresh_key_and_no_third(self, counted: Counted) -> None:
        source = CommandKey(counted.command)

        async def main() -> None:
            first = await source.get()
            assert source.refused(first)
            second = await source.get()
            assert second.value == f"{CANARY}-2"
            assert not source.refused(second)
            third = await source.get()  # after a reset by hand, say
            assert not source.refused(third)

        asyncio.run(main())

    def test_a_key_that_has_worked_may_be_had_anew(self, counted: Counted) -> None:
        source = CommandKey(counted.command)

        async def main() -> None:
            for _ in range(3):
                key = await source.get()
                source.accepted(key)
                assert source.refused(key)

        asyncio.run(main())
        assert counted.runs == 3

    def test_late_news_of_an_old_key_change_nothing(self, counted: Counted) -> None:
        source = CommandKey(counted.command)

        async def main() -> None:
            old = await source.get()
            assert source.refused(old)
            assert source.refused(old)  # another request came back with it
            new = await source.get()
            assert source.refused(old)
            source.accepted(old)
            assert await source.get() is new
            assert not source.refused(new)

        asyncio.run(main())
        assert counted.runs == 2

    def test_a_fixed_key_is_what_it_is(self) -> None:
        source = FixedKey("sk-1")
        key = in_loop(source.get)
        source.accepted(key)
        assert not source.refused(key)
        assert in_loop(source.get) is key


class TestFailures:
    def test_a_command_that_fails_is_named_with_its_exit_code(self) -> None:
        error = failing(f"sh -c 'echo {CANARY}; echo {CANARY} >&2; exit 3'")
        assert error.message == "no key: the command 'sh' ended with exit code 3: run it in a terminal to see why"

    def test_a_command_that_is_not_there(self, tmp_path: Path) -> None:
        message = failing(f"{tmp_path}/vault --token {CANARY}").message
        assert message == f"no key: the command '{tmp_path}/vault' cannot be started: No such file or directory"

    @pytest.mark.parametrize(
        ("script", "problem"),
        [
            ("true", "printed nothing"),
            (f"printf '{CANARY}\\n{CANARY}\\n'", "did not print one line of ASCII text"),
            (f"printf '{CANARY}\\303\\251'", "did not print one line of ASCII text"),
        ],
    )
    def test_output_that_is_no_key(self, script: str, problem: str) -> None:
        assert failing(f'sh -c "{script}"').message == f"no key: the command 'sh' {problem}"

    def test_a_command_that_hangs_ends_with_all_that_it_started(self, tmp_path: Path) -> None:
        pids = tmp_path / "pids"
        started = time.monotonic()
        message = failing(f"sh -c 'sleep 30 & echo $! > {pids}; wait'", timeout_s=1.5).message
        assert "did not end within 1.5 s" in message
        assert time.monotonic() - started < 20
        assert ended(int(pids.read_text()))

    def test_each_waiter_has_an_error_of_its_own(self) -> None:
        key = CommandKey("false")

        async def main() -> list[Any]:
            return await asyncio.gather(*(key.get() for _ in range(3)), return_exceptions=True)

        errors = asyncio.run(main())
        assert len({id(error) for error in errors}) == 3

    def test_the_next_request_tries_again(self, counted: Counted) -> None:
        key = CommandKey(f"sh -c 'test -e {counted.log} && echo fine-key || (echo run >> {counted.log}; exit 1)'")

        async def main() -> str:
            with pytest.raises(ProviderError):
                await key.get()
            return (await key.get()).value

        assert asyncio.run(main()) == "fine-key"

    @pytest.mark.parametrize("command", ["", "  ", "echo 'open"])
    def test_what_is_no_command(self, command: str) -> None:
        with pytest.raises(ValueError, match=r"no command|closing quotation"):
            CommandKey(command)


def ended(pid: int) -> bool:
    for _ in range(3_000):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":  # ended; whoever inherited it has not asked yet
            return True
        time.sleep(0.01)
    return False


def test_one_request_may_give_up_while_the_others_wait(counted: Counted) -> None:
    key = CommandKey(counted.command)

    async def main() -> str:
        impatient = asyncio.create_task(key.get())
        patient = asyncio.create_task(key.get())
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        return (await patient).value

    assert asyncio.run(main()) == f"{CANARY}-1"
    assert counted.runs == 1


def test_closing_ends_the_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    async def main() -> None:
        key = CommandKey(f"sh -c 'echo $$ > {pid}; sleep 30'")
        waiting = asyncio.create_task(key.get())
        while not (pid.exists() and pid.read_text()):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.005)
        await key.close()
        await key.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert ended(int(pid.read_text()))


def test_it_works_in_one_event_loop_after_another(counted: Counted) -> None:
    key = CommandKey(counted.command, refresh_s=1.0, clock=iter(range(100)).__next__)
    assert [in_loop(key.get).value[-1] for _ in range(3)] == ["1", "2", "3"]


# -- in the connector --------------------------------------------------------------------------------------------------

OK = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}


def bearer(request: httpx.Request) -> str:
    return request.headers.get("api-key") or request.headers["authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("verb", ["complete", "stream", "embed", "list_models"])
@pytest.mark.parametrize("name", ["openai", "azure", "groq", "vllm"])
def test_a_refused_key_is_refreshable_once(
    name: str, verb: str, counted: Counted, scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": {"message": f"expired: {bearer(request)}"}})

    key = CommandKey(counted.command)
    provider = scripted(answer, name, base_url="https://example.com", api_key=key)

    async def ask() -> ProviderError:
        try:
            if verb == "stream":
                _ = [delta async for delta in provider.stream(chat())]
            elif verb == "embed":
                await provider.embed(EmbeddingRequest("c", "m", ("a",)))
            else:
                await (provider.complete(chat()) if verb == "complete" else provider.list_models())
        except ProviderError as error:
            return error
        raise AssertionError("no error")

    async def main() -> list[ProviderError]:
        return [await ask(), await ask()]

    errors = asyncio.run(main())
    assert [bearer(request) for request in provider.requests] == [f"{CANARY}-1", f"{CANARY}-2"]
    assert [error.refreshable for error in errors] == [True, False]
    assert [classify(error).ejects for error in errors] == [None, Ejection.PROVIDER]
    script = counted.command.split()[0]
    assert {error.message for error in errors} == {
        f"the provider refused the key (401): expired: ***; check the command '{script}'"
    }


def test_what_lets_a_key_pass_has_accepted_it(
    counted: Counted, scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    statuses = iter([401, 429, 401, 200, 401, 401])
    provider = scripted(lambda _: httpx.Response(next(statuses), json=OK), api_key=CommandKey(counted.command))
    told = []

    async def main() -> None:
        for _ in range(6):
            try:
                await provider.complete(chat())
            except ProviderError as error:
                told.append((error.status, error.refreshable))

    asyncio.run(main())
    assert told == [(401, True), (429, False), (401, True), (401, True), (401, False)]


@pytest.mark.parametrize(
    ("config", "status", "message"),
    [
        ({"key_source": "the environment variable MY_KEY"}, 401,
         "the provider refused the key (401): no; check the environment variable MY_KEY"),
        ({}, 403, "the provider refused the key (403): no; check api_key"),
        ({"api_key": None, "headers": {"X-Api-Key": "k-1"}}, 401,
         "the provider refused the key (401): no; check headers"),
        ({"api_key": None, "base_url": "http://127.0.0.1:1"}, 401,
         "the provider wants a key (401): no; set api_key"),
        ({}, 500, "no"),
    ],
)  # fmt: skip
def test_a_refusal_says_where_to_look(
    config: dict[str, Any], status: int, message: str, scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    provider = scripted(httpx.Response(status, json={"error": "no"}), **config)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(provider.complete(chat()))
    assert (caught.value.message, caught.value.refreshable) == (message, False)


def test_a_command_that_fails_sends_nothing(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    provider = scripted(httpx.Response(200, json=OK), api_key=CommandKey("false"))
    with pytest.raises(ProviderError, match="exit code 1") as caught:
        asyncio.run(provider.complete(chat()))
    assert (caught.value.fault, provider.requests) == (Fault.NO_KEY, [])


def test_closing_the_provider_ends_its_command(chat: Callable[..., Any]) -> None:
    provider = OpenAICompatibleProvider("mine", {"base_url": "http://127.0.0.1:1", "api_key": CommandKey("sleep 30")})

    async def main() -> None:
        asking = asyncio.create_task(provider.complete(chat()))
        await asyncio.sleep(0.02)
        await provider.close()
        with pytest.raises(asyncio.CancelledError):
            await asking

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 20
