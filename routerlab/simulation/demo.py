"""The three models of the demo: fast and cheap, in the middle, slow and dear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.capabilities import CHAT, EMBEDDING

__all__ = ["demo_config", "demo_models"]


def demo_models(answers: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Options of simulated models that differ in speed, accuracy and price, for `Lab.demo` and `routerlab simulate`.

    Args:
        answers: right answers by prompt; None: made-up prose only.

    Returns:
        Options by name, as they stand under ``models`` of a simulated provider.
    """
    common = {
        "answers": dict(answers or {}),
        "capabilities": [CHAT, EMBEDDING],
        "rpm": 60_000,
        "tpm": 20_000_000,
    }
    return {
        "alpha": {
            "ttft_s": {"median": 0.02, "sigma": 0.35},
            "tokens_per_s": {"median": 1500, "sigma": 0.2},
            "accuracy": 0.80,
            "price": {"input": 0.15, "output": 0.60},
            "context_window": 16_000,
            **common,
        },
        "beta": {
            "ttft_s": {"median": 0.06, "sigma": 0.35},
            "tokens_per_s": {"median": 150, "sigma": 0.2},
            "accuracy": 0.88,
            "price": {"input": 0.80, "output": 3.20},
            "context_window": 64_000,
            **common,
        },
        "gamma": {
            "ttft_s": {"median": 0.12, "sigma": 0.35},
            "tokens_per_s": {"median": 80, "sigma": 0.2},
            "accuracy": 0.96,
            "price": {"input": 3.00, "output": 15.00},
            "context_window": 200_000,
            **common,
        },
    }


def demo_config(answers: Mapping[str, str] | None = None, **pool: Any) -> dict[str, Any]:
    """The configuration of `Lab.demo`: one pool for chat over the three models.

    Args:
        answers: as for `demo_models`.
        pool: keys of the pool that differ (``strategy``, ``retry``, …).
    """
    names = [f"sim/{name}" for name in demo_models()]
    chat = {"capability": CHAT, "models": names, "breaker": {"reset_timeout": "8s"}, **pool}
    return {"providers": {"sim": {"kind": "simulated", "models": demo_models(answers)}}, "pools": {"chat": chat}}
