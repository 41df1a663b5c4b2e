"""The live side of a lab: what goes on in it, how to break it, and who tells the panels. It does not hold the lab."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from routerlab.session.session import Session

if TYPE_CHECKING:
    from routerlab.simulation.faults import FaultController
    from routerlab.views.activity import Activity
    from routerlab.views.publisher import Publisher

__all__ = ["Live"]


class Live:
    """Makes each part when it is first asked for: most labs never show a panel.

    Args:
        session: of the lab.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    @cached_property
    def activity(self) -> Activity:
        """Runs and background traffic."""
        from routerlab.views.activity import Activity

        return Activity()

    @cached_property
    def faults(self) -> FaultController:
        """The schedule of faults."""
        from routerlab.simulation.inject import controller

        return controller(self.session)

    @cached_property
    def publisher(self) -> Publisher:
        """Keeps the live panels up to date."""
        from routerlab.views.publisher import Publisher

        return Publisher(self.session, self.activity, self.faults)
