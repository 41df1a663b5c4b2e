"""Streams over raw sockets: what breaks after the first content, what commits, and how an event stream is written."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.seam import INSTRUCTION


def delta(finish: str | None = None, **values: Any) -> dict[str, Any]:
    return {"choices": [{"delta": values, "finish_reason": finish}]}


def streamed(*steps: Any) -> list[Any]:
    return ["read", "stream", *steps]


PLAIN = ("head", {"content-type": "text/event-stream"})
BREAKS = {  # after the text "Hel"
    "error event": streamed(("chunks", "H", "el", {"error": {"message": "it broke {key}", "code": "server_error"}})),
    "an event of the type error": streamed(
        ("chunks", "Hel", b'event: error\ndata: {"message": "it broke", "code": "server_error"}\n\n')
    ),
    "reset": streamed(("chunks", "H", "el"), "taken", "rst"),
    "close": streamed(("chunks", "H", "el"), "taken"),
    "bad chunk": streamed(("chunks", "H", "el"), "taken", b"zz\r\n"),
    "silence after content": streamed(("chunks", "H", "el"), "stall"),
    "end without finish reason and without [DONE]": streamed(("chunks", "H", "el"), b"0\r\n\r\n"),
    "the same without a length": ["read", PLAIN, b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'],
}
TRUNCATED = {"end without finish reason and without [DONE]", "the same without a length"}
each_break = pytest.mark.parametrize("name", BREAKS)


def broken_bench(stage, name: str, policy: str, *then: Any, alone: bool = False, **routing: Any) -> Any:
    server = stage.server(BREAKS[name], *then)
    others = {} if alone else {"b": stage.server()}
    routing = {"on_stream_failure": policy, "timeouts": clocks(name)} | routing
    return stage.bench(routing, a=server, **others), server


def clocks(name: str) -> dict[str, float]:
    """A short one only where it is what ends the stream."""
    return {"idle": 0.5} if "silence" in name else {}


def check_broken(bench, server, asked, name: str) -> None:
    """The record of the attempt that broke, and what the breaker made of it."""
    first = asked.rows[0]
    outcome = "truncated" if name in TRUNCATED else "move_on" if "silence" in name else "retryable"
    assert (first["outcome"], first["committed"], first["chars"], first["maybe_billed"]) == (outcome, True, 3, True)
    texts = bench.lab._session.recorder.columns("texts", {"call_id": first["call_id"]})
    assert texts["reply"][texts["attempt"].index(1)] == "Hel"
    if "silence" in name:
        assert server.connections[0].hung_up.wait(30)


@each_break
def test_restart_goes_to_the_next_model_at_once(name: str, stage) -> None:
    bench, server = broken_bench(stage, name, "restart")
    asked = bench.ask(stream=True)
    assert (asked.text, asked.error) == ("Hi", None)
    assert [asked.column("model"), asked.column("reason")] == [["a/one", "b/one"], ["selected", "restart"]]
    assert asked.pieces[0].restart
    assert asked.reply.parts == [("b/one", "Hi")]
    assert sum(asked.column("wait_before_s")) == 0
    assert (bench.failures("a/one"), bench.failures("b/one")) == (1, 0)
    check_broken(bench, server, asked, name)


@each_break
@pytest.mark.parametrize("alone", [False, True], ids=["another model is free", "a pool of one"])
def test_continue_carries_on_from_the_text_so_far(name: str, alone: bool, stage) -> None:
    rest = streamed(("chunks", "l", "o"), "finish", "done")
    server = stage.server(BREAKS[name], *([rest] if alone else []))
    other = server if alone else stage.server(rest)
    routing = {"on_stream_failure": "continue", "timeouts": clocks(name)}
    bench = stage.bench(routing, a=server, **({} if alone else {"b": other}))
    asked = bench.ask(stream=True)
    assert (asked.text, asked.error, asked.reply.text) == ("Hello", None, "Hello")
    assert not any(piece.restart for piece in asked.pieces)
    assert asked.column("reason") == ["selected", "continue"]
    assert asked.reply.parts == ([("a/one", "Hello")] if alone else [("a/one", "Hel"), ("b/one", "lo")])
    sent = json.loads(other.requests[-1].partition(b"\r\n\r\n")[2])["messages"]
    assert sent[-2:] == [{"role": "assistant", "content": "Hel"}, {"role": "user", "content": INSTRUCTION}]
    assert bench.failures("a/one") == (0 if alone else 1)
    check_broken(bench, server, asked, name)


def test_a_refused_prefill_is_followed_by_an_instruction_and_is_never_the_outcome(stage) -> None:
    refusal = ["read", ("answer", 400, {"error": {"message": "no prefill here", "type": "invalid_request_error"}})]
    rest = streamed(("chunks", "l", "o"), "finish", "done")
    other = stage.server(refusal, rest)
    models = {"one": {"features": ["prefill"]}}
    bench = stage.bench(
        {"on_stream_failure": "continue"}, a=stage.server(BREAKS["reset"]), b=other, models={"b": models}
    )
    asked = bench.ask(stream=True)
    assert (asked.text, asked.error) == ("Hello", None)
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2])["messages"] for request in other.requests]
    assert [messages[-1]["role"] for messages in bodies] == ["assistant", "user"]
    assert asked.column("status")[1:] == [400, 200]
    assert bench.failures("b/one") == 0


@each_break
def test_buffer_has_shown_nothing_and_goes_on_fresh(name: str, stage) -> None:
    bench, server = broken_bench(stage, name, "buffer")
    asked = bench.ask(stream=True)
    assert (asked.text, [piece.restart for piece in asked.pieces]) == ("Hi", [False, False])
    assert asked.column("reason") == ["selected", "failover"]
    assert bench.failures("a/one") == 1
    check_broken(bench, server, asked, name)


@each_break
@pytest.mark.parametrize("alone", [False, True], ids=["another model is free", "a pool of one"])
def test_error_tells_the_caller_and_never_retries(name: str, alone: bool, stage) -> None:
    bench, server = broken_bench(stage, name, "error", alone=alone)
    asked = bench.ask(stream=True)
    assert type(asked.error) is rl.StreamInterruptedError
    assert (asked.error.partial_text, asked.text) == ("Hel", "Hel")
    assert asked.error.model == "a/one"
    assert asked.column("error_type") == ["ProviderUnavailableError"]
    assert len(server.connections) == 1
    assert bench.failures("a/one") == 1
    check_broken(bench, server, asked, name)


@each_break
@pytest.mark.parametrize("policy", ["restart", "buffer"])
def test_a_pool_of_one_retries_under_the_same_policy(name: str, policy: str, stage) -> None:
    bench, server = broken_bench(stage, name, policy, ["hi"], alone=True)
    asked = bench.ask(stream=True)
    assert (asked.text, asked.error) == ("Hi", None)
    assert asked.column("reason") == ["selected", "restart" if policy == "restart" else "retry"]
    assert asked.rows[1]["wait_before_s"] >= 0.01
    check_broken(bench, server, asked, name)


@each_break
def test_a_pinned_model_retries_too_and_then_gives_up(name: str, stage) -> None:
    bench, server = broken_bench(stage, name, "restart")
    asked = bench.ask(stream=True, model="a/one")
    assert type(asked.error) is rl.ProviderUnavailableError
    assert asked.error.partial_text == asked.text == "Hel"
    assert asked.column("model") == ["a/one", "a/one"]
    assert bench.failures("a/one") == 2
    check_broken(bench, server, asked, name)


@each_break
def test_no_retry_where_the_pool_has_none(name: str, stage) -> None:
    bench, _ = broken_bench(stage, name, "restart", alone=True, retry={"max_retries": 0})
    assert bench.ask(stream=True).column("reason") == ["selected"]


def test_an_error_that_no_retry_can_mend_ends_a_broken_stream_too(stage) -> None:
    filtered = streamed(("chunks", "Hel", {"error": {"message": "violence", "code": "content_filter"}}))
    other = stage.server()
    asked = stage.bench({"on_stream_failure": "restart"}, a=stage.server(filtered), b=other).ask(stream=True)
    assert type(asked.error) is rl.ContentFilterError
    assert "violence" in str(asked.error)
    assert other.connections == []


# -- what commits ------------------------------------------------------------------------------------------------------

QUIET = {
    "a role only": [delta(role="assistant")],
    "a role with an empty text": [delta(role="assistant", content="")],
    "an empty text": [delta(content="")],
    "null": [delta(content=None)],
    "comments": [b": keep-alive\n\n"] * 3,
    "reasoning alone": [delta(reasoning_content="Let me see")],
    "no choices": [{"choices": []}],
}


@pytest.mark.parametrize("name", QUIET)
@pytest.mark.parametrize(
    "end", [["rst"], [("chunks", {"error": {"message": "no", "code": 503}})]], ids=["reset", "error event"]
)
def test_a_role_only_or_empty_delta_does_not_commit(name: str, end: list[Any], stage) -> None:
    """Nothing was delivered, so that retry and moving on are free under the policy ``error`` too."""
    server = stage.server(streamed(("chunks", *QUIET[name]), "taken", *end))
    bench = stage.bench({"on_stream_failure": "error"}, a=server, b=stage.server())
    asked = bench.ask(stream=True)
    assert (asked.text, asked.error) == ("Hi", None)
    assert asked.column("model") == ["a/one", "a/one", "b/one"]
    assert asked.column("committed") == [False, False, True]
    assert asked.column("chars")[:2] == [0, 0]
    assert bench.failures("a/one") == 2


@pytest.mark.parametrize(
    "first",
    ["x", delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f"}}])],
    ids=["text", "a tool call"],
)
def test_the_first_content_commits(first: Any, stage) -> None:
    bench = stage.bench({"on_stream_failure": "error"}, a=stage.server(streamed(("chunks", first), "taken", "rst")))
    asked = bench.ask(stream=True)
    assert type(asked.error) is rl.StreamInterruptedError
    assert asked.column("committed") == [True]


def test_reasoning_ends_the_first_token_clock_without_committing(stage) -> None:
    thinks = streamed(("chunks", delta(reasoning_content="hm")), 1.2, ("chunks", "Hi"), "finish", "done")
    bench = stage.bench({"timeouts": {"first_token": 1.0}}, a=stage.server(thinks))
    asked = bench.ask(stream=True)
    assert (asked.text, asked.column("outcome")) == ("Hi", ["ok"])
    assert asked.reply.reasoning == "hm"


# -- the end -----------------------------------------------------------------------------------------------------------

USAGE = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
ENDS = {
    "closed in good order": [b"0\r\n\r\n"],
    "closed in mid-chunk": [],
    "reset": ["rst"],
    "silence": ["stall"],
    "an error event": [("chunks", {"error": {"message": "late", "code": 500}}), b"0\r\n\r\n"],
    "noise": [b"zz\r\n"],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_finish_reason_but_no_done_is_complete(end: str, stage) -> None:
    server = stage.server(streamed(("chunks", "H", "i"), "finish", "taken", *ENDS[end]))
    bench = stage.bench(a=server)
    bench.lab._session.connectors["a"]._grace_s = 0.15
    asked = bench.ask(stream=True)
    assert (asked.text, asked.column("outcome"), asked.error) == ("Hi", ["ok"], None)
    assert asked.seconds < 30  # and not until a clock of the pool runs out
    assert asked.reply.usage is None
    assert bench.snapshot("a/one").success_rate == 1.0
    assert server.connections[0].ended.wait(30)


@pytest.mark.parametrize("known", [True, False], ids=["soon", "too late"])
def test_usage_is_waited_for_but_not_for_long(known: bool, stage) -> None:
    over = threading.Event()
    wait, grace_s = (0.1, 20.0) if known else (over.is_set, 0.3)
    server = stage.server(streamed(("chunks", "H", "i"), "finish", wait, ("chunks", USAGE), "done"))
    bench = stage.bench(a=server)
    bench.lab._session.connectors["a"]._grace_s = grace_s
    asked = bench.ask(stream=True)
    over.set()
    assert asked.column("outcome") == ["ok"]
    assert (asked.reply.usage is not None) == known
    assert asked.call["completion_tokens"] == (2 if known else None)


def test_at_most_one_second_by_default(stage) -> None:
    asked = stage.bench(a=stage.server(streamed(("chunks", "Hi"), "finish", "stall"))).ask(stream=True)
    assert asked.text == "Hi"
    assert 0.9 < asked.seconds < 30


def test_done_without_a_finish_reason_is_complete(stage) -> None:
    asked = stage.bench(a=stage.server(streamed(("chunks", "H", "i"), "done"))).ask(stream=True)
    assert (asked.text, asked.column("outcome"), asked.reply.finish_reason) == ("Hi", ["ok"], "stop")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_finish_reason_length_is_a_success_that_is_flagged(stream: bool, stage) -> None:
    whole = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}]}
    script = streamed(("chunks", "Hi", delta("length")), "done") if stream else ["read", ("answer", 200, whole)]
    bench = stage.bench(a=stage.server(script))
    asked = bench.ask(stream=stream)
    assert (asked.text, asked.reply.finish_reason, asked.call["truncated"]) == ("Hi", "length", True)
    assert (bench.snapshot("a/one").samples, bench.snapshot("a/one").success_rate) == (1, 1.0)


MALFORMED = [b"data: {not json\n\n", b"data: 7\n\n", b'data: "text"\n\n', b'data: {"choices": "none"}\n\n',
             b'data: {"choices": [7]}\n\n', b"data: " + b"[" * 100_000 + b"\n\n", b"data: \xff\xfe\n\n"]  # fmt: skip


@pytest.mark.parametrize("event", MALFORMED, ids=lambda event: repr(event[6:20]))
def test_one_malformed_event_is_skipped_and_counted(event: bytes, stage) -> None:
    server = stage.server(streamed(("chunks", "H", event, "i"), "finish", "done"))
    asked = stage.bench(a=server).ask(stream=True)
    assert (asked.text, asked.column("outcome"), asked.column("malformed_events")) == ("Hi", ["ok"], [1])


def test_half_a_tool_call_is_never_joined_with_another_models_half(stage) -> None:
    def call(name: str | None, arguments: str) -> dict[str, Any]:
        function = {"arguments": arguments} | ({"name": name} if name else {})
        return delta(tool_calls=[{"index": 0, "id": "c1" if name else None, "function": function}])

    half = stage.server(streamed(("chunks", call("get_weather", '{"city": "Par')), "taken", "rst"))
    other = [call("get_weather", '{"city": "'), call(None, 'Rome"}'), delta("tool_calls")]
    whole = stage.server(streamed(("chunks", *other), "done"))
    asked = stage.bench({"on_stream_failure": "restart"}, a=half, b=whole).ask(stream=True)
    (made,) = asked.reply.tool_calls
    assert json.loads(made["function"]["arguments"]) == {"city": "Rome"}
    assert asked.column("committed") == [True, True]
    alone = stage.bench({"on_stream_failure": "error"}, a=half).ask(stream=True)
    assert type(alone.error) is rl.StreamInterruptedError
    assert alone.reply is None


# -- readers -----------------------------------------------------------------------------------------------------------


def leave_by_break(stream: Any, _: Any) -> None:
    for _ in stream:
        break


def leave_by_close(stream: Any, _: Any) -> None:
    next(iter(stream))
    stream.close()


def leave_before_anything(stream: Any, asked: Any) -> None:
    asked()
    stream.close()


@pytest.mark.parametrize(("leave", "chars"), [(leave_by_break, 1), (leave_by_close, 1), (leave_before_anything, 0)])
def test_the_consumer_stops_early(leave: Any, chars: int, stage) -> None:
    server = stage.server(streamed(*[("chunks", "x"), "stall"] if chars else ["stall"]))
    bench = stage.bench(a=server, b=stage.server())
    leave(bench.lab.stream("hello"), lambda: stage.until(lambda: server.requests))
    assert server.connections[0].hung_up.wait(30)
    stage.until(lambda: bench.lab._session.recorder.count("calls"))
    (row,) = bench._tail("attempts", 1)
    assert (row["outcome"], row["chars"], row["committed"], row["maybe_billed"]) == (
        "cancelled",
        chars,
        chars > 0,
        True,
    )
    assert bench._tail("texts", 1)[0]["reply"] == "x" * chars
    snapshot = bench.snapshot("a/one")
    assert (snapshot.samples, snapshot.in_flight, bench.failures("a/one")) == (0, 0, 0)


def test_takeover_leaves_a_silent_stream_and_blames_nobody(stage) -> None:
    server = stage.server(streamed("stall"))
    bench = stage.bench({"takeover_after": 1.5}, a=server, b=stage.server())
    asked = bench.ask(stream=True)
    assert (asked.text, asked.column("outcome")) == ("Hi", ["move_on", "ok"])
    assert server.connections[0].hung_up.wait(30)
    assert (bench.failures("a/one"), bench.snapshot("a/one").samples) == (0, 0)


# -- how it is written -------------------------------------------------------------------------------------------------


def sse(*texts: str, line: str = "\n", prefix: str = "data: ") -> bytes:
    events = [json.dumps(delta(content=text), ensure_ascii=False) for text in texts]
    events += [json.dumps(delta("stop")), "[DONE]"]
    return "".join(f"{prefix}{event}{line}{line}" for event in events).encode()


SPLIT = "x\u2028y\u2029z\x85w\x0bv\x0cu\x1c"
WRITTEN = {
    "no space": (sse("H", "i", prefix="data:"), "Hi"),
    "CRLF": (sse("H", "i", line="\r\n"), "Hi"),
    "CR": (sse("H", "i", line="\r"), "Hi"),
    "a BOM": (b"\xef\xbb\xbf" + sse("H", "i"), "Hi"),
    "comments": (b": hello\n\n:\n" + sse("H", "i"), "Hi"),
    "other fields": (b"id: 7\nretry: 10\nevent: message\nx: y\n" + sse("H", "i"), "Hi"),
    "several data lines": (b'data: {"choices": [\ndata: {"delta": {"content":\ndata:"Hi"}}]}\n\n' + sse(), "Hi"),
    "U+2028 and friends": (sse(SPLIT), SPLIT),
    "UTF-8 of four bytes": (sse("a😀é", "日本"), "a😀é日本"),
    "no blank line at the end": (sse("H", "i").rstrip(b"\n"), "Hi"),
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("size", [1, 7, 10**6], ids=["byte by byte", "seven bytes", "at once"])
def test_sse_details(name: str, size: int, stage) -> None:
    """Whatever the borders of chunks and segments are."""
    data, text = WRITTEN[name]
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    whole = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    segments = [whole] if size > 7 else [("drip", whole, 0.0)]
    asked = stage.bench(a=stage.server(streamed(*segments))).ask(stream=True)
    assert (asked.text, asked.column("malformed_events"), asked.error) == (text, [0], None)


def test_a_line_of_two_mebibytes(stage) -> None:
    data = sse("x" * 2**21)
    stream = stage.bench(a=stage.server(["read", PLAIN, data])).lab.stream("hello")
    assert sum(map(len, stream)) == 2**21


def test_twenty_thousand_events(stage) -> None:
    data = sse(*["x"] * 20_000)
    stream = stage.bench(a=stage.server(["read", PLAIN, data])).lab.stream("hello")
    started = time.process_time()
    assert sum(map(len, stream)) == 20_000
    assert time.process_time() - started < 6.0
