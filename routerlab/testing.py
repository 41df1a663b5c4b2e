"""For tests: a clock moved by hand, a world on a virtual clock, checks for one's own connectors and strategies."""

from __future__ import annotations

import asyncio
import math
import pickle  # only to compare states before and after
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from routerlab.core.chance import Chance
from routerlab.core.strategies import Feedback, Ranked, Strategy
from routerlab.core.types import CompletionRequest, Limits, ModelSnapshot, Price
from routerlab.simulation.connector_check import check_connector
from routerlab.simulation.plays import Play
from routerlab.simulation.virtual import VirtualWorld

__all__ = ["ManualClock", "Play", "VirtualWorld", "check_connector", "check_strategy"]

_MODELS = ("a/one", "a/two", "b/three", "c/four")
_DRAWS = 200
_EVENTS = (
    ("chosen", "a/one"),
    ("failed", "a/one"),
    ("chosen", "b/three"),
    ("answered", "b/three"),
    ("answered", "a/two"),  # nobody chose it: a late answer
    ("failed", "gone/model"),  # no longer in the pool
    ("chosen", "c/four"),
    ("failed", "c/four"),
    ("failed", "b/three"),
)


class ManualClock:
    """A clock for `_clock` and `_sleep` of the mixins: it moves when it is told to, and by sleeping.

    Args:
        now: seconds that it shows at first.

    Attributes:
        sleeps: seconds of each sleep, in order.

    >>> clock = ManualClock()
    >>> clock.advance(1.5)
    >>> clock()
    1.5
    """

    def __init__(self, now: float = 0.0) -> None:
        self.sleeps: list[float] = []
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """In place of `asyncio.sleep`: time passes at once, other tasks get their turn."""
        self.sleeps.append(seconds)
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)


def check_strategy(strategy: Strategy) -> None:
    """Prove that a strategy keeps the rules that routing relies on.

    It ranks every candidate exactly once, whether one or many, measured or not; it is pure, so that asking changes
    nothing and the same input gives the same ranking; its probabilities are true; it learns by returning a new memory
    and never changes the old one, whatever it hears about.

    Args:
        strategy: ready to use, with its options.

    Raises:
        AssertionError: it breaks a rule; the message says which, and where.

    >>> from routerlab.core.strategies import RoundRobin
    >>> check_strategy(RoundRobin())
    """
    _require(strategy, bool(strategy.name) and isinstance(strategy.name, str), "its name must be a text, for records")
    memory: Any = None
    _check_ranking(strategy, memory, "with no memory")
    for step, (kind, model) in enumerate(_EVENTS):
        memory = _check_learning(strategy, memory, Feedback(kind, model, at=float(step)))  # type: ignore[arg-type]
        _check_ranking(strategy, memory, f"after {kind} {model}")


def _check_learning(strategy: Strategy, memory: Any, event: Feedback) -> Any:
    before = _state(memory), _state(_kept(strategy))
    learned, again = strategy.learn(memory, event), strategy.learn(memory, event)
    where = f"learn({event.kind} {event.model})"
    _require(strategy, _state(memory) == before[0], f"{where} changed the memory in place: return a new one")
    _require(strategy, _state(_kept(strategy)) == before[1], f"{where} kept something on self: put it into the memory")
    same = learned == again or _state(learned) == _state(again)
    _require(strategy, same, f"{where} gave two memories for the same event")
    return learned


def _check_ranking(strategy: Strategy, memory: Any, when: str) -> None:
    for name, snapshots in _scenes():
        where = f"rank({name}) {when}"
        before = _state(memory), _state(_kept(strategy)), _state(snapshots)
        ranking = _rank(strategy, snapshots, memory, 0)
        _check_shape(strategy, snapshots, ranking, where)
        for _ in range(8):
            _require(strategy, _rank(strategy, snapshots, memory, 0) == ranking, f"{where} differs for the same input")
        after = _state(memory), _state(_kept(strategy)), _state(snapshots)
        for what, old, new in zip(("the memory", "the strategy itself", "the snapshots"), before, after, strict=True):
            _require(strategy, old == new, f"{where} changed {what}")
        _check_probabilities(strategy, snapshots, memory, where)


