"""Who can serve a request now, who is chosen, and why not the others: one pure function."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from routerlab.core.chance import Chance
from routerlab.core.moves import Clocks
from routerlab.core.policy import PoolPolicy
from routerlab.core.record import record
from routerlab.core.strategies import Feedback, Ranked, Request, Strategy
from routerlab.core.types import ModelSnapshot

__all__ = ["Candidate", "Decision", "Pool", "decide", "shut", "unfit", "why_not"]


class Pool:
    """A capability's models in their listed order, with the strategy, its memory and the policy.

    The driver alone calls `learn`; everything else only reads.
    """

    def __init__(
        self, name: str, capability: str, models: Sequence[str], strategy: Strategy, policy: PoolPolicy | None = None
    ) -> None:
        self.name = name
        self.capability = capability
        self.models = tuple(models)
        self.strategy = strategy
        self.policy = policy or PoolPolicy()
        self.whole_clocks = Clocks(
            self.policy.timeouts.connect, self.policy.timeouts.request
        )  # of a reply in one piece
        self.memory: Any = None
        self._learns = type(strategy).learn is not Strategy.learn

    def learn(self, kind: Literal["chosen", "answered", "failed"], model: str, at: float) -> None:
        """Replace the strategy's memory by what it makes of one event; most strategies have none."""
        if self._learns:
            self.memory = self.strategy.learn(self.memory, Feedback(kind, model, at))

    def __repr__(self) -> str:
        return f"Pool({self.name!r}, {self.capability!r}, models={list(self.models)}, strategy={self.strategy.name!r})"


@record
class Candidate:
    """One model of the pool as a decision saw it; ``excluded_because`` is empty where it could serve."""

    model: str
    score: float | None
    eligible: bool
    excluded_because: str = ""


@record
class Decision:
    """One choice, written down.

    Attributes:
        step: 0 for the first choice of a call, then counting.
        chosen: ``provider/model``; None where no model could serve.
        probability: how probable this choice was, 0…1.
        strategy: its name; ``probe`` where a half-open breaker's free slot decided, ``pinned`` where the caller did.
        seed: of the generator that the strategy drew from.
        candidates: all models of the pool, in its order.
    """

    step: int
    chosen: str | None
    probability: float
    strategy: str
    seed: int
    candidates: tuple[Candidate, ...]


def decide(
    request: Request,
    pool: Pool,
    snapshots: Sequence[ModelSnapshot],
    *,
    seed: int,
    step: int = 0,
    tried: Collection[str] = (),
    min_window: int = 0,
    pinned: bool = False,
) -> Decision:
    """Choose a model; nothing is changed by asking.

    Args:
        request: what is asked for.
        pool: whose strategy and memory decide.
        snapshots: the pool's models as they are now, in its order.
        seed: of the lab; the generator is made of it, the call and the step, so that concurrency changes nothing.
        step: number of the choice within the call.
        tried: models that had their turn.
        min_window: tokens; a context window up to this size has proved too small.
        pinned: the caller chose the model.
    """
    reasons = [why_not(request, snapshot, tried=tried, min_window=min_window) for snapshot in snapshots]
    eligible = [snapshot for snapshot, reason in zip(snapshots, reasons, strict=True) if not reason]
    rng = Chance(seed, request.call_id, step)
    ranking, strategy = _rank(request, pool, eligible, rng, first=step == 0, pinned=pinned)
    scores = {ranked.model: ranked.score for ranked in ranking}
    candidates = []
    for snapshot, reason in zip(snapshots, reasons, strict=True):
        score = scores.get(snapshot.model)
        candidates.append(Candidate(snapshot.model, snapshot.score if score is None else score, not reason, reason))
    first = ranking[0] if ranking else Ranked("", None, 0.0)
    return Decision(step, first.model or None, first.probability, strategy, seed, tuple(candidates))


def _rank(
    request: Request, pool: Pool, eligible: list[ModelSnapshot], rng: Chance, *, first: bool, pinned: bool
) -> tuple[list[Ranked], str]:
    if not eligible:
        return [], pool.strategy.name
    if pinned:
        return [Ranked(eligible[0].model, eligible[0].score, 1.0)], "pinned"
    if first:  # traffic finds its way back: a free probe slot comes before any strategy
        for snapshot in eligible:
            if snapshot.probe_free:
                return [Ranked(snapshot.model, snapshot.score, 1.0)], "probe"
    ranking = pool.strategy.rank(request, eligible, pool.memory, rng)
    if not ranking or ranking[0].model not in [snapshot.model for snapshot in eligible]:
        raise ValueError(f"strategy {pool.strategy.name!r} must rank the candidates that it is given, not {ranking!r}")
    return ranking, pool.strategy.name


def why_not(request: Request, snapshot: ModelSnapshot, *, tried: Collection[str] = (), min_window: int = 0) -> str:
    """Why a model cannot serve this request now, in words; empty where it can."""
    if snapshot.model in tried:
        return "had its turn"
    if snapshot.features is not None or snapshot.context_window is not None:
        misfit = unfit(request, snapshot, min_window=min_window)
        if misfit:
            return misfit
    if snapshot.breaker == "closed" and not snapshot.out_because and snapshot.cooling_until <= snapshot.at:
        return ""  # the usual case, without two calls more
    return shut(snapshot) or _cooling(snapshot)


def unfit(request: Request, snapshot: ModelSnapshot, *, min_window: int = 0) -> str:
    """Why a model cannot serve this request at any time; empty where it can."""
    if snapshot.features is not None and not request.needs.features <= snapshot.features:
        return f"lacks {', '.join(sorted(request.needs.features - snapshot.features))}"
    window = snapshot.context_window
    if window is not None and max(request.needs.tokens, min_window + 1) > window:
        surely = f": the prompt has at least {request.needs.tokens}" if request.needs.tokens > window else ""
        return f"context window of {window} tokens is too small{surely}"
    return ""


def shut(snapshot: ModelSnapshot) -> str:
    """Why a model takes no request at all now: it is out, or its breaker has no permit; empty where it does."""
    now = snapshot.at
    if snapshot.out_because and (snapshot.out_until is None or snapshot.out_until > now):
        return f"out: {snapshot.out_because}"
    if snapshot.breaker == "open":
        return f"circuit open, probe in {snapshot.seconds_to_probe:.1f} s"
    if snapshot.breaker == "half_open" and not snapshot.probe_free:
        return "circuit half-open, its probe is in flight"
    return ""


def _cooling(snapshot: ModelSnapshot) -> str:
    left = snapshot.cooling_until - snapshot.at
    return f"cooling for {left:.1f} s" if left > 0 else ""
