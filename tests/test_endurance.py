"""Long runs: memory is flat after warm-up, nothing is left, limits hold, and a lab closes in the middle of anything."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from routerlab.core.errors import LabClosedError, RouterLabError
from routerlab.core.failures import ProviderError
from routerlab.core.types import CompletionResponse, Delta, TokenUsage
from routerlab.lab import Lab
from routerlab.providers.base import ProviderConnector
from routerlab.session.results import CallSpec

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")

LIMIT = 64
ROUNDS = 25
ALLOWED_MIB = 4.0  # a few pools of the allocator more or less; a leak of 10 bytes a call would be 8 MiB in a million


class Stub(ProviderConnector):
    """Answers one turn of the loop later; every 25th time it fails. Counts what is under way."""

    def __init__(self, name: str, config: Any) -> None:
        super().__init__(name, config)
        self.served = self.now = self.most = 0
        self.delay_s = 0.0

    async def complete(self, request: Any) -> CompletionResponse:
        await self._serve()
        return CompletionResponse("a short answer", finish_reason="stop", usage=TokenUsage(3, 4))

    async def stream(self, request: Any) -> Any:
        await self._serve()
        yield Delta(text="a short ")
        yield Delta(text="answer")
        yield Delta(finish_reason="stop")

    async def _serve(self) -> None:
        self.served += 1
        number = self.served
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.now -= 1
        if number % 25 == 0:
            raise ProviderError("try later", status=503)


def lab_of(provider: dict[str, Any]) -> Lab:
    chat = {"models": ["p/a", "p/b"], "retry": {"initial_delay": 0.001}, "breaker": {"reset_timeout": 0.01}}
    model = {"price": {"input": 1.0, "output": 2.0}}
    provider = provider | {"models": {"a": model, "b": model}}
    return Lab({"providers": {"p": provider}, "pools": {"chat": chat}}, store=False, max_records=10_000)


@pytest.fixture
def stub_lab() -> Iterator[Lab]:
    with no_more_held(), lab_of({"kind": f"{__name__}:Stub"}) as lab:
        yield lab


def held() -> dict[str, Any]:
    """What this process holds."""
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "files": len(os.listdir("/proc/self/fd")),
    }


@contextmanager
def no_more_held() -> Iterator[None]:
    """Afterwards, the process holds no more than before; connections may take a moment to close."""
    before = held()
    yield
    end = time.monotonic() + 30
    while more_than(before) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.02)
    assert not more_than(before)


def more_than(before: dict[str, Any]) -> Counter[str]:
    """Threads, by their names, and files that are held beyond what was held before."""
    now = held()
    return Counter(now["threads"]) - Counter(before["threads"]) + Counter(files=now["files"] - before["files"])


def own_mib() -> float:
    """Memory of this process alone, swapped out or not; pages of files come and go as the machine needs them."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "VmSwap:"))) / 1024


def send(lab: Lab, count: int) -> None:
    """So many calls, `LIMIT` at a time; every tenth is a stream."""
    session, numbers = lab._session, iter(range(count))

    async def worker() -> None:
        for number in numbers:
            message = {"role": "user", "content": f"question {number}"}
            result = await session.call(CallSpec(messages=(message,), stream=number % 10 == 0))
            assert result.error is None, result.error

    async def crowd() -> None:
        async with asyncio.TaskGroup() as workers:
            for _ in range(LIMIT):
                workers.create_task(worker())

    session.run(crowd())


def endure(lab: Lab, count: int) -> None:
    """A fifth to warm up, then the rest: nothing may have grown."""
    began = time.perf_counter()
    send(lab, count // 5)
    warm, warm_mib = held(), own_mib()
    send(lab, count - count // 5)
    end_mib = own_mib()
    print(f"{count / (time.perf_counter() - began):,.0f} calls/s; {warm_mib:.1f} MiB, at the end {end_mib:.1f} MiB")
    assert lab._session.recorder.count("calls") == count
    assert lab._session.recorder.count("attempts") > count
    assert len(lab._session.recorder.columns("calls")["call_id"]) <= 10_000
    assert end_mib - warm_mib < ALLOWED_MIB
    assert held()["threads"] == warm["threads"]
    assert wait_until(lambda: held()["files"] <= warm["files"] + 4)  # kept connections come and go
    assert wait_until(lambda: not asyncio.all_tasks(lab._session.loop.loop))
    assert all(snapshot.in_flight == 0 for snapshot in lab._session.snapshots())


def test_a_million_calls_through_a_stub(stub_lab: Lab) -> None:
    endure(stub_lab, 1_000_000)
    assert stub_lab._session.connectors["p"].most == LIMIT


def test_a_hundred_thousand_calls_over_http() -> None:
    with no_more_held(), counting_server() as (port, counts):
        with lab_of({"kind": "openai_compatible", "base_url": f"http://127.0.0.1:{port}/v1"}) as lab:
            endure(lab, 100_000)
            found = counts()
            assert found["requests"] >= 100_000 * 40 // 39
            assert found["in_flight"] == 0
            assert 1 < found["most_in_flight"] <= LIMIT
            assert found["most_connections"] <= LIMIT + 2  # a new one may be seen before the end of an old one
        assert wait_until(lambda: counts()["connections"] == 0)


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 7, 32])
def test_a_run_keeps_to_its_concurrency(stub_lab: Lab, concurrency: int) -> None:
    run = stub_lab.replay([f"item {number}" for number in range(1_000)], concurrency=concurrency, wait=False)
    run.wait()
    assert (run.status, run.progress.done) == ("done", 1_000)
    assert stub_lab._session.connectors["p"].most == concurrency


