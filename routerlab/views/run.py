"""A run: handle while it goes, result when it is over."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from typing import TYPE_CHECKING, Any, Self

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.replay import Replay
from routerlab.session.loop import Job
from routerlab.views.exports import ExportedResult

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.session.session import Session
    from routerlab.views.dashboard import Dashboard
    from routerlab.views.live import Live
    from routerlab.views.outcomes import Outcomes

__all__ = ["Run"]

_PATIENCE_S = 5.0  # how long an interrupted caller waits for the cleanup


class Run(ExportedResult):
    """A replay of a dataset. The same object is the handle (``wait=False``) and the result.

    Args:
        engine: that does the work.
        session: in whose loop it runs, and whose recorder keeps the calls.
        job: the engine at work; `Run.start` makes it.
        live: the live side of the lab; None: the run has no panel.
    """

    stoppable = True  # a panel shows a Stop button

    def __init__(self, engine: Replay, session: Session, job: Job[None], live: Live | None = None) -> None:
        super().__init__(engine, session.recorder, session, kept_before=engine.kept_before > 0)
        self._session: Session = session
        self._job, self._live = job, live

    @classmethod
    def start(cls, engine: Replay, session: Session, live: Live | None = None) -> Self:
        """Begin a run, without waiting."""
        run = cls(engine, session, session.submit(engine.run()), live)
        if live is not None:
            live.activity.add_run(run)
        return run

    @staticmethod
    def from_frame(frame: pd.DataFrame, **options: Any) -> Outcomes:
        """Results from elsewhere, asked what a run is asked: ``compare``, ``frontier``, ``route``, ``side_by_side``.

        Args:
            frame: one row per prompt and model, as `df` has them, or one per prompt with a column for each model.
            options: as for `Outcomes.from_frame`.

        Raises:
            DatasetError: a column is missing, or a score is not in 0…1.
        """
        from routerlab.views.outcomes import Outcomes

        return Outcomes.from_frame(frame, **options)

    @property
    def has_panel(self) -> bool:
        """Whether `panel` can show it."""
        return self._live is not None

    def panel(self) -> Dashboard:
        """How it goes, live in a notebook: done, failed, failed over, spend, rate, time left, and a Stop button.

        Raises:
            ConfigurationError: it does not belong to a lab.
        """
        from routerlab.views.dashboard import Dashboard

        if self._live is None:
            raise ConfigurationError("this run has no lab to show it")
        return Dashboard(self._live.publisher, ["runs"], about=self.run_id)

    def stop(self) -> Self:
        """Send nothing more and cancel what is in flight; finished rows stay. Does not wait: `wait` does."""
        self.engine.stop()
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until it is over. An interrupt stops the run, keeps what is finished and returns.

        Args:
            timeout: seconds to wait at most; None: no limit. Afterwards `status` tells whether it is over.

        Raises:
            Exception: what broke the run itself; a failed call is a row, not an error.
        """
        try:
            self._job.wait(timeout)
        except KeyboardInterrupt:
            self.stop()
            self._job.wait(_PATIENCE_S)
        if self._job.done():
            with contextlib.suppress(concurrent.futures.CancelledError):  # the lab was closed: what is finished is here
                self._job.future.result()
        return self

    @property
    def over(self) -> bool:
        """Whether nothing of it goes on any more."""
        return self._job.done()

    def retry_failed(self, *, wait: bool = True) -> Self:
        """Send again what failed; what is there stays.

        Args:
            wait: False: return at once, as from ``lab.replay(…, wait=False)``.

        Raises:
            ConfigurationError: the run is still at work.
        """
        from routerlab.views.progress import watch

        self._refuse_at_work()
        self.engine = self.engine.again()
        self._job = self._session.submit(self.engine.run())
        if wait:
            watch(self)
        return self

    def delete(self) -> None:
        """Take the run out of the store, with its calls, texts and scores; this object keeps its rows.

        Raises:
            ConfigurationError: the run is still at work.
        """
        self._refuse_at_work()
        self._session.recorder.forget(self.run_id)

    def _refuse_at_work(self) -> None:
        if not self.over:
            raise ConfigurationError(f"run {self.name!r} is still at work: wait for it, or stop it first")

    async def finished(self) -> Self:
        """`wait`, to be awaited in any event loop; cancelling it stops the run."""
        await self._session.loop.bridge(self._end())
        return self

    async def _end(self) -> None:
        ending = asyncio.wrap_future(self._job.future)
        try:
            await asyncio.wait([ending])
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait([ending], timeout=_PATIENCE_S)
            raise
        with contextlib.suppress(concurrent.futures.CancelledError, asyncio.CancelledError):
            ending.result()
