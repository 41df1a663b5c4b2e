"""A run's pace over real sockets: what providers count, what streams tell, what arrives when."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.types import CompletionRequest, CompletionResponse
from routerlab.providers.base import ProviderConnector

DATA = [{"id": str(number), "prompt": f"item {number}", "target": "lorem ipsum"} for number in range(60)]


class Provider:
    """An OpenAI-compatible server that takes so many calls at once and answers 429 to more; it counts.

    Args:
        takes: calls at once.
        whole: it cannot stream, and says so.
        cached: tokens of each prompt that it says it knew.
        seconds: that it thinks before it answers.
        together: after the first call it answers no other before so many were there at once; 0: it does not wait.
    """

    def __init__(
        self, takes: int = 1000, *, whole: bool = False, cached: int = 0, seconds: float = 0.02, together: int = 0
    ) -> None:
        self.takes, self.whole, self.cached, self.seconds, self.together = takes, whole, cached, seconds, together
        self.flying = 0
        self.seen: list[int] = []  # in flight, when each request came
        self.asked: list[dict[str, Any]] = []
        self.refused = self.connections = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._closing, self._crowd = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._closing.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                self.asked.append(json.loads(await reader.readexactly(size)))
                await self._answer(writer, stream=self.asked[-1].get("stream", False))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)

    async def _answer(self, writer: asyncio.StreamWriter, *, stream: bool) -> None:
        self.flying += 1
        self.seen.append(self.flying)
        if self.flying >= self.together:
            self._crowd.set()
        try:
            if self.flying > self.takes:
                self.refused += 1
                self._write(writer, "429 Too Many Requests", {"error": {"message": "slow down"}})
            elif stream and self.whole:
                message = "Your organization must be verified to stream this model."
                self._write(writer, "400 Bad Request", {"error": {"message": message, "param": "stream"}})
            else:
                await self._good(writer, stream=stream)
        finally:
            self.flying -= 1

    async def _good(self, writer: asyncio.StreamWriter, *, stream: bool) -> None:
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        usage |= {"prompt_tokens_details": {"cached_tokens": self.cached}}
        if len(self.seen) > 1:
            await self._crowd.wait()
        await asyncio.sleep(self.seconds)
        if not stream:
            message = {"role": "assistant", "content": "lorem ipsum"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._write(writer, "200 OK", {"choices": [choice], "usage": usage})
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for delta, finish in (({"content": "lorem "}, None), ({"content": "ipsum"}, None), ({}, "stop")):
            self._event(writer, {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            await asyncio.sleep(0.01)
        self._event(writer, {"choices": [], "usage": usage})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    @staticmethod
    def _write(writer: asyncio.StreamWriter, status: str, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRetry-After: 0.05\r\n"
        writer.write(f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload)

    @staticmethod
    def _event(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        payload = b"data: " + json.dumps(body).encode() + b"\n\n"
        writer.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")


@pytest.fixture
def lab_of(no_leaks: None) -> Iterator[Any]:
    """A lab of such providers, by their names; each has the model ``m``."""
    made: list[Any] = []

    def make(**providers: Provider) -> rl.Lab:
        model = {"capabilities": ["chat-completion"], "price": {"input": 1.0, "output": 2.0}}
        config = {
            name: {"kind": "openai_compatible", "base_url": provider.url, "models": {"m": model}}
            for name, provider in providers.items()
        }
        made.extend([*providers.values(), lab := rl.Lab({"providers": config}, store=False)])
        return lab

    yield make
    for one in reversed(made):
        one.close()


def test_a_provider_that_answers_429_gets_fewer_calls_at_once_and_the_other_as_many_as_ever(lab_of):
    narrow, wide = Provider(takes=3, seconds=0.4, together=4), Provider(together=8)  # seconds enough for a slow client
    lab = lab_of(narrow=narrow, wide=wide)
    run = lab.replay(DATA[:40], ["narrow/m", "wide/m"], scorers=["contains"])
    assert (run.progress.ok, run.progress.failed) == (80, 0)
    assert max(wide.seen) == 8
    assert len(wide.seen) == 41, "each item and the preflight, once"
    assert max(narrow.seen) > 3
    assert max(narrow.seen[30:]) <= 5
    assert narrow.refused < 30
    (note,) = (note for note in run.notes if "429" in note)
    assert note.startswith(f"narrow answered 429 {narrow.refused} times: it got fewer calls at once, down to ")
    summary = run.summary().set_index("model")
    assert summary["calls"].tolist() == [40, 40], "what came too early was sent again"
    assert summary["success"].tolist() == [1.0, 1.0]


def test_runs_stream_and_know_the_same_as_whole_answers_and_the_time_to_the_first_token(lab_of):
    provider = Provider()
    lab = lab_of(sim=provider)
    streamed = lab.replay(DATA[:6], ["sim/m"], scorers=["contains"])
    whole = lab.replay(DATA[:6], ["sim/m"], scorers=["contains"], stream=False)
    assert [asked.get("stream", False) for asked in provider.asked] == [True] * 7 + [False] * 7
    same = ["text", "status", "score_contains", "prompt_tokens", "completion_tokens", "cost_usd", "finish_reason"]
    assert streamed.df[same].equals(whole.df[same])
    assert streamed.df["cost_usd"].notna().all()
    assert (streamed.df["ttft_s"] < streamed.df["latency_s"]).all()
    assert whole.df["ttft_s"].isna().all()
    row = streamed.summary().iloc[0]
    assert 0 < row["p50_ttft_s"] < row["p50_latency_s"]
    assert row["tokens_per_s"] > 1
    rates = 20 / (streamed.df["latency_s"] - streamed.df["ttft_s"])
    assert streamed.summary("variant")["tokens_per_s"].tolist() == pytest.approx([rates.median()])
    assert "tokens/s" in streamed._repr_html_()
    assert "tokens/s" not in whole._repr_html_()


def test_a_model_that_refuses_streams_answers_in_one_piece_unless_streams_were_asked_for(lab_of):
    provider, other = Provider(whole=True), Provider()
    lab = lab_of(sim=provider, other=other)
    run = lab.replay(DATA[:5], ["sim/m", "other/m"])
    assert run.progress.ok == 10
    assert [asked.get("stream", False) for asked in provider.asked] == [True] + [False] * 6
    assert run.notes == ["sim/m: streams are refused, so its answers came in one piece, without ttft_s"]
    assert run.df.groupby("variant")["ttft_s"].count().to_dict() == {"other/m": 5, "sim/m": 0}
    with pytest.raises(rl.InvalidRequestError, match="must be verified to stream this model"):
        lab.replay(DATA[:5], ["sim/m"], stream=True)


def test_the_preflight_warms_the_connection_of_the_first_call(lab_of):
    provider = Provider()
    lab_of(sim=provider).replay(DATA[:4], ["sim/m"], concurrency=1)
    assert (len(provider.asked), provider.connections) == (5, 1)


class Whole(ProviderConnector):
    """A connector of one's own that cannot stream."""

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        return CompletionResponse(text=f"lorem ipsum {request.stream}", finish_reason="stop")


