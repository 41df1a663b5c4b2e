"""How a pool behaves: retries, clocks, and what it does with streams and filters. Plain data, checked when made."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Literal

from routerlab.core.record import record

__all__ = ["PoolPolicy", "RetryPolicy", "StreamPolicy", "Timeouts"]

StreamPolicy = Literal["continue", "restart", "error", "buffer"]
"""What happens when a stream breaks after its first text.

``continue``: the next model carries on from the text so far; where that cannot be (half a tool call, a very long text),
it starts over. ``restart``: the next model starts over, the next piece says so. ``error``: an error that carries the
partial text. ``buffer``: nothing is shown before the stream is complete, so that a failover cannot be seen.
"""


@record
class RetryPolicy:
    """Immediate retries of one model within its turn.

    Attributes:
        max_retries: after the first try; 0: the next model at once.
        initial_delay: seconds before the first retry; doubled for each further one.
        max_delay: seconds; a backoff is never longer.
        retry_after_max: seconds; a provider that asks for a longer pause ends its turn.
    """

    max_retries: int = 1
    initial_delay: float = 0.5
    max_delay: float = 8.0
    retry_after_max: float = 3.0

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ValueError(f"max_retries must be a whole number of at least 0, not {self.max_retries!r}")
        for name in ("initial_delay", "max_delay", "retry_after_max"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of seconds of at least 0, not {value!r}")


@record
class Timeouts:
    """The clocks of one attempt, in seconds; None switches a clock off.

    Attributes:
        connect: opening a connection.
        request: a request that is not streamed, to its last byte.
        first_token: a stream until its first text, tool-call or reasoning delta.
        idle: a stream between two chunks.
        total: a whole stream.
    """

    connect: float | None = 10.0
    request: float | None = 120.0
    first_token: float | None = 60.0
    idle: float | None = 30.0
    total: float | None = 300.0

    def __post_init__(self) -> None:
        for name in ("connect", "request", "first_token", "idle", "total"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number of seconds (null switches it off), not {value!r}")


@record
class PoolPolicy:
    """Everything that a pool decides about a request, but which model comes first.

    Attributes:
        retry: immediate retries.
        timeouts: the clocks of each attempt.
        deadline: seconds for the whole request, all attempts and waits; None: no limit.
        takeover_after: seconds after which a silent stream is left while another model is free; None: never.
        on_stream_failure: see `StreamPolicy`.
        on_content_filter: ``error``: the caller hears of it; ``move_on``: the next model is asked.
        wait_max: seconds that a request waits at most for a cooling model when no other can serve.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    deadline: float | None = None
    takeover_after: float | None = None
    on_stream_failure: StreamPolicy = "continue"
    on_content_filter: Literal["error", "move_on"] = "error"
    wait_max: float = 60.0
