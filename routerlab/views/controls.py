"""What people do on a live panel: break a model, move a breaker, stop a run, start traffic."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from routerlab.core.errors import RouterLabError
from routerlab.experiments.traffic import background
from routerlab.session.session import Session
from routerlab.views.activity import Activity

__all__ = ["FAULTS", "Controls"]

FAULTS = [
    ["unavailable", "outage (503)"],
    ["rate_limit", "rate limit (429)"],
    ["slow", "slow, 10 times"],
    ["stall", "no answer"],
    ["reset", "connection reset"],
    ["cut_stream", "cut streams"],
    ["broken_json", "broken answers"],
    ["unauthorized", "key refused (401)"],
]
"""Kinds of faults that a panel offers, each with its words."""

_OPTIONS: Mapping[str, dict[str, Any]] = {"slow": {"factor": 10.0}}


class Controls:
    """Carries out what a page asks for; runs in the lab's loop and never waits there.

    Args:
        session: of the lab.
        activity: its runs and traffic.
        faults: the schedule of faults.
    """

    def __init__(self, session: Session, activity: Activity, faults: Any) -> None:
        self._session, self._activity, self._faults = session, activity, faults

    async def act(self, message: Mapping[str, Any]) -> str:
        """Do what a message says.

        Returns:
            What went wrong, for the panel to show; empty: nothing.
        """
        try:
            self._act(message)
        except (RouterLabError, ValueError, KeyError, TypeError) as error:
            return f"that could not be done: {error}"
        return ""

    def _act(self, message: Mapping[str, Any]) -> None:
        match message:
            case {"do": "fault", "model": str(model), "kind": str(kind), "duration": duration}:
                self._faults.inject(model, kind, duration=duration, **_OPTIONS.get(kind, {}))
            case {"do": "clear", "model": str(model)}:
                self._faults.clear(model)
            case {"do": "breaker", "model": str(model), "change": str(change)}:
                self._session.change(change, model, time.monotonic())
            case {"do": "stop", "run": str(run_id)}:
                run = self._activity.run(run_id)
                if run is not None:
                    run.stop()
            case {"do": "traffic", "rate": int() | float() as rate}:
                self._activity.add_traffic(background(self._session, f"{rate:g}/s"))
            case {"do": "traffic", "rate": None}:
                for traffic in self._activity.traffic:
                    traffic.cancel()
            case _:
                raise ValueError(f"this panel knows no action {message.get('do')!r}")
