"""A run that another process works on, followed through its file: read, never written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.experiments.plan import Progress, line_again
from routerlab.experiments.tally import COLUMNS, Tally
from routerlab.session.store import StoreReader
from routerlab.session.store_lease import INTERRUPTED, Holder

__all__ = ["FollowedRun"]


class FollowedRun:
    """What the file says of a run; each `look` reads what is new in it.

    Args:
        store: that the run is kept in.
        run: its row in the table ``runs``.

    Attributes:
        name, run_id: of the run.
        progress: where it stood at the last look; its status is ``interrupted`` where its process ended without a word
            and ``deleted`` where the file holds it no more.
        holder: the process that writes to the store; None: nobody.
    """

    def __init__(self, store: StoreReader, run: Mapping[str, Any]) -> None:
        self.name: str = run["name"]
        self.run_id: str = run["run_id"]
        self.progress = Progress(0)
        self.holder: Holder | None = None
        self._kind, self._command = run["kind"], (run["params"] or {}).get("command")
        self._store, self._tally = store, Tally(run)
        self._marks: Mapping[str, int] = {}
        self.look()

    @property
    def over(self) -> bool:
        """Whether nobody works on it any more."""
        return self.progress.status != "running"

    def look(self) -> None:
        """Read what is new; may take a moment the first time, and blocks.

        Raises:
            StoreError: the file cannot be read now.
        """
        news = self._store.news(self.run_id, self._marks, COLUMNS)
        self._marks, self.holder = news.marks, news.holder
        self._tally.add(news.rows)
        status = news.status or "deleted"
        if status == "running" and news.holder is None:
            status = INTERRUPTED
        self.progress = self._tally.progress(status, news.items, news.holder.heartbeat if news.holder else 0.0)

    def line_again(self) -> str:
        """The line that goes on with it."""
        return line_again(self.name, self._kind, self._command)
