"""Prices against genai-prices' own calculation, and the user's own before everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from genai_prices import Usage, calc_price

from routerlab.core.types import Price, TokenUsage
from routerlab.session.prices import cost_usd, price_of


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
    ],
)
@pytest.mark.parametrize("prompt_tokens", [0, 1_000, 200_000, 200_001, 1_000_000])
def test_costs_are_those_of_the_table(kind: str, model: str, prompt_tokens: int) -> None:
    cached = prompt_tokens // 4
    usage = TokenUsage(prompt_tokens, 500, prompt_tokens + 500, cached, 100)
    theirs = Usage(input_tokens=prompt_tokens, output_tokens=500, cache_read_tokens=cached)
    expected = calc_price(theirs, model, provider_id=kind).total_price
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


def test_the_table_is_loaded_only_when_it_is_needed() -> None:
    code = (
        "import sys; from routerlab.session.prices import cost_usd, price_of\n"
        "from routerlab.core.types import Price, TokenUsage\n"
        "assert cost_usd('openai', 'x', TokenUsage(1, 1), Price(1, 1)) and price_of('simulated', 'x') is None\n"
        "sys.exit('genai_prices' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
