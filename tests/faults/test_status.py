"""HTTP status over raw sockets: what a row does to later requests, other models and other hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest

import routerlab as rl


def failure(status: int, code: str = "", message: str = "no", **headers: str) -> list[Any]:
    return ["read", ("answer", status, {"error": {"message": message, "code": code}}, headers)]


@pytest.mark.parametrize("status", [400, 405, 415, 422, 307])
def test_the_same_from_a_later_model_does_not_hide_the_outage(status: int, stage) -> None:
    down = stage.server(failure(503, message="down {key}"))
    strict = stage.server(failure(status, message="bad param {key}", location="http://elsewhere.example"))
    bench = stage.bench(a=down, b=strict)
    asked = bench.ask()
    assert type(asked.error) is rl.FailoverExhaustedError
    assert "down" in str(asked.error)
    assert ("elsewhere.example" if status == 307 else "bad param") in str(asked.error)
    assert asked.column("model") == ["a/one", "a/one", "b/one"]
    assert (bench.failures("a/one"), bench.failures("b/one")) == (2, 0)
    assert asked.error.__cause__.status == status


def test_after_a_failover_a_refused_request_goes_on_to_the_next_model(stage) -> None:
    bench = stage.bench(a=stage.server(failure(503)), b=stage.server(failure(400)), c=stage.server())
    asked = bench.ask()
    assert (asked.text, asked.reply.model) == ("Hi", "c/one")
    assert asked.column("status") == [503, 503, 400, 200]


def test_a_context_too_long_goes_to_a_larger_or_unknown_window_only(stage) -> None:
    too_long = failure(400, "context_length_exceeded")
    servers = {name: stage.server(too_long) for name in ("a", "b", "c")}
    windows = {"a": 8192, "b": 8192, "c": 100_000}
    models = {name: {"one": {"context_window": window}} for name, window in windows.items()}
    asked = stage.bench(models=models, **servers, d=stage.server()).ask()
    assert asked.column("model") == ["a/one", "c/one", "d/one"]
    assert servers["b"].connections == []


def test_a_context_too_long_without_a_larger_window_is_its_own_error(stage) -> None:
    other = stage.server()
    models = {name: {"one": {"context_window": 8192}} for name in ("a", "b")}
    asked = stage.bench(models=models, a=stage.server(failure(413)), b=other).ask()
    assert type(asked.error) is rl.ContextWindowError
    assert other.connections == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_content_filter_moves_on_where_the_pool_wants_it(stream: bool, stage) -> None:
    filtered = stage.server(failure(400, "content_filter", "self-harm"))
    asked = stage.bench({"on_content_filter": "move_on"}, a=filtered, b=stage.server()).ask(stream=stream)
    assert asked.column("model") == ["a/one", "b/one"]
    assert "self-harm" in asked.rows[0]["error_message"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_takes_the_whole_provider_out_until_a_reset(status: int, stage) -> None:
    server = stage.server(failure(status, message="Incorrect API key provided: {key}"), ["hi"])
    bench = stage.bench(models={"a": ["one", "two"]}, a=server, b=stage.server())
    assert bench.ask(model="a/one").error.__class__ is rl.AuthenticationError
    gone = bench.ask(model="a/two")
    assert type(gone.error) is rl.NoModelAvailableError
    assert (gone.error.retry_after_s, gone.error.__cause__.status) == (None, status)
    assert bench.ask().reply.model == "b/one"
    assert len(server.connections) == 1
    bench.lab.reset("a")
    assert bench.ask().reply.model == "a/one"


def test_an_authentication_error_names_the_variable_to_check(stage) -> None:
    error = stage.bench(a=stage.server(failure(401, message="who are you?"))).ask().error
    assert "RAW_KEY" in str(error)
    assert "who are you?" in str(error)


def test_an_unknown_model_is_out_alone(stage) -> None:
    server = stage.server(failure(404, "model_not_found"), ["hi"])
    bench = stage.bench(models={"a": ["one", "two"]}, a=server)
    assert bench.ask().column("model") == ["a/one", "a/two"]
    assert bench.ask().column("model") == ["a/two"]
    assert len(server.connections) == 3


def test_a_quota_is_out_until_its_reset(stage) -> None:
    spent = failure(429, "insufficient_quota", **{"retry-after": "2"})
    server = stage.server(spent, ["hi"])
    bench = stage.bench(models={"a": ["one", "two"]}, a=server, b=stage.server())
    assert bench.ask().column("model") == ["a/one", "b/one"]
    assert 0 < bench.ask(model="a/two").error.retry_after_s <= 2
    assert len(server.connections) == 1
    while bench.ask().reply.model != "a/one":
        pass
    assert len(server.connections) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_token_never_travels_to_another_host(status: int, stream: bool, stage) -> None:
    thief = stage.server()
    server = stage.server(failure(status, location=f"http://localhost:{thief.port}/v1/chat/completions?key=secret"))
    asked = stage.bench(a=server).ask(stream=stream)
    assert type(asked.error) is rl.InvalidRequestError
    assert "localhost" in str(asked.error)
    assert "base_url" in str(asked.error)
    assert "secret" not in str(asked.error)
    assert thief.connections == []


def test_an_error_page_of_any_size_is_a_short_message(stage) -> None:
    pages = ["<html>" + "x" * 100_000, "[" * 100_000, "", "\x00\ufffd", json.dumps({"error": {"message": "y" * 9999}})]
    for page in pages:
        server = stage.server(["read", ("answer", 500, page, {"content-type": "text/html"})])
        asked = stage.bench({"retry": {"max_retries": 0}}, a=server).ask()
        assert type(asked.error) is rl.ProviderUnavailableError
        assert len(str(asked.error)) < 600


@pytest.mark.parametrize(
    ("status", "outcome"), [(503, "retryable"), (404, "move_on"), (400, "client_error")], ids=["503", "404", "400"]
)
def test_embeddings_are_no_different(status: int, outcome: str, stage) -> None:
    answer = {"data": [{"index": 0, "embedding": [0.5, 1.0]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    good = stage.server(["read", ("answer", 200, answer)])
    models = {name: {"one": {"capabilities": ["embedding"]}} for name in ("a", "b")}
    bench = stage.bench(models=models, a=stage.server(failure(status)), b=good)
    if outcome == "client_error":
        with pytest.raises(rl.InvalidRequestError):
            bench.lab.embed("hello")
    else:
        assert bench.lab.embed("hello").vectors == [(0.5, 1.0)]
    assert bench.lab.attempts()["outcome"].tolist()[0] == outcome


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("end", [["rst"], []], ids=["reset", "close"])
@pytest.mark.parametrize(("status", "error"), [(401, "AuthenticationError"), (503, "ProviderUnavailableError")])
def test_an_error_whose_body_breaks_off_is_still_that_error(
    status: int, error: str, end: list[Any], stream: bool, stage
) -> None:
    head = f"HTTP/1.1 {status} Some Reason\r\ncontent-length: 900\r\n\r\n".encode()
    bench = stage.bench(a=stage.server(["read", head + b'{"error": {"mess', "taken", *end]))
    asked = bench.ask(stream=stream)
    assert asked.column("status") == [status] * (2 if status == 503 else 1)
    assert set(asked.column("error_type")) == {error}
    assert bench.failures("a/one") == (2 if status == 503 else 0)
