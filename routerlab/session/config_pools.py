"""The pools of a configuration: models looked up, ``routing:`` merged in, owners found."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from routerlab.core.breaker import BreakerConfig
from routerlab.core.capabilities import CHAT, CapabilityTree, held_nearby
from routerlab.core.errors import ConfigurationError
from routerlab.core.policy import PoolPolicy, RetryPolicy, Timeouts
from routerlab.core.suggest import nearest
from routerlab.session.config import PoolConfig, ProviderConfig
from routerlab.session.config_shape import LabShape, PoolShape, RoutingShape

__all__ = ["build_pools"]

_STRATEGY_OPTIONS = {"weighted": {"weights"}, "stick-until-failure": {"return_after"}}
_OF_THE_MODEL = ("breaker", "latency_target")  # these belong to the first pool that holds a model


def build_pools(
    shape: LabShape, providers: Mapping[str, ProviderConfig], tree: CapabilityTree, problems: list[str]
) -> tuple[dict[str, PoolConfig], dict[str, str], PoolConfig]:
    """The pools, who owns which model, and what models in no pool get; mistakes are added to `problems`."""
    models = {
        f"{provider.name}/{name}": model.capabilities
        for provider in providers.values()
        for name, model in provider.models.items()
    }
    routing = _pool("routing", CHAT, (), shape.routing, RoutingShape())
    _check_strategy("routing", routing, list(models), problems)
    pools = {}
    for name, pool in shape.pools.items():
        path = f"pools.{name}"
        capability = _capability(path, pool, tree, problems)
        chosen = _models(path, pool, capability, models, tree, problems)
        pools[name] = _pool(name, capability, chosen, pool, shape.routing)
        _check_strategy(path, pools[name], chosen, problems)
    _check_defaults(pools, problems)
    return pools, _owners(shape, pools, problems), routing


def _capability(path: str, pool: PoolShape, tree: CapabilityTree, problems: list[str]) -> str:
    try:
        return tree.resolve(pool.capability)
    except ConfigurationError as error:
        problems.append(f"{path}.capability: {error}")
        return ""


def _models(
    path: str,
    pool: PoolShape,
    capability: str,
    models: Mapping[str, tuple[str, ...]],
    tree: CapabilityTree,
    problems: list[str],
) -> tuple[str, ...]:
    """Those listed, else all with the capability."""
    if pool.models is None:
        found = tuple(name for name, names in models.items() if capability and tree.serves(capability, names))
        if not found and capability:
            nearby = held_nearby(tree, capability, models)
            problems.append(
                f"{path}: no model has the capability {capability}{nearby}; list its models, or give them that"
            )
        return found
    for index, name in enumerate(pool.models):
        here = f"{path}.models[{index}]"
        if name not in models:
            problems.append(f"{here}: unknown model {name!r}{nearest(name, models)}")
        elif name in pool.models[:index]:
            problems.append(f"{here}: {name!r} stands in this pool already")
        elif capability and not tree.serves(capability, models[name]):
            declared = ", ".join(models[name]) or "nothing"
            problems.append(f"{here}: {name!r} serves {declared}, not {capability}: see its `capabilities`")
    if not pool.models:
        problems.append(f"{path}.models: expected at least one model")
    return tuple(pool.models)


def _pool(name: str, capability: str, models: tuple[str, ...], own: RoutingShape, routing: RoutingShape) -> PoolConfig:
    """A pool from its own keys, else those of ``routing``, else the defaults."""

    def value(key: str) -> Any:
        return getattr(own if key in own.model_fields_set else routing, key)

    def merged(key: str) -> dict[str, Any]:
        return {**_set(getattr(routing, key)), **_set(getattr(own, key))}

    policy = PoolPolicy(
        retry=RetryPolicy(**merged("retry")),
        timeouts=Timeouts(**merged("timeouts")),
        deadline=value("deadline"),
        takeover_after=value("takeover_after"),
        on_stream_failure=value("on_stream_failure"),
        on_content_filter=value("on_content_filter"),
    )
    strategy = _set(value("strategy"))
    target = value("latency_target")
    return PoolConfig(
        name,
        capability,
        models,
        strategy.pop("name", "priority"),
        strategy,
        policy,
        BreakerConfig(**merged("breaker")),
        "auto" if target is None else target,
        isinstance(own, PoolShape) and own.default,
    )


def _set(shape: BaseModel | None) -> dict[str, Any]:
    """What was written there."""
    return {} if shape is None else shape.model_dump(exclude_unset=True)


def _check_strategy(path: str, pool: PoolConfig, models: Collection[str], problems: list[str]) -> None:
    path = f"{path}.strategy"
    for option in pool.options:
        if option not in _STRATEGY_OPTIONS.get(pool.strategy, ()):
            takers = ", ".join(name for name, options in _STRATEGY_OPTIONS.items() if option in options)
            problems.append(f"{path}.{option}: {pool.strategy!r} does not take it, only {takers} does")
    weights = pool.options.get("weights") or {}
    unknown = [name for name in weights if name not in models]
    problems += [f"{path}.weights: unknown model {name!r}{nearest(name, models)}" for name in unknown]
    if weights and not any(weights.values()):
        problems.append(f"{path}.weights: expected at least one above 0")


def _check_defaults(pools: Mapping[str, PoolConfig], problems: list[str]) -> None:
    seen: dict[str, str] = {}
    for name, pool in pools.items():
        if pool.default and seen.setdefault(pool.capability, name) != name:
            problems.append(f"pools.{name}.default: pools.{seen[pool.capability]} is the default of its capability")


def _owners(shape: LabShape, pools: Mapping[str, PoolConfig], problems: list[str]) -> dict[str, str]:
    """The first pool that holds a model; a later one must not contradict it on what belongs to the model."""
    owners: dict[str, str] = {}
    for name, pool in pools.items():
        written = [key for key in _OF_THE_MODEL if key in shape.pools[name].model_fields_set]
        for model in pool.models:
            owner = pools[owners.setdefault(model, name)]
            problems += [
                f"pools.{name}.{key}: differs from pools.{owner.name}.{key} for {model!r}, which that pool holds "
                "first: a model has one breaker and one latency target"
                for key in written
                if getattr(owner, key) != getattr(pool, key)
            ]
    return owners
