"""Per model: what the records say (`metrics`) and what routing sees at this moment (`health`)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

import pandas as pd

from routerlab.core.errors import ConfigurationError
from routerlab.core.types import ModelSnapshot
from routerlab.experiments.judging import PURPOSE
from routerlab.session.tables import ColumnType
from routerlab.views.frames import RecordSource, frame, to_frame

__all__ = ["failovers_away", "health", "metrics", "window_seconds"]

_METRICS: dict[str, ColumnType] = {
    "model": "id",
    "calls": "int",
    "answered": "int",
    "attempts": "int",
    "ok": "int",
    "failed": "int",
    "success_rate": "float",
    "failovers_away": "int",
    "rate_limited": "int",
    "p50_latency_s": "float",
    "p95_latency_s": "float",
    "p50_ttft_s": "float",
    "prompt_tokens": "int",
    "completion_tokens": "int",
    "cost_usd": "float",
    "simulated": "bool",
    "injected": "bool",
}
_HEALTH: dict[str, ColumnType] = {
    "model": "id",
    "breaker": "id",
    "seconds_to_probe": "float",
    "score": "float",
    "success_rate": "float",
    "latency_s": "float",
    "samples": "int",
    "in_flight": "int",
    "cooling_s": "float",
    "out_because": "id",
    "remaining_requests": "int",
    "remaining_tokens": "int",
    "reset_requests_s": "float",
    "reset_tokens_s": "float",
    "price_input": "float",
    "price_output": "float",
    "context_window": "int",
    "features": "id",
}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NOT_COUNTED = {"cancelled", "rejected"}


def metrics(recorder: RecordSource, window: str | float = "all", *, now: float | None = None) -> pd.DataFrame:
    """One row per model that was sent a request.

    Args:
        recorder: whose records are read.
        window: ``"all"``, a duration such as ``"15m"``, or seconds: only attempts that ended in it.
        now: epoch seconds at which the window ends; None: now.

    Returns:
        ``calls`` that reached the model and those that it ``answered``; ``attempts``, of which ``ok`` and ``failed``
        (cancelled ones are neither); ``success_rate`` = ok / (ok + failed); ``failovers_away`` to another model;
        ``rate_limited`` (429); latencies of the successful attempts in seconds; tokens and USD as far as they are
        known. Calls of judges are left out.
        What has no data is missing, not 0. ``df.attrs["gone"]`` counts attempts that memory let go.
    """
    attempts, calls = frame(recorder, "attempts"), frame(recorder, "calls")
    judges = calls.loc[calls["purpose"] == PURPOSE, "call_id"]
    if len(judges):
        attempts = attempts[~attempts["call_id"].isin(judges)]
    away = failovers_away(attempts)
    length = window_seconds(window)
    if length is not None:
        end = time.time() if now is None else now
        first, last = (pd.Timestamp(at, unit="s", tz="UTC") for at in (end - length, end))
        inside = attempts["ended_at"].between(first, last)
        attempts, away = attempts[inside], away[inside]
    answered = calls.dropna(subset=["model"]).set_index("call_id")["model"]
    rows = [
        _metrics_row(str(model), part, away[part.index], answered, calls)
        for model, part in attempts.groupby("model", sort=True)
    ]
    made = to_frame({name: [row[name] for row in rows] for name in _METRICS}, _METRICS)
    made.attrs.update(window=window, gone=recorder.gone("attempts"))
    return made


def _metrics_row(
    model: str, attempts: pd.DataFrame, away: pd.Series[Any], answered: pd.Series[Any], calls: pd.DataFrame
) -> dict[str, Any]:
    ok = attempts[attempts["outcome"] == "ok"]
    failed = int((~attempts["outcome"].isin({"ok", *_NOT_COUNTED})).sum())
    reached = calls[calls["call_id"].isin(attempts["call_id"])]
    latency, ttft = ok["latency_s"].dropna(), ok["ttft_s"].dropna()
    return {
        "model": model,
        "calls": int(attempts["call_id"].nunique()),
        "answered": int((answered.reindex(attempts["call_id"].unique()) == model).sum()),
        "attempts": len(attempts),
        "ok": len(ok),
        "failed": failed,
        "success_rate": len(ok) / (len(ok) + failed) if len(ok) + failed else None,
        "failovers_away": int(away.sum()),
        "rate_limited": int((attempts["status"] == 429).sum()),
        "p50_latency_s": float(latency.quantile(0.5)) if len(latency) else None,
        "p95_latency_s": float(latency.quantile(0.95)) if len(latency) else None,
        "p50_ttft_s": float(ttft.quantile(0.5)) if len(ttft) else None,
        **{name: _known_sum(ok[name]) for name in ("prompt_tokens", "completion_tokens")},
        "cost_usd": _known_sum(attempts["cost_usd"]),
        "simulated": _any(reached[reached["provider"] == model.partition("/")[0]]["simulated"]),
        "injected": _any(reached["injected"]),
    }


def _known_sum(values: pd.Series[Any]) -> Any:
    known = values.dropna()
    return known.sum() if len(known) else None


def _any(values: pd.Series[Any]) -> bool | None:
    known = values.dropna()
    return bool(known.any()) if len(known) else None


def failovers_away(attempts: pd.DataFrame) -> pd.Series[bool]:
    """For each attempt whether its call moved on from it to another model. (Records come in the order of a call's.)"""
    following = attempts.groupby("call_id", sort=False)["model"].shift(-1)
    return (following.notna() & (following != attempts["model"])).astype(bool)


def window_seconds(window: str | float) -> float | None:
    """A window in seconds; None for ``"all"``.

    Raises:
        ConfigurationError: neither ``"all"`` nor a positive duration.

    >>> window_seconds("15m"), window_seconds(30), window_seconds("all")
    (900.0, 30.0, None)
    """
    if window == "all":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", window.strip()) if isinstance(window, str) else None
    length = float(found[1]) * _UNITS[found[2]] if found else window
    if isinstance(length, bool | str) or not length > 0:
        raise ConfigurationError(f'window={window!r}: expected "all", a duration such as "15m", or seconds above 0')
    return float(length)


def health(snapshots: Iterable[ModelSnapshot]) -> pd.DataFrame:
    """One row per model, as routing sees it now.

    Returns:
        ``breaker`` (``closed``, ``open``, ``half_open``) and ``seconds_to_probe``; ``score`` and ``success_rate`` in
        0…1 with the ``samples`` behind them, missing without any; ``latency_s``, mean of the recent successes;
        ``cooling_s`` left of a rate limit; ``out_because``, empty unless somebody must act; what the provider's headers
        said last of the remaining requests and tokens, and the seconds left until they are renewed; prices in USD per
        million tokens.
    """
    rows = [_health_row(snapshot) for snapshot in snapshots]
    return to_frame({name: [row[name] for row in rows] for name in _HEALTH}, _HEALTH)


def _health_row(snapshot: ModelSnapshot) -> dict[str, Any]:
    price, remaining, features = snapshot.price, snapshot.remaining, snapshot.features
    plain = ("model", "breaker", "seconds_to_probe", "score", "success_rate", "latency_s", "samples", "in_flight",
             "out_because", "context_window")  # fmt: skip
    return {name: getattr(snapshot, name) for name in plain} | {
        "cooling_s": max(0.0, snapshot.cooling_until - snapshot.at),
        "remaining_requests": remaining and remaining.remaining_requests,
        "remaining_tokens": remaining and remaining.remaining_tokens,
        "reset_requests_s": _left(remaining.reset_requests_s if remaining else None, snapshot),
        "reset_tokens_s": _left(remaining.reset_tokens_s if remaining else None, snapshot),
        "price_input": price and price.input,
        "price_output": price and price.output,
        "features": None if features is None else ", ".join(sorted(features)),
    }


def _left(reset_s: float | None, snapshot: ModelSnapshot) -> float | None:
    """Seconds left of a time that was told a while ago."""
    return None if reset_s is None else max(0.0, reset_s - (snapshot.at - snapshot.remaining_at))
