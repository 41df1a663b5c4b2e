"""The web application of a simulated provider: endpoints of many formats in front of simulated models."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from routerlab.core.chance import Chance
from routerlab.core.script import Script
from routerlab.core.simulated import SimulatedModel, SimulatedRequest, play
from routerlab.simulation.dialects import DIALECTS, dialect_of
from routerlab.simulation.dialects.base import Dialect, Endpoint, Envelope
from routerlab.simulation.dialects.problems import Problem
from routerlab.simulation.faults import FaultController
from routerlab.simulation.playback import Playback
from routerlab.simulation.served import Served

__all__ = ["RequestRecord", "SimulatedApplication"]

_LOG_LENGTH = 1000

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that arrived.

    Attributes:
        at: seconds since the epoch.
        model: as the request named it.
        path: of the endpoint.
        status: of the answer; None: the connection was lost before it.
        faults: the kinds of fault that struck.
    """

    at: float
    model: str
    path: str
    status: int | None
    faults: tuple[str, ...] = ()


class SimulatedApplication:
    """What a `SimulatedServer` serves. All its methods run on the server's loop; counts may be read from anywhere.

    Args:
        models: who answers.
        provider: their provider's name in the schedule of faults.
        seed: of all answers.
        api_key: required of every request; None: no key is asked for.
        faults: the schedule.
        clock: seconds, for limits and the models' own schedules.
    """

    def __init__(
        self,
        models: Iterable[SimulatedModel],
        *,
        provider: str,
        seed: int,
        api_key: str | None,
        faults: FaultController,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self.seed = seed
        self.faults = faults
        self.log: deque[RequestRecord] = deque(maxlen=_LOG_LENGTH)
        self._api_key = api_key
        self._clock = clock
        self._served = {model.name: Served(model, clock()) for model in models}
        self._strangers: dict[str, int] = {}
        self.asgi = Starlette(routes=self._routes(), exception_handlers={HTTPException: _no_such_url})

    def requests(self, model: str) -> int:
        """How many requests for a model arrived."""
        served = self._served.get(model)
        return served.arrived if served else self._strangers.get(model, 0)

    def _routes(self) -> list[Route]:
        routes = [
            Route(path, self._handler(dialect, endpoint), methods=["POST"])
            for dialect in DIALECTS
            for endpoint in dialect.endpoints
            for path in endpoint.paths
        ]
        listings = dict.fromkeys(path for dialect in DIALECTS for path in dialect.listing)
        return [*routes, *(Route(path, self._models) for path in listings)]

    async def _models(self, request: Request) -> Response:
        path = request.url.path
        dialect = next(one for one in reversed(DIALECTS) if path in one.listing and one.lists(request))
        if not self._has_key(dialect, request):
            return _refused(dialect, dialect.words["unauthorized"])
        return JSONResponse(dialect.models(served.model for served in self._served.values()))

    def _handler(self, dialect: Dialect, endpoint: Endpoint) -> Handler:
        async def handle(request: Request) -> Response:
            return await self._answer(request, dialect, endpoint)

        return handle

    async def _answer(self, request: Request, dialect: Dialect, endpoint: Endpoint) -> Response:
        try:
            body = _parse(await request.body())
        except ClientDisconnect:
            return Response()
        name = ""
        if isinstance(body, dict):
            endpoint.complete(body, request)
            name = str(body.get("model", ""))
        served = self._arrive(name)
        problem = self._refusal(request, dialect, name, served)
        seen = _read(endpoint, body) if problem is None else problem
        if isinstance(seen, Problem) or served is None:
            return self._refuse(request, name, dialect, seen if isinstance(seen, Problem) else dialect.unknown(name))
        unsupported = _unsupported(served.model, body, seen)
        if unsupported:
            return self._refuse(request, name, dialect, dialect.words[unsupported])
        now = self._clock()
        script = dialect.translated(self._play(served, seen, now))
        self._note(name, request, script.status if script.headed else None, script.faults)
        number, created = Chance(self.seed, name, served.arrived).bits(), time.time()
        writer = endpoint.writer(Envelope(number, name, created, body, seen))
        return Playback(script, writer, dialect.limit_headers(served.limits(now), created))

    def _arrive(self, name: str) -> Served | None:
        served = self._served.get(name)
        if served is None:
            self._strangers[name] = self._strangers.get(name, 0) + 1
        else:
            served.arrived += 1
        return served

    def _refusal(self, request: Request, dialect: Dialect, name: str, served: Served | None) -> Problem | None:
        if not self._has_key(dialect, request):
            return dialect.words["unauthorized"]
        return dialect.unknown(name) if name and served is None else None

    def _refuse(self, request: Request, name: str, dialect: Dialect, problem: Problem) -> Response:
        self._note(name, request, problem.status)
        return _refused(dialect, problem)

    def _play(self, served: Served, seen: SimulatedRequest, now: float) -> Script:
        model = served.model
        faults = (
            *model.faults_for(served.arrived - 1, now - served.started),
            *self.faults.faults_for(f"{self.provider}/{model.name}"),
            *served.limit(seen, now),
        )
        return play(model, seen, faults=faults, seed=self.seed, repeat=served.repeat_of(seen.prompt))

    def _has_key(self, dialect: Dialect, request: Request) -> bool:
        return self._api_key is None or dialect.key(request) == self._api_key

    def _note(self, model: str, request: Request, status: int | None, faults: tuple[str, ...] = ()) -> None:
        self.log.append(RequestRecord(time.time(), model, request.url.path, status, faults))


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _read(endpoint: Endpoint, body: Any) -> SimulatedRequest | Problem:
    """What a body means, or what is wrong with it."""
    try:
        return endpoint.problem(body) or endpoint.read(body)
    except (AttributeError, KeyError, TypeError, ValueError):  # values of types that no check expects
        return Problem(400, "The request has a field of the wrong type.")


def _unsupported(model: SimulatedModel, body: dict[str, Any], seen: SimulatedRequest) -> str | None:
    """What of a request the model cannot do, by its name in a dialect's words; None: it can do everything."""
    embeds = [capability.startswith("representation") for capability in model.capabilities]
    if seen.inputs:
        return None if any(embeds) else "no_embeddings"
    if all(embeds):
        return "no_chat"
    wanted = {
        "tools": bool(body.get("tools")),
        "json": seen.schema is not None,
        "vision": bool(seen.images),
        "prefill": seen.prefilled,
    }
    return next((f"no_{name}" for name, is_wanted in wanted.items() if is_wanted and name not in model.features), None)


def _refused(dialect: Dialect, problem: Problem) -> Response:
    return JSONResponse(dialect.error(problem), problem.status)


async def _no_such_url(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path
    return _refused(dialect_of(path), Problem(status, f"Invalid URL ({request.method} {path})"))
