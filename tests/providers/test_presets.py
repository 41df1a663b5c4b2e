"""The table of well-known servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.providers.presets import PRESETS, find_preset, preset


def test_the_promised_ones_are_there() -> None:
    assert set(PRESETS) == {
        "anthropic", "azure", "cohere", "deepseek", "gemini", "groq", "lmstudio", "mistral", "ollama", "openai",
        "openai_responses", "openrouter", "together", "vllm",
    }  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_each_has_an_address_and_a_key_unless_it_is_local(name: str) -> None:
    one = preset(name)
    assert one.name == name
    parts = urlsplit(one.base_url)
    if parts.hostname == "localhost":
        assert one.api_key_env == ""
    else:
        assert one.api_key_env.endswith("_API_KEY")
        assert parts.scheme == "https" or one.deployments


def test_kind_comes_before_the_name() -> None:
    assert find_preset("groq", "openai") is PRESETS["openai"]
    assert find_preset("groq") is PRESETS["groq"]
    assert find_preset("mine") is None
    assert find_preset("groq", "package.module:Class") is None


def test_a_misspelt_one_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'mistral'"):
        preset("mistrel")


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "azure"])
def test_a_name_alone_makes_a_provider(name: str, scripted: Callable[..., Any]) -> None:
    provider = scripted(None, name)
    assert provider._http_base_url == PRESETS[name].base_url
    assert repr(provider) == f"Scripted({name!r}, host={urlsplit(PRESETS[name].base_url).hostname!r})"
