"""Anthropic's Messages format over plain HTTP: shapes, checks, and what reaches the model."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

PROMPT = "What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "input_schema": SCHEMA}


def test_a_whole_message(serve: Any, talk: Any) -> None:
    seen = talk(serve(), "anthropic")
    body = seen.json
    assert (body["type"], body["role"], body["model"]) == ("message", "assistant", "alpha")
    assert body["content"] == [{"type": "text", "text": ANSWER}]
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert body["id"].startswith("msg_")
    assert {"input_tokens", "output_tokens", "cache_read_input_tokens"} <= set(body["usage"])
    assert seen.headers["request-id"].startswith("req_")


def test_the_events_of_a_stream_in_their_order(serve: Any, talk: Any) -> None:
    seen = talk(serve(), "anthropic", stream=True)
    assert seen.headers["content-type"].startswith("text/event-stream")
    kinds = [chunk["type"] for chunk in seen.chunks]
    assert seen.names == kinds
    assert re.fullmatch(
        "message_start,content_block_start,ping,(content_block_delta,)+content_block_stop,message_delta,message_stop",
        ",".join(kinds),
    )
    start, delta = seen.chunks[0]["message"], seen.chunks[-2]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert start["usage"]["input_tokens"] == delta["usage"]["input_tokens"] > 0
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"]["output_tokens"] == talk(serve(), "anthropic").json["usage"]["output_tokens"]


def test_calls_of_tools_whole_and_streamed(serve: Any, talk: Any) -> None:
    server = serve()
    more = {"tools": [TOOL], "tool_choice": {"type": "any"}}
    whole = talk(server, "anthropic", **more).json
    (call,) = whole["content"]
    assert (whole["stop_reason"], call["type"], call["name"]) == ("tool_use", "tool_use", "get_weather")
    assert set(call["input"]) == {"city"}
    assert call["id"].startswith("toolu_")
    chunks = talk(server, "anthropic", stream=True, **more).chunks
    start = next(chunk for chunk in chunks if chunk["type"] == "content_block_start")
    assert start["content_block"] == {**call, "input": {}}
    deltas = [chunk["delta"] for chunk in chunks if chunk["type"] == "content_block_delta"]
    assert {delta["type"] for delta in deltas} == {"input_json_delta"}
    assert json.loads("".join(delta["partial_json"] for delta in deltas)) == call["input"]
    assert chunks[-2]["delta"]["stop_reason"] == "tool_use"


def test_choices_of_tools(serve: Any, talk: Any) -> None:
    server = serve()
    tools = [TOOL, {"name": "other", "input_schema": {"type": "object"}}]

    def called(choice: Any, prompt: str = PROMPT) -> str:
        body = talk(server, "anthropic", ("user", prompt), tools=tools, tool_choice=choice).json
        return str(body["content"][0].get("name", ""))

    assert called({"type": "auto"}) == ""
    assert called({"type": "auto"}, "How is the weather?") == "get_weather"
    assert called({"type": "none"}, "How is the weather?") == ""
    assert called({"type": "tool", "name": "other"}) == "other"


def test_results_of_tools_are_answered_in_words(serve: Any, talk: Any) -> None:
    turns = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "get_weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "fine"}]},
    ]
    seen = talk(serve(), "anthropic", messages=turns, tools=[TOOL], tool_choice={"type": "any"})
    assert seen.text == ANSWER


def test_the_system_prompt_counts_and_pictures_and_json_need_features(serve: Any, talk: Any) -> None:
    server = serve()
    alone = talk(server, "anthropic").json["usage"]["input_tokens"]
    for system in ("x" * 400, [{"type": "text", "text": "x" * 400}]):
        assert talk(server, "anthropic", system=system).json["usage"]["input_tokens"] == alone + 104
    wish = {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert set(json.loads(talk(server, "anthropic", output_config=wish).text)) == {"city"}
    picture = [{"type": "image", "source": {}}, {"type": "text", "text": PROMPT}]
    poor = serve({"alpha": {"features": []}})
    for more in ({"output_config": wish}, {"messages": [{"role": "user", "content": picture}]}, {"tools": [TOOL]}):
        refused = talk(poor, "anthropic", **more)
        assert (refused.status, refused.json["error"]["type"]) == (400, "invalid_request_error")
        assert talk(server, "anthropic", **more).status == 200


def test_limits_of_the_answer(serve: Any, talk: Any) -> None:
    server = serve()
    cut = talk(server, "anthropic", max_tokens=2).json
    assert (cut["stop_reason"], cut["usage"]["output_tokens"]) == ("max_tokens", 2)
    for stream in (False, True):
        seen = talk(server, "anthropic", stream=stream, stop_sequences=[" river"])
        said = seen.chunks[-2]["delta"] if stream else seen.json
        assert seen.text == "Paris, on the"
        assert (said["stop_reason"], said["stop_sequence"]) == ("stop_sequence", " river")


@pytest.mark.parametrize(
    ("more", "without", "message"),
    [
        ({}, ("max_tokens",), "max_tokens: Field required"),
        ({"max_tokens": 0}, (), "max_tokens: Input should be greater than or equal to 1"),
        ({}, ("messages",), "messages: Field required"),
        ({"messages": []}, (), "messages: at least one message is required"),
        ({"messages": [{"role": "system", "content": "x"}]}, (), 'Unexpected role "system"'),
        (
            {"messages": [{"role": "king", "content": "x"}]},
            (),
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        ({"messages": [{"role": "user"}]}, (), "messages.0.content: Field required"),
        ({"messages": [{"role": "user", "content": ""}]}, (), "non-empty content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, (), "Input tag 'image_url'"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y "}]},
            (),
            "trailing whitespace",
        ),
        ({"temperature": 1.5}, (), "temperature: range: 0..1"),
        ({"tools": [{"name": "f"}]}, (), "tools.0.custom.input_schema: Field required"),
        ({"tool_choice": {"type": "any"}}, (), "tool_choice may only be specified while providing tools"),
        ({"max_tokens": 200_000}, (), "prompt is too long"),
    ],
)
def test_requests_are_checked(serve: Any, talk: Any, more: Any, without: Any, message: str) -> None:
    seen = talk(serve(), "anthropic", without=without, **more)
    assert (seen.status, seen.json["type"], seen.json["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in seen.json["error"]["message"]


def test_the_list_of_models_is_told_by_its_version_header(serve: Any) -> None:
    server = serve({"alpha": {}, "beta": {"context_window": 4096}}, api_key="k")
    headers = {"anthropic-version": "2023-06-01"}
    url = f"{server.url(kind='anthropic')}/v1/models"
    assert httpx.get(url, headers=headers).json()["error"]["type"] == "authentication_error"
    body = httpx.get(url, headers={**headers, "x-api-key": "k"}).json()
    assert [(row["type"], row["id"], row["max_input_tokens"]) for row in body["data"]] == [
        ("model", "alpha", 128_000),
        ("model", "beta", 4096),
    ]
    assert (body["first_id"], body["last_id"], body["has_more"]) == ("alpha", "beta", False)
    assert httpx.get(url, headers={"Authorization": "Bearer k"}).json()["object"] == "list"


def test_limits_come_back_at_a_moment_of_rfc_3339(serve: Any, talk: Any) -> None:
    headers = talk(serve({"alpha": {"rpm": 60, "tpm": 1000}}), "anthropic").headers
    assert headers["anthropic-ratelimit-requests-limit"] == "60"
    assert headers["anthropic-ratelimit-requests-remaining"] == "59"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", headers["anthropic-ratelimit-tokens-reset"])