def _check_shape(strategy: Strategy, snapshots: Sequence[ModelSnapshot], ranking: Any, where: str) -> None:
    is_list = isinstance(ranking, list) and all(isinstance(ranked, Ranked) for ranked in ranking)
    _require(strategy, is_list, f"{where} must return a list of Ranked, not {ranking!r}")
    expected, found = sorted(s.model for s in snapshots), sorted(ranked.model for ranked in ranking)
    _require(strategy, found == expected, f"{where} must rank each of {expected} once, not {found}")
    for ranked in ranking:
        good = ranked.score is None or math.isfinite(ranked.score)
        _require(strategy, good, f"{where} scores {ranked.model} {ranked.score}: a finite number, or None")
        _require(strategy, 0 <= ranked.probability <= 1, f"{where} gives {ranked.model} p = {ranked.probability}")
    total = sum(ranked.probability for ranked in ranking)
    _require(strategy, math.isclose(total, 1.0, abs_tol=1e-6), f"{where}: probabilities sum to {total}, not to 1")


def _check_probabilities(strategy: Strategy, snapshots: Sequence[ModelSnapshot], memory: Any, where: str) -> None:
    """Known before the draw, and true: each model comes first as often as they say, to five standard deviations."""
    rankings = [_rank(strategy, snapshots, memory, seed) for seed in range(_DRAWS)]
    promised = {ranked.model: ranked.probability for ranked in rankings[0]}
    for ranking in rankings:
        kept = all(math.isclose(r.probability, promised[r.model], abs_tol=1e-6) for r in ranking)
        _require(strategy, kept, f"{where}: the probabilities must not depend on what was drawn")
    came_first = Counter(ranking[0].model for ranking in rankings)
    for model, share in promised.items():
        slack = 5 * math.sqrt(_DRAWS * share * (1 - share)) + 1e-3
        found, expected = came_first[model], _DRAWS * share
        message = f"{where}: {model} came first {found} times of {_DRAWS}, its probability promises {expected:.1f}"
        _require(strategy, abs(found - expected) <= slack, message)


def _scenes() -> Iterator[tuple[str, list[ModelSnapshot]]]:
    """Candidates in all conditions: one and many, nothing known, everything known, some of it."""
    for count in range(1, len(_MODELS) + 1):
        bare = [ModelSnapshot(model, model.partition("/")[0], at=1000.0) for model in _MODELS[:count]]
        yield f"{count} untried", bare
        yield f"{count} measured", [_measured(snapshot, place) for place, snapshot in enumerate(bare)]
    mixed = [ModelSnapshot(model, model.partition("/")[0], at=1000.0) for model in reversed(_MODELS)]
    mixed[1] = _measured(mixed[1], 1)
    mixed[2].samples, mixed[2].score, mixed[2].success_rate = 3, 0.0, 0.0  # it only failed
    mixed[3].in_flight, mixed[3].breaker, mixed[3].probe_free = 1, "half_open", True
    yield "some of them measured", mixed
    yield "all alike", [_measured(ModelSnapshot(model, "a", at=1000.0), 0) for model in _MODELS]


def _measured(bare: ModelSnapshot, place: int) -> ModelSnapshot:
    return ModelSnapshot(
        bare.model,
        bare.provider,
        at=bare.at,
        in_flight=place,
        score=0.9 - 0.2 * place,
        latency_s=0.5 + (place * 7 % 4),
        success_rate=1.0 - 0.1 * place,
        samples=10 * (place + 1),
        price=Price(input=3.0 - place / 2, output=6.0),
        context_window=128_000,
        features=frozenset({"tools"}),
        remaining=Limits(remaining_requests=5 * place),
    )


def _rank(strategy: Strategy, snapshots: Sequence[ModelSnapshot], memory: Any, seed: int) -> list[Ranked]:
    request = CompletionRequest("check", "generation.text-generation.chat-completion", "", ())
    return strategy.rank(request, list(snapshots), memory, Chance(seed, "check"))


def _kept(strategy: Strategy) -> dict[str, Any]:
    """What a strategy holds on to itself, slots included."""
    slots = {name for kind in type(strategy).__mro__ for name in getattr(kind, "__slots__", ())}
    return dict(getattr(strategy, "__dict__", {})) | {name: getattr(strategy, name, None) for name in slots}


def _state(value: Any) -> Any:
    """Something that is equal only while the value is as it was."""
    try:
        return pickle.dumps(value)
    except Exception:  # noqa: BLE001 - what cannot be pickled is compared by its own words
        return repr(value)


def _require(strategy: Strategy, holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"{type(strategy).__name__}: {message}")
