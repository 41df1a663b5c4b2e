"""What `Lab` does with datasets: runs, their scores, comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlab.session.session import Session
from routerlab.session.specs import limit_s
from routerlab.views.live import Live

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.experiments.datasets import Dataset
    from routerlab.experiments.judge import Judge
    from routerlab.experiments.traffic import Traffic
    from routerlab.views.attached import AttachedRun
    from routerlab.views.comparison import Comparison
    from routerlab.views.run import Run

__all__ = ["LabRuns"]


class LabRuns:
    """The part of `Lab` that sends many calls: runs over datasets, and traffic to watch."""

    _session: Session
    _live: Live
    _no_store: bool

    def replay(
        self,
        dataset: Dataset | Any,
        models: Sequence[str] | None = None,
        *,
        variants: Mapping[str, Mapping[str, Any]] | None = None,
        pool: str | None = None,
        scorers: Any = None,
        concurrency: int | Mapping[str, int] = 8,
        arrivals: Any = None,
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
        stream: bool | None = None,
        deadline: float | str | None = None,
        engine: Any = None,
        wait: bool = True,
        **params: Any,
    ) -> Run:
        """Send every item of a dataset to each of the models, or through a pool.

        Args:
            dataset: from `routerlab.load_dataset`; a list or a DataFrame works too.
            models: ``provider/model`` each; every item is pinned to each of them. None: the pool routes.
            variants: by name, ways to ask beside `models`: ``{"terse": {"model": …, "system": …, "prompt": "{prompt} In
                one word.", "temperature": 0}}``. Items that are conversations go as they are: ``prompt`` is refused for
                them, and ``system`` where all have their own.
            pool: which pool routes, where no models are given; None: the one for chat.
            scorers: ``"exact"``, ``"contains"``, ``"numeric"``, `routerlab.experiments.scorers.regex`, functions. None:
                ``"asserts"`` where the items carry assertions of their own, else none.
            concurrency: calls in flight at most to each provider (``{"openai": 16}``: 8 to the others; a pool counts
                as a provider of its own). A 429 halves what its provider gets, successes bring it back; a
                ``Retry-After`` rests that model alone.
            arrivals: send an item, to all its models, when something arrives instead of when there is room: ``"5/s"``,
                `routerlab.arrivals.poisson`, `routerlab.load_arrivals`, or seconds. What a call waited is its
                ``queue_s``, apart from ``latency_s``. A run that goes on starts again with the next arrival.
            repeats: how often each item is sent to each model; not one after the other, but in blocks of 64 items.
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
            stream: ask for answers piece by piece, so that the time to the first token is measured; None: where the
                model can.
            deadline: for each call, all attempts and waits included: seconds, or ``"30s"``.
            engine: who makes the calls. None: this process. ``"dask"``: processes on this machine. A
                `dask.distributed.Client`: its workers, each with keys and breakers of its own.
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
        options |= {"arrivals": arrivals}
        options |= {"pool": pool, "variants": variants, "fresh": fresh, "cache": cache, "preflight": preflight}
        options |= {
            "allow_unknown_prices": allow_unknown_prices,
            "give_up_after_s": limit_s(give_up_after, "give_up_after"),
        }
        options["engine"] = engine
        if dry_run:
            return estimate_replay(self._live, dataset, models, params=params, options=options)  # type: ignore[return-value] # all others get a run
        keep = not self._no_store
        run = start_replay(self._live, dataset, models, params=params, options=options, keep=keep)
        return watch(run) if wait else run

    async def areplay(self, dataset: Dataset | Any, models: Sequence[str] | None = None, **options: Any) -> Run:
        """`replay`, to be awaited in any event loop; cancelling it stops the run, what is finished stays recorded."""
        run = self.replay(dataset, models, **{**options, "wait": False})
        return run if options.get("dry_run") else await run.finished()

    def score(self, run: Run, scorers: Any, *, budget_usd: float | None = None) -> Run:
        """`RunResult.score`, with judges of this lab: for a run of another one, or of the past."""
        return run.score(scorers, budget_usd=budget_usd, session=self._session)

    async def ascore(self, run: Run, scorers: Any, *, budget_usd: float | None = None) -> Run:
        """`score`, to be awaited in any event loop."""
        return await run.ascore(scorers, budget_usd=budget_usd, session=self._session)

    def compare(
        self,
        dataset: Dataset | Any,
        models: Sequence[str] | None = None,
        *,
        judge: Judge | str | None = None,
        margin: float = 0.05,
        scorer: str | None = None,
        **options: Any,
    ) -> Comparison:
        """Send a dataset to several models and say which is better: `replay` and its ``compare`` in one.

        Args:
            dataset, models, options: as for `replay` (``variants=`` too); the comparison's ``run`` is the run itself.
            judge: `routerlab.judge`, or the name of a model, which then compares the answers two by two, in both
                orders: a scorer beside those in ``scorers``, and the one that the verdict is about.
            margin: as for ``run.compare``.
            scorer: the verdict is about this one instead; None and no judge: the first.

        Returns:
            ``sentence``, ``df``, ``verdicts``, ``run``. With ``dry_run=True`` the estimate of `replay`.

        Raises:
            ConfigurationError: as for ``run.compare`` and ``routerlab.judge``; it is told before anything is sent.
        """
        from routerlab.views.start import comparison_asked

        asked, scorer = comparison_asked(dataset, models, options, judge=judge, margin=margin, scorer=scorer)
        run = self.replay(**asked)
        return run if options.get("dry_run") else run.compare(margin=margin, scorer=scorer)  # type: ignore[return-value] # an estimate

    async def acompare(
        self,
        dataset: Dataset | Any,
        models: Sequence[str] | None = None,
        *,
        judge: Judge | str | None = None,
        margin: float = 0.05,
        scorer: str | None = None,
        **options: Any,
    ) -> Comparison:
        """`compare`, to be awaited in any event loop."""
        from routerlab.views.start import comparison_asked

        asked, scorer = comparison_asked(dataset, models, options, judge=judge, margin=margin, scorer=scorer)
        run = await self.areplay(**asked)
        return run if options.get("dry_run") else run.compare(margin=margin, scorer=scorer)  # type: ignore[return-value] # an estimate

    def runs(self) -> pd.DataFrame:
        """One row per run that is kept, oldest first: ``name, kind, status, dataset, variants, created_at, run_id``.

        A run that says ``running`` is at work, here or in another process; ``interrupted``: its process was killed.
        """
        from routerlab.views.opened import runs_frame

        return runs_frame(self._session.recorder, keep=not self._no_store)

    def attach(self, name: str, store: str | Path | None = None) -> AttachedRun:
        """Follow a run that another process works on (``routerlab replay``); a notebook shows its panel.

        Args:
            name: of the run; of several the newest.
            store: its file, which is only read; None: the one of the configuration, else ``.routerlab/runs.db``.

        Returns:
            A handle: ``panel()``, ``progress``, ``wait()``, ``open()`` for its rows. Closing it, the lab or the kernel
            leaves the run alone.

        Raises:
            StoreError: there is no such file.
            ConfigurationError: it holds no run of this name.
        """
        from routerlab.views.attached import attach
        from routerlab.views.opened import RUN_STORE

        return attach(self._live, name, store or self._session.config.store or RUN_STORE)

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
