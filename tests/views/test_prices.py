"""``lab.prices()``: what each model costs and holds, and who says so."""

from __future__ import annotations

from importlib.metadata import version

import pandas as pd
import pytest

import routerlab as rl

TABLE = f"genai-prices {version('genai-prices')}"
CONFIG = {
    "providers": {
        "openrouter": {"api_key": "${env:TEST_KEY}", "models": ["google/gemini-2.5-pro", "nobody/nothing"]},
        "home": {"kind": "vllm", "models": {"free": {"price": {"input": 0, "output": 0}, "context_window": 8192}}},
        "sim": {"kind": "simulated", "models": {"alpha": {"price": {"input": 1, "output": 4, "cached_input": 0.1}}}},
    }
}


@pytest.fixture
def prices(monkeypatch, no_leaks):
    monkeypatch.setenv("TEST_KEY", "made-up-for-the-test")
    with rl.Lab(CONFIG, store=False) as lab:
        return lab.prices()


def test_one_row_per_model_says_where_each_number_comes_from(prices):
    assert prices.columns.tolist() == [
        "model", "input", "output", "cached_input", "context_window", "source", "window_source", "note",
    ]  # fmt: skip
    assert dict(zip(prices["model"], prices["source"], strict=True)) == {
        "openrouter/google/gemini-2.5-pro": TABLE,
        "openrouter/nobody/nothing": "unknown",
        "home/free": "lab.yaml",
        "sim/alpha": "simulated (lab.yaml)",
    }
    assert prices["window_source"].tolist() == [TABLE, "unknown", "lab.yaml", "unknown"]
    assert prices["note"][0] == "another price above 200,000 prompt tokens"


def test_what_is_unknown_is_missing_and_what_is_free_is_zero(prices):
    rows = prices.set_index("model")
    unknown = rows.loc["openrouter/nobody/nothing"]
    assert unknown[["input", "output", "cached_input", "context_window"]].isna().all()
    assert "does not know this model" in unknown["note"]
    assert rows.loc["home/free", ["input", "output", "context_window"]].tolist() == [0.0, 0.0, 8192]
    assert pd.isna(rows.loc["home/free", "note"])
    assert rows.loc["sim/alpha", ["input", "output", "cached_input"]].tolist() == [1.0, 4.0, 0.1]


def test_types_do_not_depend_on_what_is_known(prices):
    assert [str(prices[name].dtype) for name in ("input", "output", "cached_input")] == ["Float64"] * 3
    assert str(prices["context_window"].dtype) == "Int64"
