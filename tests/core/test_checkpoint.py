"""Stream checkpoints: what was received, counted once, in linear time."""

from __future__ import annotations

import time

import pytest

from routerlab.core.checkpoint import CheckpointRegistry, StreamCheckpoint


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_text_and_tokens_add_up() -> None:
    checkpoint = StreamCheckpoint("r", "m", clock=Clock())
    checkpoint.record("Hello, ", token_count=2)
    assert checkpoint.content_buffer == "Hello, "
    checkpoint.record("world", token_count=1)
    checkpoint.record("")
    assert checkpoint.content_buffer == "Hello, world"
    assert (checkpoint.request_id, checkpoint.model_id, checkpoint.tokens_received) == ("r", "m", 3)


def test_an_unknown_count_is_estimated() -> None:
    checkpoint = StreamCheckpoint("r", clock=Clock())
    checkpoint.record("a")
    assert checkpoint.tokens_received == 1
    checkpoint.record("x" * 400)
    assert checkpoint.tokens_received == 101


def test_duration_runs_until_the_end() -> None:
    clock = Clock()
    checkpoint = StreamCheckpoint("r", clock=clock)
    assert (checkpoint.duration, checkpoint.tokens_per_second) == (0.0, 0.0)
    clock.now += 2.0
    checkpoint.record("x", token_count=10)
    assert (checkpoint.duration, checkpoint.tokens_per_second) == (2.0, 5.0)
    checkpoint.finalize()
    clock.now += 2.0
    assert (checkpoint.duration, checkpoint.tokens_per_second) == (2.0, 5.0)


def test_the_first_ending_stays_and_nothing_is_added_after_it() -> None:
    checkpoint = StreamCheckpoint("r", clock=Clock())
    assert (checkpoint.is_complete, checkpoint.finish_reason) == (False, None)
    checkpoint.record("text")
    checkpoint.finalize("length")
    checkpoint.finalize()
    assert (checkpoint.is_complete, checkpoint.finish_reason) == (True, "length")
    with pytest.raises(RuntimeError, match="complete"):
        checkpoint.record("more")
    assert checkpoint.content_buffer == "text"


def test_a_negative_count_is_refused() -> None:
    checkpoint = StreamCheckpoint("r", clock=Clock())
    with pytest.raises(ValueError, match="token_count"):
        checkpoint.record("x", token_count=-1)
    assert checkpoint.content_buffer == ""


def test_above_the_limit_the_text_stays_whole_but_is_not_resumable() -> None:
    checkpoint = StreamCheckpoint("r", clock=Clock(), max_buffer_tokens=10)
    checkpoint.record("a" * 10, token_count=10)
    assert checkpoint.resumable
    checkpoint.record("b", token_count=1)
    assert not checkpoint.resumable
    assert checkpoint.content_buffer == "a" * 10 + "b"


def test_the_hook_sees_each_interval_once() -> None:
    seen: list[int] = []
    checkpoint = StreamCheckpoint(
        "r", clock=Clock(), checkpoint_interval=100, on_checkpoint=lambda c: seen.append(c.tokens_received)
    )
    for count in (99, 1, 99, 250, 1):
        checkpoint.record("x", token_count=count)
    assert seen == [100, 449]


def test_recording_is_linear() -> None:
    def cost(pieces: int) -> float:
        checkpoint = StreamCheckpoint("r", clock=Clock())
        started = time.thread_time()
        for _ in range(pieces):
            checkpoint.record("x" * 100, token_count=1)
        elapsed = time.thread_time() - started
        assert len(checkpoint.content_buffer) == pieces * 100
        return elapsed

    small = min(cost(2_000) for _ in range(3))
    assert min(cost(40_000) for _ in range(3)) < 20 * small * 5


def test_the_repr_shows_no_text() -> None:
    checkpoint = StreamCheckpoint("r", "m", clock=Clock())
    checkpoint.record("confidential", token_count=3)
    assert repr(checkpoint) == "StreamCheckpoint('r', 'm', 3 tokens, live)"


def registered(registry: CheckpointRegistry, request_id: str) -> StreamCheckpoint:
    checkpoint = StreamCheckpoint(request_id, clock=Clock(), on_complete=registry.complete)
    registry.add(checkpoint)
    return checkpoint


def test_complete_ones_are_bounded_and_live_ones_are_not() -> None:
    registry = CheckpointRegistry(max_completed=2)
    checkpoints = [registered(registry, str(i)) for i in range(10)]
    for i in (5, 0, 7):
        checkpoints[i].finalize()
    assert [c.request_id for c in registry.completed()] == ["0", "7"]
    assert registry.get("5") is None
    assert [c.request_id for c in registry.active()] == ["1", "2", "3", "4", "6", "8", "9"]


def test_a_replaced_checkpoint_does_not_touch_its_successor() -> None:
    registry = CheckpointRegistry()
    first = registered(registry, "r")
    second = registered(registry, "r")
    first.finalize()
    assert registry.get("r") is second
    assert registry.active() == [second]
    assert registry.completed() == []
