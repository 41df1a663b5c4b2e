"""The arms of a run: models, variants of prompt and parameters, or a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.plan import Arm

__all__ = ["arms_of"]

_OWN = ("model", "pool", "system", "prompt")


def arms_of(
    models: Sequence[str] | None, variants: Mapping[str, Mapping[str, Any]] | None, pool: str | None, routed: str
) -> list[Arm]:
    """One arm per model and per variant; where there are none, the pool routes.

    Args:
        models: ``provider/model`` each.
        variants: by name: ``model`` or ``pool``, ``system``, ``prompt`` (a template such as ``"{prompt} Briefly."``);
            everything else is a parameter (``temperature``, …).
        pool: that routes where neither is given.
        routed: what that arm is called.

    Raises:
        ConfigurationError: a variant is no mapping, or has a model and a pool.

    >>> [arm.variant for arm in arms_of(["a/b"], {"terse": {"model": "a/b", "system": "Be brief."}}, None, "chat")]
    ['a/b', 'terse']
    """
    names = [models] if isinstance(models, str) else list(models or ())
    arms = [Arm(name, model=name) for name in names]
    arms += [_variant(name, given, pool) for name, given in (variants or {}).items()]
    return arms or [Arm(routed, pool=pool)]


def _variant(name: str, given: Mapping[str, Any], pool: str | None) -> Arm:
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"variant {name!r}: expected a dict such as {{'model': …, 'system': …}}, not {given!r}"
        )
    if given.get("model") and given.get("pool"):
        raise ConfigurationError(f"variant {name!r}: give model or pool, not both")
    params = {key: value for key, value in given.items() if key not in _OWN}
    own_pool = given.get("pool") or (None if given.get("model") else pool)
    return Arm(name, own_pool, given.get("model"), given.get("system"), given.get("prompt"), params)
