"""StreamingCheckpointMixin: documented names and defaults."""

from __future__ import annotations

import pytest

from routerlab.mixins.checkpoint import StreamCheckpoint, StreamingCheckpointMixin


class Provider(StreamingCheckpointMixin):
    def __init__(self) -> None:
        self.seen: list[int] = []

    def _on_checkpoint(self, checkpoint: StreamCheckpoint) -> None:
        self.seen.append(checkpoint.tokens_received)


def test_defaults_without_setup() -> None:
    provider = Provider()
    assert provider.checkpoint_stats() == {
        "total": 0,
        "active": 0,
        "completed": 0,
        "max_checkpoints": 50,
        "active_tokens": 0,
        "max_buffer_tokens": 10_000,
        "checkpoint_interval": 100,
    }
    assert provider.get_checkpoint("r") is None
    provider.remove_checkpoint("r")
    assert provider.active_checkpoints() == []


def test_a_stream_from_start_to_end() -> None:
    provider = Provider()
    checkpoint = provider.create_checkpoint("r", "m")
    assert (checkpoint.request_id, checkpoint.model_id) == ("r", "m")
    assert provider.get_checkpoint("r") is checkpoint
    assert provider.active_checkpoints() == [checkpoint]
    checkpoint.record("one ", 60)
    checkpoint.record("two", 60)
    assert provider.seen == [120]
    assert provider.checkpoint_stats()["active_tokens"] == 120
    checkpoint.finalize()
    assert (checkpoint.content_buffer, checkpoint.finish_reason) == ("one two", "stop")
    assert provider.active_checkpoints() == []
    stats = provider.checkpoint_stats()
    assert (stats["total"], stats["active"], stats["completed"]) == (1, 0, 1)
    provider.remove_checkpoint("r")
    assert provider.checkpoint_stats()["total"] == 0


def test_limits() -> None:
    provider = Provider()
    provider.configure_checkpoints(max_buffer_tokens=10, checkpoint_interval=5, max_checkpoints=1)
    first, second = provider.create_checkpoint("1"), provider.create_checkpoint("2")
    live = [provider.create_checkpoint(f"live-{i}") for i in range(5)]
    first.record("x", 11)
    assert not first.resumable
    assert provider.seen == [11]
    first.finalize()
    second.finalize()
    assert provider.get_checkpoint("1") is None
    assert provider.get_checkpoint("2") is second
    assert provider.active_checkpoints() == live


def test_setup_again_keeps_what_there_is() -> None:
    provider = Provider()
    live = provider.create_checkpoint("live")
    for i in range(3):
        provider.create_checkpoint(str(i)).finalize()
    provider.configure_checkpoints(max_checkpoints=2)
    assert provider.get_checkpoint("0") is None
    assert provider.get_checkpoint("live") is live
    live.finalize()
    assert provider.checkpoint_stats()["completed"] == 2


@pytest.mark.parametrize(
    "limits",
    [{"max_buffer_tokens": 0}, {"checkpoint_interval": 0}, {"checkpoint_interval": True}, {"max_checkpoints": -1}],
)
def test_limits_out_of_range_are_refused(limits: dict[str, int]) -> None:
    provider = Provider()
    before = provider.checkpoint_stats()
    with pytest.raises(ValueError, match=next(iter(limits))):
        provider.configure_checkpoints(**limits)
    assert provider.checkpoint_stats() == before


def test_the_clock_may_be_replaced_at_any_time() -> None:
    provider = Provider()
    provider._clock = lambda: 10.0
    checkpoint = provider.create_checkpoint("r")
    checkpoint.record("x", 30)
    provider._clock = lambda: 13.0
    assert (checkpoint.duration, checkpoint.tokens_per_second) == (3.0, 10.0)


def test_instances_are_apart() -> None:
    one, other = Provider(), Provider()
    one.create_checkpoint("r")
    assert other.get_checkpoint("r") is None
