"""The web application of a simulated provider: OpenAI's endpoints in front of simulated models."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from routerlab.core.allowance import Allowance
from routerlab.core.chance import Chance
from routerlab.core.script import Script
from routerlab.core.simulated import SimulatedModel, SimulatedRequest, play, read_chat, read_embedding
from routerlab.core.simulated_errors import ERRORS, error_body
from routerlab.core.simulated_faults import ScheduledFault
from routerlab.simulation.faults import FaultController
from routerlab.simulation.playback import Playback
from routerlab.simulation.wire import Envelope, chat_problem, embedding_problem

__all__ = ["RequestRecord", "SimulatedApplication"]

_LOG_LENGTH = 1000
_REPEATS_KEPT = 100_000  # prompts; the count only varies the timing, so starting afresh does no harm
_INVALID = "invalid_request_error"


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


class _Served:
    """A model at work: what it is, and what it has seen."""

    def __init__(self, model: SimulatedModel, now: float) -> None:
        self.model = model
        self.arrived = 0
        self.started = now
        self.repeats: dict[int, int] = {}
        limits = {"requests": model.rpm, "tokens": model.tpm}
        self.allowances = {what: Allowance(limit, now=now) for what, limit in limits.items() if limit}

    def repeat_of(self, prompt: str) -> int:
        """How often this prompt came before."""
        if len(self.repeats) >= _REPEATS_KEPT:
            self.repeats.clear()
        key = Chance(prompt).bits()
        count = self.repeats.get(key, 0)
        self.repeats[key] = count + 1
        return count

    def limit(self, request: SimulatedRequest, now: float) -> tuple[ScheduledFault, ...]:
        """The fault that meets a request over the limits; none within them."""
        amounts = {"requests": 1, "tokens": request.prompt_tokens + (request.max_tokens or 0)}
        waits = [allowance.take(amounts[what], now=now) for what, allowance in self.allowances.items()]
        wait_s = max(waits, default=0.0)
        return (ScheduledFault("rate_limit", options={"retry_after": round(wait_s, 3)}),) if wait_s else ()

    def limit_headers(self, now: float) -> list[tuple[str, str]]:
        """What OpenAI's servers say of the limits, in their form."""
        headers = []
        for what, allowance in self.allowances.items():
            headers += [
                (f"x-ratelimit-limit-{what}", str(allowance.per_minute)),
                (f"x-ratelimit-remaining-{what}", str(allowance.remaining(now=now))),
                (f"x-ratelimit-reset-{what}", f"{allowance.reset_s(now=now) * 1000:.0f}ms"),
            ]
        return headers


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
        self._served = {model.name: _Served(model, clock()) for model in models}
        self._strangers: dict[str, int] = {}
        self.asgi = Starlette(routes=self._routes(), exception_handlers={HTTPException: _no_such_url})

    def requests(self, model: str) -> int:
        """How many requests for a model arrived."""
        served = self._served.get(model)
        return served.arrived if served else self._strangers.get(model, 0)

    def _routes(self) -> list[Route]:
        routes = []
        for prefix in ("/v1", "/openai/v1", "/openai/deployments/{name}"):
            routes += [
                Route(f"{prefix}/chat/completions", self._chat, methods=["POST"]),
                Route(f"{prefix}/embeddings", self._embeddings, methods=["POST"]),
            ]
        return [*routes, Route("/v1/models", self._models), Route("/openai/v1/models", self._models)]

    async def _models(self, request: Request) -> Response:
        if not self._has_key(request):
            return JSONResponse(ERRORS["unauthorized"][1], 401)
        common = {"object": "model", "created": 1_767_225_600, "owned_by": "routerlab-simulated"}
        models = [served.model for served in self._served.values()]
        data = [{"id": model.name, **common, "context_window": model.context_window} for model in models]
        return JSONResponse({"object": "list", "data": data})

    async def _chat(self, request: Request) -> Response:
        return await self._answer(request, chat_problem, _read_chat)

    async def _embeddings(self, request: Request) -> Response:
        return await self._answer(request, embedding_problem, _read_embedding)

    async def _answer(
        self,
        request: Request,
        problem_of: Callable[[Any], Mapping[str, Any] | None],
        read: Callable[[Mapping[str, Any]], SimulatedRequest],
    ) -> Response:
        try:
            body = _parse(await request.body())
        except ClientDisconnect:
            return Response()
        name = request.path_params.get("name") or (str(body.get("model", "")) if isinstance(body, dict) else "")
        if isinstance(body, dict) and name:
            body["model"] = name
        served = self._arrive(name)
        problem = self._refusal(request, name, served) or _as_400(problem_of(body))
        if problem is not None or served is None:
            status, content = problem or (404, {})
            self._note(name, request, status)
            return JSONResponse(content, status)
        seen = read(body)
        unsupported = _unsupported(served.model, body, seen)
        if unsupported:
            self._note(name, request, 400)
            return JSONResponse(unsupported, 400)
        script, headers = self._play(served, seen)
        self._note(name, request, script.status if script.headed else None, script.faults)
        packed = body.get("encoding_format") == "base64"
        identity = f"chatcmpl-{Chance(self.seed, name, served.arrived).bits():016x}"
        return Playback(script, Envelope(identity, name, int(time.time()), base64_vectors=packed), headers)

    def _arrive(self, name: str) -> _Served | None:
        served = self._served.get(name)
        if served is None:
            self._strangers[name] = self._strangers.get(name, 0) + 1
        else:
            served.arrived += 1
        return served

    def _refusal(self, request: Request, name: str, served: _Served | None) -> tuple[int, Any] | None:
        if not self._has_key(request):
            return ERRORS["unauthorized"]
        if name and served is None:
            message = f"The model `{name}` does not exist or you do not have access to it."
            return 404, error_body(message, _INVALID, "model_not_found", "model")
        return None

    def _play(self, served: _Served, seen: SimulatedRequest) -> tuple[Script, list[tuple[str, str]]]:
        now, model = self._clock(), served.model
        faults = (
            *model.faults_for(served.arrived - 1, now - served.started),
            *self.faults.faults_for(f"{self.provider}/{model.name}"),
            *served.limit(seen, now),
        )
        script = play(model, seen, faults=faults, seed=self.seed, repeat=served.repeat_of(seen.prompt))
        return script, served.limit_headers(now)

    def _has_key(self, request: Request) -> bool:
        if self._api_key is None:
            return True
        given = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        return given == self._api_key

    def _note(self, model: str, request: Request, status: int | None, faults: tuple[str, ...] = ()) -> None:
        self.log.append(RequestRecord(time.time(), model, request.url.path, status, faults))


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _as_400(problem: Mapping[str, Any] | None) -> tuple[int, Any] | None:
    return None if problem is None else (400, problem)


