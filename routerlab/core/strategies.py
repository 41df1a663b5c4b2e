"""Which model first: the selection strategies. Each is pure: what it sees and remembers goes in, a ranking comes out.

An author writes one method, `Strategy.rank`; a strategy that remembers something adds `Strategy.learn`. The pool holds
the memory, so that asking (`explain`) changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, ClassVar, Literal, Protocol

from routerlab.core.checks import is_number
from routerlab.core.errors import ConfigurationError
from routerlab.core.record import record
from routerlab.core.types import ModelSnapshot, Needs

__all__ = [
    "STRATEGIES",
    "BestScore",
    "CostFirst",
    "Feedback",
    "LatencyFirst",
    "Priority",
    "Randomness",
    "Ranked",
    "Request",
    "RoundRobin",
    "StickUntilFailure",
    "Strategy",
    "Weighted",
    "make_strategy",
]


class Request(Protocol):
    """What a strategy may read of a request, whatever its kind."""

    @property
    def call_id(self) -> str: ...
    @property
    def capability(self) -> str: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def needs(self) -> Needs: ...
    @property
    def stream(self) -> bool: ...


class Randomness(Protocol):
    """The generator that is passed in: `routerlab.core.chance.Chance`, or anything with ``random()``."""

    def random(self) -> float: ...


@record
class Ranked:
    """One candidate in the order of preference.

    Attributes:
        model: ``provider/model``.
        score: what the strategy ordered by, in its own unit; None where it does not use a number.
        probability: how probable it was that this one came first, 0…1.
    """

    model: str
    score: float | None = None
    probability: float = 0.0


@record
class Feedback:
    """What a strategy may learn from: a model was chosen, answered, or failed, at this moment (seconds)."""

    kind: Literal["chosen", "answered", "failed"]
    model: str
    at: float


class Strategy:
    """The base of all strategies.

    `rank` gets the candidates that can serve now, in the pool's order, and returns all of them, the preferred one
    first. It must not keep anything on ``self``; what is to be remembered goes through `learn` into ``memory``, which
    is replaced, never changed in place. ``snapshot.at`` is the time.
    """

    name: ClassVar[str] = ""

    def rank(self, request: Request, snapshots: Sequence[ModelSnapshot], memory: Any, rng: Randomness) -> list[Ranked]:
        raise NotImplementedError

    def learn(self, memory: Any, event: Feedback) -> Any:
        return memory


def _in_order(models: Sequence[str], scores: Sequence[float | None] | None = None) -> list[Ranked]:
    """The ranking of a strategy that leaves nothing to chance."""
    return list(map(Ranked, models, scores or repeat(None), chain((1.0,), repeat(0.0))))


class Priority(Strategy):
    """The first healthy model in the listed order; back to it when it recovers."""

    name = "priority"

    def rank(self, request: Request, snapshots: Sequence[ModelSnapshot], memory: Any, rng: Randomness) -> list[Ranked]:
        return _in_order([snapshot.model for snapshot in snapshots])


@record
class _Stuck:
    """Whom to stay with; empty: it failed."""

    model: str
    left_at: float | None = None  # when the preferred model was left


class StickUntilFailure(Strategy):
    """Stays with the model that answered last until it fails.

    Args:
        return_after: seconds after which the first listed model is tried again; None: only when the other one fails.
    """

    name = "stick-until-failure"

    def __init__(self, return_after: float | None = None) -> None:
        if return_after is not None and not (math.isfinite(return_after) and return_after > 0):
            raise ConfigurationError(f"return_after must be a positive number of seconds, not {return_after!r}")
        self.return_after = return_after

    def rank(
        self, request: Request, snapshots: Sequence[ModelSnapshot], memory: _Stuck | None, rng: Randomness
    ) -> list[Ranked]:
        models = [snapshot.model for snapshot in snapshots]
        if memory is not None and memory.model in models and not self._is_over(memory, snapshots[0].at):
            models.remove(memory.model)
            models.insert(0, memory.model)
        return _in_order(models)

    def _is_over(self, memory: _Stuck, now: float) -> bool:
        return (
            self.return_after is not None and memory.left_at is not None and now - memory.left_at >= self.return_after
        )

    def learn(self, memory: _Stuck | None, event: Feedback) -> _Stuck | None:
        if event.kind == "chosen":
            return memory or _Stuck(event.model)
        if event.kind == "failed":
            if memory is None or (memory.model != event.model and not self._is_over(memory, event.at)):
                return memory
            # The model itself, or the first one when it was tried again: its time starts anew.
            return _Stuck("" if memory.model == event.model else memory.model, event.at)
        if memory is None or memory.model == event.model:
            return _Stuck(event.model, memory.left_at if memory else None)
        # Another model answers: it is kept where the old one failed, or where its time is over.
        return _Stuck(event.model, memory.left_at) if not memory.model or self._is_over(memory, event.at) else memory


class RoundRobin(Strategy):
    """The one whose last turn is the longest ago; those that never had one in the listed order."""

    name = "round-robin"

    def rank(
        self, request: Request, snapshots: Sequence[ModelSnapshot], memory: Mapping[str, int] | None, rng: Randomness
    ) -> list[Ranked]:
        turns = memory or {}
        return _in_order(sorted((snapshot.model for snapshot in snapshots), key=lambda model: turns.get(model, 0)))

    def learn(self, memory: Mapping[str, int] | None, event: Feedback) -> Mapping[str, int] | None:
        if event.kind != "chosen":
            return memory
        turns = memory or {}
        return {**turns, event.model: max(turns.values(), default=0) + 1}


class Weighted(Strategy):
    """Drawn by chance, each model as often as its weight says.

    Args:
        weights: by ``provider/model``; a model that is not named has 1; one with 0 serves only when no other can.
    """

    name = "weighted"

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = dict(weights or {})
        for model, weight in self.weights.items():
            if not is_number(weight) or not 0 <= weight < math.inf:
                raise ConfigurationError(f"weights.{model} must be a finite number of at least 0, not {weight!r}")

    def rank(self, request: Request, snapshots: Sequence[ModelSnapshot], memory: Any, rng: Randomness) -> list[Ranked]:
        left = {snapshot.model: float(self.weights.get(snapshot.model, 1.0)) for snapshot in snapshots}
        total = sum(left.values())
        chances = {model: weight / total if total else 1 / len(left) for model, weight in left.items()}
        ranking = []
        while left:
            model = _draw(left, rng.random())
            ranking.append(Ranked(model, left.pop(model), chances[model]))
        return ranking


def _draw(weights: Mapping[str, float], chance: float) -> str:
    """One of the keys, each as probable as its weight; all equally where nothing is left but zeros."""
    total = sum(weights.values())
    models = list(weights)
    if total <= 0:
        return models[int(chance * len(models))]
    point, last = chance * total, models[0]
    for model, weight in weights.items():
        if weight <= 0:
            continue
        last, point = model, point - weight
        if point < 0:
            break
    return last


class CostFirst(Strategy):
    """The cheapest first (three prompt tokens to one of the answer); unknown prices come after the known ones."""

    name = "cost-first"

    def rank(self, request: Request, snapshots: Sequence[ModelSnapshot], memory: Any, rng: Randomness) -> list[Ranked]:
        costs = {s.model: None if s.price is None else (3 * s.price.input + s.price.output) / 4 for s in snapshots}
        return _by(costs, lambda cost: (cost is None, cost or 0.0))


class LatencyFirst(Strategy):
    """The fastest of late first (mean latency of the recent successes); an untried model gets a turn."""

    name = "latency-first"

    def rank(self, request: Request, snapshots: Sequence[ModelSnapshot], memory: Any, rng: Randomness) -> list[Ranked]:
        return _measured(snapshots, attrgetter("latency_s"), sign=1)


class BestScore(Strategy):
    """The highest EWMA score first; an untried model gets a turn."""

    name = "best-score"

    def rank(self, request: Request, snapshots: Sequence[ModelSnapshot], memory: Any, rng: Randomness) -> list[Ranked]:
        return _measured(snapshots, attrgetter("score"), sign=-1)


def _measured(
    snapshots: Sequence[ModelSnapshot], value_of: Callable[[ModelSnapshot], float | None], *, sign: int
) -> list[Ranked]:
    """Order by a measurement, the smallest first or (sign -1) the largest. Unknown is neither best nor worst.

    An untried model gets one turn at a time: while its first answer is under way, the others carry on; tried without a
    single measurement (it only failed), it comes last.
    """
    keyed: list[tuple[int, float, int, str, float | None]] = []
    for place, snapshot in enumerate(snapshots):
        value = value_of(snapshot)
        if value is not None:
            keyed.append((1, sign * value, place, snapshot.model, value))
        else:
            group = 0 if snapshot.samples == 0 and snapshot.in_flight == 0 else 2
            keyed.append((group, 0.0, place, snapshot.model, None))
    keyed.sort()
    return _in_order([key[3] for key in keyed], [key[4] for key in keyed])


def _by(values: Mapping[str, float | None], key: Callable[[float | None], Any]) -> list[Ranked]:
    models = sorted(values, key=lambda model: key(values[model]))
    return _in_order(models, [values[model] for model in models])


STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (BestScore, CostFirst, LatencyFirst, Priority, RoundRobin, StickUntilFailure, Weighted)
}


def make_strategy(name: str, options: Mapping[str, Any] | None = None) -> Strategy:
    """A strategy by its name.

    Raises:
        ConfigurationError: no strategy has this name, or it does not take one of the options.
    """
    strategy = STRATEGIES.get(name)
    if strategy is None:
        raise ConfigurationError(f"unknown strategy {name!r}: expected one of {', '.join(sorted(STRATEGIES))}")
    try:
        return strategy(**(options or {}))
    except TypeError:
        given = ", ".join(options or {})
        raise ConfigurationError(f"strategy {name!r} does not take the options given ({given})") from None
