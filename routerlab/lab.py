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
from routerlab.session.specs import Prompt, chat_spec, embed_spec, limit_s
from routerlab.session.store import Store
from routerlab.views.live import Live

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.experiments.datasets import Dataset
    from routerlab.experiments.traffic import Traffic
    from routerlab.simulation.faults import FaultController
    from routerlab.views.breaker import Breaker
    from routerlab.views.comparison import Comparison
    from routerlab.views.dashboard import Dashboard
    from routerlab.views.explanation import Explanation
    from routerlab.views.reply import EmbeddingReply, Reply
    from routerlab.views.run import Run
    from routerlab.views.stream import Stream
    from routerlab.views.trace import Trace

__all__ = ["Lab"]


class Lab:
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

    # -- what happened ---------------------------------------------------------------------------------------------

    def calls(self, *, text: bool = False) -> pd.DataFrame:
        """One row per call, newest last; with ``text=True`` also prompt, text and params."""
        from routerlab.views.frames import calls_frame

        return calls_frame(self._session.recorder, text=text)

    def attempts(self) -> pd.DataFrame:
        """One row per request that was sent to a provider."""
        return self._frame("attempts")

    def events(self) -> pd.DataFrame:
        """One row per change: breaker transitions, models taken out and back, faults injected."""
        return self._frame("events")

    def decisions(self) -> pd.DataFrame:
        """One row per choice of a model."""
        return self._frame("decisions")

    def candidates(self) -> pd.DataFrame:
        """One row per model and choice: its score, or why it could not serve."""
        return self._frame("candidates")

    def metrics(self, window: str | float = "all") -> pd.DataFrame:
        """One row per model, over all calls or the last ``"15m"``: success, latency, tokens, cost."""
        from routerlab.views.metrics import metrics

        frame = metrics(self._session.recorder, window)
        frame.attrs["loop_lag_s"] = self._session.loop.lag_s
        return frame

    def health(self) -> pd.DataFrame:
        """One row per model as routing sees it now: breaker, score, latency, cooling."""
        from routerlab.views.metrics import health

        return health(self._session.snapshots())

    def prices(self) -> pd.DataFrame:
        """One row per model: USD per million tokens, context window, and where both come from; see `views.prices`."""
        from routerlab.views.prices import prices

        return prices(self.config)

    # -- live ------------------------------------------------------------------------------------------------------

    def dashboard(self) -> Dashboard:
        """Breakers, scores, failovers and counters, live while calls run, with controls to break things.

        In a notebook a cell that ends in it shows it; ``save("failover.html")`` writes a file for a colleague.
        """
        from routerlab.views.dashboard import Dashboard

        return Dashboard(self._live.publisher)

    def breaker_panel(self) -> Dashboard:
        """The breakers' lanes alone, live: states, probes, changes by hand, attempts."""
        from routerlab.views.dashboard import Dashboard

        return Dashboard(self._live.publisher, ["breakers"])

    def score_panel(self) -> Dashboard:
        """The EWMA scores alone, live, with success rate and latency beside them."""
        from routerlab.views.dashboard import Dashboard

        return Dashboard(self._live.publisher, ["scores"])

    def trace_panel(self, call_id: str | None = None) -> Dashboard | Trace:
        """One call's way through the models.

        Args:
            call_id: of a call in ``lab.calls()``: its trace, as it was. None: live, always the latest failover.

        Raises:
            ConfigurationError: no record of that call.
        """
        from routerlab.views.dashboard import Dashboard
        from routerlab.views.traces import read_trace

        if call_id is not None:
            return read_trace(self._session.recorder, call_id)
        return Dashboard(self._live.publisher, ["trace"])

    def _frame(self, table: str) -> pd.DataFrame:
        from routerlab.views.frames import frame

        return frame(self._session.recorder, table)

    # -- experiments -----------------------------------------------------------------------------------------------

    def replay(
        self,
        dataset: Dataset | Any,
        models: Sequence[str] | None = None,
        *,
        variants: Mapping[str, Mapping[str, Any]] | None = None,
        pool: str | None = None,
        scorers: Any = None,
        concurrency: int = 8,
        repeats: int = 1,
        budget_usd: float | None = None,
        allow_unknown_prices: bool = False,
        dry_run: bool = False,
        name: str | None = None,
        fresh: bool = False,
        cache: bool = False,
        preflight: bool = True,
        give_up_after: float | str = "30m",
        system: str | None = None,
        stream: bool = False,
        deadline: float | str | None = None,
        wait: bool = True,
        **params: Any,
    ) -> Run:
        """Send every item of a dataset to each of the models, or through a pool.

        Args:
            dataset: from `routerlab.load_dataset`; a list or a DataFrame works too.
            models: ``provider/model`` each; every item is pinned to each of them. None: the pool routes.
            variants: by name, ways to ask beside `models`: ``{"terse": {"model": …, "system": …, "prompt": "{prompt} In
                one word.", "temperature": 0}}``.
            pool: which pool routes, where no models are given; None: the one for chat.
            scorers: ``"exact"``, ``"contains"``, ``"numeric"``, `routerlab.experiments.scorers.regex`, functions. None:
                ``"asserts"`` where the items carry assertions of their own, else none.
            concurrency: calls in flight at most.
            repeats: how often each item is sent to each model.
            budget_usd: what all attempts together may cost; the most that a call may cost is reserved before it.
            allow_unknown_prices: with a budget, let models without a known price count as free.
            dry_run: only estimate calls and cost; nothing is sent.
            name: of the run; made up and shown where none is given. A run of this name that is kept goes on: what is
                finished costs nothing again. Other items or parameters under its name are an error.
            fresh: begin anew, and pay again, where a run of this name is kept.
            cache: answer what was asked before, word for word, from ``.routerlab/cache.db``.
            preflight: make one small call to each model first, and end at once where the key, the model's name or a
                parameter is refused.
            give_up_after: without an answer of its model for so long (seconds, or ``"30m"``), what is left for that
                model stays pending; until then its items wait.
            system: a system message for items without one.
            stream: ask for answers piece by piece, so that the time to the first token is measured.
            deadline: for each call, all attempts and waits included: seconds, or ``"30s"``.
            wait: False: return at once; the run goes on in the background (``stop()``, ``wait()``, ``progress``).
            params: ``max_tokens``, ``temperature``, … for every call.

        Returns:
            The run: ``df``, ``summary()``, ``plot()``, ``report()``. An interrupt stops it and returns what it has.
            With `dry_run` an estimate: ``df``, ``calls``, ``cost_usd``.
        """
        from routerlab.views.progress import watch
        from routerlab.views.start import estimate_replay, start_replay

        options = {"scorers": scorers, "concurrency": concurrency, "repeats": repeats, "budget_usd": budget_usd}
        options |= {"name": name, "system": system, "stream": stream, "deadline_s": limit_s(deadline)}
        options |= {"pool": pool, "variants": variants, "fresh": fresh, "cache": cache, "preflight": preflight}
        options |= {"allow_unknown_prices": allow_unknown_prices, "give_up_after_s": limit_s(give_up_after)}
        if dry_run:
            return estimate_replay(self._live, dataset, models, params=params, options=options)  # type: ignore[return-value] # all others get a run
        keep = not self._no_store
        run = start_replay(self._live, dataset, models, params=params, options=options, keep=keep)
        return watch(run) if wait else run

    async def areplay(self, dataset: Dataset | Any, models: Sequence[str] | None = None, **options: Any) -> Run:
        """`replay`, to be awaited in any event loop; cancelling it stops the run, what is finished stays recorded."""
        run = self.replay(dataset, models, **{**options, "wait": False})
        await run.finished()
        return run

    def score(self, run: Run, scorers: Any, *, budget_usd: float | None = None) -> Run:
        """`Run.score`, with judges of this lab: for a run of another one, or of the past."""
        return run.score(scorers, budget_usd=budget_usd, session=self._session)

    def compare(
        self,
        dataset: Dataset | Any,
        models: Sequence[str],
        *,
        margin: float = 0.05,
        scorer: str | None = None,
        **options: Any,
    ) -> Comparison:
        """Send a dataset to several models and say which is better: `replay` and its ``compare`` in one.

        Args:
            dataset, models, options: as for `replay`; the comparison's ``run`` is the run itself.
            margin, scorer: as for ``run.compare``.

        Raises:
            ConfigurationError: as for ``run.compare``; it is told before anything is sent.
        """
        from routerlab.views.start import check_compare

        check_compare(models, margin, scorer, options.get("scorers"))
        run = self.replay(dataset, models, **{**options, "wait": True})
        return run.compare(margin=margin, scorer=scorer)

    async def acompare(
        self,
        dataset: Dataset | Any,
        models: Sequence[str],
        *,
        margin: float = 0.05,
        scorer: str | None = None,
        **options: Any,
    ) -> Comparison:
        """`compare`, to be awaited in any event loop."""
        from routerlab.views.start import check_compare

        check_compare(models, margin, scorer, options.get("scorers"))
        run = await self.areplay(dataset, models, **options)
        return run.compare(margin=margin, scorer=scorer)

    def runs(self) -> pd.DataFrame:
        """One row per run that is kept, oldest first: ``name, kind, status, dataset, variants, created_at, run_id``."""
        from routerlab.views.opened import runs_frame

        return runs_frame(self._session.recorder, keep=not self._no_store)

    def traffic(
        self, rate: str | float = "3/s", *, prompts: Sequence[str] | None = None, seed: int = 0, **options: Any
    ) -> Traffic:
        """Calls in the background until ``stop()``, so that there is something to watch.

        Args:
            rate: ``"3/s"``, ``"100/min"``, or a number per second; gaps are those of independent users.
            prompts: taken in turn; None: those of the shipped dataset.
            seed: of the gaps.
            options: as for `chat`.
        """
        from routerlab.experiments.traffic import background

        traffic = background(self._session, rate, prompts, seed, **options)
        self._live.activity.add_traffic(traffic)
        return traffic

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
