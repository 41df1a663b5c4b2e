"""Every kind of fault in every wire format: what a plain client sees of it."""

from __future__ import annotations

import gzip
import json
import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from routerlab.core.fault_kinds import FAULT_KINDS
from routerlab.core.simulated_errors import ERRORS

ANSWER = "Paris, on the river Seine, as everybody knows."
START = "Paris, on"  # three tokens
KINDS = ["openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere"]
OWN = KINDS[2:]  # with errors of their own
BOTH = [pytest.param(False, id="whole"), pytest.param(True, id="stream")]

FINISHED = {
    "openai": '"finish_reason":"stop"',
    "openai_responses": '"type":"response.completed"',
    "anthropic": '"stop_reason":"end_turn"',
    "gemini": '"finishReason":"STOP"',
    "ollama": '"done":true',
    "cohere": '"type":"message-end"',
}


def message_of(kind: str, body: Any) -> str:
    """The message of an error in a provider's own shape, which must be that shape and no other."""
    match kind:
        case "anthropic":
            assert set(body) == {"type", "error", "request_id"}
            assert body["type"] == "error"
            assert set(body["error"]) == {"type", "message"}
            return str(body["error"]["message"])
        case "gemini":
            assert set(body) == {"error"}
            assert {"code", "message", "status"} <= set(body["error"])
            return str(body["error"]["message"])
        case "ollama":
            assert set(body) == {"error"}
            assert isinstance(body["error"], str)
            return body["error"]
        case "cohere":
            assert set(body) == {"id", "message"}
            return str(body["message"])
        case _:
            return str(body["error"]["message"])


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_without_faults(serve: Any, talk: Any, kind: str, stream: bool) -> None:
    seen = talk(serve(), kind, stream=stream)
    assert (seen.status, seen.text) == (200, ANSWER)
    assert not stream or FINISHED[kind] in seen.events[-2 if kind in ("openai", "cohere", "anthropic") else -1]


