"""A lab's engine room: connectors, health, pools and records on one loop thread."""

from __future__ import annotations

import asyncio
import random
import secrets
import threading
import time
import warnings
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from routerlab.core.capabilities import CapabilityTree, held_nearby
from routerlab.core.decisions import Decision, Pool, decide
from routerlab.core.errors import ConfigurationError, StoreError
from routerlab.core.health import Health, HealthEvent, LatencyTarget, ModelSettings
from routerlab.core.redact import Redactor
from routerlab.core.strategies import Priority, make_strategy
from routerlab.core.suggest import nearest
from routerlab.core.types import CompletionRequest, EmbeddingRequest, ModelSnapshot, TokenUsage
from routerlab.providers.base import ProviderConnector
from routerlab.session.attempt import Desk
from routerlab.session.config import LabConfig
from routerlab.session.driver import Call, Sink
from routerlab.session.journal import decision_row, event_row
from routerlab.session.kinds import load_kind
from routerlab.session.loop import Job, LoopThread
from routerlab.session.needs import needs_of
from routerlab.session.pipe import Pipe
from routerlab.session.prices import cost_usd, list_model
from routerlab.session.recorder import Recorder
from routerlab.session.results import AttemptRecord, CallResult, CallSpec

__all__ = ["Session", "StreamCall"]

T = TypeVar("T")

_CLOSE_S = 5.0  # for all connectors together


class StreamCall:
    """A streamed call on its way: pieces come out of `pipe`, the whole result when `job` is done."""

    def __init__(self, pipe: Pipe, job: Job[CallResult]) -> None:
        self.pipe = pipe
        self.job = job

    def cancel(self) -> None:
        """Close the connection at once; what was received stays recorded."""
        self.job.cancel()


