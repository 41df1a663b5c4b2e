"""Options from lab.yaml: all mistakes at once, no value shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.providers.openai_compatible import OpenAICompatibleProvider

KEY = "sk-canary-0123456789abcdef"
MODELS = httpx.Response(200, json={"data": []})


def problems(name: str, **config: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        OpenAICompatibleProvider(name, config)
    assert KEY not in str(caught.value)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


def test_every_mistake_is_reported_at_once() -> None:
    found = problems(
        "mine", api_kye=KEY, base_url="localhost:8000", headers={"X-A": [KEY], "X-B": f"{KEY}\n"}, stream_usage="yes"
    )
    assert found == [
        "providers.mine: unknown option 'api_kye'; did you mean 'api_key'?",
        "providers.mine: 'stream_usage' must be bool, found str",
        "providers.mine: base_url must be an http or https address with a host",
        "providers.mine: headers.X-A must be a text, not list",
        "providers.mine: headers.X-B must be one line of ASCII text",
    ]


def test_an_unknown_server_needs_an_address() -> None:
    assert "base_url is missing" in problems("mine", api_key=KEY)[0]
    assert "https://NAME.openai.azure.com" in problems("azure", api_key=KEY)[0]


def test_a_missing_key_names_its_variable() -> None:
    assert problems("groq") == ["providers.groq: api_key is missing: set GROQ_API_KEY, or api_key in the configuration"]


@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "http://localhost:8000/v1"},
        {"headers": {"Authorization": "Bearer other"}},
        {"kind": "ollama"},
    ],
)
def test_where_no_key_is_needed(config: dict[str, Any]) -> None:
    OpenAICompatibleProvider("openai", config)


@pytest.mark.parametrize("part", ["http://user:pw@host/v1", "http://host/v1?key=1", "http://host/v1#x"])
def test_an_address_holds_no_secret(part: str) -> None:
    assert "without user, query and fragment" in problems("mine", base_url=part)[0]


def test_what_is_sent_with_every_request(scripted: Callable[..., Any]) -> None:
    provider = scripted(MODELS, headers={"X-Team": 7}, query={"tag": "a b"}, organization="org-1", models=["m"])
    assert asyncio.run(provider.list_models()) == []
    request = provider.requests[0]
    assert str(request.url) == "https://api.openai.com/v1/models?tag=a+b"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.headers["x-team"], request.headers["openai-organization"]) == ("7", "org-1")


def test_a_trailing_slash_makes_no_difference(scripted: Callable[..., Any]) -> None:
    provider = scripted(MODELS, "mine", base_url="http://localhost:9/api/v1/")
    asyncio.run(provider.list_models())
    assert str(provider.requests[0].url) == "http://localhost:9/api/v1/models"


def test_no_key_no_header(scripted: Callable[..., Any]) -> None:
    provider = scripted(MODELS, "lmstudio", api_key=None)
    asyncio.run(provider.list_models())
    assert "authorization" not in provider.requests[0].headers
