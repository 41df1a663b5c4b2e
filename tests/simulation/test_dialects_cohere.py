"""Cohere's format over plain HTTP: shapes, checks, and what reaches the model."""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import Any

import httpx
import pytest

PROMPT = "What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


def test_a_whole_answer(serve: Any, talk: Any) -> None:
    body = talk(serve(), "cohere").json
    assert body["message"] == {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]}
    assert body["finish_reason"] == "COMPLETE"
    assert body["usage"]["tokens"] == body["usage"]["billed_units"]
    assert set(body["usage"]["tokens"]) == {"input_tokens", "output_tokens"}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["id"])


def test_the_events_of_a_stream_in_their_order(serve: Any, talk: Any) -> None:
    seen = talk(serve(), "cohere", stream=True)
    kinds = [chunk["type"] for chunk in seen.chunks]
    assert seen.names == [*kinds, "message"]
    assert seen.events[-1] == "[DONE]"
    assert re.fullmatch("message-start,content-start,(content-delta,)+content-end,message-end", ",".join(kinds))
    end = seen.chunks[-1]["delta"]
    assert end == {"finish_reason": "COMPLETE", "usage": talk(serve(), "cohere").json["usage"]}


def test_calls_of_tools_whole_and_streamed(serve: Any, talk: Any) -> None:
    server = serve()
    more = {"tools": [TOOL], "tool_choice": "REQUIRED"}
    whole = talk(server, "cohere", **more).json
    (call,) = whole["message"]["tool_calls"]
    assert (whole["finish_reason"], call["function"]["name"]) == ("TOOL_CALL", "get_weather")
    assert set(json.loads(call["function"]["arguments"])) == {"city"}
    chunks = talk(server, "cohere", stream=True, **more).chunks
    kinds = ",".join(chunk["type"] for chunk in chunks)
    assert re.fullmatch(
        "message-start,tool-plan-delta,tool-call-start,(tool-call-delta,)+tool-call-end,message-end", kinds
    )
    start = chunks[2]["delta"]["message"]["tool_calls"]
    assert start == {**call, "function": {"name": "get_weather", "arguments": ""}}
    deltas = [chunk["delta"]["message"]["tool_calls"] for chunk in chunks if chunk["type"] == "tool-call-delta"]
    assert "".join(delta["function"]["arguments"] for delta in deltas) == call["function"]["arguments"]
    assert chunks[-1]["delta"]["finish_reason"] == "TOOL_CALL"


def test_choices_and_results_of_tools(serve: Any, talk: Any) -> None:
    server = serve()
    weather = ("user", "How is the weather?")
    assert "tool_calls" in talk(server, "cohere", weather, tools=[TOOL]).json["message"]
    assert "tool_calls" not in talk(server, "cohere", weather, tools=[TOOL], tool_choice="NONE").json["message"]
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "tool_plan": "I will", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "document", "document": {"data": "fine"}}]},
    ]
    assert talk(server, "cohere", messages=messages, tools=[TOOL], tool_choice="REQUIRED").text == ANSWER


def test_the_system_prompt_counts_and_pictures_and_json_need_features(serve: Any, talk: Any) -> None:
    server = serve()
    alone = talk(server, "cohere").json["usage"]["tokens"]["input_tokens"]
    longer = talk(server, "cohere", ("system", "x" * 400), ("user", PROMPT)).json
    assert longer["usage"]["tokens"]["input_tokens"] == alone + 104
    plain = {"type": "json_object"}
    assert json.loads(talk(server, "cohere", response_format=plain).text) == {"answer": ANSWER}
    wish = {"type": "json_object", "schema": SCHEMA}
    assert set(json.loads(talk(server, "cohere", response_format=wish).text)) == {"city"}
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    poor = serve({"alpha": {"features": []}})
    for more in ({"response_format": plain}, {"messages": [picture]}, {"tools": [TOOL]}):
        refused = talk(poor, "cohere", **more)
        assert (refused.status, set(refused.json)) == (400, {"id", "message"})
        assert talk(server, "cohere", **more).status == 200


def test_limits_of_the_answer(serve: Any, talk: Any) -> None:
    server = serve()
    cut = talk(server, "cohere", max_tokens=2).json
    assert (cut["finish_reason"], cut["usage"]["tokens"]["output_tokens"]) == ("MAX_TOKENS", 2)
    stopped = talk(server, "cohere", stop_sequences=[" river"])
    assert (stopped.text, stopped.json["finish_reason"]) == ("Paris, on the", "STOP_SEQUENCE")
    streamed = talk(server, "cohere", stream=True, stop_sequences=[" river"])
    assert streamed.chunks[-1]["delta"]["finish_reason"] == "STOP_SEQUENCE"


def test_embeddings_by_type(serve: Any, talk: Any) -> None:
    server = serve()
    common = {"path": "/v2/embed", "input_type": "search_query", "output_dimension": 8}
    kinds = ["float", "base64"]
    body = talk(server, "cohere", texts=["red car", "blue sea"], embedding_types=kinds, **common).json
    assert (body["response_type"], body["texts"]) == ("embeddings_by_type", ["red car", "blue sea"])
    vectors = body["embeddings"]["float"]
    packed = struct.unpack("<8f", base64.b64decode(body["embeddings"]["base64"][0]))
    assert packed == pytest.approx(vectors[0], abs=1e-6)
    assert body["meta"]["billed_units"]["input_tokens"] > 0
    inputs = [{"content": [{"type": "text", "text": "red car"}]}]
    assert talk(server, "cohere", inputs=inputs, **common).json["embeddings"]["float"] == vectors[:1]
    for wrong in ({"texts": []}, {"texts": ["x"], "embedding_types": ["bits"]}, {"texts": ["x"], "input_type": "y"}):
        assert talk(server, "cohere", **{**common, **wrong}).status == 400


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": ""}, "model is required"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"temperature": 1.5}, "temperature must be between 0 and 1.0"),
        ({"p": 1}, "p must be between 0.01 and 0.99"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tools": [{}]}, "tools[0].function.name"),
        ({"tool_choice": "auto"}, "tool_choice must be one of REQUIRED, NONE"),
        ({"max_tokens": 200_000}, "too many tokens"),
    ],
)
def test_requests_are_checked(serve: Any, talk: Any, more: Any, message: str) -> None:
    seen = talk(serve(), "cohere", **more)
    assert (seen.status, set(seen.json)) == (400, {"id", "message"})
    assert message in seen.json["message"]


def test_the_list_of_models_is_told_by_its_own_options(serve: Any) -> None:
    server = serve({"alpha": {}, "beta": {"capabilities": ["text-embedding"]}})
    url = f"{server.url(kind='cohere')}/v1/models"
    for response in (httpx.get(url, params={"page_size": 10}), httpx.get(url, headers={"x-fern-sdk-name": "cohere"})):
        rows = response.json()["models"]
        assert [(row["name"], row["endpoints"]) for row in rows] == [("alpha", ["chat", "embed"]), ("beta", ["embed"])]
    assert httpx.get(url).json()["object"] == "list"
