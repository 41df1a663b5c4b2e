"""Faults put in on our side, before a provider that has none."""

from __future__ import annotations

import asyncio
import time

import pytest

import routerlab as rl
from routerlab.core.types import CompletionResponse, Delta, EmbeddingResponse, ModelInfo
from routerlab.providers.base import ProviderConnector

pytestmark = pytest.mark.usefixtures("no_leaks")

WORDS = [f"word{number} " for number in range(8)]


class Real(ProviderConnector):
    """A provider that is never at fault."""

    def __init__(self, name, config):
        super().__init__(name, {})
        self.asked = 0
        self.closed = False
        self.pause_s = 0.0

    async def complete(self, request):
        self.asked += 1
        await asyncio.sleep(self.pause_s)
        return CompletionResponse("".join(WORDS), finish_reason="stop")

    async def stream(self, request):
        self.asked += 1
        for word in WORDS:
            await asyncio.sleep(self.pause_s)
            yield Delta(text=word)
        yield Delta(finish_reason="stop")

    async def embed(self, request):
        self.asked += 1
        return EmbeddingResponse(tuple((1.0,) for _ in request.inputs))

    async def list_models(self):
        return [ModelInfo("one")]

    async def close(self):
        self.closed = True


CONFIG = {
    "providers": {
        "real": {"kind": f"{__name__}:Real", "models": {"one": {}, "vectors": {"capabilities": ["embedding"]}}},
        "other": {"kind": f"{__name__}:Real", "models": ["two"]},
    },
    "pools": {"chat": {"models": ["real/one", "other/two"], "retry": {"max_retries": 0}, "on_stream_failure": "error"}},
}


@pytest.fixture
def lab(no_leaks):
    with rl.Lab(CONFIG, store=False) as lab:
        yield lab


def real(lab, name="real"):
    return lab._session.connectors[name]._inner


def test_an_outage_is_put_in_recorded_and_cleared(lab):
    assert lab.chat("hello").model == "real/one"
    lab.faults.outage("real/one")
    reply = lab.chat("hello")
    assert reply.model == "other/two"
    lab.faults.clear()
    lab.reset("real/one")
    assert lab.chat("hello").model == "real/one"
    assert lab.calls()["injected"].tolist() == [False, True, False]
    assert lab.calls()["simulated"].tolist() == [False] * 3
    assert lab.attempts()["status"].tolist()[1] == 503
    assert real(lab).asked == 2  # the outage was ours: nobody was asked
    events = lab.events()
    notes = events[events["kind"].isin(["fault_injected", "fault_cleared"])]
    assert notes["kind"].tolist() == ["fault_injected", "fault_cleared"]
    assert notes["model"].tolist() == ["real/one"] * 2
    assert "unavailable" in notes["new"].tolist()[0]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("rate_limit", "RateLimitError"),
        ("unauthorized", "AuthenticationError"),
        ("invalid_request", "InvalidRequestError"),
        ("content_filter", "ContentFilterError"),
        ("reset", "ProviderUnavailableError"),
        ("short_body", "ProviderUnavailableError"),
        ("not_json", "BadResponseError"),
        ("huge_body", "ProviderUnavailableError"),
    ],
)
def test_what_is_put_in_is_told_as_the_real_thing(lab, how, error):
    lab.faults.inject("real/one", how)
    with pytest.raises(rl.RequestError) as caught:
        lab.chat("hello", model="real/one", deadline=30)
    assert type(caught.value).__name__ == error
    assert real(lab).asked == 0


def test_a_stall_is_ended_by_a_clock(lab):
    lab.faults.inject("real/one", "stall")
    with pytest.raises(rl.RequestTimeoutError):
        lab.chat("hello", model="real/one", deadline=0.05)
    assert lab._session.snapshot("real/one").in_flight == 0


def test_a_stream_is_cut_after_so_many_pieces(lab):
    lab.faults.cut_streams("real/one", after_tokens=3)
    stream = lab.stream("hello", model="real/one")
    pieces = []
    with pytest.raises(rl.StreamInterruptedError) as caught:
        pieces.extend(stream)
    assert pieces == WORDS[:3]
    assert caught.value.partial_text == "".join(WORDS[:3])
    assert real(lab).asked == 1


def test_a_stream_goes_silent_in_the_middle(lab):
    lab.faults.inject("real/one", "stall_midway", after_tokens=2)
    stream = lab.stream("hello", model="real/one", deadline=2)  # time enough for what comes before
    pieces = []
    with pytest.raises(rl.RequestTimeoutError):
        pieces.extend(stream)
    assert pieces == WORDS[:2]


def test_a_stream_shorter_than_the_cut_breaks_at_its_end(lab):
    lab.faults.cut_streams("real/one", after_tokens=12)
    pieces = []
    with pytest.raises(rl.StreamInterruptedError):
        pieces.extend(lab.stream("hello", model="real/one"))
    assert pieces == WORDS


@pytest.mark.parametrize("stream", [False, True])
def test_slowness_multiplies_what_the_provider_takes(lab, stream):
    real_one = lab.faults and real(lab)
    real_one.pause_s = 0.01

    def took():
        started = time.monotonic()
        list(lab.stream("hello", model="real/one")) if stream else lab.chat("hello", model="real/one")
        return time.monotonic() - started

    plain_s = real_one.pause_s * (len(WORDS) if stream else 1)
    lab.faults.slow("real/one", factor=5, extra_s=0.02)
    assert took() > 0.02 + 4.9 * plain_s
    lab.faults.clear()
    lab.faults.slow("real/one", factor=0.1)  # nothing is made faster than it is
    assert took() > 0.9 * plain_s


def test_embeddings_break_too(lab):
    assert lab.embed(["a", "b"]).vectors == [(1.0,), (1.0,)]
    lab.faults.outage("real/vectors")
    with pytest.raises(rl.ProviderUnavailableError):
        lab.embed("a")


def test_a_fault_has_its_time(lab):
    now = [1000.0]
    lab.faults._clock = lambda: now[0]
    lab.faults.outage("real/one", after=10, duration=15)
    assert lab.chat("hello").model == "real/one"
    now[0] += 12
    assert lab.chat("hello").model == "other/two"
    now[0] += 15
    assert lab.chat("hello").model == "real/one"


def test_an_unknown_model_or_kind_is_named(lab):
    with pytest.raises(rl.ConfigurationError, match="did you mean 'real/one'"):
        lab.faults.outage("real/onne")
    with pytest.raises(rl.ConfigurationError, match="did you mean 'rate_limit'"):
        lab.faults.inject("real/one", "rate_limt")


def test_the_real_connector_is_closed_with_the_lab(lab):
    lab.faults.outage("real/one")
    inner = real(lab)
    lab.close()
    assert inner.closed
