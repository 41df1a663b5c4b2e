"""Calls go only to models that can serve them: over real HTTP, and told before anything is sent."""

from __future__ import annotations

import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError, NoModelAvailableError
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.session.config import load_config
from routerlab.simulation.server import SimulatedServer

PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]
BEGUN = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Good"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


@pytest.fixture
def server(no_leaks):
    models = [SimulatedModel(name, ttft_s=Latency(0.001), tokens_per_s=Latency(0)) for name in ("a", "b", "c")]
    with SimulatedServer(models, separate_ports=False) as server:
        yield server


@pytest.fixture
def make(server):
    """A lab of models that are told apart by what ``lab.yaml`` says of them alone."""
    labs = []

    def build(**models):
        provider = {"kind": "openai_compatible", "base_url": server.url(), "models": models}
        pools = {"chat": {"models": [f"s/{name}" for name in models]}}
        labs.append(rl.Lab({"providers": {"s": provider}, "pools": pools}, store=False))
        return labs[-1]

    yield build
    for lab in labs:
        lab.close()


@pytest.mark.parametrize(
    ("prompt", "options", "lacking"),
    [
        ("hello", {"tools": TOOLS}, "tools"),
        ("hello", {"response_format": {"type": "json_object"}}, "json"),
        (PICTURE, {}, "vision"),
        ("hello", {"system": "Be brief."}, "system"),
        (BEGUN, {}, "prefill"),
    ],
)
def test_a_request_goes_past_models_that_lack_what_it_needs(make, prompt, options, lacking):
    lab = make(a={"features": [f"-{lacking}"]}, b={"features": [lacking]}, c={})
    told = lab.explain(prompt, **options)
    assert told.chosen == "s/b"
    assert told.df["excluded_because"].tolist()[0] == f"lacks {lacking}"
    assert f"lacks {lacking}" in str(told)
    assert lab.chat(prompt, **options).model == "s/b"
    assert lab.attempts()["model"].tolist() == ["s/b"]


def test_unknown_features_rule_nothing_out_and_older_lists_take_system_prompts(make):
    lab = make(a={}, b={"features": ["tools"]})
    assert lab.chat(PICTURE, system="Be brief.", tools=TOOLS).model == "s/a"
    assert lab.explain("hello", system="Be brief.").df["eligible"].all()


def test_needs_that_nobody_meets_are_told_with_what_each_model_lacks_before_anything_is_sent(make, server):
    lab = make(a={"features": ["tools"]}, b={"features": ["vision", "-system"]})
    message = (
        r"no model of pool 'chat' can serve this request \(it needs system, tools, vision\): "
        r"s/a: lacks vision; s/b: lacks system, tools"
    )
    with pytest.raises(NoModelAvailableError, match=message) as caught:
        lab.chat(PICTURE, system="Be brief.", tools=TOOLS)
    assert caught.value.retry_after_s is None
    assert lab.explain(PICTURE, system="Be brief.", tools=TOOLS).chosen is None
    with pytest.raises(NoModelAvailableError, match=r"model 's/a' cannot serve this request \(it needs vision\)"):
        lab.chat(PICTURE, model="s/a")
    with pytest.raises(NoModelAvailableError, match="lacks prefill"):
        list(lab.stream(BEGUN, model="s/a"))
    assert sum(server.requests(name) for name in ("a", "b")) == 0


def test_a_prompt_that_is_too_long_skips_the_window_and_says_so(make, server):
    lab = make(a={"context_window": 100}, b={})
    prompt = "word " * 200
    told = lab.explain(prompt)
    assert told.chosen == "s/b"
    assert "context window of 100 tokens is too small: the prompt has at least 166" in str(told)
    assert lab.chat(prompt).model == "s/b"
    assert server.requests("a") == 0
    with pytest.raises(NoModelAvailableError, match=r"model 's/a' cannot serve this request: .*too small"):
        lab.chat(prompt, model="s/a")


def test_windows_of_the_price_table_count_unless_the_user_says_another(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up-for-the-test")
    models = {"gpt-3.5-turbo": {}, "gpt-4o-mini": {"context_window": 50}, "no-such-model": {}}
    with rl.Lab({"providers": {"openai": {"models": models}}}, store=False) as lab:
        told = lab.explain("word " * 100_000).df.set_index("model")["excluded_because"]
    assert "window of 50 tokens" in told["openai/gpt-4o-mini"]
    assert "is too small: the prompt has at least 83333" in told["openai/gpt-3.5-turbo"]
    assert told.isna()["openai/no-such-model"]


def test_a_misspelled_feature_is_a_mistake_with_its_path():
    models = {"a": {"features": ["tool"]}, "b": {"features": ["tools", "-tools"]}}
    with pytest.raises(ConfigurationError) as caught:
        load_config({"providers": {"home": {"kind": "vllm", "models": models}}})
    assert caught.value.problems == [
        "providers.home.models.a.features: unknown feature 'tool'; did you mean 'tools'?",
        "providers.home.models.b.features: 'tools' stands here with a minus and without",
    ]


def test_a_simulated_model_takes_the_same_spelling(make_lab):
    lab = make_lab(alpha={"features": ["tools", "-system"]}, beta={"features": ["-vision"]})
    assert lab.chat("hello", system="Be brief.").model == "sim/beta"
    assert lab.chat("hello", tools=TOOLS).model == "sim/alpha"
