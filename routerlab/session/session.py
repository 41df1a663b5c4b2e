"""A lab's engine room: connectors, health, pools and records on one loop thread."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
import warnings
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from routerlab.core.decisions import Decision, Pool, decide
from routerlab.core.errors import ConfigurationError, StoreError
from routerlab.core.health import Health, HealthEvent
from routerlab.core.redact import Redactor
from routerlab.core.suggest import nearest
from routerlab.core.types import CompletionRequest, EmbeddingRequest, ModelSnapshot, TokenUsage
from routerlab.providers.base import ProviderConnector
from routerlab.session.attempt import Desk
from routerlab.session.config import LabConfig
from routerlab.session.driver import Call, Sink
from routerlab.session.journal import decision_row, event_row
from routerlab.session.kinds import load_kind
from routerlab.session.loop import Job, LoopThread
from routerlab.session.model_settings import model_settings
from routerlab.session.needs import needs_of
from routerlab.session.pipe import Pipe
from routerlab.session.prices import cost_usd
from routerlab.session.recorder import Recorder
from routerlab.session.results import AttemptRecord, CallResult, CallSpec
from routerlab.session.serving import Serving

__all__ = ["Session", "StreamCall"]

T = TypeVar("T")

_CLOSE_S = 5.0  # for all connectors together


_BLOCK_BITS = 16


def _call_ids() -> Iterator[str]:
    """Names of calls, 64 bits in hex: chance, then a number that grows.

    A store finds the place of a name that follows the last one at once, while names by chance alone touch a page of
    each index for every call.
    """
    while True:
        block = secrets.randbits(64 - _BLOCK_BITS) << _BLOCK_BITS
        for number in range(1 << _BLOCK_BITS):
            yield f"{block | number:016x}"


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
        self._serving = Serving(config)
        self.models, self.pools, self.tree = self._serving.models, self._serving.pools, self._serving.tree
        self._ids = _call_ids()
        self._closing = threading.Lock()
        self._not_closed: list[str] = []  # providers, to be told of
        self.connectors: dict[str, ProviderConnector] = {}
        self.loop = LoopThread()
        try:
            self._connect()
        except BaseException:
            self.loop.stop(self._let_go)
            raise
        self.health = Health(model_settings(config, self.connectors))
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
        call_id = next(self._ids)
        if spec.inputs:
            return EmbeddingRequest(call_id, "", spec.inputs, spec.params, spec.deadline_s, capability=spec.capability)
        needs = needs_of(spec, drop_params=self.config.drop_params)
        return CompletionRequest(
            call_id, spec.capability, "", spec.messages, spec.params, spec.stream, needs, spec.deadline_s
        )

    def pool_for(self, spec: CallSpec) -> tuple[Pool, bool]:
        """The pool that serves a call, and whether the caller pinned it to one model; see `Serving.pool_for`."""
        return self._serving.pool_for(spec)

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