class Session:
    """Turns calls into requests, and requests into records.

    Args:
        config: what ``lab.yaml`` says, checked.
        recorder: where everything is written down.
    """

    def __init__(self, config: LabConfig, recorder: Recorder) -> None:
        self.config = config
        self.recorder = recorder
        self.tree = CapabilityTree()
        self.models: dict[str, tuple[str, ...]] = {
            f"{provider.name}/{name}": model.capabilities
            for provider in config.providers.values()
            for name, model in provider.models.items()
        }
        for capability in {capability for names in self.models.values() for capability in names}:
            self.tree.add(capability)
        self.pools = {
            name: Pool(name, pool.capability, pool.models, make_strategy(pool.strategy, pool.options), pool.policy)
            for name, pool in config.pools.items()
        }
        self._ids = random.Random(secrets.randbits(256))  # of calls: names, no secrets, so chance of our own will do
        self._serving: dict[str, Pool] = {}  # by capability
        self._closing = threading.Lock()
        self._not_closed: list[str] = []  # providers, to be told of
        self.connectors: dict[str, ProviderConnector] = {}
        self.loop = LoopThread()
        try:
            self._connect()
        except BaseException:
            self.loop.stop(self._let_go)
            raise
        self.health = Health(self._settings())
        self.desk = Desk(
            health=self.health,
            connectors=self.connectors,
            record=self.record,
            cost_usd=self._cost_usd,
            seed=config.seed,
            simulated=frozenset(name for name, p in config.providers.items() if p.kind == "simulated"),
            drop_params=config.drop_params,
            redactor=Redactor(config.secrets),
        )
        self.store_error: StoreError | None = None

    def _connect(self) -> None:
        """Make every provider's connector; their mistakes are told all at once."""
        problems: list[str] = []
        for name, provider in self.config.providers.items():
            try:
                connector = self.connectors[name] = load_kind(provider.kind)(name, provider.options)
                connector.keep_secret(self.config.secrets)
            except ConfigurationError as error:
                if len(self.config.providers) == 1:
                    raise
                problems += error.problems or [f"providers.{name}: {error}"]
            except (KeyError, TypeError, ValueError) as error:  # a connector of one's own; its `_require_field`, say
                words = error.args[0] if isinstance(error, KeyError) and error.args else error
                problems.append(f"providers.{name}: {words}")
        if problems:
            raise ConfigurationError("\n- ".join(["the configuration has mistakes:", *problems]), problems)

    # -- calls -----------------------------------------------------------------------------------------------------

    async def call(self, spec: CallSpec, sink: Sink | None = None) -> CallResult:
        """Send one request through its pool; runs in the lab's loop. A failed one is ``result.error``."""
        pool, pinned = self.pool_for(spec)
        return await Call(self.desk, spec, self._request(spec), pool, pinned=pinned, sink=sink).run()

    def stream(self, spec: CallSpec) -> StreamCall:
        """Start a streamed call, from any thread."""
        self.pool_for(spec)  # a mistake in the call is the caller's, here and now
        pipe = Pipe(self.loop.loop)
        job = self.loop.submit(self.call(spec, pipe))
        job.future.add_done_callback(lambda _: pipe.end())
        return StreamCall(pipe, job)

    def explain(self, spec: CallSpec) -> dict[str, Any]:
        """The decision that would be taken now, as a row with its ``candidates``; nothing is sent or changed."""
        pool, pinned = self.pool_for(spec)

        async def look() -> Decision:
            snapshots = self.health.snapshots(pool.models, time.monotonic())
            return decide(self._request(spec), pool, snapshots, seed=self.config.seed, pinned=pinned)

        return decision_row(self.loop.run(look()), None)

    def _request(self, spec: CallSpec) -> CompletionRequest | EmbeddingRequest:
        call_id = f"{self._ids.getrandbits(64):016x}"
        if spec.inputs:
            return EmbeddingRequest(call_id, "", spec.inputs, spec.params, spec.deadline_s, capability=spec.capability)
        needs = needs_of(spec, drop_params=self.config.drop_params)
        return CompletionRequest(
            call_id, spec.capability, "", spec.messages, spec.params, spec.stream, needs, spec.deadline_s
        )

    # -- pools -----------------------------------------------------------------------------------------------------

    def pool_for(self, spec: CallSpec) -> tuple[Pool, bool]:
        """The pool that serves a call, and whether the caller pinned it to one model.

        Raises:
            ConfigurationError: no model or pool has this name, or none serves the capability.
        """
        if spec.model is not None:
            return self._pinned(spec.model), True
        if spec.pool is not None:
            if spec.pool not in self.pools:
                raise ConfigurationError(f"there is no pool {spec.pool!r}{nearest(spec.pool, self.pools)}")
            return self._fitting(self.pools[spec.pool], spec.capability), False
        pool = self._serving.get(spec.capability)
        if pool is None:  # neither pools nor models change while a lab lives
            found = self._declared(spec.capability) or self._all(spec.capability)
            pool = self._serving.setdefault(spec.capability, found)
        return pool, False

    def _pinned(self, model: str) -> Pool:
        """A pool of one, with the retries and clocks of the first declared pool that holds the model."""
        if model not in self.models:
            raise ConfigurationError(f"there is no model {model!r}{nearest(model, self.models)}")
        owner = self.config.model_owner.get(model)
        policy = self.pools[owner].policy if owner else self.config.routing.policy
        return Pool(model, "", (model,), Priority(), policy)

    def _fitting(self, pool: Pool, capability: str) -> Pool:
        """A pool that the caller chose, unless it is for something else."""
        if self._related(pool.capability, capability):
            return pool
        others = [f"{name!r}" for name, other in self.pools.items() if self._related(other.capability, capability)]
        there = f"; for that there is {' and '.join(others)}" if others else ""
        raise ConfigurationError(f"pool {pool.name!r} is for {pool.capability!r}, not {capability!r}{there}")

    def _related(self, target: str, capability: str) -> bool:
        return self.tree.covers(target, capability) or self.tree.covers(capability, target)

    def _declared(self, capability: str) -> Pool | None:
        """The declared pool that a verb uses: the default one, else the first."""
        serving = [pool for pool in self.config.pools.values() if self._related(pool.capability, capability)]
        chosen = next((pool for pool in serving if pool.default), serving[0] if serving else None)
        return self.pools[chosen.name] if chosen else None

    def _all(self, capability: str) -> Pool:
        """Where no pool is declared: all models with the capability."""
        models = [model for model, names in self.models.items() if self.tree.serves(capability, names)]
        if not models:
            raise ConfigurationError(
                f"no model of this lab serves {capability!r}{held_nearby(self.tree, capability, self.models)}: "
                "declare a pool, or give a model that capability"
            )
        routing = self.config.routing
        strategy = make_strategy(routing.strategy, routing.options)
        return Pool(capability.rpartition(".")[2], capability, models, strategy, routing.policy)

    # -- health ----------------------------------------------------------------------------------------------------

    def snapshots(self) -> list[ModelSnapshot]:
        """What routing sees of every model now. Any thread."""

        async def look() -> list[ModelSnapshot]:
            return self.health.snapshots(list(self.models), time.monotonic())

        return self.loop.run(look())

    def snapshot(self, model: str) -> ModelSnapshot:
        """What routing sees of one model now. Any thread."""
        if model not in self.models:
            raise ConfigurationError(f"there is no model {model!r}{nearest(model, self.models)}")
        return next(snapshot for snapshot in self.snapshots() if snapshot.model == model)

    def by_hand(self, change: str, name: str) -> None:
        """`change`, from any other thread."""

        async def do() -> None:
            self.change(change, name, time.monotonic())

        self.loop.run(do())

    def change(self, change: str, name: str, now: float) -> None:
        """Open, close or reset a breaker, or bring a model or provider back; in the loop.

        Args:
            change: ``open``, ``close`` or ``reset``.
            name: of a model, or (``reset``) of a provider.
            now: monotonic seconds.

        Raises:
            ConfigurationError: nothing has this name.
        """
        act = {"open": self.health.open_breaker, "close": self.health.close_breaker, "reset": self.health.reset}[change]
        known = {**dict.fromkeys(self.models), **dict.fromkeys(self.connectors if change == "reset" else ())}
        if name not in known:
            raise ConfigurationError(f"there is no model {name!r}{nearest(name, known)}")
        self.record_events(act(name, now))

    def record_events(self, events: list[HealthEvent]) -> None:
        """Write down what changed outside a call."""
        for event in events:
            self.record("events", event_row(event, None))

    def record(self, table: str, row: Mapping[str, Any] | AttemptRecord, run_id: str | None = None) -> None:
        """Write a row down. Neither a full disk nor a value that no column takes may take an answer away.

        Warns:
            RuntimeWarning: the store failed (told once), or a row was left out.
        """
        try:
            self.recorder.add(table, row, run_id=run_id)
        except StoreError as error:
            if self.store_error is None:
                self.store_error = error
                warnings.warn(f"{error}; records are kept in memory only", RuntimeWarning, stacklevel=2)
        except (TypeError, OverflowError) as error:
            warnings.warn(f"a record is incomplete: {error}", RuntimeWarning, stacklevel=2)

    def _settings(self) -> list[ModelSettings]:
        """Breaker and latency target come from the first declared pool that holds a model, else from ``routing``."""
        targets: dict[str, LatencyTarget] = {}
        settings = []
        for provider in self.config.providers.values():
            for name, model in provider.models.items():
                full = f"{provider.name}/{name}"
                owner = self.config.model_owner.get(full)
                pool = self.config.pools[owner] if owner else self.config.routing
                fixed = None if pool.latency_target == "auto" else pool.latency_target
                target = targets.setdefault(owner or "", LatencyTarget(fixed))
                known = list_model(provider, name)
                window, features = known.context_window, model.features
                connector = self.connectors[provider.name]
                prefill = connector.takes_prefill(name) if features is None else "prefill" in features
                settings.append(
                    ModelSettings(
                        full, provider.name, pool.breaker, target, known.price, window, features, prefill=prefill
                    )
                )
        return settings

    def _cost_usd(self, model: str, usage: TokenUsage | None) -> float | None:
        provider, _, name = model.partition("/")
        settings = self.config.providers[provider]
        base_url = settings.options.get("base_url")
        return cost_usd(settings.kind, name, usage, settings.models[name].price, base_url=base_url)

    # -- the loop --------------------------------------------------------------------------------------------------

    def submit(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Start work in the lab's loop, from any thread."""
        return self.loop.submit(work)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work in the lab's loop and wait for it."""
        return self.loop.run(work)

    @property
    def closed(self) -> bool:
        return self.loop.closed

    def check_open(self) -> None:
        """Raise a `LabClosedError` where it was closed."""
        self.loop.check_open()

    def close(self) -> None:
        """Cancel what runs, let go of every connection, write out the records. Calling it twice is fine.

        Raises:
            StoreError: some records could not be written.

        Warns:
            RuntimeWarning: a provider could not be closed; the others are.
        """
        if self.loop.is_current():  # waiting would block ourselves
            threading.Thread(target=self.close, name="routerlab-close").start()
            return
        with self._closing:
            try:
                self.loop.stop(self._let_go)
            finally:
                self.recorder.close()
        while self._not_closed:
            warnings.warn(f"provider {self._not_closed.pop()} was not closed", RuntimeWarning, stacklevel=2)

    async def _let_go(self) -> None:
        closing = [asyncio.ensure_future(connector.close()) for connector in self.connectors.values()]
        if closing:
            await asyncio.wait(closing, timeout=_CLOSE_S)
        for name, task in zip(self.connectors, closing, strict=True):
            if not task.done() or task.cancelled():
                self._not_closed.append(f"{name!r}")
            elif (error := task.exception()) is not None:
                self._not_closed.append(f"{name!r} ({type(error).__name__})")
