"""One tiny call to each model: over real HTTP, and with connectors that count, wait or err."""

from __future__ import annotations

import asyncio

import pytest

from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.core.types import CompletionResponse, EmbeddingResponse
from routerlab.providers.base import ProviderConnector
from routerlab.session.config import load_config
from routerlab.session.ping import ping
from routerlab.session.recorder import Recorder
from routerlab.session.session import Session
from routerlab.simulation.server import SimulatedServer

KEY = "sk-canary-0123456789abcdef"


class Counting(ProviderConnector):
    """Answers after a moment and remembers what it was asked, and how many calls there were at a time."""

    def __init__(self, name, config):
        super().__init__(name, config)
        self.in_flight, self.most, self.requests = 0, 0, []

    async def complete(self, request):
        self.requests.append(request)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(0.01)
        self.in_flight -= 1
        return CompletionResponse("hello", finish_reason="length")

    async def embed(self, request):
        self.requests.append(request)
        return EmbeddingResponse(((0.0,),))

    async def stream(self, request):
        raise NotImplementedError
        yield


class Stuck(Counting):
    async def complete(self, request):
        await asyncio.sleep(3600)


class Broken(Counting):
    async def complete(self, request):
        raise KeyError(f"no such thing as {KEY}")


@pytest.fixture
def ask(no_leaks):
    """The pings of a configuration, and its connectors."""

    def run(providers, **options):
        session = Session(load_config({"providers": providers}), Recorder())
        try:
            answers = {answer.model: answer for answer in session.run(ping(session, **options))}
            assert list(answers) == list(session.models)
            assert session.recorder.count("calls") == session.recorder.count("attempts") == 0
            return answers, session.connectors
        finally:
            session.close()

    return run


def kind(connector, models):
    return {"kind": f"{__name__}:{connector.__name__}", "models": models}


def test_chats_are_asked_for_a_few_tokens_and_embeddings_for_one_vector(ask):
    models = {"chat": {}, "text-embed": {}, "all": {"capabilities": ["generation", "embedding"]}}
    models["pictures"] = {"capabilities": ["text-to-image"]}
    answers, connectors = ask({"p": kind(Counting, models)})
    asked = {request.model: request for request in connectors["p"].requests}
    assert set(asked) == {"chat", "text-embed", "all"}
    assert asked["chat"].params == asked["all"].params == {"max_tokens": 16}
    assert asked["text-embed"].inputs == ("Hi",)
    assert [answer.ok for answer in answers.values()] == [True, True, True, None]
    assert answers["p/pictures"].latency_s is None
    assert 0.01 <= answers["p/chat"].latency_s < 20


def test_few_calls_go_to_one_provider_at_a_time_and_providers_do_not_wait_for_each_other(ask):
    many = [f"m{number}" for number in range(9)]
    answers, connectors = ask({"p": kind(Counting, many), "q": kind(Counting, many)})
    assert all(answer.ok for answer in answers.values())
    assert [connectors[name].most for name in "pq"] == [4, 4]


def test_a_silent_model_costs_no_more_than_the_limit_and_holds_up_nobody(ask):
    answers, _ = ask({"p": kind(Stuck, ["stuck"]), "q": kind(Counting, ["fine"])}, timeout_s=1.0)
    assert (answers["p/stuck"].ok, answers["p/stuck"].error) == (False, "RequestTimeoutError")
    assert answers["p/stuck"].message == "no answer within 1 s"
    assert answers["q/fine"].ok


def test_a_mistake_in_a_connector_is_a_failure_of_its_model_alone_and_shows_no_key(ask, monkeypatch):
    monkeypatch.setenv("PING_KEY", KEY)
    answers, _ = ask({"p": {**kind(Broken, ["a"]), "api_key": "${env:PING_KEY}"}})
    assert (answers["p/a"].ok, answers["p/a"].error) == (False, "KeyError")
    assert KEY not in answers["p/a"].message


def test_what_real_servers_answer_has_the_class_that_a_call_would_raise(ask, monkeypatch):
    monkeypatch.setenv("PING_KEY", KEY)
    monkeypatch.setenv("WRONG_KEY", "sk-wrong-9876543210fedcba")
    models = [SimulatedModel(name, ttft_s=Latency(0.001), tokens_per_s=Latency(0)) for name in ("a", "text-embed")]
    with SimulatedServer(models, separate_ports=False, api_key=KEY) as server:
        place = {"kind": "openai_compatible", "base_url": server.url()}
        answers, _ = ask(
            {
                "good": {**place, "api_key": "${env:PING_KEY}", "models": ["a", "text-embed", "nobody"]},
                "wrong": {**place, "api_key": "${env:WRONG_KEY}", "models": ["a"]},
                "gone": {"kind": "openai_compatible", "base_url": "http://127.0.0.1:9/v1", "models": ["a"]},
            }
        )
    assert {model: answer.error for model, answer in answers.items()} == {
        "good/a": "",
        "good/text-embed": "",
        "good/nobody": "ModelNotFoundError",
        "wrong/a": "AuthenticationError",
        "gone/a": "ProviderUnavailableError",
    }
    assert "WRONG_KEY" in answers["wrong/a"].message
    assert not any(secret in repr(answers) for secret in (KEY, "sk-wrong-9876543210fedcba"))
