"""Checkpoints of running streams: the documented face of ``core.checkpoint``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from routerlab.core.checkpoint import CheckpointRegistry, StreamCheckpoint
from routerlab.core.checks import is_whole

__all__ = ["StreamCheckpoint", "StreamingCheckpointMixin"]


class StreamingCheckpointMixin:
    """Keeps what each running stream has delivered, so that another model can carry on from there.

    Attributes:
        _clock: returns the time in seconds; monotonic.

    >>> class Provider(StreamingCheckpointMixin): ...
    >>> provider = Provider()
    >>> checkpoint = provider.create_checkpoint("request-1", "provider/model")
    >>> checkpoint.record("The sky ", token_count=2)
    >>> checkpoint.record("is", token_count=1)
    >>> provider.get_checkpoint("request-1").content_buffer
    'The sky is'
    """

    _clock: Callable[[], float] = time.monotonic

    def configure_checkpoints(
        self, max_buffer_tokens: int = 10_000, checkpoint_interval: int = 100, max_checkpoints: int = 50
    ) -> None:
        """Set the limits; they hold for the streams that start from now on, ``max_checkpoints`` at once.

        Args:
            max_buffer_tokens: above this many tokens, at least 1, a stream is marked ``resumable=False``.
            checkpoint_interval: ``_on_checkpoint`` is called every so many tokens, at least 1.
            max_checkpoints: the most complete checkpoints kept, at least 0; live ones are never dropped.

        Raises:
            ValueError: a limit is out of its range; nothing has changed.
        """
        limits = (max_buffer_tokens, checkpoint_interval, max_checkpoints)
        names = ("max_buffer_tokens", "checkpoint_interval", "max_checkpoints")
        for name, value, least in zip(names, limits, (1, 1, 0), strict=True):
            if not is_whole(value, least):
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        state = self._checkpoint_state()
        state.max_buffer_tokens = max_buffer_tokens
        state.checkpoint_interval = checkpoint_interval
        state.registry.max_completed = max_checkpoints
        state.registry.trim()

    def create_checkpoint(self, request_id: str, model_id: str = "") -> StreamCheckpoint:
        """Start the checkpoint of a stream; it takes the place of an earlier one of the same request.

        Args:
            request_id: the request that the stream answers.
            model_id: the model that writes it.

        Returns:
            The checkpoint: call ``record`` for each piece, ``finalize`` at the end.
        """
        state = self._checkpoint_state()
        checkpoint = StreamCheckpoint(
            request_id,
            model_id,
            clock=lambda: self._clock(),  # noqa: PLW0108 - the clock may be replaced at any time
            max_buffer_tokens=state.max_buffer_tokens,
            checkpoint_interval=state.checkpoint_interval,
            on_checkpoint=self._on_checkpoint,
            on_complete=state.registry.complete,
        )
        state.registry.add(checkpoint)
        return checkpoint

    def get_checkpoint(self, request_id: str) -> StreamCheckpoint | None:
        """The checkpoint of a request, or None."""
        return self._checkpoint_state().registry.get(request_id)

    def remove_checkpoint(self, request_id: str) -> None:
        """Forget a request; an unknown one is fine."""
        self._checkpoint_state().registry.remove(request_id)

    def active_checkpoints(self) -> list[StreamCheckpoint]:
        """The checkpoints that are not complete, oldest first."""
        return self._checkpoint_state().registry.active()

    def checkpoint_stats(self) -> dict[str, Any]:
        """How many checkpoints there are.

        Returns:
            ``total``, ``active``, ``completed``, ``max_checkpoints``, ``active_tokens`` (received by the live
            streams), ``max_buffer_tokens``, ``checkpoint_interval``.
        """
        state = self._checkpoint_state()
        active, completed = state.registry.active(), state.registry.completed()
        return {
            "total": len(active) + len(completed),
            "active": len(active),
            "completed": len(completed),
            "max_checkpoints": state.registry.max_completed,
            "active_tokens": sum(checkpoint.tokens_received for checkpoint in active),
            "max_buffer_tokens": state.max_buffer_tokens,
            "checkpoint_interval": state.checkpoint_interval,
        }

    def _on_checkpoint(self, checkpoint: StreamCheckpoint) -> None:
        """Called every ``checkpoint_interval`` tokens of a stream; override it to save the checkpoint somewhere."""

    def _checkpoint_state(self) -> _CheckpointState:
        state = self.__dict__.get("_checkpoints")
        if state is None:  # never configured: setdefault, so that all threads get the same one
            state = self.__dict__.setdefault("_checkpoints", _CheckpointState())
        return cast("_CheckpointState", state)


@dataclass(slots=True)
class _CheckpointState:
    max_buffer_tokens: int = 10_000
    checkpoint_interval: int = 100
    registry: CheckpointRegistry = field(default_factory=CheckpointRegistry)
