"""What goes out: parameters under each provider's names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import CompletionRequest

ANSWER = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
STREAM = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=ANSWER)


def streamed(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=STREAM)


def test_parameters_pass_through(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    params = {"max_tokens": 5, "temperature": 0, "stop": ["a"], "seed": 1, "tools": tools, "tool_choice": "auto"}
    provider = scripted(answer)
    asyncio.run(provider.complete(chat(**params, reasoning_effort="low", logit_bias={"1": 2}, top_p=None)))
    assert provider.sent == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hello"}],
        **params,
        "reasoning_effort": "low",
        "logit_bias": {"1": 2},
    }
    assert str(provider.requests[0].url) == "https://api.openai.com/v1/chat/completions"
    assert provider.requests[0].headers["content-type"] == "application/json"


def test_images_pass_through(scripted: Callable[..., Any]) -> None:
    content = [
        {"type": "text", "text": "What is this? é"},
        {"type": "image_url", "image_url": {"url": "data:image/png"}},
    ]
    messages = ({"role": "user", "content": content},)
    provider = scripted(answer)
    asyncio.run(provider.complete(CompletionRequest("c", "chat-completion", "m", messages)))
    assert provider.sent["messages"] == list(messages)
    assert "é".encode() in provider.requests[0].content


@pytest.mark.parametrize(
    ("provider_name", "model", "expected"),
    [
        ("openai", "gpt-4o-mini", {"max_tokens": 5, "seed": 1}),
        ("openai", "o3-mini", {"max_completion_tokens": 5, "seed": 1}),
        ("openai", "gpt-5-nano", {"max_completion_tokens": 5, "seed": 1}),
        ("groq", "o3-mini", {"max_tokens": 5, "seed": 1}),
        ("mistral", "mistral-small", {"max_tokens": 5, "random_seed": 1}),
    ],
)
def test_parameters_are_translated(
    provider_name: str, model: str, expected: dict[str, Any], scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    provider = scripted(answer, provider_name)
    asyncio.run(provider.complete(chat(model, max_tokens=5, seed=1)))
    sent = {key: value for key, value in provider.sent.items() if key not in ("model", "messages")}
    assert sent == expected


@pytest.mark.parametrize(
    ("given", "sent"),
    [("json", {"type": "json_object"}), ({"type": "json_schema"}, {"type": "json_schema"}), ("text", "text")],
)
def test_json_mode(given: Any, sent: Any, scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    provider = scripted(answer)
    asyncio.run(provider.complete(chat(response_format=given)))
    assert provider.sent["response_format"] == sent


def test_extra_body_comes_last(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    provider = scripted(answer)
    asyncio.run(provider.complete(chat(temperature=1, extra_body={"temperature": 0, "provider": {"order": ["a"]}})))
    assert provider.sent["temperature"] == 0
    assert provider.sent["provider"] == {"order": ["a"]}
    assert "extra_body" not in provider.sent


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("openai", {}, {"include_usage": True}),
        ("mistral", {}, None),
        ("openai", {"stream_usage": False}, None),
        ("mistral", {"stream_usage": True}, {"include_usage": True}),
    ],
)
def test_the_usage_of_streams_is_asked_for_where_it_can_be(
    name: str, config: dict[str, Any], expected: Any, scripted: Callable[..., Any], chat: Callable[..., Any],
    receive: Callable[..., Any],
) -> None:  # fmt: skip
    provider = scripted(streamed, name, **config)
    assert asyncio.run(receive(provider, chat())).text == "Hi"
    assert provider.sent["stream"] is True
    assert provider.sent.get("stream_options") == expected


def test_azure_has_the_model_in_the_path_and_the_key_in_its_own_header(
    scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    provider = scripted(answer, "azure", api_key="k" * 32, base_url="https://me.openai.azure.com/openai/")
    asyncio.run(provider.complete(chat("my gpt/4", extra_body={"x": 1})))
    request = provider.requests[0]
    assert (
        str(request.url)
        == "https://me.openai.azure.com/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"
    )
    assert request.headers["api-key"] == "k" * 32
    assert "authorization" not in request.headers


def test_azure_with_another_version_or_its_newer_api(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    old = scripted(answer, "azure", base_url="https://me.openai.azure.com", api_version="2024-02-01")
    asyncio.run(old.complete(chat("m")))
    assert old.requests[0].url.params["api-version"] == "2024-02-01"
    new = scripted(answer, "azure", base_url="https://me.openai.azure.com/openai/v1")
    asyncio.run(new.complete(chat("m")))
    assert str(new.requests[0].url) == "https://me.openai.azure.com/openai/v1/chat/completions"
    assert "api-key" in new.requests[0].headers


@pytest.mark.parametrize(
    "params", [{"extra_body": ["x"]}, {"temperature": float("nan")}, {"tools": object()}, {"user": "\ud800"}]
)
def test_what_cannot_be_written_is_not_sent(
    params: dict[str, Any], scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    provider = scripted(answer)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(provider.complete(chat(**params)))
    assert caught.value.fault is Fault.LOCAL
    assert not caught.value.sent
    assert provider.requests == []


def test_the_callers_parameters_stay_as_they_are(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    params = {"max_tokens": 5, "extra_body": {"x": 1}, "response_format": "json"}
    request = chat("o3", **params)
    asyncio.run(scripted(answer).complete(request))
    assert request.params == {"max_tokens": 5, "extra_body": {"x": 1}, "response_format": "json"}
