"""Ollama's own format over plain HTTP: shapes, checks, and what reaches the model."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

PROMPT = "What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
ASK = ("user", "How is the weather?")


def test_a_whole_answer(serve: Any, talk: Any) -> None:
    body = talk(serve(), "ollama").json
    assert body["message"] == {"role": "assistant", "content": ANSWER}
    assert (body["model"], body["done"], body["done_reason"]) == ("alpha", True, "stop")
    assert body["prompt_eval_count"] > 0 < body["eval_count"]
    assert body["created_at"].endswith("Z")


def test_it_streams_lines_unless_told_otherwise(serve: Any, talk: Any) -> None:
    server = serve()
    for seen in (talk(server, "ollama", without=("stream",)), talk(server, "ollama", stream=True)):
        assert seen.headers["content-type"] == "application/x-ndjson"
        assert seen.text == ANSWER
        assert [line["done"] for line in seen.chunks] == [False] * (len(seen.chunks) - 1) + [True]
        last = seen.chunks[-1]
        assert (last["done_reason"], last["message"]["content"]) == ("stop", "")
        assert last["eval_count"] == talk(server, "ollama").json["eval_count"]
        assert all("eval_count" not in line for line in seen.chunks[:-1])


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_tools_have_objects_as_arguments(serve: Any, talk: Any, stream: bool) -> None:
    seen = talk(serve(), "ollama", ASK, stream=stream, tools=[TOOL])
    message = (seen.chunks[0] if stream else seen.json)["message"]
    (call,) = message["tool_calls"]
    assert (message["content"], call["function"]["name"]) == ("", "get_weather")
    assert set(call["function"]["arguments"]) == {"city"}
    assert (seen.chunks[-1] if stream else seen.json)["done_reason"] == "stop"


def test_results_of_tools_are_answered_in_words(serve: Any, talk: Any) -> None:
    messages = [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "x"}}}]},
        {"role": "tool", "tool_name": "get_weather", "content": "fine"},
    ]
    assert talk(serve(), "ollama", messages=messages, tools=[TOOL]).text


def test_the_system_prompt_counts_and_pictures_and_json_need_features(serve: Any, talk: Any) -> None:
    server = serve()
    alone = talk(server, "ollama").json["prompt_eval_count"]
    assert talk(server, "ollama", ("system", "x" * 400), ("user", PROMPT)).json["prompt_eval_count"] == alone + 104
    assert json.loads(talk(server, "ollama", format="json").text) == {"answer": ANSWER}
    assert set(json.loads(talk(server, "ollama", format=SCHEMA).text)) == {"city"}
    picture = {"role": "user", "content": PROMPT, "images": ["aGk="]}
    poor = serve({"alpha": {"features": []}})
    for more in ({"format": "json"}, {"messages": [picture]}, {"tools": [TOOL]}):
        refused = talk(poor, "ollama", **more)
        assert (refused.status, "does not support" in refused.json["error"]) == (400, True)
        assert talk(server, "ollama", **more).status == 200


def test_limits_of_the_answer(serve: Any, talk: Any) -> None:
    server = serve()
    cut = talk(server, "ollama", options={"num_predict": 2}).json
    assert (cut["done_reason"], cut["eval_count"]) == ("length", 2)
    assert talk(server, "ollama", options={"num_predict": -1}).text == ANSWER
    assert talk(server, "ollama", options={"stop": [" river"]}).text == "Paris, on the"


def test_embeddings(serve: Any, talk: Any) -> None:
    server = serve()
    one = talk(server, "ollama", path="/api/embed", input="red car", dimensions=8).json
    many = talk(server, "ollama", path="/api/embed", input=["red car", "blue sea"], dimensions=8).json
    assert [len(vector) for vector in many["embeddings"]] == [8, 8]
    assert one["embeddings"] == many["embeddings"][:1]
    assert many["prompt_eval_count"] > one["prompt_eval_count"] > 0
    assert talk(server, "ollama", path="/api/embed").status == 400


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": ""}, "model is required"),
        ({"messages": []}, "too short"),
        ({"messages": [{"role": "king", "content": "x"}]}, "invalid role: king"),
        ({"messages": [{"role": "user", "content": []}]}, "ChatRequest.messages.content of type string"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            "arguments of type map",
        ),
        ({"options": 5}, "ChatRequest.options"),
        ({"options": {"num_predict": "5"}}, "num_predict"),
        ({"format": "yaml"}, "invalid format"),
    ],
)
def test_requests_are_checked(serve: Any, talk: Any, more: Any, message: str) -> None:
    seen = talk(serve(), "ollama", **more)
    assert (seen.status, list(seen.json)) == (400, ["error"])
    assert message in seen.json["error"]


def test_the_list_of_models(serve: Any) -> None:
    server = serve({"alpha": {}, "beta": {}})
    models = httpx.get(f"{server.url(kind='ollama')}/api/tags").json()["models"]
    assert [(model["name"], model["model"]) for model in models] == [("alpha", "alpha"), ("beta", "beta")]
