"""`Lab`: the one object that a notebook holds. Each method hands over to the floor that does the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from routerlab.core.errors import RouterLabError
from routerlab.core.redact import Private, Redactor
from routerlab.session.closing import close_forgotten, close_with
from routerlab.session.config import LabConfig, load_config
from routerlab.session.recorder import Recorder
from routerlab.session.results import CallResult
from routerlab.session.session import Session
from routerlab.session.specs import Prompt, chat_spec, embed_spec
from routerlab.session.store import Store
from routerlab.views.lab_records import LabRecords
from routerlab.views.lab_runs import LabRuns
from routerlab.views.live import Live

if TYPE_CHECKING:
    from routerlab.simulation.faults import FaultController
    from routerlab.views.breaker import Breaker
    from routerlab.views.explanation import Explanation
    from routerlab.views.reply import EmbeddingReply, Reply
    from routerlab.views.stream import Stream

__all__ = ["Lab"]


class Lab(LabRuns, LabRecords):
    """Providers, a router over them, and a record of everything that happened.

    Args:
        config: path of a ``lab.yaml``, or a dict of the same shape.
        store: SQLite file for all calls and runs; None: as the configuration says (without one, runs alone are kept,
            in ``.routerlab/runs.db``); False: nothing is written to disk.
        store_text: whether prompts and replies go to the store; None: as the configuration says.
        max_records: rows of each table kept in memory; None: as the configuration says.
        drop_params: leave out what a model is known not to take, instead of passing that model over.
        seed: of every random choice; None: as the configuration says.

    Raises:
        ConfigurationError: the configuration is wrong; ``problems`` lists every mistake with its place.
    """

    def __init__(
        self,
        config: str | Path | Mapping[str, Any],
        *,
        store: str | Path | bool | None = None,
        store_text: bool | None = None,
        max_records: int | None = None,
        drop_params: bool | None = None,
        seed: int | None = None,
    ) -> None:
        config = Private(config) if isinstance(config, Mapping) else config  # tracebacks may show variables
        overrides = {
            "store": None if isinstance(store, bool) else store if store is None else str(store),
            "store_text": store_text,
            "max_records": max_records,
            "drop_params": drop_params,
            "seed": seed,
        }
        self.config: LabConfig = load_config(config, overrides=overrides)
        self._no_store = store is False
        close_forgotten()
        redactor = Redactor(self.config.secrets)
        recorder = Recorder(max_records=self.config.max_records, redact=redactor.redact)
        if self.config.store and not self._no_store:
            recorder.attach(Store(self.config.store, store_text=self.config.store_text), store_all=True)
        try:
            self._session = Session(self.config, recorder)
        except BaseException:
            recorder.close()
            raise
        self._live = Live(self._session)
        close_with(self, self._session)

    @classmethod
    def demo(cls, **options: Any) -> Self:
        """Three simulated providers on loopback, real HTTP, no keys: ``sim/alpha``, ``sim/beta``, ``sim/gamma``.

        They know the answers of the shipped dataset ``quickstart_qa``, each with an accuracy of its own. The breaker
        comes back after 8 s, so that a recovery can be watched. Nothing is written to disk unless `store` names a file.

        Args:
            options: as for `Lab`; ``strategy`` and ``retry``, ``breaker``, ``timeouts``, … as for a pool.
        """
        from routerlab.experiments.datasets import load_dataset
        from routerlab.simulation.demo import demo_config

        keywords = ("store", "store_text", "max_records", "drop_params", "seed")
        own = {name: options.pop(name) for name in keywords if name in options}
        answers = {item.prompt: str(item.target) for item in load_dataset("quickstart_qa") if item.prompt}
        return cls(demo_config(answers, **options), **({"store": False} | own))

    @classmethod
    def from_env(cls, models: Iterable[str] | None = None, **options: Any) -> Self:
        """A lab of the providers whose keys are in the environment, or in a ``.env`` file in the working folder.

        Args:
            models: ``provider/model`` each, in the order of preference. None: shows which providers have a key, and
                routes inside the first of them only, so that no prompt goes where nobody meant it to go.
            options: as for `Lab`.

        Raises:
            ConfigurationError: no key was found, or a named provider's key is missing.
            RequestError: the first provider did not list its models.
        """
        from routerlab.session.config_file import environment, with_dotenv
        from routerlab.session.discovery import config_from_env

        names = [models] if isinstance(models, str) else None if models is None else list(models)
        try:
            config, report = config_from_env(names, with_dotenv(environment(), Path(".env")))
        except RouterLabError as error:  # the frames that it came through hold keys
            raise error.with_traceback(None) from error.__cause__
        if report:
            print(report)  # noqa: T201 - the user asked what is there
        return cls(config, **options)

    # -- calls -----------------------------------------------------------------------------------------------------

    def chat(self, prompt: Prompt, **options: Any) -> Reply:
        """Ask a question; the pool for chat chooses a model and fails over where needed.

        Args:
            prompt: a string, or messages in OpenAI's shape.
            options: ``pool`` or ``model`` choose who answers; ``system`` puts a system message first; ``deadline``
                limits the whole call (seconds, or ``"30s"``); everything else (``max_tokens``, ``temperature``, …) goes
                to the model.

        Returns:
            The reply: ``text``, ``model``, ``usage``, ``cost_usd``, ``latency_s``, ``trace``, ….

        Raises:
            RequestError: the request failed; its class says what can be done (`routerlab.core.errors`).
        """
        return _reply(_checked(self._session.run(self._session.call(chat_spec(prompt, options, "chat")))))

    async def achat(self, prompt: Prompt, **options: Any) -> Reply:
        """`chat`, to be awaited in any event loop."""
        spec = chat_spec(prompt, options, "chat")
        return _reply(_checked(await self._session.loop.bridge(self._session.call(spec))))

    def stream(self, prompt: Prompt, **options: Any) -> Stream:
        """Ask a question and get the answer piece by piece; arguments as for `chat`.

        Returns:
            An iterable of pieces (strings with ``.model`` and ``.restart``); its ``reply`` is the whole at the end.
        """
        from routerlab.views.stream import Stream

        return Stream(self._session.stream(chat_spec(prompt, options, "stream", stream=True)))

    def astream(self, prompt: Prompt, **options: Any) -> Stream:
        """`stream`, for ``async for`` in any event loop."""
        return self.stream(prompt, **options)

    def embed(self, texts: str | Sequence[str], **options: Any) -> EmbeddingReply:
        """Turn texts into vectors; ``pool``, ``model`` and ``deadline`` as for `chat`, the rest goes to the model."""
        return _embedding(_checked(self._session.run(self._session.call(embed_spec(texts, options)))))

    async def aembed(self, texts: str | Sequence[str], **options: Any) -> EmbeddingReply:
        """`embed`, to be awaited in any event loop."""
        return _embedding(_checked(await self._session.loop.bridge(self._session.call(embed_spec(texts, options)))))

    def explain(self, prompt: Prompt, **options: Any) -> Explanation:
        """Who would be chosen for this call now, and why not the others; nothing is sent, nothing changes."""
        from routerlab.views.explanation import Explanation

        return Explanation(self._session.explain(chat_spec(prompt, options, "chat")))

    # -- by hand ---------------------------------------------------------------------------------------------------

    @property
    def faults(self) -> FaultController:
        """Break models on purpose: ``outage``, ``slow``, ``rate_limit``, ``cut_streams``, ``inject``, ``clear``."""
        return self._live.faults

    def breaker(self, model: str) -> Breaker:
        """The breaker of one model: read it, ``open()``, ``close()`` or ``reset()`` it."""
        from routerlab.views.breaker import Breaker

        return Breaker(self._session, model)

    def reset(self, name: str) -> None:
        """Bring a model (``provider/model``) or a provider back: in again, not cooling, breaker closed."""
        self._session.by_hand("reset", name)

    @property
    def models(self) -> list[str]:
        """``provider/model`` of every model, in the order of the configuration."""
        return list(self._session.models)

    @property
    def pools(self) -> list[str]:
        """Names of the declared pools."""
        return list(self._session.pools)

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Cancel what runs, close all connections, write out the records. Frames can still be read afterwards."""
        self._session.close()

    @property
    def closed(self) -> bool:
        """Whether the lab was closed."""
        return self._session.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "_session"):
            return "<Lab: could not be made>"
        state = " (closed)" if self.closed else ""
        return f"<Lab{state}: {', '.join(self.models)}; pools: {', '.join(self.pools) or 'none declared'}>"

    def _repr_html_(self) -> str:
        from routerlab.views.overview import overview_html

        pools = {name: pool.models for name, pool in self._session.pools.items()}
        title = f"A lab of {len(self.models)} models{' (closed)' if self.closed else ''}"
        return overview_html(title, [] if self.closed else self._session.snapshots(), pools)


def _checked(result: CallResult) -> CallResult:
    """The result of a call that succeeded; raises the error of one that failed."""
    error = result.error
    if error is None:
        return result
    del result  # this frame is in the error's traceback: it would hold itself, and the lab, until the next collection
    try:
        raise error
    finally:
        del error


def _reply(result: CallResult) -> Reply:
    from routerlab.views.reply import Reply

    return Reply(result)


def _embedding(result: CallResult) -> EmbeddingReply:
    from routerlab.views.reply import EmbeddingReply

    return EmbeddingReply(result)
