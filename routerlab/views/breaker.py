"""One breaker, to be looked at and moved by hand."""

from __future__ import annotations

from routerlab.session.session import Session

__all__ = ["Breaker"]


class Breaker:
    """The breaker of one model, by hand."""

    def __init__(self, session: Session, model: str) -> None:
        self._session = session
        self.model = model
        session.snapshot(model)  # an unknown model is told now

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return self._session.snapshot(self.model).breaker

    def open(self) -> None:
        """Open it for a full timeout: no request goes to the model."""
        self._session.by_hand("open", self.model)

    def close(self) -> None:
        """Close it: requests go to the model again."""
        self._session.by_hand("close", self.model)

    def reset(self) -> None:
        """Close it and forget all counts; a model that is out or cooling comes back, too."""
        self._session.by_hand("reset", self.model)

    def __repr__(self) -> str:
        snapshot = self._session.snapshot(self.model)
        probe = f", a probe may be tried in {snapshot.seconds_to_probe:.1f} s" if snapshot.breaker == "open" else ""
        return f"<Breaker of {self.model}: {snapshot.breaker}{probe}>"
