"""From the shape of a configuration to a lab's: names looked up, defaults filled in, every mistake collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from routerlab.core.capabilities import CHAT, EMBEDDING, CapabilityTree
from routerlab.core.errors import ConfigurationError
from routerlab.core.suggest import nearest
from routerlab.core.types import Price
from routerlab.mixins.config import ConfigValidatorMixin
from routerlab.providers.openai_options import check_options, secrets_of
from routerlab.providers.presets import PRESETS
from routerlab.session.config import LabConfig, ModelConfig, ProviderConfig
from routerlab.session.config_pools import build_pools
from routerlab.session.config_shape import LabShape, ModelShape, ProviderShape, read_shape
from routerlab.session.kinds import KINDS, is_known_kind
from routerlab.session.secrets_refs import resolve

__all__ = ["Built", "build"]

_OPENAI = KINDS["openai"]


@dataclass(slots=True)
class Built:
    """What came of a configuration: the lab's, or its problems.

    Attributes:
        config: None where there are problems.
        problems: each with its path; may show what is in `hidden`.
        hidden: no message may show it.
        literal_keys: paths of keys that stand in the configuration itself.
    """

    config: LabConfig | None = None
    problems: list[str] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set, repr=False)
    literal_keys: list[str] = field(default_factory=list)


def build(data: Any, environ: Mapping[str, str], *, dotenv: str) -> Built:
    """Check a configuration and complete it.

    Args:
        data: what was read.
        environ: the variables that ``${env:NAME}`` means.
        dotenv: the file that messages point to.
    """
    built = Built()
    try:
        resolved = resolve(data, environ, dotenv=dotenv)
    except RecursionError:
        built.problems.append("the configuration is nested too deeply, or contains itself")
        return built
    built.problems += resolved.problems
    built.hidden |= resolved.values
    shape = read_shape(resolved.data, built.problems)
    if shape is None:
        return built
    tree = CapabilityTree()
    providers = _providers(shape, resolved.data["providers"], environ, tree, built.problems)
    pools, owners, routing = build_pools(shape, providers, tree, built.problems)
    secrets = {secret for provider in providers.values() for secret in _secrets(provider)} | resolved.secrets
    built.hidden |= secrets
    built.literal_keys = _literal_keys(data)
    if not built.problems:
        plain = {key: getattr(shape, key) for key in ("store", "store_text", "max_records", "drop_params", "seed")}
        longest_first = tuple(sorted(secrets, key=len, reverse=True))
        built.config = LabConfig(providers, pools, owners, routing, **plain, secrets=longest_first)
    return built


def _providers(
    shape: LabShape, given: Mapping[str, Any], environ: Mapping[str, str], tree: CapabilityTree, problems: list[str]
) -> dict[str, ProviderConfig]:
    listed = _listed(shape, tree)
    providers = {}
    for name, provider in shape.providers.items():
        if not name or "/" in name:
            problems.append(f"providers.{name}: a provider's name is not empty and has no slash")
        kind = _kind(name, provider, problems)
        options = {key: value for key, value in (given[name] or {}).items() if value is not None}
        if KINDS.get(kind) == _OPENAI:
            _complete_openai(kind, options, environ)
            _check_openai(name, options, provider, problems)
        models = {
            model: _model(
                f"providers.{name}.models.{model}", model, one, listed.get(f"{name}/{model}", []), tree, problems
            )
            for model, one in provider.models.items()
        }
        providers[name] = ProviderConfig(name, kind, options, models)
    return providers


def _kind(name: str, shape: ProviderShape, problems: list[str]) -> str:
    kind = shape.kind or (name if name in PRESETS else "")
    if not kind:
        problems.append(f"providers.{name}.kind: is missing, and no preset is called {name!r}{nearest(name, KINDS)}")
    elif not is_known_kind(kind):
        hint = nearest(kind, KINDS)
        problems.append(f"providers.{name}.kind: unknown kind {kind!r}{hint}; your own is 'package.module:Class'")
    return kind


def _complete_openai(kind: str, options: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Add the kind, and the key from the preset's variable; but never for another host than the preset's."""
    options["kind"] = kind
    preset = PRESETS.get(kind)
    if preset is None or not preset.api_key_env or "api_key" in options:
        return
    if preset.base_url and _host(options.get("base_url") or preset.base_url) != _host(preset.base_url):
        return
    if key := environ.get(preset.api_key_env):
        options["api_key"] = key


def _host(address: Any) -> str | None:
    try:
        return urlsplit(str(address)).hostname
    except ValueError:  # no address at all, which its own check reports
        return None


def _check_openai(name: str, options: Mapping[str, Any], shape: ProviderShape, problems: list[str]) -> None:
    for model, one in shape.models.items():
        for key in one.model_extra or {}:
            hint = nearest(key, ModelShape.model_fields)
            problems.append(f"providers.{name}.models.{model}.{key}: unknown key{hint}")
    if any(problem.startswith(f"providers.{name}.") for problem in problems):
        return  # a reference without a value would be reported once more, as a missing option
    try:
        check_options(name, options, ConfigValidatorMixin())
    except ConfigurationError as error:
        problems += error.problems


def _model(
    path: str, name: str, shape: ModelShape, listed: list[str], tree: CapabilityTree, problems: list[str]
) -> ModelConfig:
    if not name:
        problems.append(f"{path}: a model's name is not empty")
    capabilities = _assumed(name, listed, tree)
    if shape.capabilities is not None:
        capabilities = []
        for index, capability in enumerate(shape.capabilities):
            try:
                capabilities.append(tree.resolve(capability))
            except ConfigurationError as error:
                problems.append(f"{path}.capabilities[{index}]: {error}")
    return ModelConfig(
        tuple(capabilities),
        None if shape.features is None else frozenset(shape.features),
        shape.context_window,
        None if shape.price is None else Price(shape.price.input, shape.price.output, shape.price.cached_input),
        dict(shape.model_extra or {}),
    )


def _assumed(name: str, listed: list[str], tree: CapabilityTree) -> list[str]:
    """What a model can do that does not say so: what the pools that list it are for, else chat, or embeddings."""
    usual = EMBEDDING if "embed" in name.lower() else CHAT  # providers call embedding models so
    return list(dict.fromkeys(usual if tree.covers(target, usual) else target for target in listed)) or [usual]


def _listed(shape: LabShape, tree: CapabilityTree) -> dict[str, list[str]]:
    """The capabilities of the pools that list a model."""
    found: dict[str, list[str]] = {}
    for pool in shape.pools.values():
        try:
            capability = tree.resolve(pool.capability)
        except ConfigurationError:
            continue  # reported with the pool
        for model in pool.models or ():
            found.setdefault(model, []).append(capability)
    return found


def _literal_keys(data: Mapping[str, Any]) -> list[str]:
    """Where a key stands in the configuration itself, in place of a reference."""
    found = []
    for name, provider in data["providers"].items():
        key = provider.get("api_key") if isinstance(provider, Mapping) else None
        if isinstance(key, str) and key and "${" not in key:
            found.append(f"providers.{name}.api_key")
    return found


def _secrets(provider: ProviderConfig) -> list[str]:
    """Values of the options that must not be shown; whether their shape is right is the connector's business."""
    shapes = {"api_key": str, "proxy": str, "headers": dict, "query": dict}
    return secrets_of(
        {key: provider.options[key] for key, kind in shapes.items() if isinstance(provider.options.get(key), kind)}
    )