def _read_chat(body: Mapping[str, Any]) -> SimulatedRequest:
    options = body.get("stream_options") or {}
    stream = bool(body.get("stream"))
    return read_chat(body["messages"], body, stream=stream, usage=not stream or bool(options.get("include_usage")))


def _read_embedding(body: Mapping[str, Any]) -> SimulatedRequest:
    inputs = [body["input"]] if isinstance(body["input"], str) else body["input"]
    return read_embedding(inputs, body)


def _unsupported(model: SimulatedModel, body: Mapping[str, Any], seen: SimulatedRequest) -> Mapping[str, Any] | None:
    """What the model cannot do, in the words of real servers; None: it can."""
    embeds = [capability.startswith("representation") for capability in model.capabilities]
    if seen.inputs and not any(embeds):
        return error_body("You are not allowed to generate embeddings from this model", _INVALID)
    if not seen.inputs and all(embeds):
        return error_body("This is not a chat model and thus not supported in v1/chat/completions.", _INVALID)
    if body.get("tools") and "tools" not in model.features:
        return error_body("tools is not supported in this model.", _INVALID, "unsupported_parameter", "tools")
    if seen.schema is not None and "json" not in model.features:
        message = "Invalid parameter: 'response_format' is not supported with this model."
        return error_body(message, _INVALID, "unsupported_parameter", "response_format")
    if seen.images and "vision" not in model.features:
        return error_body("Invalid content type. image_url is only supported by certain models.", _INVALID)
    return None


async def _no_such_url(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse(error_body(f"Invalid URL ({request.method} {request.url.path})", _INVALID), status)