def test_a_connector_without_streams_is_asked_for_none(no_leaks):
    model = {"capabilities": ["chat-completion"]}
    own = {"kind": f"{__name__}:Whole", "models": {"m": model}}
    with rl.Lab({"providers": {"own": own, "sim": {"kind": "simulated", "models": {"a": model}}}}, store=False) as lab:
        run = lab.replay(DATA[:3], ["own/m", "sim/a"])
        assert run.progress.ok == 6
        assert run.df.groupby("variant")["streamed"].any().to_dict() == {"own/m": False, "sim/a": True}
        assert not run.notes


def test_prompts_that_a_provider_had_in_its_cache_are_told(lab_of):
    lab = lab_of(sim=Provider(cached=64))
    run = lab.replay(DATA[:5], ["sim/m"])
    assert run.df["cached_tokens"].tolist() == [64] * 5
    assert run.notes == ["5 answers used a provider's prompt cache (cached_tokens): latency and cost are lower so"]


def test_what_arrives_waits_in_the_queue_and_the_summary_tells(lab_of):
    provider = Provider()
    lab = lab_of(sim=provider)
    run = lab.replay(DATA[:20], ["sim/m"], arrivals=rl.arrivals.bursts("100/s", size=10), concurrency=2)
    rows = run.rows()
    first = min(row["scheduled_at"] for row in rows)
    assert {round(row["scheduled_at"] - first, 1) for row in rows} == {0.0, 0.1}  # it takes two looks at clocks
    for row in rows:
        assert row["queue_s"] == pytest.approx(row["started_at"] - row["scheduled_at"])
        assert row["latency_s"] == pytest.approx(row["ended_at"] - row["started_at"])
    shortest = min(row["latency_s"] for row in rows)
    assert max(row["queue_s"] for row in rows) > 3 * shortest, "ten at once, two of them at a time"
    summary = run.summary().iloc[0]
    assert summary["p95_queue_s"] > summary["p50_queue_s"] > 0
    assert "queue p95" in run._repr_html_()
    assert "p50_queue_s" not in lab.replay(DATA[:2], ["sim/m"]).summary()
