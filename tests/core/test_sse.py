"""The event stream decoder: WHATWG's rules, however the bytes are cut."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.sse import ServerSentEvent, SSEDecoder


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def data(*chunks: bytes) -> list[str]:
    return [event.data for event in decode(*chunks)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: one\n\n", ["one"]),
        (b"data:one\n\n", ["one"]),
        (b"data:  two spaces\n\n", [" two spaces"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data\n\n", [""]),
        (b"data:\n\n", [""]),
        (b"data\ndata\n\n", ["\n"]),
        (b"data: one\r\rdata: two\r\r", ["one", "two"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", ["one", "two"]),
        (b"data: one\r\n\ndata: two\n\r\n", ["one", "two"]),
        (b": comment\n\ndata: one\n: ping\n\n", ["one"]),
        (b"\xef\xbb\xbfdata: one\n\n", ["one"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: one\n\n", []),
        (b"data: one\n\n\xef\xbb\xbfdata: two\n\n", ["one"]),
        (b"event: ping\n\n", []),
        (b"Data: no\nunknown: x\n data: no\ndata: yes\n\n", ["yes"]),
        (b"data: \xff\xe2\x82\n\n", ["��"]),
        (b"data: a:b\n\n", ["a:b"]),
        (b"\n\n\ndata: one\n\n\n\n", ["one"]),
        (b"", []),
        (
            'data: {"a": "x\u2028y\u2029z\x85\x0b\x0c\x1c\x1d\x1e"}\n\n'.encode(),
            ['{"a": "x\u2028y\u2029z\x85\x0b\x0c\x1c\x1d\x1e"}'],
        ),
    ],
)
def test_events(stream: bytes, expected: list[str]) -> None:
    assert data(stream) == expected
    assert data(*(stream[i : i + 1] for i in range(len(stream)))) == expected


def test_fields() -> None:
    stream = (
        b"event: delta\nid: 7\nretry: 1500\ndata: one\n\n"
        b"data: two\nretry: soon\nretry: \xd9\xa3\n\n"
        b"id: a\0b\nevent:\ndata: three\n\n"
        b"id\nretry: " + b"9" * 5000 + b"\ndata: four\n\n"
    )
    assert decode(stream) == [
        ServerSentEvent("one", "delta", "7", 1500),
        ServerSentEvent("two", "message", "7", None),
        ServerSentEvent("three", "message", "7", None),
        ServerSentEvent("four", "message", "", None),
    ]


def test_an_event_without_data_leaves_nothing_to_the_next() -> None:
    assert decode(b"event: ping\n\ndata: x\n\n") == [ServerSentEvent("x")]


def test_an_event_comes_out_with_its_blank_line() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: one\r") == []
    assert [event.data for event in decoder.feed(b"\r")] == ["one"]  # no waiting for what follows the CR
    assert decoder.feed(b"\ndata: two\n") == []
    assert [event.data for event in decoder.feed(b"\n")] == ["two"]


@pytest.mark.parametrize("tail", [b"data: cut", b"data: cut\n", b"data: cut\r", b"data: cut\r\n", b"event: cut\n"])
def test_an_event_that_no_blank_line_has_ended_is_none(tail: bytes) -> None:
    assert data(b"data: one\n\n" + tail) == ["one"]


TEXTS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=20)


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=8), st.data())
def test_however_it_is_cut(events: list[list[str]], choose: st.DataObject) -> None:
    ends = st.sampled_from(["\n", "\r", "\r\n"])
    stream = ""
    for event in events:
        for line in event:
            stream += f"data: {line}{choose.draw(ends)}"
        stream += choose.draw(ends) if not stream.endswith("\r") else choose.draw(st.sampled_from(["\r", "\r\n"]))
    raw = stream.encode()
    cuts = sorted(choose.draw(st.lists(st.integers(0, len(raw)), max_size=10)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert data(*chunks) == ["\n".join(event) for event in events]


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_any_bytes_do(chunks: list[bytes]) -> None:
    assert data(*chunks) == data(b"".join(chunks))


def test_a_long_line_takes_linear_time() -> None:
    def cost(size: int) -> float:
        raw = b"data: " + b"x" * size + b"\n\n"
        chunks = [raw[i : i + 64] for i in range(0, len(raw), 64)]
        started = time.process_time()
        assert len(data(*chunks)[0]) == size
        return time.process_time() - started

    small = min(cost(2**18) for _ in range(3))
    large = min(cost(2**21) for _ in range(3))
    assert large < 8 * 4 * max(small, 1e-3)  # eight times the bytes; quadratic would be sixty-four


def test_many_events() -> None:
    raw = b"".join(b"data: %d\n\n" % i for i in range(20_000))
    assert data(raw) == [str(i) for i in range(20_000)]


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: xxxxxxxx\n" * 20, b": " + b"x" * 200])
def test_a_huge_event_is_refused(stream: bytes) -> None:
    decoder = SSEDecoder(max_event_bytes=100)
    assert decoder.feed(stream[:50]) == []
    with pytest.raises(ValueError, match="larger than 100 bytes"):
        decoder.feed(stream[50:])


def test_many_small_events_are_not_a_huge_one() -> None:
    decoder = SSEDecoder(max_event_bytes=100)
    assert len(decoder.feed(b"data: 0123456789\n\n" * 100)) == 100
