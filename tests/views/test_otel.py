"""A run's calls as OpenTelemetry spans, held against the protocol's own schema."""

from __future__ import annotations

import base64
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from routerlab.core.errors import ConfigurationError, RouterLabError
from routerlab.experiments.spans import RunAbout, call_spans
from routerlab.experiments.spantext import input_messages, output_messages


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def spans_of(bodies):
    return [span for body in bodies for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"]]


def attributes(span):
    def value(given):
        ((kind, inner),) = given.items()
        return [value(one) for one in inner["values"]] if kind == "arrayValue" else inner

    return {one["key"]: value(one["value"]) for one in span["attributes"]}


@contextmanager
def collector(answers=()):
    """A collector on loopback: what it was sent, and what it answers."""
    seen, rest = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.path, dict(self.headers), json.loads(body)))
            status, text = rest.pop(0) if rest else (200, "{}")
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_file_holds_what_the_protocol_takes(run, tmp_path):
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    from google.protobuf.json_format import ParseDict

    def as_base64(value):  # what the JSON of protocol buffers has where OTLP's has hexadecimal
        if isinstance(value, dict):
            return {
                key: base64.b64encode(bytes.fromhex(inner)).decode() if key.endswith("Id") else as_base64(inner)
                for key, inner in value.items()
            }
        return list(map(as_base64, value)) if isinstance(value, list) else value

    count = run.to_otel(tmp_path / "spans.jsonl", text=True)
    (body,) = lines(tmp_path / "spans.jsonl")
    request = ParseDict(as_base64(body), service.ExportTraceServiceRequest())
    (resource,) = request.resource_spans
    assert {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"] == "routerlab"
    spans = resource.scope_spans[0].spans
    assert len(spans) == count == 7 + 10
    assert {(len(span.trace_id), len(span.span_id)) for span in spans} == {(16, 8)}
    assert all(0 < span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)


def test_a_call_is_a_span_and_each_attempt_a_child(run, tmp_path):
    run.to_otel(tmp_path / "spans.jsonl")
    spans = spans_of(lines(tmp_path / "spans.jsonl"))
    calls = [span for span in spans if "parentSpanId" not in span]
    assert [span["name"] for span in calls[:3]] == ["chat alpha", "chat alpha", "chat beta"]
    assert len({span["spanId"] for span in spans}) == len(spans)
    third = calls[2]
    first, second = [span for span in spans if span.get("parentSpanId") == third["spanId"]]
    assert {span["traceId"] for span in (third, first, second)} == {third["traceId"]}
    assert len({span["traceId"] for span in calls}) == 7
    assert third["startTimeUnixNano"] == first["startTimeUnixNano"] == "1800000002000000000"
    assert third["endTimeUnixNano"] == second["endTimeUnixNano"] == "1800000002300000000"
    told = attributes(third)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "sim",
        "gen_ai.request.model": "beta",
        "gen_ai.usage.input_tokens": "10",
        "gen_ai.usage.output_tokens": "20",
        "routerlab.run.name": "a <run>",
        "routerlab.item.id": "00003",
        "routerlab.variant": "chat",
        "routerlab.failovers": "1",
        "routerlab.score.exact": 1.0,
        "routerlab.simulated": True,
    }
    assert {key: told.get(key) for key in expected} == expected
    assert "status" not in third
    failed = attributes(first)
    assert first["name"] == "attempt alpha"
    assert first["status"] == {"code": 2}
    assert (failed["error.type"], failed["http.response.status_code"]) == ("ProviderUnavailableError", "503")
    assert (failed["routerlab.attempt.number"], failed["routerlab.attempt.breaker_before"]) == ("1", "closed")
    assert not [key for span in (first, second) for key in attributes(span) if key.startswith("gen_ai.usage")]


def test_a_failed_call_says_so(run, tmp_path):
    run.to_otel(tmp_path / "spans.jsonl")
    last = [span for span in spans_of(lines(tmp_path / "spans.jsonl")) if "parentSpanId" not in span][-1]
    assert attributes(last)["error.type"] == "FailoverExhaustedError"
    assert last["status"] == {"code": 2}
    assert attributes(last)["gen_ai.request.model"] == "beta", "the last one that was tried"


