"""Our own connectors and the simulated server, in every wire format: what the SDKs understand, they understand too.

The numbers are those of ``test_sdks.py``: text, tokens and arguments of tools agree with the providers' own clients.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from routerlab.core.failures import Fault, ProviderError, classify
from routerlab.core.simulated_errors import ERRORS
from routerlab.core.types import CompletionRequest, Delta, EmbeddingRequest
from routerlab.session.collector import Collector
from routerlab.session.kinds import load_kind

PROMPT = "Please: What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
KINDS = ("openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
STREAM_FAULTS = ("cut_stream", "reset_midway", "bad_chunk", "error_event")

each_kind = pytest.mark.parametrize("kind", KINDS)


def asked(*turns: tuple[str, Any], stream: bool = False, **params: Any) -> CompletionRequest:
    messages = tuple({"role": role, "content": content} for role, content in turns or (("user", PROMPT),))
    return CompletionRequest("c1", "chat-completion", "alpha", messages, params, stream, connect_timeout_s=5.0)


def run(server: Any, kind: str, work: Any) -> Any:
    """Do something with a connector of this kind, and let go of it."""

    async def go() -> Any:
        options = {"kind": kind, "base_url": server.url("alpha", kind=kind), "api_key": "k", "trust_env": False}
        connector = load_kind(kind)("theirs", options)
        try:
            return await work(connector)
        finally:
            await connector.close()

    return asyncio.run(go())


async def streamed(connector: Any, request: CompletionRequest) -> Any:
    """The whole answer of a stream, and how many finish reasons it gave."""
    collector, reasons = Collector(), 0
    async for delta in connector.stream(request):
        assert isinstance(delta, Delta)
        collector.add(delta)
        reasons += delta.finish_reason is not None
    assert reasons == 1
    return collector.response()


def complete(server: Any, kind: str, *turns: Any, stream: bool = False, **params: Any) -> Any:
    request = asked(*turns, stream=stream, **params)
    if stream:
        return run(server, kind, lambda connector: streamed(connector, request))
    return run(server, kind, lambda connector: connector.complete(request))


# What a provider has no words of its own for.
UNSAID = {("cohere", "content_filter"), ("ollama", "insufficient_quota")}
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@both
@each_kind
def test_text_usage_and_reason(serve: Any, kind: str, stream: bool) -> None:
    reply = complete(serve(api_key="k"), kind, stream=stream, max_tokens=100)
    assert (reply.text, reply.finish_reason) == (ANSWER, "stop")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (14, 12, 26)
    assert reply.served_model == (None if kind == "cohere" else "alpha")


@both
@each_kind
def test_the_length_limit_and_stop_words(serve: Any, kind: str, stream: bool) -> None:
    server = serve(api_key="k")
    limit = 16 if kind == "openai_responses" else 2  # its least
    if kind == "openai_responses":
        server = serve({"alpha": {"answers": {PROMPT: ANSWER * 3}}}, api_key="k")
    short = complete(server, kind, stream=stream, max_tokens=limit)
    assert ((ANSWER * 3).startswith(short.text), short.finish_reason) == (True, "length")
    if kind != "openai_responses":  # its API knows no stop words
        assert complete(server, kind, stream=stream, stop=" river").text == "Paris, on the"


@both
@each_kind
def test_tools_are_called_and_their_results_go_back(serve: Any, kind: str, stream: bool) -> None:
    server = serve(api_key="k")
    choice = {} if kind == "ollama" else {"tool_choice": "required"}
    turns = (("user", "get_weather, please"),) if kind == "ollama" else ()
    reply = complete(server, kind, *turns, stream=stream, tools=[TOOL], **choice)
    (call,) = reply.tool_calls
    assert reply.finish_reason == "tool_calls"
    assert call["function"]["name"] == "get_weather"
    assert set(json.loads(call["function"]["arguments"])) == {"city"}
    messages = (
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": None, "tool_calls": [dict(call)]},
        {"role": "tool", "tool_call_id": call["id"], "content": '{"sky": "clear"}'},
    )
    request = CompletionRequest("c2", "chat-completion", "alpha", messages, {"tools": [TOOL]})
    assert run(server, kind, lambda connector: connector.complete(request)).text == ANSWER


@each_kind
def test_system_prompts_images_and_json(serve: Any, kind: str) -> None:
    server = serve(api_key="k")
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    turns = (("system", "Be brief."), ("user", [{"type": "text", "text": PROMPT}, PNG]))
    reply = complete(server, kind, *turns, response_format=wanted)
    assert set(json.loads(reply.text)) == {"city"}


@both
@each_kind
def test_a_begun_answer_is_carried_on(serve: Any, kind: str, stream: bool) -> None:
    reply = complete(serve(api_key="k"), kind, ("user", PROMPT), ("assistant", "Paris, on"), stream=stream)
    assert reply.text == " the river Seine, as everybody knows."


@each_kind
def test_embeddings_and_the_list_of_models(serve: Any, kind: str) -> None:
    server = serve(api_key="k")
    if kind != "anthropic":  # it has none
        request = EmbeddingRequest("c1", "alpha", ("red car", "blue sea"), {"dimensions": 8})
        found = run(server, kind, lambda connector: connector.embed(request))
        assert [len(vector) for vector in found.vectors] == [8, 8]
    listed = run(server, kind, lambda connector: connector.list_models())
    assert [model.name for model in listed] == ["alpha"]


@both
@pytest.mark.parametrize(
    ("kind", "fault"), [(kind, fault) for kind in KINDS for fault in ERRORS if (kind, fault) not in UNSAID]
)
def test_every_error_means_the_same_in_every_format(serve: Any, kind: str, fault: str, stream: bool) -> None:
    def verdict(of: str) -> Any:
        server = serve(api_key="k")
        server.faults.inject("alpha", fault)
        with pytest.raises(ProviderError) as caught:
            complete(server, of, stream=stream)
        return caught.value.status, classify(caught.value)

    found, expected = verdict(kind), verdict("openai")
    assert found[1] == expected[1], (found, expected)


@each_kind
def test_a_rate_limit_says_when_to_come_back(serve: Any, kind: str) -> None:
    server = serve(api_key="k")
    server.faults.inject("alpha", "rate_limit", retry_after=7)
    with pytest.raises(ProviderError) as caught:
        complete(server, kind)
    assert caught.value.retry_after_s == pytest.approx(7, abs=0.5)
    assert classify(caught.value).cools


@pytest.mark.parametrize("fault", STREAM_FAULTS)
@each_kind
def test_a_stream_that_breaks_is_a_failure_with_its_text_so_far(serve: Any, kind: str, fault: str) -> None:
    server = serve({"alpha": {"tokens_per_s": 1000}}, api_key="k")
    server.faults.inject("alpha", fault, after_tokens=4)
    pieces: list[Delta] = []

    async def read(connector: Any) -> None:
        async for delta in connector.stream(asked(stream=True)):
            pieces.append(delta)  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(ProviderError) as caught:
        run(server, kind, read)
    text = "".join(delta.text for delta in pieces)
    assert text
    assert ANSWER.startswith(text)
    assert not any(delta.finish_reason for delta in pieces)
    expected = {"cut_stream": {Fault.TRUNCATED}, "error_event": {Fault.STATUS}}.get(fault, {Fault.BROKEN})
    assert caught.value.fault in expected


@pytest.mark.parametrize("kind", ["openai", "openai_responses", "anthropic"])
def test_limits_are_read_from_answers_and_are_no_reason_to_back_off(serve: Any, kind: str) -> None:
    server = serve({"alpha": {"rpm": 60, "tpm": 100_000}}, api_key="k")
    limits = complete(server, kind).limits
    assert (limits.remaining_requests, 0 < limits.remaining_tokens < 100_000) == (59, True)
    assert complete(server, kind, stream=True).limits is not None


@each_kind
def test_a_wrong_key_is_told_and_not_shown(serve: Any, kind: str) -> None:
    with pytest.raises(ProviderError) as caught:
        complete(serve(api_key="another"), kind)
    assert caught.value.status in (400, 401, 403)
    assert classify(caught.value).ejects is not None
