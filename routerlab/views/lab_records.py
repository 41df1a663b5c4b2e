"""What `Lab` shows of what happened: tables of its records, and panels that follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerlab.session.config import LabConfig
from routerlab.session.session import Session
from routerlab.views.live import Live

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.views.dashboard import Dashboard
    from routerlab.views.trace import Trace

__all__ = ["LabRecords"]


class LabRecords:
    """The part of `Lab` that reads: frames and panels; nothing here sends or changes anything."""

    config: LabConfig
    _session: Session
    _live: Live

    # -- tables ----------------------------------------------------------------------------------------------------

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

    # -- panels ----------------------------------------------------------------------------------------------------

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