@pytest.mark.parametrize("fault", sorted(ERRORS))
@pytest.mark.parametrize("kind", OWN)
def test_named_errors_come_in_the_providers_own_shape(serve: Any, talk: Any, kind: str, fault: str) -> None:
    server = serve()
    server.faults.inject("alpha", fault)
    body = ERRORS[fault][1]
    for stream in (False, True):
        seen = talk(server, kind, stream=stream)
        if isinstance(body, str):  # a proxy's page
            assert (seen.status, seen.body.decode()) == (ERRORS[fault][0], body)
        elif (kind, fault) == ("gemini", "content_filter"):
            assert seen.status == 200
            content = seen.chunks[0] if stream else seen.json
            assert content["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
            assert "candidates" not in content
        else:
            assert seen.status >= 400
            assert message_of(kind, seen.json)
            assert seen.headers["content-type"] == "application/json"
        assert server.log[-1].status == seen.status


@pytest.mark.parametrize(
    ("kind", "fault", "status", "word"),
    [
        ("anthropic", "overloaded", 529, "overloaded_error"),
        ("anthropic", "unauthorized", 401, "authentication_error"),
        ("anthropic", "rate_limit", 429, "rate_limit_error"),
        ("anthropic", "context_length_exceeded", 400, "prompt is too long"),
        ("anthropic", "insufficient_quota", 400, "credit balance is too low"),
        ("anthropic", "server_error", 500, "api_error"),
        ("gemini", "overloaded", 503, "UNAVAILABLE"),
        ("gemini", "unauthorized", 400, "API_KEY_INVALID"),
        ("gemini", "rate_limit", 429, "RESOURCE_EXHAUSTED"),
        ("gemini", "context_length_exceeded", 400, "exceeds the maximum number of tokens"),
        ("gemini", "request_timeout", 504, "DEADLINE_EXCEEDED"),
        ("gemini", "model_not_found", 404, "NOT_FOUND"),
        ("ollama", "overloaded", 503, "server busy"),
        ("ollama", "unauthorized", 401, "unauthorized"),
        ("cohere", "rate_limit", 429, "Trial key"),
        ("cohere", "unauthorized", 401, "invalid api token"),
        ("cohere", "unprocessable", 422, "not a valid field"),
        ("openai_responses", "rate_limit", 429, "rate_limit_exceeded"),
        ("openai_responses", "server_error", 500, "server_error"),
    ],
)
def test_named_errors_in_the_providers_own_words(
    serve: Any, talk: Any, kind: str, fault: str, status: int, word: str
) -> None:
    server = serve()
    server.faults.inject("alpha", fault)
    seen = talk(server, kind)
    assert seen.status == status
    assert word in seen.body.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_any_status_with_any_message(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    server.faults.inject("alpha", "status", status=418, message="teapot", headers={"x-tea": "green"})
    seen = talk(server, kind)
    assert (seen.status, message_of(kind, seen.json), seen.headers["x-tea"]) == (418, "teapot", "green")


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_of_ones_own_stays_as_it_is(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    server.faults.inject("alpha", "status", status=503, body={"detail": "no upstream"})
    assert talk(server, kind).json == {"detail": "no upstream"}


@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_in_every_form(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    date = formatdate(time.time() + 30, usegmt=True)
    for given, sent in ((3, "3"), (0.25, "0.25"), (date, date), ("soon", "soon"), (None, None)):
        server.faults.rate_limit("alpha", retry_after=given)
        seen = talk(server, kind)
        assert seen.status == 429
        if kind == "gemini" and isinstance(given, int | float):
            info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{given}s"}
            assert seen.json["error"]["details"][-1] == info
            assert "retry-after" not in seen.headers
        else:
            assert seen.headers.get("retry-after") == sent
            assert "RetryInfo" not in seen.body.decode()
        server.faults.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_stream_ends_in_good_order_but_unfinished(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    server.faults.cut_streams("alpha", after_tokens=3)
    seen = talk(server, kind, stream=True)
    assert (seen.error, seen.text) == (None, START)
    assert FINISHED[kind] not in seen.body.decode()
    assert "[DONE]" not in seen.events


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reset_midway", httpx.ReadError),
        ("short_body", httpx.RemoteProtocolError),
        ("bad_chunk", httpx.RemoteProtocolError),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_lost_in_mid_stream(serve: Any, talk: Any, kind: str, fault: str, error: type[Exception]) -> None:
    server = serve()
    server.faults.inject("alpha", fault)
    seen = talk(server, kind, stream=True)
    assert (seen.status, seen.text, type(seen.error)) == (200, START, error)
    assert isinstance(talk(server, kind).error, error)


@pytest.mark.parametrize("fault", ["reset", "close"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_lost_before_the_headers(serve: Any, talk: Any, kind: str, fault: str) -> None:
    server = serve()
    server.faults.inject("alpha", fault)
    assert talk(server, kind, stream=True).status is None


@pytest.mark.parametrize(("fault", "text"), [("stall_first_token", ""), ("stall_midway", START)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stalled_stream(serve: Any, talk: Any, until_silence: Any, kind: str, fault: str, text: str) -> None:
    server = serve()
    server.faults.inject("alpha", fault)
    seen = until_silence(talk, server, kind, stream=True, enough=lambda seen: (seen.status, seen.text) == (200, text))
    assert (seen.status, seen.text, type(seen.error)) == (200, text, httpx.ReadTimeout)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_that_cannot_be_read_stands_between_good_ones(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    server.faults.inject("alpha", "malformed_event", data="{oops")
    seen = talk(server, kind, stream=True)
    assert seen.events.count("{oops") == 1
    seen.events.remove("{oops")
    assert seen.text == ANSWER


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_in_mid_stream_has_the_providers_form(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    server.faults.inject("alpha", "error_event", message="overheated", code="overloaded")
    seen = talk(server, kind, stream=True)
    assert seen.text == START
    last = seen.chunks[-1]
    match kind:
        case "anthropic":
            assert seen.names[-1] == "error"
            assert (message_of(kind, last), last["error"]["type"]) == ("overheated", "overloaded_error")
        case "gemini" | "ollama" | "openai":
            assert message_of(kind, last) == "overheated"
        case "cohere":
            assert last == {"type": "message-end", "delta": {"error": "overheated", "finish_reason": "ERROR"}}
        case _:
            error, failed = seen.chunks[-2:]
            assert (error["type"], error["code"], error["message"]) == ("error", "overloaded", "overheated")
            assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
            assert failed["response"]["error"] == {"code": "overloaded", "message": "overheated"}


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_in_a_whole_answer_has_the_providers_form(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    for fault in ("error_in_200", "error_event"):
        server.faults.inject("alpha", fault, message="overheated")
        seen = talk(server, kind)
        assert (seen.status, message_of(kind, seen.json)) == (200, "overheated")
        server.faults.clear()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("openai_responses", ("output", [])),
        ("anthropic", ("content", [])),
        ("gemini", ("candidates", None)),
        ("ollama", ("message", None)),
        ("cohere", ("message", {"role": "assistant", "content": []})),
    ],
)
def test_an_answer_with_nothing_in_it(serve: Any, talk: Any, kind: str, content: tuple[str, Any]) -> None:
    server = serve()
    server.faults.inject("alpha", "no_choices")
    for stream in (False, True):
        seen = talk(server, kind, stream=stream)
        assert (seen.status, seen.json.get(content[0])) == (200, content[1])
    server.faults.clear()
    server.faults.inject("alpha", "null_content")
    seen = talk(server, kind)
    assert (seen.status, seen.text) == (200, "")


@pytest.mark.parametrize(
    ("kind", "filtered", "long"),
    [
        ("openai_responses", '"reason":"content_filter"', '"reason":"max_output_tokens"'),
        ("anthropic", '"stop_reason":"refusal"', '"stop_reason":"max_tokens"'),
        ("gemini", '"finishReason":"SAFETY"', '"finishReason":"MAX_TOKENS"'),
        ("ollama", '"done_reason":"stop"', '"done_reason":"length"'),
        ("cohere", '"finish_reason":"ERROR"', '"finish_reason":"MAX_TOKENS"'),
    ],
)
def test_answers_that_are_cut_say_why(serve: Any, talk: Any, kind: str, filtered: str, long: str) -> None:
    server = serve()
    for fault, word in (("finish_content_filter", filtered), ("finish_length", long)):
        server.faults.inject("alpha", fault, after_tokens=3)
        for stream in (False, True):
            seen = talk(server, kind, stream=stream)
            assert seen.text == START
            assert word in seen.body.decode()
        server.faults.clear()


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("kind", KINDS)
def test_no_usage(serve: Any, talk: Any, kind: str, stream: bool) -> None:
    server = serve()
    server.faults.inject("alpha", "no_usage")
    seen = talk(server, kind, stream=stream)
    assert seen.text == ANSWER
    assert 'tokens":' not in seen.body.decode().replace("max_output_tokens", "")
    assert "count" not in seen.body.decode().lower()


@pytest.mark.parametrize("kind", ["anthropic", "cohere"])
def test_a_stream_without_the_mark_that_ends_it(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    end = {"anthropic": "message_stop", "cohere": "[DONE]"}[kind]
    assert end in talk(server, kind, stream=True).body.decode()
    server.faults.inject("alpha", "no_done")
    seen = talk(server, kind, stream=True)
    assert end not in seen.body.decode()
    assert FINISHED[kind] in seen.body.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_pages_and_bodies_that_make_no_sense_stay_as_they_are(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    for fault, word in (("html_page", "<!DOCTYPE html>"), ("not_json", "upstream said"), ("empty_body", "")):
        server.faults.inject("alpha", fault)
        seen = talk(server, kind, stream=True)
        assert (seen.status, seen.body.decode().startswith(word)) == (200, True)
        server.faults.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_unfolds_and_one_that_trickles(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    server.faults.inject("alpha", "huge_body", size=200_000, gzip=True)
    seen = talk(server, kind)
    assert (seen.headers["content-encoding"], seen.text) == ("gzip", ANSWER)
    assert len(seen.body) > 200_000 > len(gzip.compress(seen.body))
    server.faults.clear()
    server.faults.inject("alpha", "drip", byte_delay_s=0.01)
    assert isinstance(talk(server, kind, stream=True, timeout=0.005).error, httpx.ReadTimeout)


@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_breaks_the_server(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    tools = {
        "openai_responses": [{"type": "function", "name": "f"}],
        "gemini": [{"functionDeclarations": [{"name": "f"}]}],
    }
    usual = [{"type": "function", "name": "f", "function": {"name": "f"}, "input_schema": {}}]
    for fault in sorted(FAULT_KINDS):
        if fault in ("drip", "huge_body", "deep_json") or "stall" in fault or "slow" in fault:
            continue
        server.faults.inject("alpha", fault)
        for stream in (False, True):
            seen = talk(server, kind, ("user", "f"), stream=stream, tools=tools.get(kind, usual))
            assert "Internal Server Error" not in seen.body.decode(errors="replace"), fault
        server.faults.clear()
    assert talk(server, kind).text == ANSWER


def test_a_gemini_array_is_closed_by_an_error_and_left_open_by_a_cut(serve: Any, talk: Any) -> None:
    server = serve()
    path = "/models/alpha:streamGenerateContent"
    whole = talk(server, "gemini", path=path)
    assert whole.headers["content-type"].startswith("application/json")
    assert "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in whole.json) == ANSWER
    server.faults.inject("alpha", "error_event")
    assert message_of("gemini", talk(server, "gemini", path=path).json[-1])
    server.faults.clear()
    server.faults.cut_streams("alpha", after_tokens=3)
    with pytest.raises(json.JSONDecodeError):
        assert talk(server, "gemini", path=path).json
