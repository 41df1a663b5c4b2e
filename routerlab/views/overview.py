"""A lab at a glance: its models as routing sees them, and the pools that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routerlab.core.types import ModelSnapshot, Price
from routerlab.views.lanes import signed_state
from routerlab.views.markup import page_part, table
from routerlab.views.svg import escape_text
from routerlab.views.words import percent, seconds

__all__ = ["overview_html"]

_HEAD = ("model", "pools", "breaker", "success", "score", "latency", "USD per million tokens")


def overview_html(title: str, snapshots: Sequence[ModelSnapshot], pools: Mapping[str, Sequence[str]]) -> str:
    """The lab as a table.

    Args:
        title: what it is, in a line.
        snapshots: of its models; empty once it is closed.
        pools: names of the models by pool.
    """
    heading = f"<p>{escape_text(title)}</p>"
    if not snapshots:
        return page_part(heading)
    rows = [_cells(snapshot, pools) for snapshot in snapshots]
    return page_part(heading + table(_HEAD, rows, numbers=range(3, len(_HEAD))))


def _cells(snapshot: ModelSnapshot, pools: Mapping[str, Sequence[str]]) -> list[str]:
    out = f", {snapshot.out_because}" if snapshot.out_because else ""
    return [
        snapshot.model,
        ", ".join(name for name, models in pools.items() if snapshot.model in models),
        f"{signed_state(snapshot.breaker)}{out}",
        percent(snapshot.success_rate),
        "" if snapshot.score is None else f"{snapshot.score:.3f}",
        seconds(snapshot.latency_s),
        _price(snapshot.price),
    ]


def _price(price: Price | None) -> str:
    return "" if price is None else f"{price.input:g} in, {price.output:g} out"
