"""What a run is to do, and where it stands: plain data."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routerlab.core.capabilities import CHAT
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.datasets import Dataset
from routerlab.experiments.items import Item
from routerlab.experiments.judge import split_judges
from routerlab.experiments.scorers import Scorer

__all__ = ["Arm", "Progress", "ReplayPlan", "Waiting"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way in which each item is sent.

    Attributes:
        variant: its name in the frames.
        pool: name of the pool that routes; None: the capability's own, unless `model` is given.
        model: ``provider/model`` that every item is pinned to; None: the pool routes.
        system: a system message in the place of the run's; None: the run's.
        prompt: a template around the item's prompt (``"{prompt} Only the number."``); None: the prompt alone.
        params: on top of the run's.
    """

    variant: str
    pool: str | None = None
    model: str | None = None
    system: str | None = None
    prompt: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """What was asked for, as plain data."""
        own = {"system": self.system, "prompt": self.prompt, "params": dict(self.params)}
        given = {name: value for name, value in own.items() if value}
        return {"variant": self.variant, "pool": self.pool, "model": self.model, **given}

    def messages(self, item: Item, system: str | None = None) -> tuple[dict[str, Any], ...]:
        """What this arm sends of an item.

        Args:
            item: a whole conversation goes as it is, but for a system message where it has none.
            system: the run's own.
        """
        messages = item.to_messages()
        if self.prompt is not None and item.messages is None:
            messages[0]["content"] = self.prompt.replace("{prompt}", item.prompt or "")
        system = system if self.system is None else self.system
        if system is not None and not any(message["role"] == "system" for message in messages):
            messages.insert(0, {"role": "system", "content": system})
        return tuple(messages)


def _new_id() -> str:
    return secrets.token_hex(6)


def _made_up_name() -> str:
    return f"replay-{time.strftime('%Y%m%d', time.gmtime())}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """A dataset, the arms it is sent to, and how.

    Attributes:
        dataset: the items.
        arms: at least one; each item goes to every arm.
        scorers: as from ``resolve_scorers``.
        concurrency: calls in flight at most, at least 1; 8 is gentle to most providers' limits.
        repeats: how often each item goes to each arm, at least 1.
        params: ``max_tokens``, ``temperature``, … for every call.
        name: of the run; made up (``replay-<date>-<4 characters>``) where none is given.
        run_id: names the run in every table; made up.
        budget_usd: USD that all attempts together may cost; None: no limit.
        system: a system message for items that have none.
        stream: whether answers are asked for piece by piece (gives ``ttft_s``).
        deadline_s: for each call, all attempts included; None: the pool's.
        capability: full dotted name.
        kind: of the run.
        version: of routerlab, for the record.
        seed: of the order in which the items go; None: the dataset's own order.
        give_up_after_s: without an answer of its model for so long, an arm's remaining items stay pending.
    """

    dataset: Dataset
    arms: Sequence[Arm]
    scorers: Sequence[Scorer] = ()
    concurrency: int = 8
    repeats: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=_made_up_name)
    run_id: str = field(default_factory=_new_id)
    budget_usd: float | None = None
    system: str | None = None
    stream: bool = False
    deadline_s: float | None = None
    capability: str = CHAT
    kind: str = "replay"
    version: str | None = None
    seed: int | None = 0
    give_up_after_s: float = 1800.0

    def __post_init__(self) -> None:
        variants = [arm.variant for arm in self.arms]
        if not variants or len(set(variants)) < len(variants):
            raise ConfigurationError(f"a run needs at least one arm, each with a name of its own, not {variants!r}")
        for name in ("concurrency", "repeats"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{name}={value!r}: expected a whole number of at least 1")
        if self.budget_usd is not None and not self.budget_usd > 0:
            raise ConfigurationError(
                f"budget_usd={self.budget_usd!r}: expected a positive amount, or None for no limit"
            )
        for arm in self.arms:
            if arm.prompt is not None and "{prompt}" not in arm.prompt:
                raise ConfigurationError(
                    f"variant {arm.variant!r}: its prompt is a template and must hold {{prompt}} where the item's goes"
                )

    def settings(self) -> dict[str, Any]:
        """Everything that was asked for, beside the items; ``runs.params`` keeps it."""
        judges = {judge.name: judge.settings() for judge in split_judges(self.scorers)[1]}
        return {
            "dataset": self.dataset.name,
            "arms": [arm.settings() for arm in self.arms],
            "scorers": [scorer.name for scorer in self.scorers],
            "repeats": self.repeats,
            "concurrency": self.concurrency,
            "params": dict(self.params),
            "system": self.system,
            "stream": self.stream,
            "deadline_s": self.deadline_s,
            "budget_usd": self.budget_usd,
            "capability": self.capability,
            **({"judges": judges} if judges else {}),
        }

    def call_again(self) -> str:
        """The line that goes on with this run, as it would be typed."""
        verb = {"replay": "lab.replay", "compare": "lab.compare"}.get(self.kind, "lab.replay")
        return f"{verb}(…, name={self.name!r}), all else as before"

    def decisive_settings(self) -> dict[str, Any]:
        """Those settings that decide the results; ``runs.params_hash`` stands for them."""
        incidental = {"dataset", "concurrency", "budget_usd"}
        return {name: value for name, value in self.settings().items() if name not in incidental}


@dataclass(frozen=True, slots=True)
class Waiting:
    """An arm that sends nothing: why, and for how many more seconds (None: it gave up, its items stay pending)."""

    variant: str
    why: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        total: rows that the run will have.
        done, ok, failed: of them.
        failovers: changes of model so far.
        cost_usd: spent as far as it is known; None: nothing is known.
        rate_per_s: rows a second, since the start.
        eta_s: seconds left at this rate; None: unknown, or over.
        elapsed_s: since the start.
        status: ``pending``, ``running``, ``done``, ``stopped`` or ``failed``.
        cached: rows that a cache answered.
        items, complete: prompts of the dataset, and those that have all their rows.
        reaches: prompts that the budget is enough for at the cost so far; None: unknown, or no budget.
        budget_usd: as the plan says.
        waiting: arms that send nothing now.
    """

    total: int
    done: int = 0
    ok: int = 0
    failed: int = 0
    failovers: int = 0
    cost_usd: float | None = None
    rate_per_s: float = 0.0
    eta_s: float | None = None
    elapsed_s: float = 0.0
    status: str = "pending"
    cached: int = 0
    items: int = 0
    complete: int = 0
    reaches: int | None = None
    budget_usd: float | None = None
    waiting: tuple[Waiting, ...] = ()
