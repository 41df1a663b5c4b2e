"""What a run is to do, and where it stands: plain data."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from routerlab.core.capabilities import CHAT
from routerlab.core.checks import is_whole
from routerlab.core.errors import ConfigurationError
from routerlab.core.suggest import nearest
from routerlab.core.version import VERSION
from routerlab.experiments.arrivals import Arrivals
from routerlab.experiments.datasets import Dataset
from routerlab.experiments.items import Item
from routerlab.experiments.judge import split_judges
from routerlab.experiments.pace import Held
from routerlab.experiments.scorers import Scorer

__all__ = ["CONCURRENCY", "Arm", "Progress", "ReplayPlan", "Waiting", "line_again", "made_up_name"]

CONCURRENCY = 8  # gentle to most providers' limits


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
        streams: whether its models can answer piece by piece, as far as is known.
    """

    variant: str
    pool: str | None = None
    model: str | None = None
    system: str | None = None
    prompt: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    streams: bool = False

    @property
    def provider(self) -> str:
        """Whose calls in flight are counted: its model's provider, or the pool that routes."""
        return self.model.partition("/")[0] if self.model else self.pool or self.variant

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


def line_again(name: str, kind: str = "replay", command: str | None = None) -> str:
    """The line that goes on with a run: the one of a shell that began it, else as it would be typed in a cell."""
    if command:
        return command
    verb = {"replay": "lab.replay", "compare": "lab.compare"}.get(kind, "lab.replay")
    return f"{verb}(…, name={name!r}), all else as before"


def _new_id() -> str:
    return secrets.token_hex(6)


