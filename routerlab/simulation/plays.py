"""What a model does with one request, and which clock ends it first: the virtual counterpart of a socket."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.moves import Clocks
from routerlab.core.script import Ending, Part, outcome
from routerlab.core.simulated import SimulatedModel, play, read_chat
from routerlab.core.types import CompletionRequest

__all__ = ["Play", "Plays", "cut", "plays_of"]


@dataclass(frozen=True, slots=True)
class Play:
    """What a model does with one request, as a client without any clock would see it. All times from the request on.

    Attributes:
        seconds: until success or failure is known; infinite: it never is, a clock must end it.
        error: the failure; None: a success.
        connect_s: until the connection stands.
        first_token_s: of a stream: until its first text or tool call; None: at the end of a success, else never.
        reasoning_s: of a stream: until its first reasoning delta; None: there is none.
        silent_from_s: of a stream: when its last chunk came; None: chunks come to the end.
        resumable: of a stream: another model can carry on from its text; False: it had begun a tool call.
    """

    seconds: float = 0.0
    error: ProviderError | None = None
    connect_s: float = 0.0
    first_token_s: float | None = None
    reasoning_s: float | None = None
    silent_from_s: float | None = None
    resumable: bool = True

    @property
    def content_s(self) -> float | None:
        """Until the first content of a stream; None: none comes."""
        return self.seconds if self.first_token_s is None and self.error is None else self.first_token_s


Plays = Callable[[int], Play]
"""From the number of a request (0 for the first) to what the model does with it."""


def plays_of(
    model: SimulatedModel,
    request: CompletionRequest,
    now_s: float,
    *,
    number: int = 0,
    repeat: int = 0,
    seed: int = 0,
) -> Play:
    """What a simulated model does with a request.

    Args:
        model: who answers.
        request: what is asked.
        now_s: seconds after its start.
        number: how many requests it had before.
        repeat: how many of these were this prompt.
        seed: of the provider.
    """
    asked = read_chat(request.messages, request.params, stream=request.stream)
    script = play(model, asked, faults=model.faults_for(number, now_s), seed=seed, repeat=repeat)
    seen = outcome(script)
    last_chunk_s = script.delay_s + sum(step.delay_s for step in script.steps)
    silent = script.ending is Ending.STALL and seen.first_token_s is not None
    return Play(
        seen.elapsed_s,
        seen.error,
        first_token_s=seen.first_token_s,
        silent_from_s=last_chunk_s if silent else None,
        resumable=bool(seen.text.strip()) and all(step.part is not Part.TOOL_CALL for step in script.steps),
    )


def cut(play: Play, clocks: Clocks, *, stream: bool) -> tuple[float, ProviderError | None]:
    """When an attempt ends, and with which error: by what the model does, or by the first clock that runs out."""
    running = {name: end for name, end in _ends(play, clocks, stream).items() if end is not None and end < play.seconds}
    if not running:
        return play.seconds, play.error
    name = min(running, key=lambda name: running[name])
    fault = _FAULTS.get(name, Fault.TIMEOUT)
    message = f"the {name} clock ran out after {running[name]:g} s"
    return running[name], ProviderError(message, fault=fault, clock=name, sent=name != "connect")


_FAULTS = {"connect": Fault.CONNECT_TIMEOUT, "deadline": Fault.DEADLINE, "takeover": Fault.TAKEOVER}


def _ends(play: Play, clocks: Clocks, stream: bool) -> dict[str, float | None]:
    """When each clock would run out, seconds after the request; None: it was stopped in time, or is switched off."""
    ends = {"deadline": clocks.deadline_s, "connect": _unless_by(clocks.connect_s, play.connect_s)}
    if not stream:
        return ends | {"request": clocks.request_s}
    signs = [sign for sign in (play.reasoning_s, play.content_s) if sign is not None]
    sign = min(signs, default=math.inf)
    if play.silent_from_s is not None and clocks.idle_s is not None:
        ends["idle"] = play.silent_from_s + clocks.idle_s
    return ends | {
        "total": clocks.total_s,
        "first_token": _unless_by(clocks.first_token_s, sign),
        "takeover": _unless_by(clocks.takeover_s, sign),
    }


def _unless_by(limit: float | None, moment: float) -> float | None:
    return limit if limit is not None and moment > limit else None
