"""The pipe between the lab's loop and a reader anywhere."""

import asyncio
import pickle
import threading

import pytest

from routerlab.session.loop import LoopThread
from routerlab.session.pipe import Piece, Pipe


@pytest.fixture
def thread():
    thread = LoopThread()
    yield thread
    thread.stop()


async def write(pipe, count):
    waited = 0
    for number in range(count):
        if not pipe.offer(Piece(f"{number} ", "p/m")):
            waited += 1
            await pipe.drained()
    pipe.end()
    return waited


def read_all(pipe):
    pieces = []
    while (piece := pipe.get()) is not None:
        pieces.append(piece)
    return pieces


def test_every_piece_arrives_in_order(thread):
    pipe = Pipe(thread.loop)
    job = thread.submit(write(pipe, 5000))
    assert read_all(pipe) == [f"{number} " for number in range(5000)]
    assert job.future.result(30) >= 0


def test_a_reader_in_another_loop(thread):
    pipe = Pipe(thread.loop)
    thread.submit(write(pipe, 2000))

    async def read():
        pieces = []
        while (piece := await pipe.aget()) is not None:
            pieces.append(piece)
        return pieces

    assert len(asyncio.run(read())) == 2000


def test_a_slow_reader_stops_the_writer(thread):
    pipe = Pipe(thread.loop)
    job = thread.submit(write(pipe, 1000))
    thread.run(asyncio.sleep(0.05))
    assert not job.done()
    with pipe._lock:
        assert len(pipe._pieces) <= 256
    assert len(read_all(pipe)) == 1000
    assert job.future.result(30) > 0


def test_the_end_wakes_a_waiting_reader(thread):
    pipe = Pipe(thread.loop)
    result = []
    reader = threading.Thread(target=lambda: result.append(pipe.get()))
    reader.start()
    thread.loop.call_soon_threadsafe(pipe.end)
    reader.join(30)
    assert result == [None]


def test_a_piece_is_a_string_that_knows_who_wrote_it():
    piece = Piece("hello", "openai/gpt", restart=True)
    assert piece == "hello"
    assert isinstance(piece, str)
    assert (piece.model, piece.restart) == ("openai/gpt", True)
    again = pickle.loads(pickle.dumps(piece))  # noqa: S301
    assert (again, again.model, again.restart) == ("hello", "openai/gpt", True)
