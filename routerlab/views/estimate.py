"""What a run would cost, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from routerlab.experiments.plan import ReplayPlan
from routerlab.views.markup import page_part, table
from routerlab.views.svg import escape_text
from routerlab.views.words import count, money

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimate"]


class Estimate:
    """A run that was not begun (``dry_run=True``).

    Args:
        plan: of the run.
        rows: one per arm.

    Attributes:
        rows: as given.
    """

    def __init__(self, plan: ReplayPlan, rows: Sequence[dict[str, Any]]) -> None:
        self._plan, self.rows = plan, list(rows)

    @property
    def df(self) -> pd.DataFrame:
        """One row per arm: ``variant, model, calls, prompt_tokens, completion_tokens, cost_usd``, high estimates;
        ``cost_usd`` is missing where a price is unknown."""
        from routerlab.session.tables import ColumnType
        from routerlab.views.frames import to_frame

        types: dict[str, ColumnType] = {"variant": "id", "model": "id"}
        types |= dict.fromkeys(("calls", "prompt_tokens", "completion_tokens"), "int")
        types["cost_usd"] = "float"
        return to_frame({name: [row[name] for row in self.rows] for name in types}, types)

    @property
    def calls(self) -> int:
        """That the run would make, retries aside."""
        return sum(row["calls"] for row in self.rows)

    @property
    def cost_usd(self) -> float | None:
        """Of the whole run, a high estimate; None where a price is unknown."""
        costs = [row["cost_usd"] for row in self.rows]
        return None if None in costs else sum(costs)

    @property
    def reaches(self) -> int | None:
        """Prompts that the budget is enough for; None without a budget or a price."""
        budget, cost = self._plan.budget_usd, self.cost_usd
        if budget is None or not cost:
            return None
        return min(len(self._plan.dataset), int(budget / cost * len(self._plan.dataset)))

    def __repr__(self) -> str:
        return f"<Estimate {self.line}>"

    @property
    def line(self) -> str:
        """The whole in one line."""
        cost, reaches = self.cost_usd, self.reaches
        parts = [count(self.calls, "call"), "cost unknown" if cost is None else f"at most about {money(cost)}"]
        if reaches is not None:
            parts.append(f"{money(self._plan.budget_usd)} reaches {count(reaches, 'prompt')}")
        return " · ".join(parts)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """For people: a head, and a row for each arm."""
        head = ["variant", "calls", "prompt tokens", "completion tokens", "cost"]
        names = ("calls", "prompt_tokens", "completion_tokens")
        rows = [
            [row["variant"], *(f"{row[name]:,}" for name in names), money(row["cost_usd"]) or "unknown"]
            for row in self.rows
        ]
        return head, rows

    def _repr_html_(self) -> str:
        head, rows = self.table()
        return page_part(f"<p>{escape_text(self.line)}</p>" + table(head, rows, numbers=range(1, len(head))))
