"""Routing rules beside each other, on answers that are there already: a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from routerlab.experiments.outcomes import OutcomeTable
from routerlab.experiments.policies import Policy, resolve_policy
from routerlab.experiments.routes import Estimate, RouteResult, evaluate, roles_of
from routerlab.views.charts import stack
from routerlab.views.frontier import cells, columns
from routerlab.views.markup import page_part, table
from routerlab.views.picture import Picture
from routerlab.views.scatter import Spot, scatter_panel
from routerlab.views.svg import Element, escape_text
from routerlab.views.theme import Theme
from routerlab.views.words import count, money, seconds

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.session.tables import ColumnType

__all__ = ["Routing"]

_ALL = ("always-weak", "always-strong", "random", "oracle")
_HEAD = ("policy", "quality", "USD for 1,000", "median latency", "strong", "PGR", "APGR", "CPT 50, 80")


class Routing(Picture):
    """What routing rules would have scored, cost and taken.

    Args:
        outcomes: of every model on every prompt; prompts that lack one are left out and counted.
        policies: rules or their names; none: always the weak model, always the strong one, a toss, the oracle.
        weak, strong: the two roles; None: the models with the lowest and the highest mean score.
        name: of the run.
        simulated: whether any of it comes from simulated providers.

    Attributes:
        results: one per rule, as plain data.
        roles: who is the weak model, who the strong one.
        left_out: prompts that not every model has a score for.
    """

    def __init__(
        self,
        outcomes: OutcomeTable,
        policies: Sequence[str | Policy] = (),
        *,
        weak: str | None = None,
        strong: str | None = None,
        name: str = "",
        simulated: bool = False,
    ) -> None:
        rules = [resolve_policy(policy) for policy in policies or _ALL]
        complete = outcomes.complete(outcomes.variants)
        self.name, self.simulated, self.scorer = name, simulated, outcomes.scorer
        self.left_out = len(outcomes.items) - len(complete.items)
        self.roles = roles_of(complete, weak, strong)
        self.results: list[RouteResult] = [evaluate(complete, rule, self.roles) for rule in rules]

    @property
    def df(self) -> pd.DataFrame:
        """One row per rule.

        Columns: ``policy, prompts``; ``quality, cost_usd`` (mean of all calls for a prompt), ``latency_s`` (median,
        calls one after the other), each with ``_low`` and ``_high`` (95 %); ``strong_share`` (calls to the strong model
        for a prompt), ``pgr``; ``apgr, cpt50, cpt80`` for thresholds; ``calls``: by model. Missing where there is no
        data.
        """
        from routerlab.views.frames import to_frame

        plain = ("strong_share", "pgr", "apgr", "cpt50", "cpt80")
        types: dict[str, ColumnType] = {"policy": "text", "prompts": "int"}
        parts: dict[str, list[Any]] = {
            "policy": [result.policy for result in self.results],
            "prompts": [result.prompts for result in self.results],
        }
        for measure in ("quality", "cost_usd", "latency_s"):
            parts |= columns(measure, [getattr(result, measure) for result in self.results])
            types |= dict.fromkeys((measure, f"{measure}_low", f"{measure}_high"), "float")
        parts |= {name: [getattr(result, name) for result in self.results] for name in plain}
        types |= {**dict.fromkeys(plain, "float"), "calls": "json"}
        parts["calls"] = [dict(result.calls) for result in self.results]
        frame = to_frame(parts, types)
        frame.attrs.update(scorer=self.scorer, weak=self.roles.weak, strong=self.roles.strong, left_out=self.left_out)
        return frame

    def draw(self, theme: Theme) -> Element:
        """Quality against cost where all prices are known, else against the share of strong calls."""
        names = [result.policy for result in self.results]
        if all(result.cost_usd is not None for result in self.results):
            title, how, write = "Quality and cost of routing", "mean USD for 1,000 prompts, 95 % intervals", money
        else:
            title, how = "Quality and strong calls", "calls to the strong model for each prompt, 95 % intervals"
            write = _share
        spots = [Spot(result.policy, self._x(result), result.quality) for result in self.results]
        return stack([scatter_panel(spots, title, how, write, names, theme)], theme=theme, label=str(self))

    def _x(self, result: RouteResult) -> Estimate:
        costs = [one.cost_usd for one in self.results]
        own = result.cost_usd
        if own is None or None in costs:
            return Estimate(result.strong_share, result.strong_share, result.strong_share)
        return Estimate(1000 * own.value, 1000 * max(0.0, own.low), 1000 * own.high)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle, metadata = super()._repr_mimebundle_(include, exclude)
        bundle["text/html"] = self._repr_html_()
        return bundle, metadata

    def _repr_html_(self) -> str:
        rows = [
            [
                result.policy,
                *cells(result)[:2],
                seconds(None if result.latency_s is None else result.latency_s.value),
                _share(result.strong_share),
                *_metrics(result),
            ]
            for result in self.results
        ]
        note = f"<p>{escape_text(str(self))}</p>"
        return page_part(note + self.html + table(_HEAD, rows, numbers=range(1, len(_HEAD))))

    def __str__(self) -> str:
        missing = f", {count(self.left_out, 'prompt')} without every score left out" if self.left_out else ""
        return (
            f"{self.name}: routing between {self.roles.weak} (weak) and {self.roles.strong} (strong) on "
            f"{count(self.results[0].prompts, 'prompt')}{missing}, by {self.scorer}"
            f"{' (simulated)' if self.simulated else ''}"
        )

    def __repr__(self) -> str:
        said = ", ".join(f"{result.policy} {100 * result.quality.value:.1f} %" for result in self.results)
        return f"<Routing {self.name!r}: {said}>"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g} %"


def _metrics(result: RouteResult) -> list[str]:
    shares = [_share(value) for value in (result.cpt50, result.cpt80)]
    return [
        *("" if value is None else f"{value:.3f}" for value in (result.pgr, result.apgr)),
        ", ".join(filter(None, shares)),
    ]
