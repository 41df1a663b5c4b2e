"""Gemini's format over plain HTTP: shapes, checks, and what reaches the model."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

PROMPT = "What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
USER = {"role": "user", "parts": [{"text": PROMPT}]}
SCHEMA = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}, "size": {"type": "INTEGER"}}}
TOOLS = [{"functionDeclarations": [{"name": "get_weather", "parameters": SCHEMA}, {"name": "other"}]}]


def test_a_whole_answer(serve: Any, talk: Any) -> None:
    body = talk(serve(), "gemini").json
    (candidate,) = body["candidates"]
    assert candidate == {
        "content": {"parts": [{"text": ANSWER}], "role": "model"},
        "finishReason": "STOP",
        "index": 0,
    }
    usage = body["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]
    assert usage["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": usage["promptTokenCount"]}]
    assert (body["modelVersion"], bool(body["responseId"])) == ("alpha", True)


def test_a_stream_as_events_and_as_an_array(serve: Any, talk: Any) -> None:
    server = serve()
    events = talk(server, "gemini", stream=True)
    assert events.headers["content-type"] == "text/event-stream"
    assert events.body.endswith(b"}\r\n\r\n")
    array = talk(server, "gemini", path="/models/alpha:streamGenerateContent")
    assert array.headers["content-type"].startswith("application/json")
    for chunks in (events.chunks, array.json):
        assert all("finishReason" not in chunk["candidates"][0] for chunk in chunks[:-1])
        assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
        assert chunks[-1]["usageMetadata"] == talk(server, "gemini").json["usageMetadata"]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_functions_come_as_a_whole(serve: Any, talk: Any, stream: bool) -> None:
    config = {"functionCallingConfig": {"mode": "ANY"}}
    seen = talk(serve(), "gemini", stream=stream, tools=TOOLS, toolConfig=config)
    (chunk,) = seen.chunks if stream else [seen.json]
    (candidate,) = chunk["candidates"]
    (part,) = candidate["content"]["parts"]
    assert candidate["finishReason"] == "STOP"
    assert part["functionCall"]["name"] == "get_weather"
    assert [type(value) for value in part["functionCall"]["args"].values()] == [str, int]


def test_modes_of_calling(serve: Any, talk: Any) -> None:
    server = serve()

    def called(config: Any, prompt: str = PROMPT) -> str:
        tool_config = {"functionCallingConfig": config}
        body = talk(server, "gemini", ("user", prompt), tools=TOOLS, toolConfig=tool_config).json
        return str(body["candidates"][0]["content"]["parts"][0].get("functionCall", {}).get("name", ""))

    assert called({"mode": "AUTO"}) == ""
    assert called({"mode": "AUTO"}, "How is the weather?") == "get_weather"
    assert called({"mode": "NONE"}, "How is the weather?") == ""
    assert called({"mode": "ANY", "allowedFunctionNames": ["other"]}) == "other"


@pytest.mark.parametrize("spelling", [("functionCall", "functionResponse"), ("function_call", "function_response")])
def test_results_of_functions_are_answered_in_words(serve: Any, talk: Any, spelling: tuple[str, str]) -> None:
    call, response = spelling
    contents = [
        USER,
        {"role": "model", "parts": [{call: {"name": "get_weather", "args": {}}}]},
        {"role": "user", "parts": [{response: {"name": "get_weather", "response": {"output": "fine"}}}]},
    ]
    config = {"functionCallingConfig": {"mode": "ANY"}}
    assert talk(serve(), "gemini", contents=contents, tools=TOOLS, toolConfig=config).text == ANSWER


def test_the_system_prompt_counts_and_pictures_and_json_need_features(serve: Any, talk: Any) -> None:
    server = serve()
    alone = talk(server, "gemini").json["usageMetadata"]["promptTokenCount"]
    system = {"parts": [{"text": "x" * 400}]}
    for more in ({"systemInstruction": system}, {"system_instruction": system}):
        assert talk(server, "gemini", **more).json["usageMetadata"]["promptTokenCount"] == alone + 104
    as_json = {"responseMimeType": "application/json", "responseSchema": SCHEMA}
    assert set(json.loads(talk(server, "gemini", generationConfig=as_json).text)) == {"city", "size"}
    plain = {"responseMimeType": "application/json"}
    assert json.loads(talk(server, "gemini", generationConfig=plain).text) == {"answer": ANSWER}
    picture = {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}, {"text": PROMPT}]}
    poor = serve({"alpha": {"features": []}})
    for more in ({"generationConfig": plain}, {"contents": [picture]}, {"tools": TOOLS}):
        refused = talk(poor, "gemini", **more)
        assert (refused.status, refused.json["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert talk(server, "gemini", **more).status == 200


def test_limits_of_the_answer(serve: Any, talk: Any) -> None:
    server = serve()
    cut = talk(server, "gemini", generationConfig={"maxOutputTokens": 2}).json
    assert cut["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert cut["usageMetadata"]["candidatesTokenCount"] == 2
    assert talk(server, "gemini", generationConfig={"stopSequences": [" river"]}).text == "Paris, on the"


def test_embeddings_one_and_many(serve: Any, talk: Any) -> None:
    server = serve()
    one = talk(
        server,
        "gemini",
        path="/models/alpha:embedContent",
        content={"parts": [{"text": "red car"}]},
        outputDimensionality=8,
    ).json
    requests = [
        {"model": "models/alpha", "content": {"parts": [{"text": text}]}, "outputDimensionality": 8}
        for text in ("red car", "blue sea")
    ]
    many = talk(server, "gemini", path="/models/alpha:batchEmbedContents", requests=requests).json
    assert len(one["embedding"]["values"]) == 8
    assert many["embeddings"][0] == one["embedding"] != many["embeddings"][1]
    assert talk(server, "gemini", path="/models/alpha:embedContent").status == 400
    server = serve({"alpha": {"capabilities": ["chat-completion"]}})
    refused = talk(server, "gemini", path="/models/alpha:batchEmbedContents", requests=requests)
    assert (refused.status, refused.json["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
        ({"contents": [{"role": "user", "parts": []}]}, "contents.parts must not be empty"),
        ({"generationConfig": {"temperature": 3}}, "temperature must be in the range [0.0, 2.0]"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "max_output_tokens must be positive"),
        ({"messages": []}, 'Unknown name "messages": Cannot find field.'),
        ({"generationConfig": {"maxOutputTokens": 200_000}}, "exceeds the maximum number of tokens"),
    ],
)
def test_requests_are_checked(serve: Any, talk: Any, more: Any, message: str) -> None:
    seen = talk(serve(), "gemini", **more)
    assert (seen.status, seen.json["error"]["code"], seen.json["error"]["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert message in seen.json["error"]["message"]


def test_the_list_of_models(serve: Any) -> None:
    server = serve({"alpha": {}, "beta": {"context_window": 4096, "capabilities": ["text-embedding"]}})
    alpha, beta = httpx.get(f"{server.url(kind='gemini')}/models").json()["models"]
    assert (alpha["name"], alpha["inputTokenLimit"]) == ("models/alpha", 128_000)
    assert "generateContent" in alpha["supportedGenerationMethods"]
    assert (beta["inputTokenLimit"], beta["supportedGenerationMethods"]) == (4096, ["embedContent"])
