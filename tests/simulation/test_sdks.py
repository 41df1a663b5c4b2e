"""The providers' own SDKs talk to simulated models, and understand them: text, streams, tools, usage, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import cohere
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

PROMPT = "Please: What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
TURN = [{"role": "user", "content": PROMPT}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "parameters": SCHEMA}
TOKENS = (14, 12)  # of the prompt, of the answer


@pytest.fixture
def server(serve: Any) -> Any:
    return serve(api_key="k")


# --- OpenAI ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def openai_client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url(kind="openai"), api_key="k", max_retries=0) as client:
        yield client


def test_openai_chat(openai_client: Any) -> None:
    chat = openai_client.chat.completions
    reply = chat.create(model="alpha", messages=TURN)
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (ANSWER, "stop")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == TOKENS
    with chat.create(model="alpha", messages=TURN, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
    assert chunks[-1].usage == reply.usage
    tools = [{"type": "function", "function": FUNCTION}]
    called = chat.create(model="alpha", messages=TURN, tools=tools, tool_choice="required").choices[0]
    assert called.finish_reason == "tool_calls"
    assert set(json.loads(called.message.tool_calls[0].function.arguments)) == {"city"}


def test_openai_embeddings_and_models(openai_client: Any) -> None:
    made = openai_client.embeddings.create(model="alpha", input=["red car", "blue sea"], dimensions=8)
    assert [len(row.embedding) for row in made.data] == [8, 8]
    assert [model.id for model in openai_client.models.list()] == ["alpha"]


def test_openai_responses(openai_client: Any) -> None:
    responses = openai_client.responses
    reply = responses.create(model="alpha", input=PROMPT)
    assert (reply.output_text, reply.status) == (ANSWER, "completed")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == TOKENS
    with responses.stream(model="alpha", input=PROMPT) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert (text, final.output_text, final.usage) == (ANSWER, ANSWER, reply.usage)


def test_openai_responses_call_functions(openai_client: Any) -> None:
    more = {"tools": [{"type": "function", "strict": False, **FUNCTION}], "tool_choice": "required"}
    (call,) = openai_client.responses.create(model="alpha", input=PROMPT, **more).output
    assert (call.type, call.name, set(json.loads(call.arguments))) == ("function_call", "get_weather", {"city"})
    with openai_client.responses.stream(model="alpha", input=PROMPT, **more) as stream:
        parts = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        (final,) = stream.get_final_response().output
    assert "".join(parts) == final.arguments == call.arguments


@pytest.mark.parametrize(
    ("fault", "error", "status", "message"),
    [
        ("unauthorized", openai.AuthenticationError, 401, "Incorrect API key"),
        ("rate_limit", openai.RateLimitError, 429, "Rate limit reached"),
        ("context_length_exceeded", openai.BadRequestError, 400, "maximum context length"),
        ("unavailable", openai.InternalServerError, 503, "overloaded"),
    ],
)
def test_openai_errors(
    server: Any, openai_client: Any, fault: str, error: type[Any], status: int, message: str
) -> None:
    server.faults.inject("alpha", fault, retry_after=2)
    for ask in (
        lambda: openai_client.chat.completions.create(model="alpha", messages=TURN),
        lambda: openai_client.responses.create(model="alpha", input=PROMPT),
        lambda: openai_client.responses.create(model="alpha", input=PROMPT, stream=True),
    ):
        with pytest.raises(error, match=message) as raised:
            ask()
        assert raised.value.status_code == status
        assert raised.value.response.headers["retry-after"] == "2"


def test_openai_errors_in_mid_stream(server: Any, openai_client: Any) -> None:
    server.faults.inject("alpha", "error_event", message="overheated")
    with (
        openai_client.chat.completions.create(model="alpha", messages=TURN, stream=True) as stream,
        pytest.raises(openai.APIError, match="overheated"),
    ):
        list(stream)
    with openai_client.responses.create(model="alpha", input=PROMPT, stream=True) as stream:
        events = list(stream)
    assert (events[-2].type, events[-2].message) == ("error", "overheated")
    assert (events[-1].type, events[-1].response.error.message) == ("response.failed", "overheated")


# --- Anthropic -------------------------------------------------------------------------------------------------------


@pytest.fixture
def anthropic_client(server: Any) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url(kind="anthropic"), api_key="k", max_retries=0) as client:
        yield client


def test_anthropic_messages(anthropic_client: Any) -> None:
    common = {"model": "alpha", "max_tokens": 100, "messages": TURN}
    reply = anthropic_client.messages.create(**common)
    assert (reply.content[0].text, reply.stop_reason) == (ANSWER, "end_turn")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == TOKENS
    with anthropic_client.messages.stream(**common) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert (text, final.content[0].text, final.stop_reason) == (ANSWER, ANSWER, "end_turn")
    assert (final.usage.input_tokens, final.usage.output_tokens) == TOKENS


def test_anthropic_tools_and_prefill(anthropic_client: Any) -> None:
    common = {"model": "alpha", "max_tokens": 100}
    tool = {"tools": [{"name": "get_weather", "input_schema": SCHEMA}], "tool_choice": {"type": "any"}}
    (call,) = anthropic_client.messages.create(**common, messages=TURN, **tool).content
    assert (call.type, call.name, set(call.input)) == ("tool_use", "get_weather", {"city"})
    with anthropic_client.messages.stream(**common, messages=TURN, **tool) as stream:
        (streamed,) = stream.get_final_message().content
    assert (streamed.name, streamed.input) == (call.name, call.input)
    begun = [*TURN, {"role": "assistant", "content": "Paris, on"}]
    rest = anthropic_client.messages.create(**common, messages=begun).content[0].text
    assert rest == " the river Seine, as everybody knows."


def test_anthropic_models(anthropic_client: Any) -> None:
    assert [model.id for model in anthropic_client.models.list()] == ["alpha"]


@pytest.mark.parametrize(
    ("fault", "error", "status", "kind"),
    [
        ("unauthorized", anthropic.AuthenticationError, 401, "authentication_error"),
        ("rate_limit", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("overloaded", anthropic.InternalServerError, 529, "overloaded_error"),
        ("context_length_exceeded", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("model_not_found", anthropic.NotFoundError, 404, "not_found_error"),
    ],
)
def test_anthropic_errors(
    server: Any, anthropic_client: Any, fault: str, error: type[Any], status: int, kind: str
) -> None:
    server.faults.inject("alpha", fault)
    with pytest.raises(error) as raised:
        anthropic_client.messages.create(model="alpha", max_tokens=100, messages=TURN)
    assert (raised.value.status_code, raised.value.type) == (status, kind)


def test_anthropic_errors_in_mid_stream(server: Any, anthropic_client: Any) -> None:
    server.faults.inject("alpha", "error_event", message="overheated", code="overloaded")
    with (
        anthropic_client.messages.stream(model="alpha", max_tokens=100, messages=TURN) as stream,
        pytest.raises(anthropic.APIStatusError, match="overheated") as raised,
    ):
        list(stream.text_stream)
    assert raised.value.type == "overloaded_error"


# --- Gemini ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def gemini_client(server: Any) -> Iterator[genai.Client]:
    root, _, version = server.url(kind="gemini").rpartition("/")
    retry = types.HttpRetryOptions(attempts=1)
    options = types.HttpOptions(base_url=root, api_version=version, retry_options=retry)
    with genai.Client(api_key="k", http_options=options) as client:
        yield client


def test_gemini_content(gemini_client: Any) -> None:
    reply = gemini_client.models.generate_content(model="alpha", contents=PROMPT)
    assert (reply.text, reply.candidates[0].finish_reason) == (ANSWER, types.FinishReason.STOP)
    assert (reply.usage_metadata.prompt_token_count, reply.usage_metadata.candidates_token_count) == TOKENS
    chunks = list(gemini_client.models.generate_content_stream(model="alpha", contents=PROMPT))
    assert "".join(chunk.text for chunk in chunks) == ANSWER
    assert chunks[-1].usage_metadata == reply.usage_metadata


def test_gemini_functions(gemini_client: Any) -> None:
    function = types.FunctionDeclaration(name="get_weather", parameters_json_schema=SCHEMA)
    mode = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[function])],
        tool_config=types.ToolConfig(function_calling_config=mode),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    for reply in (
        gemini_client.models.generate_content(model="alpha", contents=PROMPT, config=config),
        *gemini_client.models.generate_content_stream(model="alpha", contents=PROMPT, config=config),
    ):
        (call,) = reply.function_calls
        assert (call.name, set(call.args)) == ("get_weather", {"city"})


def test_gemini_embeddings_and_models(gemini_client: Any) -> None:
    config = types.EmbedContentConfig(output_dimensionality=8)
    made = gemini_client.models.embed_content(model="alpha", contents=["red car", "blue sea"], config=config)
    assert [len(embedding.values) for embedding in made.embeddings] == [8, 8]
    assert [model.name for model in gemini_client.models.list()] == ["models/alpha"]


@pytest.mark.parametrize(
    ("fault", "error", "code", "status"),
    [
        ("unauthorized", genai_errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("rate_limit", genai_errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("overloaded", genai_errors.ServerError, 503, "UNAVAILABLE"),
        ("model_not_found", genai_errors.ClientError, 404, "NOT_FOUND"),
    ],
)
def test_gemini_errors(server: Any, gemini_client: Any, fault: str, error: type[Any], code: int, status: str) -> None:
    server.faults.inject("alpha", fault, retry_after=3)
    for ask in (
        lambda: gemini_client.models.generate_content(model="alpha", contents=PROMPT),
        lambda: list(gemini_client.models.generate_content_stream(model="alpha", contents=PROMPT)),
    ):
        with pytest.raises(error) as raised:
            ask()
        assert (raised.value.code, raised.value.status) == (code, status)
        assert raised.value.details["error"]["details"][-1]["retryDelay"] == "3s"


def test_gemini_blocked_prompts_and_errors_in_mid_stream(server: Any, gemini_client: Any) -> None:
    server.faults.inject("alpha", "content_filter")
    reply = gemini_client.models.generate_content(model="alpha", contents=PROMPT)
    assert reply.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    (chunk,) = gemini_client.models.generate_content_stream(model="alpha", contents=PROMPT)
    assert (chunk.candidates, chunk.prompt_feedback) == (None, reply.prompt_feedback)
    server.faults.clear()
    server.faults.inject("alpha", "error_event", message="overheated", code="unavailable")
    with pytest.raises(genai_errors.ServerError, match="overheated") as raised:
        list(gemini_client.models.generate_content_stream(model="alpha", contents=PROMPT))
    assert (raised.value.code, raised.value.status) == (503, "UNAVAILABLE")


# --- Ollama ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ollama_client(server: Any) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.url(kind="ollama"), headers={"Authorization": "Bearer k"}) as client:
        yield client


def test_ollama_chat(ollama_client: Any) -> None:
    reply = ollama_client.chat(model="alpha", messages=TURN)
    assert (reply.message.content, reply.done_reason) == (ANSWER, "stop")
    assert (reply.prompt_eval_count, reply.eval_count) == TOKENS
    parts = list(ollama_client.chat(model="alpha", messages=TURN, stream=True))
    assert "".join(part.message.content for part in parts) == ANSWER
    assert (parts[-1].done, parts[-1].prompt_eval_count, parts[-1].eval_count) == (True, *TOKENS)


def test_ollama_tools(ollama_client: Any) -> None:
    turn = [{"role": "user", "content": "How is the weather?"}]
    tools = [{"type": "function", "function": FUNCTION}]
    whole = ollama_client.chat(model="alpha", messages=turn, tools=tools)
    streamed = next(ollama_client.chat(model="alpha", messages=turn, tools=tools, stream=True))
    for reply in (whole, streamed):
        (call,) = reply.message.tool_calls
        assert (call.function.name, set(call.function.arguments)) == ("get_weather", {"city"})


def test_ollama_embeddings_and_models(ollama_client: Any) -> None:
    made = ollama_client.embed(model="alpha", input=["red car", "blue sea"], dimensions=8)
    assert [len(vector) for vector in made.embeddings] == [8, 8]
    assert [model.model for model in ollama_client.list().models] == ["alpha"]


def test_ollama_errors(server: Any, ollama_client: Any) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'omega' not found") as raised:
        ollama_client.chat(model="omega", messages=TURN)
    assert raised.value.status_code == 404
    for fault, status in (("unauthorized", 401), ("rate_limit", 429), ("server_error", 500), ("overloaded", 503)):
        server.faults.inject("alpha", fault)
        with pytest.raises(ollama.ResponseError) as raised:
            list(ollama_client.chat(model="alpha", messages=TURN, stream=True))
        assert (raised.value.status_code, "{" in raised.value.error) == (status, False)
        server.faults.clear()
    server.faults.inject("alpha", "error_event", message="overheated")
    with pytest.raises(ollama.ResponseError, match="overheated"):
        list(ollama_client.chat(model="alpha", messages=TURN, stream=True))


# --- Cohere ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cohere_client(server: Any) -> Iterator[cohere.ClientV2]:
    with cohere.ClientV2(api_key="k", base_url=server.url(kind="cohere")) as client:
        yield client


def test_cohere_chat(cohere_client: Any) -> None:
    reply = cohere_client.chat(model="alpha", messages=TURN)
    assert (reply.message.content[0].text, reply.finish_reason) == (ANSWER, "COMPLETE")
    assert (reply.usage.tokens.input_tokens, reply.usage.tokens.output_tokens) == TOKENS
    events = list(cohere_client.chat_stream(model="alpha", messages=TURN))
    parts = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    assert "".join(parts) == ANSWER
    assert (events[-1].delta.finish_reason, events[-1].delta.usage) == ("COMPLETE", reply.usage)


def test_cohere_tools(cohere_client: Any) -> None:
    more = {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "REQUIRED"}
    (call,) = cohere_client.chat(model="alpha", messages=TURN, **more).message.tool_calls
    assert (call.function.name, set(json.loads(call.function.arguments))) == ("get_weather", {"city"})
    events = list(cohere_client.chat_stream(model="alpha", messages=TURN, **more))
    parts = [event.delta.message.tool_calls.function.arguments for event in events if event.type == "tool-call-delta"]
    assert "".join(parts) == call.function.arguments
    assert events[-1].delta.finish_reason == "TOOL_CALL"


def test_cohere_embeddings_and_models(cohere_client: Any) -> None:
    made = cohere_client.embed(
        model="alpha",
        texts=["red car", "blue sea"],
        input_type="search_document",
        embedding_types=["float"],
        output_dimension=8,
    )
    assert [len(vector) for vector in made.embeddings.float_] == [8, 8]
    assert [model.name for model in cohere_client.models.list().models] == ["alpha"]


@pytest.mark.parametrize(
    ("fault", "error", "status", "message"),
    [
        ("unauthorized", cohere.UnauthorizedError, 401, "invalid api token"),
        ("rate_limit", cohere.TooManyRequestsError, 429, "Trial key"),
        ("context_length_exceeded", cohere.BadRequestError, 400, "too many tokens"),
        ("server_error", cohere.InternalServerError, 500, "internal server error"),
        ("overloaded", cohere.ServiceUnavailableError, 503, "overloaded"),
    ],
)
def test_cohere_errors(
    server: Any, cohere_client: Any, fault: str, error: type[Any], status: int, message: str
) -> None:
    server.faults.inject("alpha", fault)
    for ask in (cohere_client.chat, lambda **request: list(cohere_client.chat_stream(**request))):
        with pytest.raises(error) as raised:
            ask(model="alpha", messages=TURN, request_options={"max_retries": 0})
        assert raised.value.status_code == status
        assert message in raised.value.body["message"]


def test_cohere_errors_in_mid_stream(server: Any, cohere_client: Any) -> None:
    server.faults.inject("alpha", "error_event", message="overheated")
    last = list(cohere_client.chat_stream(model="alpha", messages=TURN))[-1]
    assert (last.type, last.delta.finish_reason, last.delta.error) == ("message-end", "ERROR", "overheated")
