"""Tells the live panels of a lab four times a second what is new: one task in the lab's loop, one message a panel."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from routerlab.core.types import ModelSnapshot
from routerlab.session.loop import Job
from routerlab.session.session import Session
from routerlab.views.activity import Activity
from routerlab.views.board import Board
from routerlab.views.controls import FAULTS, Controls
from routerlab.views.feed import Feed, News
from routerlab.views.front import apart_from_cells, kernel

if TYPE_CHECKING:
    from routerlab.views.dashboard import Dashboard

__all__ = ["Face", "Publisher"]

T = TypeVar("T")

_EVERY_S = 0.25
_SETTLED_S = 2.0  # without news: then the pictures are drawn anew
_PICTURE_S = (2.0, 4.0, 10.0)  # between two pictures while there is news: the last one again and again
_log = logging.getLogger(__name__)


class Face(Protocol):
    """What shows a board: the widget in a notebook, a recorder of messages in a test."""

    whole: Mapping[str, Any]
    tick: Mapping[str, Any]

    def hold_sync(self) -> Any:
        """A context in which traits may be written; what was written goes out as one message."""


class _Shown:
    """A face and what it must be told next."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.wants_whole = False
        self.active = True


class Publisher:
    """The live side of one lab. Its methods may be called from any thread; the faces are written in the loop alone.

    Args:
        session: of the lab.
        activity: its runs and traffic.
        faults: the schedule of faults.
    """

    def __init__(self, session: Session, activity: Activity, faults: Any) -> None:
        self.session = session
        self.activity = activity
        self.board = Board(list(session.models))
        self._feed = Feed(session.recorder)
        self._begun = False
        self._faults = faults
        self._controls = Controls(session, activity, faults)
        self._shown: list[_Shown] = []
        self._job: Job[None] | None = None
        self._trouble = ""  # of its own
        self._refused = ""  # what somebody wanted and could not have
        self._kept: list[Dashboard] = []
        self._drawn_at = 0.0
        self._pictures = 0
        self._drawing: asyncio.Task[None] | None = None
        self._running: frozenset[str] = frozenset()

    # -- any thread ----------------------------------------------------------------------------------------------------

    def whole(self) -> dict[str, Any]:
        """Everything that there is to show now."""
        if self.session.closed:
            return self.board.whole(time.time())

        async def look() -> dict[str, Any]:
            self.publish()
            return self.board.whole(time.time())

        return self.session.run(look())

    def make(self, make: Callable[[dict[str, Any]], T]) -> T:
        """Make a face, with the whole to begin with.

        Under a Jupyter kernel it is made in the loop: made in a cell, it would be heard between cells only
        (`apart_from_cells`). Other front ends want it made by the caller.
        """
        if self.session.closed or kernel() is None:
            return make(self.whole())

        async def do() -> T:
            apart_from_cells()
            self.publish()
            return make(self.board.whole(time.time()))

        return self.session.run(do())

    def recorded(self) -> list[tuple[float, Mapping[str, Any]]]:
        """The counters at every point of the past: epoch seconds, counts."""
        return [(point.at, point.counters) for point in self.board.points.newest(10**6)]

    def add(self, face: Face) -> Callable[[dict[str, Any]], None]:
        """Keep a face up to date from now on.

        Returns:
            What takes the messages of its page.
        """
        shown = _Shown(face)
        if not self.session.closed:
            self.session.submit(self._join(shown))

        def heard(message: dict[str, Any]) -> None:
            if not self.session.closed:
                self.session.submit(self._hear(shown, message))

        return heard

    def remove(self, face: Face) -> None:
        """Leave a face alone; without any, the task ends."""
        if not self.session.closed:
            self.session.submit(self._leave(face))

    def keep(self, owner: Dashboard) -> None:
        """Hold what is shown: a page does not, and a cell that ends in a dashboard has no name for it."""
        self._kept.append(owner)
        self._pictures = 0

    def let_go(self, owner: Dashboard) -> None:
        """The end of `keep`."""
        self._kept = [one for one in self._kept if one is not owner]

    def refresh(self, face: Face) -> None:
        """Have the whole written anew, so that a saved notebook holds it."""
        for shown in self._shown:
            if shown.face is face:
                shown.wants_whole = True

    @property
    def busy(self) -> bool:
        """Whether its task runs."""
        return self._job is not None and not self._job.done()

    # -- in the loop ---------------------------------------------------------------------------------------------------

    async def _join(self, shown: _Shown) -> None:
        shown.wants_whole = shown.face.whole.get("n") != self.board.number  # something happened in between
        self._shown.append(shown)
        self._start()

    async def _leave(self, face: Face) -> None:
        self._shown = [shown for shown in self._shown if shown.face is not face]
        if self._job is not None and not any(shown.active for shown in self._shown):
            self._job.cancel()

    async def _hear(self, shown: _Shown, message: dict[str, Any]) -> None:
        match message.get("do"):
            case "whole" | "here":
                shown.wants_whole = True
                shown.active = True
                self._start()
            case "gone":
                shown.active = False
            case _:
                self._refused = await self._controls.act(message)

    def _start(self) -> None:
        if not self.busy:
            self._job = self.session.submit(self._run())

    async def _run(self) -> None:
        try:
            while any(shown.active for shown in self._shown):
                self.publish()
                await asyncio.sleep(_EVERY_S)
                if self._pictures_are_due(time.monotonic()):
                    drawing = self._drawing = asyncio.create_task(asyncio.to_thread(self._draw))
                    drawing.add_done_callback(_seen)
        finally:
            self._job = None
            if self.session.closed:
                self._say_goodbye()

    def _say_goodbye(self) -> None:
        """The last words, and a picture of them; then nothing holds the panels any more."""
        self._tell(self.board.update(*self._news(), {**self.board.extras, "closed": True}))
        try:
            self._draw()
        except Exception:  # noqa: BLE001 - a process that exits may have no front end any more
            _log.debug("the last picture could not be shown", exc_info=True)
        self._shown, self._kept = [], []

    def _pictures_are_due(self, now: float) -> bool:
        """When a run has ended, when it has become quiet, and now and then while it has not."""
        running = frozenset(run["id"] for run in self.board.extras.get("runs", ()) if run["status"] == "running")
        ended, self._running = bool(self._running - running), running
        if not any(owner.outdated for owner in self._kept) or (self._drawing and not self._drawing.done()):
            return False
        pause = _PICTURE_S[min(self._pictures, len(_PICTURE_S) - 1)]
        if not (ended or time.time() - self.board.at > _SETTLED_S or now - self._drawn_at > pause):
            return False
        self._drawn_at = now
        self._pictures += 1
        return True

    def _draw(self) -> None:
        for owner in list(self._kept):
            if owner.outdated:
                owner.freeze()

    def publish(self) -> None:
        """One tick: look, and tell every face what is new. A mistake is shown, not swallowed."""
        before, self._trouble = self._trouble, ""
        try:
            self._tell(self._look())
        except Exception as error:  # noqa: BLE001 - whatever it is: it must be seen, and calls must go on
            if not before:
                _log.exception("the live panels of a lab cannot be kept up to date")
            self._trouble = f"these panels cannot be kept up to date: {type(error).__name__}: {error}"
            self._tell(self.board.say({**self.board.extras, "error": self._trouble}, time.time()))

    def _look(self) -> dict[str, Any] | None:
        if not self._begun:
            self._begun = True
            self.board.begin(self._feed.read())
        return self.board.update(*self._news(), self._extras())

    def _news(self) -> tuple[News, list[ModelSnapshot], float]:
        snapshots = self.session.health.snapshots(self.board.models, time.monotonic())
        return self._feed.read(), snapshots, time.time()

    def _extras(self) -> dict[str, Any]:
        now = time.time()
        found: dict[str, Any] = {"kinds": FAULTS}
        faults = [
            [
                fault.model,
                fault.kind.replace("_", " "),
                None if fault.ends_in_s is None else round(now + fault.ends_in_s),
            ]
            for fault in self._faults.active()
        ]
        said = self._trouble or self._refused
        found |= ({"faults": faults} if faults else {}) | ({"error": said} if said else {})
        return found | self.activity.shown()

    def _tell(self, update: dict[str, Any] | None) -> None:
        apart_from_cells()
        for shown in self._shown:
            if not shown.active or (update is None and not shown.wants_whole):
                continue
            with shown.face.hold_sync():
                if shown.wants_whole:
                    shown.face.whole = self.board.whole(time.time())
                    shown.wants_whole = False
                if update is not None:
                    shown.face.tick = update


def _seen(task: asyncio.Task[None]) -> None:
    """What a picture failed of is told below the surface: a lab that is closed meanwhile is no news."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.debug("a picture could not be drawn anew", exc_info=error)