def made_up_name() -> str:
    """A name for a run that has none: ``replay-<date>-<8 characters>``."""
    return f"replay-{time.strftime('%Y%m%d', time.gmtime())}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """A dataset, the arms it is sent to, and how.

    Attributes:
        dataset: the items.
        arms: at least one; each item goes to every arm.
        scorers: as from ``resolve_scorers``.
        concurrency: calls in flight at most to each provider, at least 1; or by the provider's name (a routed pool
            counts as one of its own), 8 for those that are not named.
        repeats: how often each item goes to each arm, at least 1.
        params: ``max_tokens``, ``temperature``, … for every call.
        name: of the run; made up (``replay-<date>-<8 characters>``) where none is given.
        run_id: names the run in every table; made up.
        budget_usd: USD that all attempts together may cost; None: no limit.
        system: a system message for items that have none.
        stream: whether answers are asked for piece by piece (gives ``ttft_s``); None: where an arm `streams`.
        arrivals: when items are sent; None: as soon as there is room.
        deadline_s: for each call, all attempts included; None: the pool's.
        capability: full dotted name.
        kind: of the run.
        version: of routerlab, for the record.
        seed: of the order in which the items go; None: the dataset's own order.
        give_up_after_s: without an answer of its model for so long, an arm's remaining items stay pending.
        command: the line of a shell that goes on with the run; None: it was not begun in one.
    """

    dataset: Dataset
    arms: Sequence[Arm]
    scorers: Sequence[Scorer] = ()
    concurrency: int | Mapping[str, int] = CONCURRENCY
    repeats: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=made_up_name)
    run_id: str = field(default_factory=_new_id)
    budget_usd: float | None = None
    system: str | None = None
    stream: bool | None = None
    deadline_s: float | None = None
    capability: str = CHAT
    kind: str = "replay"
    version: str | None = VERSION
    seed: int | None = 0
    give_up_after_s: float = 1800.0
    command: str | None = None
    arrivals: Arrivals | None = None

    def __post_init__(self) -> None:
        variants = [arm.variant for arm in self.arms]
        if not variants or len(set(variants)) < len(variants):
            raise ConfigurationError(f"a run needs at least one arm, each with a name of its own, not {variants!r}")
        self._check_counts()
        if not self.name.strip():
            raise ConfigurationError(f"name={self.name!r} is no name: leave it out, and one is made up")
        budget: Any = self.budget_usd
        if budget is not None and not (isinstance(budget, Real) and float(budget) > 0):
            raise ConfigurationError(
                f"budget_usd={self.budget_usd!r}: expected a positive amount, or None for no limit"
            )
        for arm in self.arms:
            if arm.prompt is not None and "{prompt}" not in arm.prompt:
                raise ConfigurationError(
                    f"variant {arm.variant!r}: its prompt is a template and must hold {{prompt}} where the item's goes"
                )

    def _check_counts(self) -> None:
        counts: dict[str, Any] = {"repeats": self.repeats, "concurrency": self.concurrency}
        if isinstance(self.concurrency, Mapping):
            del counts["concurrency"]
            counts |= {f"concurrency[{name!r}]": value for name, value in self.concurrency.items()}
            providers = {arm.provider for arm in self.arms}
            for name in self.concurrency:
                if name not in providers:
                    known = nearest(str(name), providers) or f"; there are: {', '.join(sorted(providers))}"
                    raise ConfigurationError(f"concurrency: no model of this run is of provider {name!r}{known}")
        for name, value in counts.items():
            if not is_whole(value):
                raise ConfigurationError(f"{name}={value!r}: expected a whole number of at least 1")
        size, sent = self.arrivals.size if self.arrivals else None, len(self.dataset) * self.repeats
        if size is not None and size < sent:
            raise ConfigurationError(
                f"arrivals: {self.arrivals!r} are too few for {sent:,} items (repeats included): "
                f"take fewer items (dataset.sample({size // self.repeats}))"
            )

    def concurrency_of(self, provider: str) -> int:
        """Calls in flight at most to a provider, or through a pool."""
        own = self.concurrency
        return own.get(provider, CONCURRENCY) if isinstance(own, Mapping) else own

    @property
    def calls_in_flight(self) -> int:
        """Calls in flight at most, all together."""
        return sum(map(self.concurrency_of, {arm.provider for arm in self.arms}))

    def streamed(self, arm: Arm) -> bool:
        """Whether an arm's answers are asked for piece by piece."""
        return arm.streams if self.stream is None else self.stream

    def settings(self) -> dict[str, Any]:
        """Everything that was asked for, beside the items; ``runs.params`` keeps it."""
        judges = {judge.name: judge.settings() for judge in split_judges(self.scorers)[1]}
        return {
            "dataset": self.dataset.name,
            "arms": [arm.settings() for arm in self.arms],
            "scorers": [scorer.name for scorer in self.scorers],
            "repeats": self.repeats,
            "concurrency": dict(self.concurrency) if isinstance(self.concurrency, Mapping) else self.concurrency,
            "params": dict(self.params),
            "system": self.system,
            "stream": self.stream,
            "deadline_s": self.deadline_s,
            "budget_usd": self.budget_usd,
            "capability": self.capability,
            **({"judges": judges} if judges else {}),
            **({"command": self.command} if self.command else {}),
            **({"arrivals": self.arrivals.settings()} if self.arrivals else {}),
        }

    def call_again(self) -> str:
        """The line that goes on with this run, as it would be typed."""
        return line_again(self.name, self.kind, self.command)

    def decisive_settings(self) -> dict[str, Any]:
        """Those settings that decide the results; ``runs.params_hash`` stands for them."""
        incidental = {"dataset", "concurrency", "budget_usd", "command"}
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
        status: ``pending``, ``running``, ``done``, ``stopped`` or ``failed``; of a run read from its file also
            ``interrupted`` (its process ended without a word).
        cached: rows that a cache answered.
        items, complete: prompts of the dataset, and those that have all their rows.
        reaches: prompts that the budget is enough for at the cost so far; None: unknown, or no budget.
        budget_usd: as the plan says.
        waiting: arms that send nothing now.
        held: providers that get fewer calls at once than they may.
        late_s: how long the next call has waited since its arrival; 0: it is not due, or there are no arrivals.
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
    held: tuple[Held, ...] = ()
    late_s: float = 0.0

    def __post_init__(self) -> None:
        if self.cost_usd is None and self.cached:  # answers from a cache are known to cost nothing
            object.__setattr__(self, "cost_usd", 0.0)