def test_traffic_keeps_to_its_limit(stub_lab: Lab) -> None:
    stub = stub_lab._session.connectors["p"]
    stub.delay_s = 0.05
    traffic = stub_lab.traffic("20000/s", prompts=["hi"])
    assert wait_until(lambda: traffic.sent["skipped"] > 1_000 and traffic.sent["ok"] > 200)
    traffic.stop()
    assert stub.most == LIMIT
    assert stub.now == 0


# -- closing -----------------------------------------------------------------------------------------------------------


def test_a_lab_closes_in_the_middle_of_everything_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routerlab.session.loop._PATIENCE_S", 180.0)  # whoever waits for it in vain waits for long
    chance, slowest = random.Random(3), 0.0
    busy_lab(tmp_path / "first.db").close()  # what is loaded once is loaded
    with no_more_held():
        for number in range(ROUNDS):
            path = tmp_path / f"{number}.db"
            slowest = max(slowest, close_in_the_middle(busy_lab(path), after_s=0.15 * chance.random()))
            check_store(path)
    print(f"{ROUNDS} labs closed, the slowest in {slowest:.2f} s")
    assert slowest < 120


def busy_lab(path: Path) -> Lab:
    quick = {"ttft_s": 0.002, "tokens_per_s": 300, "capabilities": ["chat-completion", "embedding"]}
    models = {"alpha": quick, "beta": quick, "stuck": quick | {"faults": ["stall"] * 1_000}}
    pool = {"models": ["sim/alpha", "sim/beta"], "retry": {"initial_delay": 0.01}}
    vectors = {"models": ["sim/alpha"], "capability": "embedding"}
    providers = {"sim": {"kind": "simulated", "models": models}}
    return Lab({"providers": providers, "pools": {"chat": pool, "vectors": vectors}}, store=path)


def close_in_the_middle(lab: Lab, after_s: float) -> float:
    """Close it while threads and a foreign loop use every verb; gives back how long that took, in seconds."""
    endings: list[BaseException] = []
    threads = [threading.Thread(target=until_closed, args=(verb, endings)) for verb in sync_verbs(lab)]
    threads.append(threading.Thread(target=lambda: asyncio.run(async_verbs(lab, endings))))
    for thread in threads:
        thread.start()
    traffic = lab.traffic("300/s", prompts=["traffic"])
    runs = [lab.replay([f"item {number}" for number in range(500)], name=name, wait=False) for name in ("a", "b")]
    assert wait_until(lambda: any(snapshot.in_flight for snapshot in lab._session.snapshots()))
    time.sleep(after_s)
    began = time.monotonic()
    lab.close()
    took = time.monotonic() - began
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert len(endings) == len(threads) - 1 + ASYNC_VERBS
    assert {type(error) for error in endings} <= {LabClosedError, RouterLabError}, endings
    assert not traffic.running
    assert all(run.wait(30).status == "stopped" for run in runs)
    assert lab._session.loop.loop.is_closed()
    return took


def sync_verbs(lab: Lab) -> list[Callable[[], object]]:
    return [
        lambda: lab.chat("hello"),
        lambda: lab.chat("hello", model="sim/stuck"),
        lambda: "".join(lab.stream("hello")),
        lambda: "".join(lab.stream("hello", model="sim/stuck")),
        lambda: lab.embed(["one", "two"]),
        lab.health,
    ]


def until_closed(verb: Callable[[], object], endings: list[BaseException]) -> None:
    try:
        while True:
            verb()
    except RouterLabError as error:
        endings.append(error)


ASYNC_VERBS = 12


async def async_verbs(lab: Lab, endings: list[BaseException]) -> None:
    async def read() -> None:
        async for _ in lab.astream("hello"):
            pass

    async def until_closed(verb: Callable[[], Awaitable[object]]) -> None:
        try:
            while True:
                await verb()
        except RouterLabError as error:
            endings.append(error)

    verbs: list[Callable[[], Awaitable[object]]] = [
        lambda: lab.achat("hello"),
        lambda: lab.aembed("hello"),
        lambda: lab.achat("hello", model="sim/stuck"),
        read,
    ]
    await asyncio.gather(*(until_closed(verbs[number % len(verbs)]) for number in range(ASYNC_VERBS)))


def check_store(path: Path) -> None:
    """It is whole, settled, and has every call once, with its attempts."""
    assert not [file for file in path.parent.iterdir() if file.name.startswith(f"{path.name}-")]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    calls, each = connection.execute("SELECT count(call_id), count(DISTINCT call_id) FROM calls").fetchone()
    said, found = connection.execute("SELECT sum(attempts), (SELECT count(*) FROM attempts) FROM calls").fetchone()
    connection.close()
    assert calls == each > 0
    assert said == found


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


# -- the server --------------------------------------------------------------------------------------------------------


@contextmanager
def counting_server() -> Iterator[tuple[int, Callable[[], dict[str, int]]]]:
    """Its port, and a function that asks for its counts."""
    command = [sys.executable, str(Path(__file__).with_name("counting_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def counts() -> dict[str, int]:
            server.stdin.write("\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline())

        yield int(server.stdout.readline()), counts
        server.stdin.close()
