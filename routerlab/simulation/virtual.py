"""A world on a virtual clock: models, their health and a pool, and calls that take no time and open no sockets.

The same `Route`, `Health` and strategies as under asyncio, and the same decisions; an hour passes in milliseconds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from routerlab.core.breaker import BreakerConfig
from routerlab.core.capabilities import CHAT
from routerlab.core.decisions import Pool
from routerlab.core.health import Health, LatencyTarget, ModelSettings
from routerlab.core.policy import PoolPolicy
from routerlab.core.route import Route
from routerlab.core.simulated import SimulatedModel
from routerlab.core.strategies import Priority, Strategy
from routerlab.core.types import CompletionRequest, Needs, split_model
from routerlab.simulation.plays import Play, Plays, plays_of
from routerlab.simulation.virtual_call import VirtualCall, VirtualClock

__all__ = ["VirtualWorld"]


_ANY = Needs()


class VirtualWorld:
    """Plan calls, let time run, look at what became of them.

    Args:
        models: by ``provider/model``: a function from the number of a request (0 for the first) to its `Play`, or a
            `SimulatedModel`, whose schedule of faults then counts from the start of the world.
        pool: who answers; None: all models in their order, with `strategy` and `policy`.
        strategy: of the pool that is made; None: `Priority`.
        policy: of the pool that is made; None: the defaults.
        breaker: of each model; None: the defaults.
        health: ready-made, where prices, windows or features matter; None: made for the models.
        seed: of the lab.
        start_s: what the clock shows at first; not 0, so that moments and durations cannot be mixed up unnoticed.

    Attributes:
        calls: in the order of their planning.
        requests: how many each model has got.

    >>> world = VirtualWorld({"a/one": lambda number: Play(0.2)})
    >>> call = world.call(at=5.0)
    >>> world.run()
    [VirtualCall(call-0, ok, 1 attempts)]
    >>> round(call.elapsed_s, 3)
    0.2
    """

    def __init__(
        self,
        models: Mapping[str, Plays | SimulatedModel],
        pool: Pool | None = None,
        *,
        strategy: Strategy | None = None,
        policy: PoolPolicy | None = None,
        breaker: BreakerConfig | None = None,
        health: Health | None = None,
        seed: int = 0,
        start_s: float = 1000.1,
    ) -> None:
        self.pool = pool or Pool("virtual", CHAT, tuple(models), strategy or Priority(), policy)
        self.health = health or Health(_settings(models, breaker or BreakerConfig()))
        self.seed = seed
        self.calls: list[VirtualCall] = []
        self.requests: Counter[str] = Counter()
        self._models = models
        self._prompts: Counter[tuple[str, str]] = Counter()
        self._start_s = start_s
        self._clock = VirtualClock(start_s)

    @property
    def now(self) -> float:
        """What the clock shows, as `Health` wants it."""
        return self._clock.now

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the world."""
        return self._clock.now - self._start_s

    def call(
        self,
        at: float = 0.0,
        *,
        prompt: str = "",
        model: str | None = None,
        pool: Pool | None = None,
        stream: bool = False,
        needs: Needs | None = None,
        params: Mapping[str, Any] | None = None,
        deadline_s: float | None = None,
        wait_max_s: float | None = None,
        on_end: Callable[[VirtualCall], object] | None = None,
    ) -> VirtualCall:
        """Plan a call.

        Args:
            at: seconds after the start of the world.
            prompt: for a simulated model.
            model: ``provider/model`` to pin it to.
            pool: another one than the world's.
            stream: whether the answer is wanted piece by piece.
            needs: what the model must be able to do.
            params: ``max_tokens``, …
            deadline_s: the caller's own limit; None: the pool's.
            wait_max_s: for cooling models; None: the pool's.
            on_end: called with the call when it has ended; may plan another one.
        """
        pool = pool or self.pool
        if model is not None:
            pool = Pool(pool.name, pool.capability, (model,), pool.strategy, pool.policy)
        request = CompletionRequest(
            call_id=f"call-{len(self.calls)}",
            capability=pool.capability,
            model="",
            messages=({"role": "user", "content": prompt},),
            params=params or {},
            stream=stream,
            needs=needs or _ANY,
        )
        route = Route(request, pool, self.seed, deadline_s=deadline_s, wait_max_s=wait_max_s, pinned=model is not None)
        call = VirtualCall(route, request, pool, health=self.health, clock=self._clock, play=self._play, on_end=on_end)
        self.calls.append(call)
        self.at(at, call.start)
        return call

    def cancel(self, call: VirtualCall, at: float) -> None:
        """Plan that the caller gives up, `at` seconds after the start of the world."""
        self.at(at, call.cancel)

    def at(self, seconds: float, do: Callable[[], object]) -> None:
        """Plan anything, `seconds` after the start of the world."""
        self._clock.at(self._start_s + seconds, do)

    def run(self, until: float = math.inf) -> list[VirtualCall]:
        """Let everything happen, up to `until` seconds after the start of the world; returns all calls."""
        self._clock.run(self._start_s + until)
        return self.calls

    def _play(self, request: CompletionRequest, name: str) -> Play:
        model, number = self._models[name], self.requests[name]
        self.requests[name] += 1
        if not isinstance(model, SimulatedModel):
            return model(number)
        prompt = name, str(request.messages[-1]["content"])
        repeat = self._prompts[prompt]
        self._prompts[prompt] += 1
        return plays_of(model, request, self.elapsed_s, number=number, repeat=repeat, seed=self.seed)


def _settings(models: Mapping[str, Plays | SimulatedModel], breaker: BreakerConfig) -> list[ModelSettings]:
    target = LatencyTarget()
    return [
        ModelSettings(
            name,
            split_model(name)[0],
            breaker,
            target,
            price=getattr(model, "price", None),
            context_window=getattr(model, "context_window", None),
            features=getattr(model, "features", None),
            prefill="prefill" in (getattr(model, "features", None) or ()),
        )
        for name, model in models.items()
    ]
