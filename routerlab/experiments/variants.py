"""The arms of a run: models, variants of prompt and parameters, or a pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.items import Item
from routerlab.experiments.plan import Arm

__all__ = ["arms_of", "refuse_idle", "refuse_misspelt"]

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
        ConfigurationError: no model in a list of models; a variant is no mapping, has a model and a pool, or a
            misspelt key.

    >>> [arm.variant for arm in arms_of(["a/b"], {"terse": {"model": "a/b", "system": "Be brief."}}, None, "chat")]
    ['a/b', 'terse']
    """
    names = [models] if isinstance(models, str) else list(models or ())
    if variants is not None and not isinstance(variants, Mapping):
        raise ConfigurationError(f"variants: expected a dict, {{name: {{'model': …, …}}}}, not {variants!r:.80}")
    if models is not None and not names and not variants:
        raise ConfigurationError("models is empty: name one, or leave models out, and the pool routes")
    arms = [Arm(name, model=name) for name in names]
    arms += [_variant(name, given, pool) for name, given in (variants or {}).items()]
    return arms or [Arm(routed, pool=pool)]


def refuse_idle(arms: Iterable[Arm], items: Iterable[Item]) -> None:
    """A variant that would send what the others send makes a comparison of nothing.

    Raises:
        ConfigurationError: a template for the prompt of an item that is a conversation, or a system message where every
            item has its own.
    """
    for arm in arms:
        talks = next((item for item in items if item.prompt is None), None)
        if arm.prompt is not None and talks is not None:
            raise ConfigurationError(
                f"variant {arm.variant!r}: its prompt is a template for prompts, and the item {talks.id!r} is a "
                "conversation, which goes as it is; vary system instead"
            )
        if arm.system is not None and all(_has_system(item) for item in items):
            raise ConfigurationError(f"variant {arm.variant!r}: its system reaches no item, since all have their own")


def _has_system(item: Item) -> bool:
    return any(message.get("role") == "system" for message in item.messages or ())


def refuse_misspelt(params: Mapping[str, Any], known: Iterable[str]) -> None:
    """Whatever is no option goes to the models as a parameter; a budget that is written wrongly must not.

    Raises:
        ConfigurationError: the name of a parameter looks like that of an option.
    """
    names = list(known)
    for name in params:
        near = get_close_matches(name, names, 1, cutoff=0.8) or [one for one in names if one.startswith(f"{name}_")]
        if near:
            raise ConfigurationError(
                f"there is no option {name!r}; did you mean {near[0]!r}? (A parameter of the model that is called so "
                f"goes into extra_body={{{name!r}: …}}.)"
            )


def _variant(name: str, given: Mapping[str, Any], pool: str | None) -> Arm:
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"variant {name!r}: expected a dict such as {{'model': …, 'system': …}}, not {given!r}"
        )
    if given.get("model") and given.get("pool"):
        raise ConfigurationError(f"variant {name!r}: give model or pool, not both")
    params = {key: value for key, value in given.items() if key not in _OWN}
    refuse_misspelt(params, _OWN)
    own_pool = given.get("pool") or (None if given.get("model") else pool)
    return Arm(name, own_pool, given.get("model"), given.get("system"), given.get("prompt"), params)
