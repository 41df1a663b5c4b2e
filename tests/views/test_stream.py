"""A stream as its reader has it, in threads and in loops."""

from __future__ import annotations

import asyncio
import gc
import pickle
import time

import pytest

import routerlab as rl

pytestmark = pytest.mark.usefixtures("no_leaks")

TEXT = " ".join(["word"] * 40)
KNOWS = {"answers": {"long": TEXT}}
DRIPS = KNOWS | {"tokens_per_s": 1}  # it goes on for longer than any test


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def outcomes(lab):
    return lab.calls()["outcome"].tolist()


def test_pieces_are_strings_that_say_who_wrote_them(make_lab):
    lab = make_lab(alpha=KNOWS)
    stream = lab.stream("long")
    pieces = list(stream)
    assert "".join(pieces) == TEXT
    assert len(pieces) > 1
    assert {(piece.model, piece.restart) for piece in pieces} == {("sim/alpha", False)}
    reply = stream.reply
    assert (reply.text, reply.model, reply.finish_reason) == (TEXT, "sim/alpha", "stop")
    assert reply.parts == [("sim/alpha", TEXT)]
    assert 0 < reply.ttft_s <= reply.latency_s
    assert reply.usage.completion_tokens > 0
    assert list(stream) == []
    assert repr(stream) == "<Stream ended>"


def test_the_reply_comes_at_the_end(make_lab):
    lab = make_lab(alpha=DRIPS)
    stream = lab.stream("long")
    with pytest.raises(rl.RouterLabError, match="has not ended yet"):
        _ = stream.reply
    assert repr(stream) == "<Stream open>"
    stream.close()
    assert wait_until(lambda: repr(stream) == "<Stream closed>")
    with pytest.raises(rl.RouterLabError, match="closed before its end"):
        _ = stream.reply


def test_a_stream_that_was_closed_at_once_ends_and_is_recorded(make_lab):
    lab = make_lab(alpha=DRIPS)
    for _ in range(20):
        stream = lab.stream("long")
        stream.close()
        stream.close()
        with pytest.raises(rl.RouterLabError, match="closed before its end"):
            list(stream)
    assert wait_until(lambda: outcomes(lab) == ["cancelled"] * 20)


def test_an_error_is_raised_where_the_reader_is(make_lab):
    lab = make_lab(alpha={"faults": ["unavailable"]})
    stream = lab.stream("long")
    with pytest.raises(rl.ProviderUnavailableError) as caught:
        list(stream)
    with pytest.raises(rl.ProviderUnavailableError) as again:
        _ = stream.reply
    assert again.value is caught.value
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (copy.model, copy.call_id, len(copy.attempts)) == ("sim/alpha", caught.value.call_id, 2)


def test_leaving_with_closes(make_lab):
    lab = make_lab(alpha=DRIPS)
    with lab.stream("long") as stream:
        for _ in stream:
            break
    assert wait_until(lambda: outcomes(lab) == ["cancelled"])


def test_async_reading(make_lab):
    lab = make_lab(alpha=KNOWS)

    async def read():
        stream = lab.astream("long")
        text = "".join([piece async for piece in stream])
        return text, stream.reply.text

    assert asyncio.run(read()) == (TEXT, TEXT)
    assert asyncio.run(read()) == (TEXT, TEXT)  # another loop

    async def awaited():
        async with await lab.astream("long") as stream:
            return "".join([piece async for piece in stream])

    assert asyncio.run(awaited()) == TEXT


def test_async_break_closes_at_once(make_lab):
    lab = make_lab(alpha=DRIPS)

    async def read():
        async for _ in lab.astream("long"):
            break
        for _ in range(6000):
            if outcomes(lab):
                break
            await asyncio.sleep(0.005)
        return outcomes(lab)

    assert asyncio.run(read()) == ["cancelled"]


def test_async_cancel_closes_at_once(make_lab):
    lab = make_lab(alpha=DRIPS)

    async def main():
        begun = asyncio.Event()

        async def read():
            async for _ in lab.astream("long"):
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert wait_until(lambda: outcomes(lab) == ["cancelled"])


def test_a_reader_whose_loop_is_gone_hurts_nobody(make_lab):
    lab = make_lab(alpha=DRIPS)
    stream = lab.stream("long")

    async def read():
        pieces = aiter(stream)
        await anext(pieces)
        waiting = asyncio.ensure_future(stream._call.pipe.aget())
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(read())
    assert wait_until(lambda: outcomes(lab) == ["cancelled"])


def test_a_lab_that_closes_ends_its_readers(make_lab):
    lab = make_lab(alpha={"faults": ["stall"]})
    streams = [lab.stream("long") for _ in range(3)]
    lab.close()
    for stream in streams:
        with pytest.raises(rl.RouterLabError, match="closed before its end"):
            list(stream)
    assert outcomes(lab) == ["cancelled"] * 3
    with pytest.raises(rl.LabClosedError):
        lab.stream("long")


def test_an_async_reader_of_a_lab_that_closes_hears_it_as_our_error(make_lab):
    lab = make_lab(alpha={"faults": ["stall"]})

    async def read():
        asyncio.get_running_loop().call_later(0.05, lab.close)
        async for _ in lab.astream("long"):
            pass

    with pytest.raises(rl.RouterLabError, match="closed before its end"):
        asyncio.run(read())


def test_what_a_full_pipe_held_can_be_read_after_closing(make_lab):
    lab = make_lab(alpha={"answers": {"long": "word " * 3000}, "tokens_per_s": 40})
    lab._session.connectors["sim"].faults.inject("alpha", "slow", factor=0.0)
    stream = lab.stream("long")
    pieces = iter(stream)
    next(pieces)
    assert wait_until(lambda: len(stream._call.pipe._pieces) >= 250)
    lab.close()
    with pytest.raises(rl.RouterLabError, match="closed before its end"):
        list(pieces)


def test_the_labs_own_loop_is_no_place_to_wait(make_lab):
    lab = make_lab(alpha=KNOWS)

    async def inside():
        return list(lab.stream("long"))

    with pytest.raises(rl.RouterLabError, match="a… twin"):
        lab._session.run(inside())

    async def twin():
        return "".join([piece async for piece in lab.astream("long")])

    assert lab._session.run(twin()) == TEXT


def test_a_stream_does_not_outlive_its_last_reference(make_lab):
    lab = make_lab(alpha={"faults": ["stall"]})
    stream = lab.stream("long")
    del stream
    gc.collect()
    assert wait_until(lambda: outcomes(lab) == ["cancelled"])
