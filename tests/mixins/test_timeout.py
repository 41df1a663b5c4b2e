"""The timeout mixin: whose timeout it was, and that nothing is left running."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routerlab.core.errors import RouterLabError
from routerlab.mixins import RequestTimeoutError, TimeoutMixin


class Connector(TimeoutMixin): ...


class Source:
    """Yields numbers, each after a pause, and notes how it ended."""

    def __init__(self, *pauses: float, error: BaseException | None = None) -> None:
        self.pauses = pauses
        self.error = error
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            for number, pause in enumerate(self.pauses):
                await asyncio.sleep(pause)
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


class Plain:
    """An iterator that is no generator, with an `aclose` of its own."""

    def __init__(self) -> None:
        self.closed = 0

    def __aiter__(self) -> "Plain":
        return self

    async def __anext__(self) -> int:
        return 1

    async def aclose(self) -> None:
        self.closed += 1


async def collected(stream: Any) -> list[int]:
    return [item async for item in stream]


def test_defaults() -> None:
    async def main() -> None:
        assert await Connector().with_timeout(asyncio.sleep(0, "done")) == "done"
        assert await collected(Connector().with_stream_timeout(Source(0, 0))) == [0, 1]

    asyncio.run(main())


def test_at_the_limit_the_coroutine_is_cancelled() -> None:
    cancelled = []

    async def slow() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        connector = Connector()
        connector.configure_timeout(default=0.01)
        with pytest.raises(RequestTimeoutError, match=r"request took longer than 0\.01 s") as caught:
            await connector.with_timeout(slow())
        assert (caught.value.timeout, caught.value.operation) == (0.01, "request")
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, RouterLabError)
        with pytest.raises(RequestTimeoutError) as caught:
            await connector.with_timeout(slow(), 0.02, "embedding")
        assert (caught.value.timeout, caught.value.operation) == (0.02, "embedding")

    asyncio.run(main())
    assert cancelled == [True, True]


@pytest.mark.parametrize("own", [TimeoutError("mine"), RequestTimeoutError(9.0, "inner")])
def test_a_timeout_of_the_wrapped_code_passes_as_it_is(own: TimeoutError) -> None:
    async def failing() -> None:
        raise own

    async def late() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise own from None

    async def main() -> None:
        for coro, limit in ((failing(), 5.0), (failing(), 0), (late(), 0.01)):
            with pytest.raises(TimeoutError) as caught:
                await Connector().with_timeout(coro, limit)
            assert caught.value is own
        with pytest.raises(TimeoutError) as caught:
            await collected(Connector().with_stream_timeout(Source(0, error=own)))
        assert caught.value is own

    asyncio.run(main())


def test_other_errors_pass() -> None:
    async def failing() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(Connector().with_timeout(failing()))


def test_cancellation_from_outside_stays_one() -> None:
    async def main() -> None:
        source = Source(10)
        for wait in (
            Connector().with_timeout(asyncio.sleep(10), 5),
            collected(Connector().with_stream_timeout(source)),
        ):
            task = asyncio.create_task(wait)
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert source.closed

    asyncio.run(main())


@pytest.mark.parametrize("off", [0, None])
def test_zero_and_none_switch_a_limit_off(off: float | None) -> None:
    async def main() -> None:
        connector = Connector()
        connector.configure_timeout(default=off, streaming=off, streaming_total=off, connect=off)
        assert await connector.with_timeout(asyncio.sleep(0.02, "done")) == "done"
        assert await collected(connector.with_stream_timeout(Source(0.02, 0.02))) == [0, 1]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["default", "streaming", "streaming_total", "connect"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_limits_that_are_none(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Connector().configure_timeout(**{name: value})


def test_the_first_chunk() -> None:
    async def main() -> None:
        connector = Connector()
        connector.configure_timeout(streaming=0.3)
        source = Source(10)
        with pytest.raises(RequestTimeoutError) as caught:
            await collected(connector.with_stream_timeout(source))
        assert (caught.value.timeout, caught.value.operation) == (0.3, "first chunk")
        assert source.closed
        assert await collected(connector.with_stream_timeout(Source(0, 0.5))) == [0, 1]  # only the first
        assert await collected(connector.with_stream_timeout(Source(0.05), first_chunk_timeout=30)) == [0]

    asyncio.run(main())


def test_the_whole_stream() -> None:
    async def main() -> None:
        source = Source(0, *[0.1] * 50)
        stream = Connector().with_stream_timeout(source, total_timeout=0.5)
        assert await anext(stream) == 0
        with pytest.raises(RequestTimeoutError) as caught:
            await collected(stream)
        assert (caught.value.timeout, caught.value.operation) == (0.5, "stream total")
        assert source.closed
        with pytest.raises(RequestTimeoutError) as caught:
            await collected(Connector().with_stream_timeout(Source(10), first_chunk_timeout=5, total_timeout=0.02))
        assert caught.value.operation == "stream total"

    asyncio.run(main())


def test_the_clock_can_be_replaced() -> None:
    async def main() -> None:
        now = 0.0
        connector = Connector()
        connector._clock = lambda: now
        source = Source(0, 0.01, 0.01)
        stream = connector.with_stream_timeout(source, total_timeout=100)
        assert await anext(stream) == 0
        now = 50.0
        assert await anext(stream) == 1
        now = 100.5
        with pytest.raises(RequestTimeoutError):
            await anext(stream)
        assert source.closed

    asyncio.run(main())


def test_the_iterator_is_closed_when_the_reader_stops() -> None:
    async def main() -> None:
        source, plain = Source(0, 0, 0), Plain()
        for iterator in (source, plain):
            stream = Connector().with_stream_timeout(iterator)
            async for _ in stream:
                break
            await stream.aclose()
        assert source.closed
        assert plain.closed == 1

    asyncio.run(main())


def test_an_error_of_the_stream_passes_and_closes() -> None:
    async def main() -> None:
        source = Source(0, error=KeyError("x"))
        with pytest.raises(KeyError):
            await collected(Connector().with_stream_timeout(source))
        assert source.closed

    asyncio.run(main())


def test_instances_share_nothing() -> None:
    first, second = Connector(), Connector()
    first.configure_timeout(default=0.01)
    assert asyncio.run(second.with_timeout(asyncio.sleep(0.03, "done"))) == "done"
