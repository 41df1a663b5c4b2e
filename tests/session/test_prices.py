"""Prices against genai-prices' own calculation, and the user's own before everything."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from genai_prices import Usage, calc_price

from routerlab.core.types import Price, TokenUsage
from routerlab.session.config import load_config
from routerlab.session.prices import cost_usd, list_model, price_of, window_of

THEIR_NAMES = {"gemini": "google", "openai_responses": "openai"}


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("openai", "gpt-4.1"),
        ("openai", "text-embedding-3-small"),
        ("groq", "llama-3.3-70b-versatile"),
        ("mistral", "mistral-large-latest"),
        ("deepseek", "deepseek-chat"),
        ("openrouter", "google/gemini-2.5-pro"),
        ("azure", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("gemini", "gemini-2.5-flash"),
        ("cohere", "command-r-plus-08-2024"),
        ("openai_responses", "gpt-4o-mini-2024-07-18"),
        ("together", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"),
    ],
)
@pytest.mark.parametrize("prompt_tokens", [0, 1_000, 200_000, 200_001, 1_000_000])
def test_costs_are_those_of_the_table(kind: str, model: str, prompt_tokens: int) -> None:
    cached = prompt_tokens // 4
    usage = TokenUsage(prompt_tokens, 500, prompt_tokens + 500, cached, 100)
    theirs = Usage(input_tokens=prompt_tokens, output_tokens=500, cache_read_tokens=cached)
    expected = calc_price(theirs, model, provider_id=THEIR_NAMES.get(kind, kind)).total_price
    assert cost_usd(kind, model, usage) == pytest.approx(float(expected), rel=1e-12)


def test_tiers_count() -> None:
    short = price_of("openrouter", "google/gemini-2.5-pro")
    long = price_of("openrouter", "google/gemini-2.5-pro", prompt_tokens=300_000)
    assert short is not None
    assert long is not None
    assert long.input > short.input


def test_ones_own_price_wins() -> None:
    usage = TokenUsage(1_000_000, 1_000_000)
    assert cost_usd("openai", "gpt-4o-mini", usage, Price(1.0, 2.0)) == 3.0
    assert cost_usd("openai", "gpt-4o-mini", usage, Price(0.0, 0.0)) == 0.0
    assert cost_usd("simulated", "alpha", usage, Price(1.0, 2.0)) == 3.0


def test_what_is_unknown_is_none() -> None:
    usage = TokenUsage(1_000, 1_000)
    assert cost_usd("openai", "no-such-model-at-all", usage) is None
    assert cost_usd("simulated", "alpha", usage) is None
    assert cost_usd("my.module:Kind", "gpt-4o-mini", usage) is None
    assert cost_usd("ollama", "llama3", usage) is None
    assert cost_usd("openai", "gpt-4o-mini", None) is None
    assert cost_usd("openai", "gpt-4o-mini", TokenUsage()) is None
    assert price_of("vllm", "gpt-4o-mini") is None


def test_another_host_has_its_own_prices() -> None:
    usual = price_of("openai", "gpt-4o-mini")
    assert usual is not None
    assert price_of("openai", "gpt-4o-mini", base_url="https://api.openai.com/v1/") == usual
    assert price_of("openai", "gpt-4o-mini", base_url="http://localhost:8000/v1") is None
    assert price_of("openai", "llama-3.3-70b-versatile", base_url="https://api.groq.com/openai/v1") == price_of(
        "groq", "llama-3.3-70b-versatile"
    )
    assert price_of("azure", "gpt-4o", base_url="https://mine.openai.azure.com") is not None
    assert price_of("anthropic", "claude-sonnet-4-5", base_url="https://gateway.corp/v1") is None
    for kind in ("anthropic", "openai_compatible"):
        at_home = price_of(kind, "claude-sonnet-4-5", base_url="https://api.anthropic.com/v1")
        assert at_home == price_of("anthropic", "claude-sonnet-4-5") is not None


@pytest.mark.parametrize(
    ("kind", "full", "short"),
    [
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic", "claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("mistral", "mistral-large-latest", "mistral-large-2411"),
        ("gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("openrouter", "anthropic/claude-3.5-sonnet:beta", "anthropic/claude-3.5-sonnet"),
    ],
)
def test_a_model_is_found_by_its_dated_latest_and_slashed_names(kind: str, full: str, short: str) -> None:
    assert price_of(kind, full) == price_of(kind, short) is not None
    assert window_of(kind, full) == window_of(kind, short)


def test_cached_tokens_cost_what_the_table_or_the_user_says() -> None:
    usage = TokenUsage(1_000_000, 0, 1_000_000, 400_000)
    public = price_of("openai", "gpt-4o-mini")
    assert public is not None
    assert public.cached_input is not None
    expected = 0.6 * public.input + 0.4 * public.cached_input
    assert cost_usd("openai", "gpt-4o-mini", usage) == pytest.approx(expected)
    assert cost_usd("openai", "gpt-4o-mini", usage, Price(1.0, 2.0, 0.1)) == pytest.approx(0.64)
    assert cost_usd("openai", "gpt-4o-mini", usage, Price(1.0, 2.0)) == pytest.approx(1.0)


def test_windows_are_those_of_the_table_and_unknown_ones_are_none() -> None:
    assert window_of("openai", "gpt-4o-mini") == 128_000
    assert window_of("anthropic", "claude-sonnet-4-5") == 200_000
    assert window_of("openai", "no-such-model-at-all") is None
    assert window_of("openai", "gpt-4o-mini", base_url="http://localhost:8000/v1") is None
    assert window_of("simulated", "gpt-4o-mini") is None


def test_the_users_own_price_and_window_come_first_each_for_itself() -> None:
    models = {"gpt-4o-mini": {"price": {"input": 1, "output": 2}}, "gpt-4o": {"context_window": 1000}, "new": {}}
    provider = load_config({"providers": {"openai": {"api_key": "${env:K}", "models": models}}}, environ={"K": "k" * 9})
    priced, narrowed, new = (list_model(provider.providers["openai"], name) for name in models)
    assert (priced.price, priced.source) == (Price(1.0, 2.0), "lab.yaml")
    assert (priced.context_window, priced.window_source) == (128_000, f"genai-prices {version('genai-prices')}")
    assert (narrowed.context_window, narrowed.window_source) == (1000, "lab.yaml")
    assert narrowed.price == price_of("openai", "gpt-4o")
    assert (new.price, new.context_window, new.source, new.window_source) == (None, None, "unknown", "unknown")
    assert new.note == "genai-prices does not know this model of OpenAI: give it a price in lab.yaml"


def test_why_a_price_is_unknown() -> None:
    providers = {
        "home": {"kind": "vllm", "models": ["x"]},
        "gateway": {"kind": "openai_compatible", "base_url": "https://llm.corp.example/v1", "models": ["x"]},
        "sim": {"kind": "simulated", "models": ["x"]},
    }
    config = load_config({"providers": providers})
    notes = {name: list_model(provider, "x").note.partition(":")[0] for name, provider in config.providers.items()}
    assert notes == {
        "home": "the model runs at home",
        "gateway": "genai-prices does not know llm.corp.example",
        "sim": "nobody sells models of kind 'simulated'",
    }


def test_the_table_is_loaded_only_when_it_is_needed() -> None:
    code = (
        "import sys; from routerlab.session.prices import cost_usd, price_of\n"
        "from routerlab.core.types import Price, TokenUsage\n"
        "assert cost_usd('openai', 'x', TokenUsage(1, 1), Price(1, 1)) and price_of('simulated', 'x') is None\n"
        "sys.exit('genai_prices' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
