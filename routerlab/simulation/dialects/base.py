"""The seam between simulated models and wire formats: what a provider's format must say of itself.

The server knows nothing of any format: it asks a `Dialect` which addresses it answers at, what is wrong with a request
there, what the request means in OpenAI's shape, and how the answer, its errors and its limits are written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from starlette.requests import Request

from routerlab.core.script import Script, Step
from routerlab.core.simulated import SimulatedModel, SimulatedRequest
from routerlab.simulation.dialects.problems import Problem, name_of, read_problem

__all__ = ["Dialect", "Endpoint", "Envelope", "Limit", "WholeWriter", "Writer"]


@dataclass(slots=True)
class Envelope:
    """What stands around the answer to one request.

    Args:
        number: of which the answer's identity is made.
        model: as the request named it.
        created: seconds since the epoch.
        body: of the request.
        seen: what the model saw of it.
    """

    number: int
    model: str
    created: float
    body: Mapping[str, Any]
    seen: SimulatedRequest

    def identity(self, prefix: str) -> str:
        """A name for the answer, or for a part of it."""
        return f"{prefix}{self.number:016x}"


@dataclass(frozen=True, slots=True)
class Limit:
    """How much is left of an allowance.

    Attributes:
        what: ``requests`` or ``tokens``.
        per_minute: the whole allowance.
        remaining: what could be taken now.
        reset_s: seconds until it is whole again.
    """

    what: str
    per_minute: float
    remaining: int
    reset_s: float


class Writer(ABC):
    """Writes one answer. An instance serves one answer and may keep what it has written of it."""

    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope

    def headers(self) -> list[tuple[str, str]]:
        """That go with the answer, beside those of the limits."""
        return []

    def content_type(self) -> str:
        """Of a stream."""
        return self.stream_type

    def events(self, script: Script) -> Iterator[tuple[float, bytes]]:
        """The parts of a stream, each with the seconds to wait before it."""
        yield 0.0, self.begin(script)
        for step in script.steps:
            yield step.delay_s, self.part(step, script)

    @abstractmethod
    def begin(self, script: Script) -> bytes:
        """What a stream begins with."""

    @abstractmethod
    def part(self, step: Step, script: Script) -> bytes:
        """What a step is in a stream; empty where the format has nothing for it."""

    @abstractmethod
    def whole(self, script: Script) -> Any:
        """An answer that is not streamed, as JSON will have it."""


class WholeWriter(Writer):
    """Writes answers that are never streamed."""

    def begin(self, script: Script) -> bytes:
        """Nothing."""
        return b""

    def part(self, step: Step, script: Script) -> bytes:
        """Nothing."""
        return b""


def _as_it_is(body: dict[str, Any], request: Request) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a format takes requests of one sort.

    Args:
        paths: of its addresses, in Starlette's form.
        problem: what is wrong with a body; None: nothing. It also gets what is no JSON object at all.
        read: what a good body means to a model.
        writer: of the answers.
        complete: puts into the body what the address says: the model, say.
    """

    paths: tuple[str, ...]
    problem: Callable[[Any], Problem | None]
    read: Callable[[Mapping[str, Any]], SimulatedRequest]
    writer: type[Writer]
    complete: Callable[[dict[str, Any], Request], None] = _as_it_is


class Dialect(ABC):
    """A provider's wire format.

    Attributes:
        kind: of the providers that speak it, as in ``lab.yaml``.
        root: the path of the base URL that its clients are given.
        prefix: of the paths that are its own; the longest decides in whose words an unknown address is refused.
        endpoints: for chat and for embeddings.
        listing: paths of the list of models.
        words: how it says named errors (see `routerlab.core.simulated_errors`), and what a model cannot do:
            ``no_chat``, ``no_embeddings``, ``no_tools``, ``no_json``, ``no_vision``, ``no_prefill``.
    """

    kind: ClassVar[str]
    root: ClassVar[str] = ""
    prefix: ClassVar[str] = "/"
    endpoints: ClassVar[tuple[Endpoint, ...]]
    listing: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[Mapping[str, Problem]]

    @abstractmethod
    def error(self, problem: Problem, retry_after: str | None = None) -> Mapping[str, Any]:
        """An error's body.

        Args:
            problem: what is wrong.
            retry_after: seconds, or another text, where the body says when to come back.
        """

    @abstractmethod
    def models(self, models: Iterable[SimulatedModel]) -> Mapping[str, Any]:
        """The body that lists models."""

    def key(self, request: Request) -> str | None:
        """The key that a request carries; None: it carries none."""
        return request.headers.get("authorization", "").removeprefix("Bearer ") or None

    def lists(self, request: Request) -> bool:
        """Whether a request to a shared address of the list of models is one of this format."""
        return True

    def limit_headers(self, limits: Iterable[Limit], now: float) -> list[tuple[str, str]]:
        """What the format's headers say of limits.

        Args:
            limits: of the model.
            now: seconds since the epoch.
        """
        return []

    def unknown(self, model: str) -> Problem:
        """There is no such model."""
        problem = self.words["model_not_found"]
        return replace(problem, message=problem.message.format(model=model))

    def translated(self, script: Script) -> Script:
        """A script that answers with an error (or without an answer), in this format's words; others as they are.

        Pages of proxies, texts, and errors in any shape but OpenAI's stay what they are.
        """
        if script.body is None or isinstance(script.body, str):
            return script
        if script.body.get("choices") == []:
            return replace(script, stream=False, body=None, steps=())
        problem = self._problem_of(script.body, script.status)
        if problem is None:
            return script
        retry_after = dict(script.headers).get("retry-after")
        status = problem.status if script.status >= 400 else script.status
        return replace(script, status=status, body=self.error(problem, retry_after))

    def _problem_of(self, body: Mapping[str, Any], status: int) -> Problem | None:
        name = name_of(body)
        return self.words.get(name or "") or read_problem(body, status)
