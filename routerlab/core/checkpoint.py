"""What has been received of a stream so far, so that another model can carry on when it breaks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

__all__ = ["CheckpointRegistry", "StreamCheckpoint"]

Clock = Callable[[], float]
Hook = Callable[["StreamCheckpoint"], object]

_CHARS_PER_TOKEN = 4  # the usual rule of thumb for English text


class StreamCheckpoint:
    """The text of one stream, as far as it came.

    Args:
        request_id: the request that the stream answers.
        model_id: the model that writes it.
        clock: returns the time in seconds.
        max_buffer_tokens: above this many tokens, at least 1, the stream counts as too long to be carried on.
        checkpoint_interval: ``on_checkpoint`` is called each time that another so many tokens, at least 1, are in.
        on_checkpoint: called with this checkpoint.
        on_complete: called with this checkpoint when it is finalized.

    Attributes:
        tokens_received: how many tokens came, counted or estimated.
        is_complete: whether the stream has ended.
        finish_reason: how it ended; None while it lives.
        resumable: whether another model may carry on from here; if not, it has to start again.
    """

    def __init__(
        self,
        request_id: str,
        model_id: str = "",
        *,
        clock: Clock,
        max_buffer_tokens: int = 10_000,
        checkpoint_interval: int = 100,
        on_checkpoint: Hook | None = None,
        on_complete: Hook | None = None,
    ) -> None:
        self.request_id = request_id
        self.model_id = model_id
        self.tokens_received = 0
        self.is_complete = False
        self.finish_reason: str | None = None
        self.resumable = True
        self._clock = clock
        self._started_at = clock()
        self._ended_at: float | None = None
        self._pieces: list[str] = []
        self._max_buffer_tokens = max_buffer_tokens
        self._checkpoint_interval = checkpoint_interval
        self._on_checkpoint = on_checkpoint
        self._on_complete = on_complete

    def record(self, content: str, token_count: int = 0) -> None:
        """Take in one piece of the stream. O(1) in the length of the text so far.

        Args:
            content: the text of the piece, possibly empty.
            token_count: its tokens; 0 means unknown: estimated from its length.

        Raises:
            ValueError: the count is negative.
            RuntimeError: the stream has ended already; nothing has changed.
        """
        if token_count < 0:
            raise ValueError(f"token_count must be 0 (unknown) or more, got {token_count}")
        if self.is_complete:
            raise RuntimeError(f"the stream of request {self.request_id} is complete: nothing can be added to it")
        self._pieces.append(content)
        reached = self.tokens_received // self._checkpoint_interval
        self.tokens_received += token_count or -(-len(content) // _CHARS_PER_TOKEN)
        if self.tokens_received > self._max_buffer_tokens:
            self.resumable = False
        if self._on_checkpoint and self.tokens_received // self._checkpoint_interval > reached:
            self._on_checkpoint(self)

    def finalize(self, finish_reason: str = "stop") -> None:
        """End the stream; the first ending stays, a later one is ignored.

        Args:
            finish_reason: how it ended (``stop``, ``length``, ``error``, …).
        """
        if self.is_complete:
            return
        self._ended_at = self._clock()
        self.finish_reason = finish_reason
        self.is_complete = True
        if self._on_complete:
            self._on_complete(self)

    @property
    def content_buffer(self) -> str:
        """The whole text so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    @property
    def duration(self) -> float:
        """Seconds from the start to the end, or to now while the stream lives."""
        return (self._clock() if self._ended_at is None else self._ended_at) - self._started_at

    @property
    def tokens_per_second(self) -> float:
        """Tokens received per second of ``duration``; 0.0 while no time has passed."""
        duration = self.duration
        return self.tokens_received / duration if duration > 0 else 0.0

    def __repr__(self) -> str:
        # The text stays out: a repr ends up in logs.
        state = self.finish_reason if self.is_complete else "live"
        return f"StreamCheckpoint({self.request_id!r}, {self.model_id!r}, {self.tokens_received} tokens, {state})"


class CheckpointRegistry:
    """Checkpoints by request: all that live, and the newest of the complete ones.

    Args:
        max_completed: the most complete ones kept, at least 0; above it the ones that ended first are dropped.
    """

    def __init__(self, max_completed: int = 50) -> None:
        self.max_completed = max_completed
        self._live: dict[str, StreamCheckpoint] = {}
        self._completed: OrderedDict[str, StreamCheckpoint] = OrderedDict()

    def add(self, checkpoint: StreamCheckpoint) -> None:
        """Register a live checkpoint; it takes the place of an earlier one of the same request."""
        self.remove(checkpoint.request_id)
        self._live[checkpoint.request_id] = checkpoint

    def complete(self, checkpoint: StreamCheckpoint) -> None:
        """Count a checkpoint among the complete ones; one that is no longer registered is left out."""
        if self._live.get(checkpoint.request_id) is not checkpoint:
            return
        del self._live[checkpoint.request_id]
        self._completed[checkpoint.request_id] = checkpoint
        self.trim()

    def trim(self) -> None:
        """Drop complete checkpoints above the limit, those that ended first."""
        while len(self._completed) > self.max_completed:
            self._completed.popitem(last=False)

    def get(self, request_id: str) -> StreamCheckpoint | None:
        """The checkpoint of a request, or None."""
        return self._live.get(request_id) or self._completed.get(request_id)

    def remove(self, request_id: str) -> None:
        """Forget a request; an unknown one is fine."""
        self._live.pop(request_id, None)
        self._completed.pop(request_id, None)

    def active(self) -> list[StreamCheckpoint]:
        """The checkpoints that are not complete, oldest first."""
        return list(self._live.values())

    def completed(self) -> list[StreamCheckpoint]:
        """The complete checkpoints that are kept, those that ended first come first."""
        return list(self._completed.values())
