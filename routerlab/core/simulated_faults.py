"""When something goes wrong with a simulated model: faults and their schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from routerlab.core.chance import Chance
from routerlab.core.checks import is_number
from routerlab.core.errors import ConfigurationError
from routerlab.core.fault_kinds import FAULT_KINDS
from routerlab.core.record import record
from routerlab.core.script import Script
from routerlab.core.suggest import nearest

__all__ = ["ScheduledFault"]


@record
class ScheduledFault:
    """A fault and when it is active.

    Args:
        kind: a name from `FAULT_KINDS`.
        start_s: seconds after the model's start.
        end_s: seconds after the model's start; None: it stays.
        probability: of striking a request while it is active, 0 to 1.
        options: of this kind, such as ``retry_after`` of ``rate_limit``.

    Raises:
        ConfigurationError: an unknown kind or option (the nearest is named), or a value out of range.
    """

    kind: str
    start_s: float = 0.0
    end_s: float | None = None
    probability: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ConfigurationError(f"unknown fault {self.kind!r}{nearest(self.kind, FAULT_KINDS)}")
        known = FAULT_KINDS[self.kind].options
        for option in self.options:
            if option not in known:
                hint = nearest(option, known) or "; it takes none"
                raise ConfigurationError(f"fault {self.kind!r} has no option {option!r}{hint}")
        if not is_number(self.probability) or not 0.0 <= self.probability <= 1.0:
            raise ConfigurationError(f"probability must lie between 0 and 1, not {self.probability!r}")
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise ConfigurationError(f"a fault starts after 0 or more seconds, not {self.start_s!r}")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise ConfigurationError(f"a fault ends after its start, not at {self.end_s!r}")

    def is_active(self, now_s: float) -> bool:
        """Whether it may strike a request that arrives now."""
        return self.start_s <= now_s and (self.end_s is None or now_s < self.end_s)

    def apply(self, script: Script, chance: Chance) -> Script:
        """The script with this fault in it, if chance has it strike."""
        if self.probability < 1.0 and chance.random() >= self.probability:
            return script
        shaped = FAULT_KINDS[self.kind].apply(script, **self.options)
        return replace(shaped, faults=(*script.faults, self.kind))
