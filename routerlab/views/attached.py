"""A run that another process works on, seen from here: its panel, its numbers, and no way to disturb it."""

from __future__ import annotations

import asyncio
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from routerlab.core.errors import StoreError
from routerlab.experiments.follow import FollowedRun
from routerlab.experiments.plan import Progress
from routerlab.session.store_lease import INTERRUPTED
from routerlab.views.live import Live
from routerlab.views.opened import OpenedRun, kept_run, open_run

if TYPE_CHECKING:
    from routerlab.views.dashboard import Dashboard

__all__ = ["AttachedRun", "attach"]

_EVERY_S = 0.25


class AttachedRun:
    """Follows a run of another process through its file; where a notebook's cell ends in it, it shows the panel.

    It never writes, holds no file open between two looks, and ends with the run or with its lab; the other process does
    not notice.

    Args:
        run: that is followed.
        store: its file.
        live: the live side of the lab that shows it.
    """

    stoppable = False

    def __init__(self, run: FollowedRun, store: str | PathLike[str], live: Live) -> None:
        self._run, self._store, self._live = run, store, live
        self._trouble = ""
        live.activity.add_attached(self)
        self._job = None if run.over else live.session.submit(self._follow())

    async def _follow(self) -> None:
        while not self._run.over:
            await asyncio.sleep(_EVERY_S)
            try:
                await asyncio.to_thread(self._run.look)
                self._trouble = ""
            except StoreError as error:  # its disk may be back at the next look
                self._trouble = str(error)

    def panel(self) -> Dashboard:
        """How it goes, live in a notebook: done, failed, failed over, spend, rate, time left."""
        from routerlab.views.dashboard import Dashboard

        return Dashboard(self._live.publisher, ["runs"], about=self.run_id)

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until nobody works on it any more, at most `timeout` seconds; an interrupt ends the waiting alone."""
        if self._job is not None:
            self._job.wait(timeout)
        return self

    def close(self) -> None:
        """Look no more; the run goes on where it is."""
        if self._job is not None:
            self._job.cancel()

    def open(self) -> OpenedRun:
        """The run as it is now, with its rows: as from ``rl.open_run``."""
        return open_run(self.name, self._store)

    @property
    def name(self) -> str:
        """As it was called, or made up."""
        return self._run.name

    @property
    def run_id(self) -> str:
        """Its name in every table."""
        return self._run.run_id

    @property
    def progress(self) -> Progress:
        """Where it stood a quarter of a second ago, as numbers."""
        return self._run.progress

    @property
    def status(self) -> str:
        """``running``, ``done``, ``stopped``, ``failed``, ``interrupted`` (its process was killed) or ``deleted``."""
        return self.progress.status

    @property
    def over(self) -> bool:
        """Whether nobody works on it any more."""
        return self._run.over

    @property
    def notes(self) -> list[str]:
        """Who works on it and how to stop it; when it has ended unfinished, how to go on."""
        now, holder = self.progress, self._run.holder
        if self._trouble:
            return [self._trouble]
        if not self.over and holder is not None:
            return [f"at work in process {holder.pid} on {holder.host}: Ctrl-C there stops it"]
        if now.status == "deleted" or now.done >= now.total:
            return []
        killed = "its process ended without a word; " if now.status == INTERRUPTED else ""
        return [f"{killed}to go on: {self._run.line_again()}"]

    # -- faces ---------------------------------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        self.panel()._ipython_display_()

    def _display_(self) -> Any:
        """What marimo shows."""
        return self.panel().widget

    def __repr__(self) -> str:
        now = self.progress
        said = [f"{now.status} · {now.done:,} of {now.total:,}", *self.notes]
        return f"<AttachedRun {self.name!r} {' · '.join(said)}>"


def attach(live: Live, name: str, store: str | PathLike[str]) -> AttachedRun:
    """Follow a run of another process.

    Args:
        live: the live side of the lab that shows it.
        name: of the run; of several the newest.
        store: the file that it is kept in.

    Raises:
        StoreError: there is no such file, or it is no store.
        ConfigurationError: it holds no run of this name.
    """
    records, row = kept_run(name, store)
    return AttachedRun(FollowedRun(records.store, row), store, live)
