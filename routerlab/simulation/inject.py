"""Faults for real providers, put in on our side: the provider is asked, or not, and what comes back is broken.

Simulated providers break by themselves, on the server's side. `controller` gives a lab one schedule for both.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from routerlab.core.chance import Chance
from routerlab.core.failures import ProviderError
from routerlab.core.script import Ending, Part, Script, Step, outcome
from routerlab.core.simulated_faults import ScheduledFault
from routerlab.core.types import (
    CompletionRequest,
    CompletionResponse,
    Delta,
    EmbeddingRequest,
    EmbeddingResponse,
    ModelInfo,
)
from routerlab.providers.base import ProviderConnector
from routerlab.session.session import Session
from routerlab.simulation.faults import FaultController
from routerlab.simulation.provider import SimulatedProvider

__all__ = ["InjectingConnector", "controller"]

_STEPS = 16  # pieces of the made-up answer that a fault is applied to


def controller(session: Session) -> FaultController:
    """One schedule of faults for all models of a session; every change becomes a row of ``events``."""
    faults = FaultController(on_change=lambda kind, model, detail: _note(session, kind, model, detail))
    real = set()
    for name, connector in list(session.connectors.items()):
        if isinstance(connector, SimulatedProvider):
            connector.faults = faults
            faults.attach(name, connector.server.models)
        else:
            session.connectors[name] = InjectingConnector(connector, faults)
            faults.attach(name, session.config.providers[name].models)
            real.add(name)
    session.desk.injected = lambda model: model.partition("/")[0] in real and bool(faults.faults_for(model))
    return faults


def _note(session: Session, kind: str, model: str, detail: str) -> None:
    provider = model.partition("/")[0]
    row = {"at": time.time(), "kind": kind, "model": model, "provider": provider, "new": detail, "cause": "by hand"}
    session.record("events", row)


class InjectingConnector(ProviderConnector):
    """Stands before a real connector and breaks what the schedule says.

    Args:
        inner: the real one.
        faults: the schedule.
        seed: of whether a fault of a given probability strikes.
    """

    def __init__(self, inner: ProviderConnector, faults: FaultController, seed: int = 0) -> None:
        super().__init__(inner.name, {})
        self._inner = inner
        self._faults = faults
        self._chance = Chance(seed, inner.name, "injected")

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        """Answer one chat request, unless a fault is active."""
        await self._before(request.model)
        started = time.monotonic()
        response = await self._inner.complete(request)
        await self._linger(request.model, time.monotonic() - started)
        return response

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return the vectors, unless a fault is active."""
        await self._before(request.model)
        started = time.monotonic()
        response = await self._inner.embed(request)
        await self._linger(request.model, time.monotonic() - started)
        return response

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        """Answer piece by piece, as far as the active faults let it come."""
        left, error = await _lead_in(self._script(request.model, stream=True))
        asked = time.monotonic()
        async with aclosing(self._inner.stream(request)) as deltas:
            async for delta in deltas:
                await self._linger(request.model, time.monotonic() - asked)
                if left is not None and delta.text:
                    if left <= 0:
                        await _break(error)
                    left -= 1
                yield delta
                asked = time.monotonic()
        if left is not None:
            await _break(error)

    def refused_params(self, request: CompletionRequest) -> frozenset[str]:
        """As the real provider."""
        return self._inner.refused_params(request)

    def streams(self, model: str) -> bool:
        """As the real provider."""
        return self._inner.streams(model)

    def takes_prefill(self, model: str) -> bool:
        """As the real provider."""
        return self._inner.takes_prefill(model)

    async def list_models(self) -> list[ModelInfo]:
        """The real provider's list."""
        return await self._inner.list_models()

    async def close(self) -> None:
        """Close the real connector."""
        await self._inner.close()

    async def _before(self, model: str) -> None:
        """Break a request here, where a fault says so: the provider is not asked."""
        left, error = await _lead_in(self._script(model, stream=False))
        if left is not None:
            await _break(error)

    async def _linger(self, model: str, took_s: float) -> None:
        """Make what took so long take longer, by the factor of the active faults."""
        active = self._faults.faults_for(f"{self.name}/{model}")
        factor = math.prod(float(fault.options.get("factor", 1.0)) for fault in active if fault.kind == "slow")
        if factor > 1.0:
            await asyncio.sleep(took_s * (factor - 1.0))

    def _script(self, model: str, *, stream: bool) -> Script:
        """A made-up answer with the active faults applied to it."""
        pieces = tuple(Step(Part.TEXT, "x") for _ in range(_STEPS))
        script = Script(stream=stream, steps=(*pieces, Step(Part.FINISH, "stop"), Step(Part.DONE)))
        faults: tuple[ScheduledFault, ...] = self._faults.faults_for(f"{self.name}/{model}")
        for fault in faults:
            script = fault.apply(script, self._chance)
        return script


async def _lead_in(script: Script) -> tuple[int | None, ProviderError | None]:
    """Wait as long as the script does before its answer.

    Returns:
        How many pieces may pass before it breaks (None: it does not break), and the error it breaks with (None: it
        goes silent, and a clock must end it).
    """
    end = outcome(script)
    if end.error is None and script.ending is not Ending.STALL:
        await asyncio.sleep(script.delay_s)
        return None, None
    if not end.text and end.error is not None:
        await asyncio.sleep(end.elapsed_s)
        raise end.error
    return len(end.text), end.error


async def _break(error: ProviderError | None) -> None:
    if error is not None:
        raise error
    await asyncio.get_running_loop().create_future()  # silence
