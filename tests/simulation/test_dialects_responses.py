"""OpenAI's Responses format over plain HTTP: shapes, checks, and what reaches the model."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

KIND = "openai_responses"
PROMPT = "What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "name": "get_weather", "parameters": SCHEMA}


def test_a_whole_response(serve: Any, talk: Any) -> None:
    body = talk(serve(), KIND).json
    assert (body["object"], body["status"], body["model"]) == ("response", "completed", "alpha")
    assert body["id"].startswith("resp_")
    (item,) = body["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert item["content"] == [{"type": "output_text", "annotations": [], "logprobs": [], "text": ANSWER}]
    assert (body["error"], body["incomplete_details"]) == (None, None)
    usage = body["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_the_events_of_a_stream_in_their_order_and_numbered(serve: Any, talk: Any) -> None:
    seen = talk(serve(), KIND, stream=True)
    kinds = [chunk["type"].removeprefix("response.") for chunk in seen.chunks]
    assert seen.names == [chunk["type"] for chunk in seen.chunks]
    assert re.fullmatch(
        r"created,in_progress,output_item\.added,content_part\.added,(output_text\.delta,)+output_text\.done,"
        r"content_part\.done,output_item\.done,completed",
        ",".join(kinds),
    )
    assert [chunk["sequence_number"] for chunk in seen.chunks] == list(range(len(kinds)))
    assert seen.chunks[0]["response"]["status"] == "in_progress"
    assert seen.chunks[2]["item"]["content"] == []
    done, whole = seen.chunks[-1]["response"], talk(serve(), KIND).json
    assert done["usage"] == whole["usage"]
    assert done["output"][0]["content"] == whole["output"][0]["content"]


def test_calls_of_functions_whole_and_streamed(serve: Any, talk: Any) -> None:
    server = serve()
    more = {"tools": [TOOL], "tool_choice": "required"}
    (call,) = talk(server, KIND, **more).json["output"]
    assert (call["type"], call["name"], call["status"]) == ("function_call", "get_weather", "completed")
    assert set(json.loads(call["arguments"])) == {"city"}
    chunks = talk(server, KIND, stream=True, **more).chunks
    by_kind: dict[str, list[Any]] = {}
    for chunk in chunks:
        by_kind.setdefault(chunk["type"], []).append(chunk)
    (added,) = by_kind["response.output_item.added"]
    assert (added["item"]["arguments"], added["item"]["call_id"]) == ("", call["call_id"])
    deltas = by_kind["response.function_call_arguments.delta"]
    assert "".join(chunk["delta"] for chunk in deltas) == call["arguments"]
    assert by_kind["response.function_call_arguments.done"][0]["arguments"] == call["arguments"]
    assert by_kind["response.output_item.done"][0]["item"]["arguments"] == call["arguments"]
    assert chunks[-1]["type"] == "response.completed"


def test_choices_of_functions(serve: Any, talk: Any) -> None:
    server = serve()
    tools = [TOOL, {"type": "function", "name": "other", "parameters": {}}, {"type": "web_search"}]

    def called(choice: Any, prompt: str = PROMPT) -> str:
        body = talk(server, KIND, ("user", prompt), tools=tools, tool_choice=choice).json
        return str(body["output"][0].get("name", ""))

    assert called("auto") == ""
    assert called("auto", "How is the weather?") == "get_weather"
    assert called("none", "How is the weather?") == ""
    assert called({"type": "function", "name": "other"}) == "other"


def test_results_of_functions_are_answered_in_words(serve: Any, talk: Any) -> None:
    server = serve()
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": PROMPT}]},
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "fine"},
    ]
    assert talk(server, KIND, input=items, tools=[TOOL], tool_choice="required").text == ANSWER
    alone = talk(server, KIND, input=items[:2])
    assert (alone.status, alone.json["error"]["param"]) == (400, "input")
    assert "No tool output found for function call c." in alone.json["error"]["message"]


def test_instructions_count_and_pictures_and_json_need_features(serve: Any, talk: Any) -> None:
    server = serve()
    alone = talk(server, KIND).json["usage"]["input_tokens"]
    assert talk(server, KIND, instructions="x" * 400).json["usage"]["input_tokens"] == alone + 104
    assert talk(server, KIND, input=PROMPT).text == ANSWER
    as_schema = {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}
    assert set(json.loads(talk(server, KIND, text=as_schema).text)) == {"city"}
    as_json = {"format": {"type": "json_object"}}
    assert json.loads(talk(server, KIND, text=as_json).text) == {"answer": ANSWER}
    picture = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]
    poor = serve({"alpha": {"features": []}})
    for more in ({"text": as_json}, {"input": picture}, {"tools": [TOOL]}):
        refused = talk(poor, KIND, **more)
        assert (refused.status, refused.json["error"]["type"]) == (400, "invalid_request_error")
        assert talk(server, KIND, **more).status == 200


def test_a_cut_answer_is_incomplete(serve: Any, talk: Any) -> None:
    server = serve({"alpha": {"answers": {PROMPT: "word " * 30}}})
    whole = talk(server, KIND, max_output_tokens=16).json
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert whole["output"][0]["status"] == "incomplete"
    last = talk(server, KIND, stream=True, max_output_tokens=16).chunks[-1]
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "incomplete")


@pytest.mark.parametrize(
    ("more", "without", "message", "code"),
    [
        ({}, ("input",), "Missing required parameter: 'input'.", "missing_required_parameter"),
        ({}, ("model",), "you must provide a model parameter", None),
        ({"input": []}, (), "'input'", "invalid_value"),
        ({"input": [{"role": "king", "content": "x"}]}, (), "'input[0].role'", "invalid_value"),
        ({"input": [{"role": "user"}]}, (), "'input[0].content'", "missing_required_parameter"),
        ({"max_output_tokens": 5}, (), "Expected a value >= 16, but got 5 instead.", "integer_below_min_value"),
        ({"temperature": 3}, (), "'temperature'", "invalid_value"),
        ({"tools": [{"function": {"name": "f"}}]}, (), "'tools[0].type'", "missing_required_parameter"),
        ({"tools": [{"type": "function"}]}, (), "'tools[0].name'", "missing_required_parameter"),
        ({"messages": []}, (), "Unknown parameter: 'messages'.", "unknown_parameter"),
        ({"text": {"format": {"type": "yaml"}}}, (), "'text.format.type'", "invalid_value"),
        ({"max_output_tokens": 200_000}, (), "maximum context length", "context_length_exceeded"),
    ],
)
def test_requests_are_checked(serve: Any, talk: Any, more: Any, without: Any, message: str, code: str | None) -> None:
    seen = talk(serve(), KIND, without=without, **more)
    assert (seen.status, seen.json["error"]["code"]) == (400, code)
    assert message in seen.json["error"]["message"]
