"""The provider of kind ``simulated``: options, models, and real calls through the OpenAI connector."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routerlab.core.capabilities import CHAT, EMBEDDING
from routerlab.core.errors import ConfigurationError
from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import CompletionRequest, EmbeddingRequest, ModelInfo, Price
from routerlab.simulation.demo import demo_models
from routerlab.simulation.faults import FaultController
from routerlab.simulation.options import read_models
from routerlab.simulation.provider import SimulatedProvider

FAST = {"ttft_s": 0, "tokens_per_s": 0, "answers": {"Hello?": "Hello to you, too."}}
MESSAGES = ({"role": "user", "content": "Hello?"},)


def request_to(model: str, *, stream: bool = False) -> CompletionRequest:
    return CompletionRequest("call", "chat-completion", model, MESSAGES, stream=stream)


def test_chat_stream_and_embeddings() -> None:
    async def scenario() -> None:
        provider = SimulatedProvider("sim", {"models": {"alpha": FAST, "beta": FAST}, "seed": 1, "api_key": "sk-loop"})
        try:
            reply = await provider.complete(request_to("beta"))
            assert (reply.text, reply.finish_reason, reply.served_model) == ("Hello to you, too.", "stop", "beta")
            deltas = [delta async for delta in provider.stream(request_to("alpha", stream=True))]
            assert "".join(delta.text for delta in deltas) == "Hello to you, too."
            assert [delta.usage for delta in deltas if delta.usage] == [reply.usage]
            vectors = await provider.embed(EmbeddingRequest("call", "alpha", ("a", "b")))
            assert [len(vector) for vector in vectors.vectors] == [64, 64]
            assert (provider.server.requests("alpha"), provider.server.requests("beta")) == (2, 1)
        finally:
            await provider.close()

    asyncio.run(scenario())


def test_faults_reach_the_caller_as_provider_errors() -> None:
    async def scenario() -> None:
        provider = SimulatedProvider("sim", {"models": {"alpha": FAST, "beta": FAST}})
        shared = FaultController()
        provider.faults = shared
        shared.outage("sim/alpha")
        try:
            with pytest.raises(ProviderError) as down:
                await provider.complete(request_to("alpha"))
            assert (down.value.fault, down.value.status) == (Fault.STATUS, 503)
            assert (await provider.complete(request_to("beta"))).text
            with pytest.raises(ProviderError) as unknown:
                await provider.complete(request_to("omega"))
            assert (unknown.value.status, unknown.value.code) == (404, "model_not_found")
        finally:
            await provider.close()

    asyncio.run(scenario())


@pytest.mark.usefixtures("no_leaks")
def test_leaving_a_stream_early_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        slow = {**FAST, "tokens_per_s": 0.01}
        provider = SimulatedProvider("sim", {"models": {"alpha": slow}})
        stream = provider.stream(request_to("alpha", stream=True))
        assert (await anext(delta.text async for delta in stream if delta.text)) == "Hello"
        await stream.aclose()
        await provider.close()

    asyncio.run(asyncio.wait_for(scenario(), 60.0))


@pytest.mark.usefixtures("no_leaks")
def test_closing_twice_ends_the_thread() -> None:
    async def scenario() -> None:
        provider = SimulatedProvider("sim", {"models": ["alpha"]})
        await provider.close()
        await provider.close()

    asyncio.run(scenario())


def test_models_are_listed_with_all_that_is_known() -> None:
    async def scenario() -> list[ModelInfo]:
        options = {"price": {"input": 1, "output": 2}, "context_window": 4096, "features": ["tools"]}
        provider = SimulatedProvider("sim", {"kind": "simulated", "models": {"alpha": options}})
        try:
            return await provider.list_models()
        finally:
            await provider.close()

    assert asyncio.run(scenario()) == [
        ModelInfo("alpha", (CHAT, EMBEDDING), 4096, frozenset({"tools"}), Price(1.0, 2.0)),
    ]


@pytest.mark.usefixtures("no_leaks")
def test_every_mistake_is_reported_at_once_and_nothing_is_started() -> None:
    config = {
        "sed": 1,
        "seed": "x",
        "models": {
            "alpha": {"acuracy": 1, "ttft_s": -1, "price": {"in": 1}, "rpm": 0.5, "answers": ["x"]},
            "beta": {"faults": [{"kind": "rate_limt"}], "script": "stall", "features": ["tool"], "accuracy": 2},
            "gamma": 5,
        },
    }
    with pytest.raises(ConfigurationError) as refused:
        SimulatedProvider("sim", config)
    expected = [
        ("providers.sim.sed", "did you mean 'seed'"),
        ("providers.sim.seed", "whole number"),
        ("providers.sim.models.alpha.acuracy", "did you mean 'accuracy'"),
        ("providers.sim.models.alpha.ttft_s", "at least 0"),
        ("providers.sim.models.alpha.price", "unknown key 'in'"),
        ("providers.sim.models.alpha.rpm", "whole number"),
        ("providers.sim.models.alpha.answers", "mapping"),
        ("providers.sim.models.beta.faults", "did you mean 'rate_limit'"),
        ("providers.sim.models.beta.script", "list of faults"),
        ("providers.sim.models.beta.features", "did you mean 'tools'"),
        ("providers.sim.models.beta.accuracy", "between 0 and 1"),
        ("providers.sim.models.gamma", "mapping of options"),
    ]
    assert len(refused.value.problems) == len(expected)
    for problem, (path, part) in zip(refused.value.problems, expected, strict=True):
        assert problem.startswith(f"{path}: ")
        assert part in problem


@pytest.mark.parametrize("models", [None, {}, [], "alpha", 3])
def test_models_are_required(models: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"providers\.sim\.models: expected the names"):
        SimulatedProvider("sim", {"models": models})


def test_options_become_a_model() -> None:
    (model,) = read_models(
        {
            "alpha": {
                "ttft_s": {"median": 0.1, "sigma": 0.3},
                "tokens_per_s": 50,
                "capabilities": ["chat-completion"],
                "context_window": None,
                "price": None,
                "faults": [{"kind": "slow", "factor": 2, "start": 5, "duration": 10, "probability": 0.5}, "no_usage"],
                "script": ["reset", None],
            }
        }
    )
    assert (model.ttft_s.sigma, model.tokens_per_s.median, model.context_window) == (0.3, 50.0, None)
    assert model.capabilities == (CHAT,)
    slow, no_usage = model.faults
    assert (slow.start_s, slow.end_s, slow.probability, slow.options) == (5.0, 15.0, 0.5, {"factor": 2})
    assert no_usage.kind == "no_usage"
    assert [fault and fault.kind for fault in model.script] == ["reset", None]


def test_demo_models_differ_visibly() -> None:
    alpha, beta, gamma = read_models(demo_models({"q": "a"}))
    assert (alpha.name, beta.name, gamma.name) == ("alpha", "beta", "gamma")
    for cheaper, dearer in ((alpha, beta), (beta, gamma)):
        assert cheaper.accuracy < dearer.accuracy
        assert cheaper.ttft_s.median < dearer.ttft_s.median
        assert cheaper.tokens_per_s.median > dearer.tokens_per_s.median
        assert cheaper.price is not None
        assert dearer.price is not None
        assert cheaper.price.output < dearer.price.output
    assert alpha.ttft_s.median >= 0.02
    assert gamma.ttft_s.median <= 0.12
