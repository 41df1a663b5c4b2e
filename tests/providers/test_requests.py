"""One request in OpenAI's message shapes, in the words of every API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import CompletionRequest, EmbeddingRequest

PNG = "iVBORw0KGgo="
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
}
MESSAGES = (
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Weather here?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ],
    },
    {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'},
    {"role": "tool", "tool_call_id": "call_2", "content": "cold"},
    {"role": "user", "content": "And tomorrow?"},
)
SCHEMA = {"type": "object", "properties": {"sky": {"type": "string"}}, "required": ["sky"]}
PARAMS: dict[str, Any] = {
    "max_tokens": 50,
    "temperature": 0.5,
    "top_p": 0.9,
    "tools": [WEATHER],
    "tool_choice": "required",
    "response_format": {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}},
    "extra_body": {"own": {"deep": 1}},
}
PARAMETERS = WEATHER["function"]["parameters"]  # type: ignore[index]

EXPECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "anthropic": (
        "/v1/messages",
        {
            "model": "m",
            "max_tokens": 50,
            "system": "Be brief.",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Weather here?"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "Let me see."},
                        {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Oslo"}},
                        {"type": "tool_use", "id": "call_2", "name": "get_weather", "input": {"city": "Oslo"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "call_1", "content": '{"sky": "clear"}'},
                        {"type": "tool_result", "tool_use_id": "call_2", "content": "cold"},
                    ],
                },
                {"role": "user", "content": "And tomorrow?"},
            ],
            "stop_sequences": ["END"],
            "tools": [{"name": "get_weather", "description": "The weather in a city", "input_schema": PARAMETERS}],
            "tool_choice": {"type": "any"},
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
            "temperature": 0.5,
            "top_p": 0.9,
            "own": {"deep": 1},
        },
    ),
    "gemini": (
        "/v1beta/models/m:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {
                    "role": "user",
                    "parts": [{"text": "Weather here?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}],
                },
                {
                    "role": "model",
                    "parts": [
                        {"text": "Let me see."},
                        {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}}},
                        {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"name": "get_weather", "response": {"sky": "clear"}}},
                        {"functionResponse": {"name": "get_weather", "response": {"result": "cold"}}},
                    ],
                },
                {"role": "user", "parts": [{"text": "And tomorrow?"}]},
            ],
            "generationConfig": {
                "maxOutputTokens": 50,
                "temperature": 0.5,
                "topP": 0.9,
                "stopSequences": ["END"],
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            },
            "tools": [
                {
                    "functionDeclarations": [
                        {
                            "name": "get_weather",
                            "description": "The weather in a city",
                            "parametersJsonSchema": PARAMETERS,
                        }
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            "own": {"deep": 1},
        },
    ),
    "openai_responses": (
        "/v1/responses",
        {
            "model": "m",
            "store": False,
            "input": [
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Weather here?"},
                        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
                    ],
                },
                {"role": "assistant", "content": "Let me see."},
                *(
                    {"type": "function_call", "call_id": one, "name": "get_weather", "arguments": '{"city": "Oslo"}'}
                    for one in ("call_1", "call_2")
                ),
                {"type": "function_call_output", "call_id": "call_1", "output": '{"sky": "clear"}'},
                {"type": "function_call_output", "call_id": "call_2", "output": "cold"},
                {"role": "user", "content": "And tomorrow?"},
            ],
            "max_output_tokens": 50,
            "temperature": 0.5,
            "top_p": 0.9,
            "tools": [{"type": "function", "strict": False, **WEATHER["function"]}],  # type: ignore[dict-item]
            "tool_choice": "required",
            "text": {"format": {"type": "json_schema", "name": "weather", "schema": SCHEMA}},
            "own": {"deep": 1},
        },
    ),
    "ollama": (
        "/api/chat",
        {
            "model": "m",
            "stream": False,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather here?", "images": [PNG]},
                {
                    "role": "assistant",
                    "content": "Let me see.",
                    "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}] * 2,
                },
                {"role": "tool", "content": '{"sky": "clear"}', "tool_name": "get_weather"},
                {"role": "tool", "content": "cold", "tool_name": "get_weather"},
                {"role": "user", "content": "And tomorrow?"},
            ],
            "options": {"num_predict": 50, "temperature": 0.5, "top_p": 0.9, "stop": ["END"]},
            "format": SCHEMA,
            "tools": [WEATHER],
            "own": {"deep": 1},
        },
    ),
    "cohere": (
        "/v2/chat",
        {
            "model": "m",
            "stream": False,
            "messages": list(MESSAGES),
            "max_tokens": 50,
            "temperature": 0.5,
            "p": 0.9,
            "stop_sequences": ["END"],
            "response_format": {"type": "json_object", "json_schema": SCHEMA},
            "tools": [WEATHER],
            "tool_choice": "REQUIRED",
            "own": {"deep": 1},
        },
    ),
}


def said(
    scripted: Callable[..., Any], kind: str, messages: Any = ({"role": "user", "content": "Hi"},), **more: Any
) -> Any:
    """The body that goes out for a request."""
    provider = scripted(httpx.Response(500), kind)
    request = CompletionRequest("c1", "chat-completion", more.pop("model", "m"), messages, more)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(provider.complete(request))
    assert caught.value.status == 500, caught.value
    return provider.requests[-1], provider.sent


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_whole_conversation(kind: str, scripted: Callable[..., Any]) -> None:
    path, expected = EXPECTED[kind]
    unknown = {"openai_responses": ("stop",), "ollama": ("tool_choice",)}.get(kind, ())
    params = {name: value for name, value in ({"stop": "END"} | PARAMS).items() if name not in unknown}
    request, body = said(scripted, kind, MESSAGES, **params)
    assert request.url.path == path
    assert body == expected


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("anthropic", "x-api-key"),
        ("gemini", "x-goog-api-key"),
        ("openai_responses", "authorization"),
        ("cohere", "authorization"),
    ],
)
def test_the_key_goes_where_the_provider_wants_it(kind: str, header: str, scripted: Callable[..., Any]) -> None:
    request, _ = said(scripted, kind)
    key = "sk-canary-0123456789abcdef"
    assert request.headers[header] == (f"Bearer {key}" if header == "authorization" else key)
    assert key not in str(request.url)
    assert request.headers.get("anthropic-version", "") == ("2023-06-01" if kind == "anthropic" else "")


@pytest.mark.parametrize(
    ("kind", "model", "effort", "expected"),
    [
        ("anthropic", "claude-sonnet-4-5-20250929", "low", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (
            "anthropic",
            "claude-opus-4-6",
            "high",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        ("anthropic", "claude-opus-4-20250514", "none", {"thinking": {"type": "disabled"}}),
        (
            "gemini",
            "gemini-2.5-flash",
            "low",
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}},
        ),
        ("gemini", "gemini-2.5-flash", "none", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}),
        (
            "gemini",
            "gemini-3-pro",
            "high",
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True}}},
        ),
        ("openai_responses", "gpt-5", "low", {"reasoning": {"effort": "low"}}),
        ("ollama", "gpt-oss", "high", {"think": "high"}),
        ("ollama", "qwen3", "none", {"think": False}),
        ("cohere", "command-a-reasoning", "low", {"thinking": {"type": "enabled", "token_budget": 1024}}),
    ],
)
def test_how_much_to_think(
    kind: str, model: str, effort: str, expected: dict[str, Any], scripted: Callable[..., Any]
) -> None:
    _, body = said(scripted, kind, model=model, reasoning_effort=effort)
    assert {name: body[name] for name in expected} == expected
    if expected.get("thinking", {}).get("budget_tokens"):
        assert body["max_tokens"] > expected["thinking"]["budget_tokens"]


@pytest.mark.parametrize(
    ("kind", "choice", "where", "expected"),
    [
        ("anthropic", "auto", ("tool_choice",), {"type": "auto"}),
        ("anthropic", "none", ("tool_choice",), {"type": "none"}),
        ("anthropic", {"type": "function", "function": {"name": "get_weather"}}, ("tool_choice",),
         {"type": "tool", "name": "get_weather"}),
        ("gemini", {"type": "function", "function": {"name": "get_weather"}}, ("toolConfig", "functionCallingConfig"),
         {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
        ("openai_responses", {"type": "function", "function": {"name": "get_weather"}}, ("tool_choice",),
         {"type": "function", "name": "get_weather"}),
        ("cohere", "none", ("tool_choice",), "NONE"),
    ],
)  # fmt: skip
def test_which_tool_to_call(
    kind: str, choice: Any, where: tuple[str, ...], expected: Any, scripted: Callable[..., Any]
) -> None:
    _, body = said(scripted, kind, tools=[WEATHER], tool_choice=choice)
    for name in where:
        body = body[name]
    assert body == expected


@pytest.mark.parametrize(
    ("kind", "model", "params"),
    [
        ("anthropic", "claude-sonnet-4-5", {"seed": 1}),
        ("anthropic", "claude-sonnet-4-5", {"temperature": 1.5}),
        ("anthropic", "claude-sonnet-4-5", {"response_format": "json"}),
        ("anthropic", "claude-3-5-haiku-latest", {"reasoning_effort": "low"}),
        ("gemini", "gemini-2.5-flash", {"logit_bias": {"1": 1}}),
        ("openai_responses", "gpt-4.1", {"stop": "END"}),
        ("openai", "gpt-5-mini", {"temperature": 0}),
        ("openai", "o3", {"top_p": 0.5}),
        ("ollama", "llama3", {"tool_choice": "required"}),
        ("cohere", "command-a", {"n": 2}),
    ],
)
def test_what_a_model_is_known_to_refuse_is_an_error_before_the_call(
    kind: str, model: str, params: dict[str, Any], scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    provider = scripted(httpx.Response(200), kind)
    request = chat(model, **params)
    assert provider.refused_params(request) == set(params)
    with pytest.raises(ProviderError, match=next(iter(params))) as caught:
        asyncio.run(provider.complete(request))
    assert caught.value.fault is Fault.LOCAL
    assert provider.requests == []


@pytest.mark.parametrize(
    ("kind", "model", "params"),
    [
        ("openai", "gpt-5.1", {"temperature": 0}),
        ("openai", "gpt-4.1", {"temperature": 0, "top_p": 0.5}),
        ("openai", "o3", {"temperature": 1}),
        ("groq", "openai/gpt-5", {"temperature": 0}),
        ("anthropic", "claude-sonnet-4-5", {"temperature": 1, "top_k": 3, "stop": ["a"]}),
    ],
)
def test_what_a_model_takes_is_not_refused(
    kind: str, model: str, params: dict[str, Any], scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    assert scripted(httpx.Response(200), kind).refused_params(chat(model, **params)) == frozenset()


@pytest.mark.parametrize(
    ("kind", "messages", "told"),
    [
        ("anthropic", ({"role": "wizard", "content": "x"},), "messages.0..role"),
        ("gemini", ({"role": "tool", "tool_call_id": "c9", "content": "x"},), "answers no call"),
        ("anthropic", ({"role": "tool", "content": "x"},), "tool_call_id"),
        ("ollama", ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},),
         "data URL"),
        ("anthropic", ({"role": "user", "content": 7},), "words of Anthropic"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_told_before_the_call(
    kind: str, messages: Any, told: str, scripted: Callable[..., Any]
) -> None:
    provider = scripted(httpx.Response(200), kind)
    with pytest.raises(ProviderError, match=told) as caught:
        asyncio.run(provider.complete(CompletionRequest("c1", "chat-completion", "m", messages)))
    assert (caught.value.fault, caught.value.sent, provider.requests) == (Fault.LOCAL, False, [])


def test_a_prefill_ends_without_a_blank_for_anthropic_and_has_mistrals_flag(scripted: Callable[..., Any]) -> None:
    messages = ({"role": "user", "content": "Go"}, {"role": "assistant", "content": "One, "})
    assert said(scripted, "anthropic", messages)[1]["messages"][-1]["content"] == "One,"
    assert said(scripted, "mistral", messages)[1]["messages"][-1] == {**messages[-1], "prefix": True}
    assert said(scripted, "vllm", messages)[1]["continue_final_message"] is True
    assert "prefix" not in said(scripted, "openai", messages)[1]["messages"][-1]


@pytest.mark.parametrize(
    ("kind", "model", "takes"),
    [
        ("openai", "gpt-4o", False),
        ("openai_responses", "gpt-5", False),
        ("anthropic", "claude-sonnet-4-5", True),
        ("anthropic", "claude-opus-4-6", False),
        ("anthropic", "claude-next", False),
        ("mistral", "mistral-large-latest", True),
        ("ollama", "llama3", True),
        ("gemini", "gemini-2.5-flash", True),
        ("cohere", "command-a", False),
    ],
)
def test_who_carries_on_from_a_prefill(kind: str, model: str, takes: bool, scripted: Callable[..., Any]) -> None:
    assert scripted(httpx.Response(200), kind).takes_prefill(model) is takes


def test_the_signature_of_a_gemini_call_comes_and_goes_back(scripted: Callable[..., Any]) -> None:
    part = {"functionCall": {"name": "get_weather", "args": {}}, "thoughtSignature": "c2ln"}
    body = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
    request = CompletionRequest("c1", "chat-completion", "m", ({"role": "user", "content": "Hi"},))
    answer = asyncio.run(scripted(httpx.Response(200, json=body), "gemini").complete(request))
    assert answer.finish_reason == "tool_calls"
    back = ({"role": "assistant", "content": None, "tool_calls": list(answer.tool_calls)},)
    assert said(scripted, "gemini", back)[1]["contents"][-1]["parts"] == [part]


EMBEDDINGS: dict[str, tuple[str, Any, Any]] = {
    "gemini": (
        "/v1beta/models/e:batchEmbedContents",
        {"requests": [
            {"model": "models/e", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2} for text in "ab"
        ]},
        {"embeddings": [{"values": [1, 0]}, {"values": [0, 1]}]},
    ),
    "ollama": (
        "/api/embed",
        {"model": "e", "input": ["a", "b"], "dimensions": 2},
        {"model": "e", "embeddings": [[1, 0], [0, 1]], "prompt_eval_count": 2},
    ),
    "cohere": (
        "/v2/embed",
        {"model": "e", "texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"],
         "output_dimension": 2},
        {"embeddings": {"float": [[1, 0], [0, 1]]}, "meta": {"billed_units": {"input_tokens": 2.0}}},
    ),
    "openai_responses": (
        "/v1/embeddings",
        {"model": "e", "input": ["a", "b"], "dimensions": 2},
        {"data": [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": [0, 1]}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_embeddings(kind: str, scripted: Callable[..., Any]) -> None:
    path, body, answer = EMBEDDINGS[kind]
    provider = scripted(httpx.Response(200, json=answer), kind)
    found = asyncio.run(provider.embed(EmbeddingRequest("c1", "e", ("a", "b"), {"dimensions": 2})))
    assert provider.requests[-1].url.path == path
    assert json.loads(provider.requests[-1].content) == body
    assert found.vectors == ((1.0, 0.0), (0.0, 1.0))
    with pytest.raises(ProviderError, match="embeddings"):
        asyncio.run(
            scripted(httpx.Response(200, json=answer), kind).embed(EmbeddingRequest("c1", "e", ("a", "b", "c")))
        )


@pytest.mark.parametrize(
    ("kind", "answer", "names"),
    [
        ("anthropic", {"data": [{"id": "claude-sonnet-4-5"}]}, ["claude-sonnet-4-5"]),
        ("gemini", {"models": [{"name": "models/gemini-2.5-pro", "inputTokenLimit": 1048576}]}, ["gemini-2.5-pro"]),
        ("ollama", {"models": [{"name": "llama3:latest"}]}, ["llama3:latest"]),
        (
            "cohere",
            {"models": [{"name": "command-a", "endpoints": ["chat"], "context_length": 8.0}]},
            ["command-a"],
        ),
    ],
)
def test_the_list_of_models(kind: str, answer: Any, names: list[str], scripted: Callable[..., Any]) -> None:
    found = asyncio.run(scripted(httpx.Response(200, json=answer), kind).list_models())
    assert [model.name for model in found] == names
    with pytest.raises(ProviderError, match="no list of models"):
        asyncio.run(scripted(httpx.Response(200, json={}), kind).list_models())