def test_texts_go_along_where_asked(keep_run, run, tmp_path):
    kept = keep_run(3)
    kept.to_otel(tmp_path / "a.jsonl")
    run.to_otel(tmp_path / "b.jsonl")
    private = (tmp_path / "a.jsonl").read_text() + (tmp_path / "b.jsonl").read_text()
    for text in ("PROMPT", "REPLY", "PROVIDERS WORDS"):
        assert text not in private
    kept.to_otel(tmp_path / "c.jsonl", text=True)
    told = attributes(spans_of(lines(tmp_path / "c.jsonl"))[0])
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "PROMPT 00000"}]}
    ]
    assert json.loads(told["gen_ai.output.messages"])[0]["parts"][0]["content"] == "REPLY 00000"
    assert told["gen_ai.request.max_tokens"] == "50"


def test_messages_have_the_shape_of_the_conventions():
    asked = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "u"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "t1", "function": {"name": "look", "arguments": '{"at": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "a cat"},
    ]
    user, assistant, tool = input_messages({"messages": asked})
    assert user["parts"][1] == {"type": "uri", "modality": "image", "uri": "u"}
    assert assistant["parts"] == [{"type": "tool_call", "id": "t1", "name": "look", "arguments": {"at": 1}}]
    assert tool["parts"] == [{"type": "tool_call_response", "id": "t1", "response": "a cat"}]
    assert output_messages("", "tool_calls")[0]["finish_reason"] == "tool_call"
    assert input_messages(None) == input_messages({"inputs": ["a"]}) == output_messages(None, None) == []


def test_what_is_exported_twice_is_there_once(keep_run, tmp_path):
    run = keep_run(300)  # 600 calls: several lines
    counts = [run.to_otel(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    bodies = lines(tmp_path / "a.jsonl")
    assert len(bodies) > 2
    assert counts[0] == len({span["spanId"] for span in spans_of(bodies)})
    traces = [{span["traceId"] for span in spans_of([body])} for body in bodies]
    assert sum(map(len, traces)) == len(set.union(*traces)) == 600, "no call is in two lines"


def test_a_collector_gets_them_in_batches(keep_run):
    run = keep_run(300)
    with collector() as (endpoint, seen):
        count = run.to_otel(endpoint=endpoint, headers={"x-key": "k"})
        run.to_otel(endpoint=f"{endpoint}/v1/traces")
    assert {path for path, _, _ in seen} == {"/v1/traces"}
    assert seen[0][1]["x-key"] == "k"
    assert seen[0][1]["content-type"] == "application/json"
    half = len(seen) // 2
    assert len(spans_of(body for *_, body in seen[:half])) == count
    assert [body for *_, body in seen[:half]] == [body for *_, body in seen[half:]]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((503, "busy, correct-horse-battery"), r"took 50. spans, then: 503 busy, \*\*\*"),
        ((200, '{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}'), "it refused 3 spans: too old"),
    ],
)
def test_a_collector_that_refuses_is_told_of(keep_run, answer, words):
    run = keep_run(300)
    with collector([(200, ""), answer]) as (endpoint, _), pytest.raises(RouterLabError, match=words) as caught:
        run.to_otel(endpoint=endpoint, headers={"authorization": "Bearer correct-horse-battery"})
    assert "horse" not in repr(caught.value)


def test_a_collector_that_is_not_there_is_told_of(run):
    with socket.socket() as taken:  # by somebody who does not listen
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RouterLabError, match="took 0 spans, then: ConnectError"):
            run.to_otel(endpoint=endpoint)
    for key in (endpoint.replace("//", "//me:secret-word@"), f"{endpoint}?key=secret-word"):
        with pytest.raises(ConfigurationError, match="go into headers=") as caught:
            run.to_otel(endpoint=key)
        assert "secret-word" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="http://localhost:4318"):
        run.to_otel(endpoint="localhost:4318")
    for wrong in ({}, {"path": "x", "endpoint": "http://localhost"}):
        with pytest.raises(ConfigurationError, match="say where to"):
            run.to_otel(**wrong)


def test_providers_have_the_names_of_the_conventions(make_call, make_attempt):
    names = {"azure/gpt": "azure.ai.openai", "gemini/flash": "gcp.gemini", "house/a/b": "house"}
    for model, provider in names.items():
        attempts = [make_attempt(1, model, 0, 1.0)]
        blank = dict.fromkeys(("variant", "repeat", "purpose", "pool", "capability", "requested_model", "served_model"))
        blank |= dict.fromkeys(("streamed", "finish_reason", "cached_tokens", "reasoning_tokens", "cached", "queue_s"))
        blank |= dict.fromkeys(("ttft_s", "backoff_s", "truncated", "dropped_params", "item_id"))
        (spans,) = call_spans([make_call(attempts, **blank)], [], RunAbout("r", "n", "replay"))
        told = attributes(spans[0])
        assert told["gen_ai.provider.name"] == provider
        assert told["gen_ai.request.model"] == model.partition("/")[2]
