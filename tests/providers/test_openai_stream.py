"""Streams: what is missing, doubled or malformed is put right, and an end that is none is an error."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.failures import Count, Fault, Outcome, ProviderError, classify
from routerlab.core.sse import ServerSentEvent
from routerlab.core.types import Delta, TokenUsage
from routerlab.providers.openai_stream import StreamReader

DONE = "data: [DONE]\n\n"


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **rest: Any) -> str:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice], **rest})}\n\n"


HELLO = event({"role": "assistant", "content": ""}, model="m-1") + event({"content": "Hel"}) + event({"content": "lo"})
STOP = event(finish="stop")


@pytest.fixture
def stream(scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]) -> Callable[..., Any]:
    """Receive a stream with this text as its body."""

    def run(text: str | bytes, kind: str = "text/event-stream", **headers: str) -> Any:
        content = text.encode() if isinstance(text, str) else text
        answer = httpx.Response(200, headers={"content-type": kind, **headers}, content=content)
        return asyncio.run(receive(scripted(answer), chat()))

    return run


def test_a_plain_stream(stream: Callable[..., Any]) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    last = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
    got = stream(HELLO + STOP + last + DONE, **{"x-ratelimit-remaining-requests": "7"})
    assert got.error is None
    assert (got.text, got.finish_reasons, got.served_model) == ("Hello", ["stop"], "m-1")
    assert got.usage == TokenUsage(3, 2, 5)
    assert got.deltas[0].limits.remaining_requests == 7
    assert [delta.limits for delta in got.deltas[1:]] == [None] * (len(got.deltas) - 1)
    assert got.deltas[0].text == ""  # a role alone is no content


@pytest.mark.parametrize(
    "text",
    [
        HELLO.replace("data: ", "data:") + STOP + DONE,
        (HELLO + STOP + DONE).replace("\n", "\r\n"),
        (HELLO + STOP + DONE).replace("\n", "\r"),
        ": keep-alive\n\n" + HELLO + ": OPENROUTER PROCESSING\n\n" + STOP + DONE,
        "\ufeff" + HELLO + STOP + DONE,
        "retry: 1000\nid: 1\nevent: message\n" + HELLO + STOP + DONE,
        HELLO + STOP,  # no [DONE]
        HELLO + STOP + DONE.rstrip("\n"),  # one that was cut
        HELLO + DONE,  # no finish reason
        HELLO + STOP + DONE + event({"content": " again"}) + "data: {\n\n",
        HELLO + STOP + 'data: {"error": {"message": "late"}}\n\n',
        'data: {"type": "ping"}\n\n' + HELLO + STOP + DONE,
        HELLO + event({"content": None}) + event(None) + STOP + DONE,
        HELLO + 'data: {"choices": [{"index": 1, "delta": {"content": "other"}}]}\n\n' + STOP + DONE,
        HELLO + STOP + STOP + DONE,
    ],
    ids=range(15),
)
def test_the_same_answer_in_other_clothes(text: str, stream: Callable[..., Any]) -> None:
    got = stream(text)
    assert got.error is None
    assert got.text.removesuffix(" again") == "Hello"
    assert got.finish_reasons == ["stop"]
    assert got.skipped == 0


def test_exotic_separators_do_not_split_an_event(stream: Callable[..., Any]) -> None:
    text = "a\u2028b\u0085c\u2029d\x0be"
    raw = json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}, ensure_ascii=False)
    assert stream(f"data: {raw}\n\n{DONE}".encode()).text == text


def test_text_said_twice_in_one_chunk_counts_once(stream: Callable[..., Any]) -> None:
    chunk = {"choices": [{"index": 0, "text": "Hi", "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert stream(f"data: {json.dumps(chunk)}\n\n{DONE}").text == "Hi"


def test_text_finish_and_usage_in_one_chunk(stream: Callable[..., Any]) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    got = stream(event({"content": "Hi"}, "stop", usage=usage) + DONE)
    assert got.deltas == [Delta(text="Hi", finish_reason="stop", usage=TokenUsage(1, 1, 2))]


@pytest.mark.parametrize("malformed", ["{", "[]", "7", "null", '"x"', "[" * 100_000, '{"choices": 7}'])
def test_a_malformed_event_is_skipped_and_counted(malformed: str, stream: Callable[..., Any]) -> None:
    got = stream(event({"content": "Hel"}) + f"data: {malformed}\n\n" * 2 + event({"content": "lo"}) + STOP + DONE)
    assert (got.error, got.text, got.skipped) == (None, "Hello", 2)
    assert got.deltas[1].skipped_events == 2


def test_malformed_events_at_the_end_are_counted_too(stream: Callable[..., Any]) -> None:
    got = stream(HELLO + STOP + "data: {\n\n" + DONE)
    assert (got.error, got.skipped, got.finish_reasons) == (None, 1, ["stop"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        HELLO,
        HELLO + "data: {\n\n",
        ": nothing\n\n",
        HELLO + event({"content": "!"})[:-9],
        HELLO + STOP.rstrip("\n"),
    ],
)
def test_an_end_without_a_word_is_truncated(text: str, stream: Callable[..., Any]) -> None:
    error = stream(text).error
    assert error.fault is Fault.TRUNCATED
    verdict = classify(error)
    assert (verdict.outcome, verdict.count) == (Outcome.TRUNCATED, Count.FAILURE)


@pytest.mark.parametrize(
    "text",
    [STOP + DONE, event({"role": "assistant", "content": ""}) + STOP + DONE, DONE, event({"reasoning": "hm"}) + DONE],
)
def test_an_end_without_content_is_a_bad_response(text: str, stream: Callable[..., Any]) -> None:
    assert stream(text).error.fault is Fault.BAD_RESPONSE


def test_all_tokens_spent_on_reasoning_is_an_answer(stream: Callable[..., Any]) -> None:
    got = stream(event({"reasoning_content": "hm"}) + event(finish="length") + DONE)
    assert (got.error, got.text, got.reasoning, got.finish_reasons) == (None, "", "hm", ["length"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (event(finish="content_filter") + DONE, "content filter"),
        (event({"refusal": "I can"}) + event({"refusal": "not"}) + STOP + DONE, "I cannot"),
    ],
)
def test_a_refusal_without_content(text: str, reason: str, stream: Callable[..., Any]) -> None:
    error = stream(text).error
    assert (error.status, error.code) == (400, "content_filter")
    assert reason in error.message


def test_a_filter_that_cuts_in_ends_the_stream(stream: Callable[..., Any]) -> None:
    got = stream(HELLO + event(finish="content_filter") + DONE)
    assert (got.error, got.text, got.finish_reasons) == (None, "Hello", ["content_filter"])


def fragment(name: str = "", arguments: Any = "", **rest: Any) -> dict[str, Any]:
    return {"function": {**({"name": name} if name else {}), "arguments": arguments}, **rest}


@pytest.mark.parametrize(
    "fragments",
    [
        [  # OpenAI
            [fragment("f", index=0, id="a")],
            [fragment(arguments='{"x"', index=0)],
            [fragment(arguments=": 1}", index=0)],
            [fragment("g", index=1, id="b")],
            [fragment(arguments="{}", index=1)],
        ],
        [[fragment("f", '{"x": 1}', id="a"), fragment("g", "{}", id="b")]],  # Mistral: no index
        [[fragment("f", '{"x": 1}', index=0, id="a")], [fragment("g", "{}", index=0, id="b")]],  # Gemini: 0 for all
        [[fragment("f", {"x": 1}, index=0, id="a"), fragment("g", {}, index=1, id="b")]],  # Ollama: objects
        [  # the id in every fragment
            [fragment("f", index=0, id="a")],
            [fragment(arguments='{"x": 1}', index=0, id="a")],
            [fragment("g", "{}", index=1, id="b")],
        ],
        [  # interleaved
            [fragment("f", index=0, id="a"), fragment("g", index=1, id="b")],
            [fragment(arguments="{}", index=1), fragment(arguments='{"x": 1}', index=0)],
        ],
        [[fragment("f", id="a")], [fragment(arguments='{"x": 1}')], [fragment("g", "{}", id="b")]],  # neither, later
    ],
    ids=["openai", "no index", "one index", "objects", "ids repeated", "interleaved", "neither later"],
)
def test_tool_calls_in_fragments(fragments: list[list[dict[str, Any]]], stream: Callable[..., Any]) -> None:
    got = stream("".join(event({"tool_calls": each}) for each in fragments) + event(finish="stop") + DONE)
    assert got.error is None
    assert [(call["name"], json.loads(call["arguments"])) for call in got.tool_calls] == [("f", {"x": 1}), ("g", {})]
    assert {call["id"][0] for call in got.tool_calls} == {"a", "b"}
    assert got.finish_reasons == ["tool_calls"]
    assert got.text == ""


def test_tool_calls_without_any_id(stream: Callable[..., Any]) -> None:
    fragments = [fragment("f", "{"), fragment(arguments="}"), fragment("g", "{}")]
    got = stream("".join(event({"tool_calls": [each]}) for each in fragments) + event(finish="tool_calls") + DONE)
    assert [(call["name"], call["arguments"]) for call in got.tool_calls] == [("f", "{}"), ("g", "{}")]
    first, second = (call["id"] for call in got.tool_calls)
    assert first.startswith("call_")
    assert first != second


def test_the_format_before_tools(stream: Callable[..., Any]) -> None:
    parts = [{"name": "f", "arguments": ""}, {"arguments": "{"}, {"arguments": "}"}]
    got = stream("".join(event({"function_call": part}) for part in parts) + event(finish="function_call") + DONE)
    assert [(call["name"], call["arguments"]) for call in got.tool_calls] == [("f", "{}")]
    assert got.finish_reasons == ["tool_calls"]


@pytest.mark.parametrize(
    ("text", "status", "code", "message"),
    [
        ('data: {"error": {"message": "Overloaded", "type": "overloaded"}}\n\n', None, "overloaded", "Overloaded"),
        ('data: {"error": {"message": "Bad", "code": 502}}\n\n', 502, "502", "Bad"),
        ('data: {"error": {"message": "Bad", "type": "x", "status_code": 400}}\n\n', 400, "x", "Bad"),
        ('data: {"error": "model not found"}\n\n', None, "", "model not found"),
        ('event: error\ndata: {"message": "Gone", "code": "server_error"}\n\n', None, "server_error", "Gone"),
        ("event: error\ndata: upstream fell over\n\n", None, "", "upstream fell over"),
        ('data: {"object": "error", "message": "Bad", "type": "BadRequestError", "code": 400}\n\n', 400, "BadR", "Bad"),
        ('data: {"choices": [{"index": 0, "error": {"message": "Up", "code": 429}}]}\n\n', 429, "429", "Up"),
        (event(finish="error"), 503, "error", "broke the answer off"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", HELLO], ids=["before content", "after content"])
def test_an_error_event(
    before: str, text: str, status: int | None, code: str, message: str, stream: Callable[..., Any]
) -> None:
    got = stream(before + text + DONE)
    assert got.error.fault is Fault.STATUS
    assert got.error.status == status
    assert got.error.code.startswith(code)
    assert message in got.error.message
    assert got.text == ("Hello" if before else "")
    assert got.finish_reasons == []


@pytest.mark.parametrize(
    ("kind", "text", "fault", "status"),
    [
        ("application/json", '{"error": {"message": "no", "code": 503}}', Fault.STATUS, 503),
        ("application/json", '{"id": "x"}', Fault.BAD_RESPONSE, 200),
        ("application/json", "", Fault.BAD_RESPONSE, 200),
        ("text/html", "<html>Sign in</html>", Fault.BAD_RESPONSE, 200),
        ("text/event-stream", '{"error": {"message": "no", "code": 503}}', Fault.STATUS, 503),
        ("text/event-stream", "<html>Sign in</html>", Fault.BAD_RESPONSE, 200),
    ],
)
def test_a_success_that_is_no_event_stream(
    kind: str, text: str, fault: Fault, status: int, stream: Callable[..., Any]
) -> None:
    error = stream(text, kind).error
    assert (error.fault, error.status) == (fault, status)
    if fault is Fault.BAD_RESPONSE:
        assert kind in error.message
        assert text in error.message


def test_an_error_status_instead_of_a_stream(
    scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    answer = httpx.Response(429, json={"error": {"message": "slow down"}}, headers={"retry-after": "7"})
    error = asyncio.run(receive(scripted(answer), chat())).error
    assert (error.status, error.message, error.retry_after_s) == (429, "slow down", 7.0)


class Slow(httpx.AsyncByteStream):
    """A body that falls silent, or breaks, after what it has said."""

    def __init__(self, text: str, then: Exception | None = None) -> None:
        self._text = text
        self._then = then
        self.closed = False

    async def __aiter__(self) -> Any:
        yield self._text.encode()
        if self._then is not None:
            raise self._then
        await asyncio.sleep(30)

    async def aclose(self) -> None:
        self.closed = True


def slow(text: str, then: Exception | None = None) -> tuple[Slow, httpx.Response]:
    body = Slow(text, then)
    return body, httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)


def test_after_the_finish_reason_nobody_waits_long(
    scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    body, answer = slow(HELLO + STOP)
    provider = scripted(answer)
    assert provider._grace_s == 1.0
    provider._grace_s = 0.05
    started = time.monotonic()
    got = asyncio.run(receive(provider, chat()))
    assert 0.05 <= time.monotonic() - started < 20
    assert (got.error, got.text, got.finish_reasons) == (None, "Hello", ["stop"])
    assert body.closed


def test_after_done_nobody_waits(
    scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    body, answer = slow(HELLO + STOP + DONE)
    provider = scripted(answer)
    provider._grace_s = 30.0
    started = time.monotonic()
    assert asyncio.run(receive(provider, chat())).error is None
    assert time.monotonic() - started < 20
    assert body.closed


def test_a_slow_reader_does_not_cost_the_usage(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    usage = f"data: {json.dumps({'choices': [], 'usage': {'prompt_tokens': 1}})}\n\n"
    body, answer = slow(HELLO + STOP + usage + DONE)

    async def read() -> list[Delta]:
        provider = scripted(answer)
        provider._grace_s = 0.01
        deltas = []
        async for delta in provider.stream(chat()):
            deltas.append(delta)
            await asyncio.sleep(0.05 if delta.finish_reason else 0)
        return deltas

    assert asyncio.run(read())[-1].usage == TokenUsage(1, None, 1)
    assert body.closed


def test_a_reset_after_the_finish_reason_is_no_fault(
    scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    _, answer = slow(HELLO + STOP, httpx.ReadError("reset"))
    got = asyncio.run(receive(scripted(answer), chat()))
    assert (got.error, got.text) == (None, "Hello")


def test_a_reset_before_it_is_broken(
    scripted: Callable[..., Any], chat: Callable[..., Any], receive: Callable[..., Any]
) -> None:
    _, answer = slow(HELLO, httpx.ReadError("reset"))
    got = asyncio.run(receive(scripted(answer), chat()))
    assert (got.error.fault, got.text) == (Fault.BROKEN, "Hello")


def test_closing_the_generator_closes_the_connection(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    body, answer = slow(HELLO)

    async def read() -> None:
        deltas = scripted(answer).stream(chat())
        assert (await anext(deltas)).served_model == "m-1"
        await deltas.aclose()
        assert body.closed

    asyncio.run(read())


def test_a_cancelled_read_closes_the_connection(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    body, answer = slow(HELLO)

    async def read() -> None:
        async for _ in scripted(answer).stream(chat()):
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(read(), 0.5))
    assert body.closed


def test_nothing_is_sent_before_the_first_step(scripted: Callable[..., Any], chat: Callable[..., Any]) -> None:
    provider = scripted(slow(HELLO)[1])

    async def read() -> None:
        deltas = provider.stream(chat())
        assert provider.requests == []
        await deltas.aclose()

    asyncio.run(read())
    assert provider.requests == []


def test_many_events_take_linear_time(stream: Callable[..., Any]) -> None:
    started = time.process_time()
    got = stream(event({"content": "x" * 10}) * 20_000 + STOP + DONE)
    assert len(got.text) == 200_000
    assert time.process_time() - started < 5.0


CHUNKS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["stop", "length", "error", "f"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "index",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "id",
                    "usage",
                    "refusal",
                    "reasoning",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
CHOICE = st.fixed_dictionaries({"delta": CHUNKS, "finish_reason": CHUNKS, "index": st.sampled_from([0, None])})


@given(st.lists(st.builds(lambda choice, rest: {"choices": [choice], "usage": rest}, CHOICE, CHUNKS), max_size=4))
def test_whatever_comes_is_read_or_a_provider_error(chunks: list[Any]) -> None:
    reader = StreamReader()
    finishes = 0
    try:
        for chunk in chunks:
            for delta in reader.read(ServerSentEvent(json.dumps(chunk))):
                finishes += delta.finish_reason is not None
        finishes += sum(delta.finish_reason is not None for delta in reader.end())
    except ProviderError:
        return
    assert finishes == 1


class LongWay(StreamReader):
    """Takes no short cut."""

    def _only_text(self, chunk: Any) -> str:
        return ""


CHUNKS = st.builds(
    lambda delta, choice, chunk: {**chunk, "choices": [{**choice, "delta": delta}]},
    st.dictionaries(st.sampled_from(["content", "role", "reasoning"]), st.sampled_from(["a", "", None, 1, ["a"]])),
    st.dictionaries(
        st.sampled_from(["index", "finish_reason", "error"]), st.sampled_from([None, 0, 1, "stop", {"a": 1}])
    ),
    st.dictionaries(
        st.sampled_from(["model", "usage", "x_groq", "error", "object"]),
        st.sampled_from([None, "", "m-1", "error", {"prompt_tokens": 1}, {"usage": {"prompt_tokens": 1}}]),
    ),
)


@given(st.lists(CHUNKS | st.sampled_from([None, 1, "x", [], {"choices": [1]}, {"choices": [{"delta": "x"}]}])))
def test_the_short_cut_for_plain_text_reads_what_the_long_way_reads(chunks: list[Any]) -> None:
    def read(reader: StreamReader) -> list[Any]:
        seen: list[Any] = []
        for chunk in chunks:
            try:
                seen += reader.read(ServerSentEvent(json.dumps(chunk)))
            except ProviderError as error:
                seen.append((error.status, error.code, error.message))
        return [*seen, reader.finished, reader._content]

    assert read(StreamReader()) == read(LongWay())
