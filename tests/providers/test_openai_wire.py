"""Whole answers, with every provider's habits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.failures import Count, Fault, Outcome, ProviderError, classify
from routerlab.core.types import CompletionResponse, TokenUsage
from routerlab.providers.answers import Answer
from routerlab.providers.openai_catalog import read_embeddings, read_models
from routerlab.providers.openai_wire import read_completion


def body(message: dict[str, Any] | None = None, finish: Any = "stop", **rest: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message or {"content": "Hi"}, "finish_reason": finish}], **rest}


def read(content: Any, status: int = 200) -> CompletionResponse:
    text = content if isinstance(content, str) else json.dumps(content)
    return read_completion(Answer(status, {"content-type": "application/json"}, text, 0.0))


def failure(content: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        read(content)
    return caught.value


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "Hi", "reasoning": "hm"}, "Hi", "hm"),
        ({"content": "Hi", "reasoning_content": "hm", "reasoning": "hm"}, "Hi", "hm"),
        ({"content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}, "Hi", ""),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "Hi"}]},
            "Hi",
            "hm",
        ),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "reference"}, "Hi"]}, "Hi", "hm"),
        ({"content": "<think>hm</think>Hi"}, "<think>hm</think>Hi", ""),
        ({"content": ""}, "", ""),
    ],
)  # fmt: skip
def test_text_and_reasoning_are_kept_apart(message: dict[str, Any], text: str, reasoning: str) -> None:
    answer = read(body(message))
    assert (answer.text, answer.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"), ("eos", "stop"), ("end_turn", "stop"), ("STOP", "stop"), ("something_new", "stop"),
        ("length", "length"), ("max_tokens", "length"), ("MAX_TOKENS", "length"), ("model_length", "length"),
        ("tool_calls", "tool_calls"), ("function_call", "tool_calls"), ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"), (None, None), (7, None),
    ],
)  # fmt: skip
def test_finish_reasons(word: Any, reason: str | None) -> None:
    assert read(body(finish=word)).finish_reason == reason


@pytest.mark.parametrize("word", ["stop", None, "tool_calls"])
def test_tool_calls_make_it_their_finish_reason(word: str | None) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = read(body({"content": None, "tool_calls": [call]}, word))
    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls == (call,)
    assert answer.text == ""


def test_half_a_tool_call_stays_cut_off() -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": '{"x'}}
    assert read(body({"content": None, "tool_calls": [call]}, "length")).finish_reason == "length"


def test_tool_calls_in_openai_shape_whatever_came() -> None:
    raw = [
        {"function": {"name": "f", "arguments": {"x": "é"}}},
        {"id": "", "function": {"name": "g", "arguments": None}},
        {"id": "c", "function": None},
    ]
    first, second, third = read(body({"content": "", "tool_calls": raw})).tool_calls
    assert first["function"] == {"name": "f", "arguments": '{"x": "é"}'}
    assert first["type"] == "function"
    assert first["id"].startswith("call_")
    assert first["id"] != second["id"]
    assert second["function"] == {"name": "g", "arguments": ""}
    assert third == {"id": "c", "type": "function", "function": {"name": "", "arguments": ""}}


def test_the_format_before_tools() -> None:
    message = {"content": None, "function_call": {"name": "f", "arguments": "{}"}}
    answer = read(body(message, "function_call"))
    assert answer.tool_calls[0]["function"] == {"name": "f", "arguments": "{}"}
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, TokenUsage(3, 2, 5)),
        ({"usage": {"prompt_tokens": 3, "total_tokens": 9}}, TokenUsage(3, None, 9)),
        (
            {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_cache_hit_tokens": 1}},
            TokenUsage(3, 2, 5, 1),
        ),
        (
            {"usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}},
            TokenUsage(3, None, 3, 0),
        ),
        (
            {"usage": {"completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}}},
            TokenUsage(None, 2, None, None, 1),
        ),
        ({"x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}}, TokenUsage(3, 2, 5)),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": True, "total_tokens": "5"}}, None),
        ({"usage": {"prompt_tokens_details": None, "completion_tokens_details": []}}, None),
        ({"usage": {}}, None),
        ({"usage": None}, None),
        ({"usage": "7"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_usage(found: dict[str, Any], expected: TokenUsage | None) -> None:
    assert read(body(**found)).usage == expected


def test_only_the_first_choice_counts() -> None:
    choices = [
        {"index": 1, "message": {"content": "second"}, "finish_reason": "stop"},
        {"index": 0, "message": {"content": "first"}, "finish_reason": "stop"},
    ]
    assert read({"choices": choices}).text == "first"


@pytest.mark.parametrize(
    "content",
    [
        "", "   ", "<html><body>Welcome</body></html>", "[" * 200_000 + "]" * 200_000, '{"a":' * 200_000, "7", "null",
        "[]", '"text"', "{}", '{"choices": []}', '{"choices": null}', '{"choices": "x"}', '{"choices": [7]}',
        '{"choices": [{"message": "x"}]}', '{"choices": [{"message": {"content": "x", "tool_calls": [7]}}]}',
        '{"choices": [{}]}', '{"choices": [{"message": null, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": null, "tool_calls": []}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": null}, "finish_reason": "tool_calls"}]}',
        '{"choices": [{"message": {"content": "x"}', "1" * 5000,
    ],
    ids=range(22),
)  # fmt: skip
def test_a_success_that_makes_no_sense(content: str) -> None:
    error = failure(content)
    assert error.fault is Fault.BAD_RESPONSE
    assert error.status == 200
    assert "application/json" in error.message
    verdict = classify(error)
    assert (verdict.outcome, verdict.retries, verdict.count) == (Outcome.RETRYABLE, 1, Count.FAILURE)


def test_all_tokens_spent_on_reasoning_is_an_answer() -> None:
    answer = read(body({"content": None, "reasoning": "hm…"}, "length"))
    assert (answer.text, answer.finish_reason, answer.reasoning) == ("", "length", "hm…")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (body({"content": "", "refusal": None}, "content_filter"), "content filter"),
        (body({"content": None}, "content_filter"), "content filter"),
        (body({"content": None, "refusal": "I cannot help with that"}), "I cannot help with that"),
        (
            {"choices": [], "prompt_filter_results": [
                {"content_filter_results": {"hate": {"filtered": False}, "violence": {"filtered": True}}}
            ]},
            "violence",
        ),
        (
            {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter",
                          "content_filter_results": {"sexual": {"filtered": True}, "jailbreak": {"filtered": True}}}]},
            "sexual, jailbreak",
        ),
    ],
)  # fmt: skip
def test_a_refusal_by_policy_is_no_answer(content: dict[str, Any], reason: str) -> None:
    error = failure(content)
    assert (error.fault, error.status, error.code) == (Fault.STATUS, 400, "content_filter")
    assert reason in error.message
    assert classify(error).error.__name__ == "ContentFilterError"


def test_a_filtered_answer_with_text_is_one() -> None:
    answer = read(body({"content": "So far"}, "content_filter"))
    assert (answer.text, answer.finish_reason) == ("So far", "content_filter")


@pytest.mark.parametrize("word", ["error", "network_error", "insufficient_system_resource", "abort"])
def test_an_answer_that_the_server_broke_off(word: str) -> None:
    error = failure(body({"content": "So fa"}, word))
    assert (error.status, error.code) == (503, word)
    assert classify(error).outcome is Outcome.RETRYABLE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "message", "delta", "content", "tool_calls", "function", "arguments", "index", "error", "usage",
             "finish_reason", "data", "embedding", "id", "pricing", "prompt", "completion", "model", "code", "type",
             "text", "thinking", "prompt_filter_results", "content_filter_results", "supported_parameters", "metadata",
             "raw", "detail", "loc", "x_groq", "prompt_tokens", "architecture", "input_modalities"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(content=JSON | st.builds(lambda choice: {"choices": [choice]}, JSON), status=st.sampled_from([200, 400, 500]))
def test_whatever_comes_is_an_answer_or_a_provider_error(content: Any, status: int) -> None:
    answer = Answer(status, {}, json.dumps(content), 0.0)
    for parse in (read_completion, read_models, lambda given: read_embeddings(given, 1)):
        with suppress(ProviderError):
            parse(answer)


def test_the_answer_carries_limits_and_the_body(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    content = body(model="gpt-4o-mini-2024-07-18")
    headers = {"x-ratelimit-remaining-tokens": "99", "x-ratelimit-reset-tokens": "1m30s", "retry-after": "60"}
    answer = asyncio.run(scripted(httpx.Response(200, json=content, headers=headers)).complete(chat()))
    assert (answer.limits.remaining_tokens, answer.limits.reset_tokens_s) == (99, 90.0)
    assert answer.limits.remaining_requests is None
    assert answer.served_model == "gpt-4o-mini-2024-07-18"
    assert answer.raw == content
