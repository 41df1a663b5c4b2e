"""A lab from the environment, against a simulated server: no network."""

from __future__ import annotations

import os

import pytest

import routerlab as rl
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.providers.presets import PRESETS, Preset
from routerlab.session.config_keys import add_usual_key
from routerlab.session.discovery import config_from_env, key_variables, usual_variable
from routerlab.simulation.server import SimulatedServer

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY = "sk-canary-0123456789abcdef"
NAMES = ("gpt-large", "gpt-small", "text-embedding-3", "whisper-1")


@pytest.fixture
def server():
    models = [SimulatedModel(name, ttft_s=Latency(0.001), tokens_per_s=Latency(0)) for name in NAMES]
    with SimulatedServer(models, provider="openai", separate_ports=False, api_key=KEY) as server:
        yield server


@pytest.fixture
def environment(monkeypatch, tmp_path, server):
    """Only what the test says, and a working folder without a .env file."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_ENDPOINT")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url())
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_what_the_first_provider_lists_is_routed_without_what_does_not_chat(environment, capsys):
    environment.setenv("GROQ_API_KEY", "gsk_other")
    with rl.Lab.from_env(store=False) as lab:
        assert lab.models == ["openai/gpt-large", "openai/gpt-small"]
        assert lab.chat("hello").model == "openai/gpt-large"
    shown = capsys.readouterr().out
    assert "openai: 2 models, key in OPENAI_API_KEY" in shown
    assert "groq: key in GROQ_API_KEY; not used" in shown
    assert KEY not in shown


def test_named_models_are_taken_in_their_order_and_nothing_is_shown(environment, capsys):
    with rl.Lab.from_env(["openai/gpt-small", "openai/gpt-large"], store=False) as lab:
        assert lab.chat("hello").model == "openai/gpt-small"
        assert lab.calls()["provider"].tolist() == ["openai"]
    with rl.Lab.from_env("openai/gpt-small", store=False) as lab:
        assert lab.models == ["openai/gpt-small"]
    assert capsys.readouterr().out == ""


def test_a_dotenv_file_counts(environment, tmp_path):
    environment.delenv("OPENAI_API_KEY")
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
    with rl.Lab.from_env(store=False) as lab:
        assert lab.chat("hello").model == "openai/gpt-large"


@pytest.mark.parametrize(
    "line",
    [
        f"export OPENAI_API_KEY={KEY}",
        f'OPENAI_API_KEY="{KEY}"  # the team\'s',
        f"# OPENAI_API_KEY=old\n  export OPENAI_API_KEY = '{KEY}'",
        f"OPENAI_API_KEY={KEY} # a comment",
    ],
)
def test_a_dotenv_file_is_read_as_shells_write_it(environment, tmp_path, line):
    environment.setenv("OPENAI_API_KEY", "")  # an empty variable is not set
    (tmp_path / ".env").write_text(f"{line}\n")
    with rl.Lab.from_env(store=False) as lab:
        assert lab.chat("hello").model == "openai/gpt-large"


def test_the_environment_wins_over_a_dotenv_file(environment, tmp_path):
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-wrong-9876543210fedcba\n")
    with rl.Lab.from_env(store=False) as lab:
        assert lab.chat("hello").model == "openai/gpt-large"


def test_nothing_in_the_environment_says_what_would_help(environment):
    environment.delenv("OPENAI_API_KEY")
    with pytest.raises(rl.ConfigurationError, match=r"OPENAI_API_KEY.*rl\.Lab\.demo\(\)") as caught:
        rl.Lab.from_env()
    assert all(name in str(caught.value) for one in PRESETS.values() for name in key_variables(one))


def test_a_local_server_is_found_by_its_address(environment, capsys):
    environment.delenv("OPENAI_API_KEY")
    models = [SimulatedModel("llama", ttft_s=Latency(0.001), tokens_per_s=Latency(0))]
    with SimulatedServer(models, separate_ports=False) as server:
        environment.setenv("VLLM_BASE_URL", server.url())
        with rl.Lab.from_env(store=False) as lab:
            assert lab.chat("hello").model == "vllm/llama"
    assert "vllm: 1 model, address in VLLM_BASE_URL; calls go to it" in capsys.readouterr().out


def test_deployments_have_names_that_only_their_owner_knows(environment, capsys):
    environment.setenv("AZURE_OPENAI_API_KEY", "made-up-for-the-test")
    with rl.Lab.from_env(store=False) as lab:
        assert lab.models[0].startswith("openai/")
    assert "azure: key in AZURE_OPENAI_API_KEY; not used, name its deployments" in capsys.readouterr().out
    environment.delenv("OPENAI_API_KEY")
    with pytest.raises(rl.ConfigurationError, match=r"azure: .*name its deployments, from_env\(models=\['azure/…'\]\)"):
        rl.Lab.from_env()
    environment.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    with rl.Lab.from_env(["azure/mine"], store=False) as lab:
        assert lab.explain("hello").chosen == "azure/mine"


# -- every preset ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_each_variable_of_a_preset_holds_its_key(name):
    for variable in key_variables(PRESETS[name]):
        environ = {variable: KEY}
        config, _ = config_from_env([f"{name}/m"], environ)
        assert config["providers"][name] == {"api_key": f"${{env:{variable}}}", "models": ["m"]}
        options = {}
        add_usual_key(name, options, environ)
        assert options == {"api_key": KEY, "key_source": f"the environment variable {variable}"}


def test_a_preset_may_have_several_variables_and_the_usual_one_comes_first():
    assert key_variables(Preset("x", "X", api_key_env="A_KEY, B_KEY")) == ("A_KEY", "B_KEY")
    assert key_variables(Preset("x", "X", api_key_env=("A_KEY", "B_KEY"))) == ("A_KEY", "B_KEY")
    assert key_variables(Preset("x", "X")) == ()
    gemini = Preset("gemini", "Gemini", api_key_env="GEMINI_API_KEY")
    assert key_variables(gemini) == ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    assert usual_variable(gemini, {"GOOGLE_API_KEY": "b"}) == "GOOGLE_API_KEY"
    assert usual_variable(gemini, {"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": "a"}) == "GEMINI_API_KEY"
    assert usual_variable(gemini, {"GEMINI_API_KEY": ""}) == ""


@pytest.mark.parametrize(
    ("models", "message"),
    [([], "empty list"), (["gpt-4o"], "provider/model"), (["opneai/gpt-4o"], "did you mean 'openai'")],
)
def test_mistakes_in_the_names(environment, models, message):
    with pytest.raises(rl.ConfigurationError, match=message):
        rl.Lab.from_env(models)


def test_a_named_provider_without_a_key_names_the_variable(environment):
    with pytest.raises(rl.ConfigurationError, match="MISTRAL_API_KEY"):
        rl.Lab.from_env(["mistral/small"])


def test_a_refused_key_is_told_as_for_a_call_and_is_nowhere_in_it(environment):
    wrong = "sk-wrong-9876543210fedcba"
    environment.setenv("OPENAI_API_KEY", wrong)
    with pytest.raises(rl.AuthenticationError, match="openai was asked for its models") as caught:
        rl.Lab.from_env()
    seen, trace = [], caught.value.__traceback__.tb_next  # the first frame is this test's
    while trace is not None:
        seen.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert wrong not in "".join(seen) + repr(caught.value)


def test_an_unreachable_provider_is_told_as_for_a_call(environment):
    environment.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(rl.ProviderUnavailableError, match="connection refused"):
        rl.Lab.from_env()


def test_a_provider_that_only_embeds_asks_for_names(environment):
    models = [SimulatedModel("text-embedding-3")]
    with SimulatedServer(models, separate_ports=False, api_key=KEY) as server:
        environment.setenv("OPENAI_BASE_URL", server.url())
        with pytest.raises(rl.ConfigurationError, match="lists no chat models"):
            rl.Lab.from_env()


def test_a_key_goes_to_the_address_beside_it_and_nowhere_else():
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OLLAMA_BASE_URL": "http://there/v1"}
    config, report = config_from_env(["openai/a", "ollama/b", "groq/c"], environ)
    assert config["providers"] == {
        "openai": {"base_url": "http://127.0.0.1:9/v1", "api_key": "${env:OPENAI_API_KEY}", "models": ["a"]},
        "ollama": {"base_url": "http://there/v1", "models": ["b"]},
        "groq": {"models": ["c"]},
    }
    assert report == ""
