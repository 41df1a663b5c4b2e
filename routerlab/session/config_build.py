"""From the shape of a configuration to a lab's: names looked up, defaults filled in, every mistake collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from routerlab.core.capabilities import CHAT, EMBEDDING, CapabilityTree
from routerlab.core.errors import ConfigurationError
from routerlab.core.features import read_features
from routerlab.core.redact import Private, Redactor, Secrets
from routerlab.core.suggest import nearest
from routerlab.core.types import Price
from routerlab.mixins.config import ConfigValidatorMixin
from routerlab.providers.options import check_options, keys_of
from routerlab.providers.presets import PRESETS
from routerlab.session.config import LabConfig, ModelConfig, ProviderConfig
from routerlab.session.config_keys import add_usual_key, command_paths, literal_keys, note_source, take_command
from routerlab.session.config_pools import build_pools
from routerlab.session.config_shape import LabShape, ModelShape, ProviderShape, read_shape
from routerlab.session.kinds import KINDS, is_built_in, is_known_kind
from routerlab.session.secrets_refs import resolve

__all__ = ["Built", "build"]


@dataclass(slots=True)
class Built:
    """What came of a configuration: the lab's, or its problems.

    Attributes:
        config: None where there are problems.
        problems: each with its path; they show no secret.
        literal_keys: paths of keys that stand in the configuration itself.
    """

    config: LabConfig | None = None
    problems: list[str] = field(default_factory=list)
    literal_keys: list[str] = field(default_factory=list)


def build(data: Any, environ: Mapping[str, str], *, dotenv: str) -> Built:
    """Check a configuration and complete it.

    Args:
        data: what was read.
        environ: the variables that ``${env:NAME}`` means.
        dotenv: the file that messages point to.
    """
    try:
        resolved = resolve(data, environ, dotenv=dotenv, commands_at=command_paths(data))
    except RecursionError:
        return Built(problems=["the configuration is nested too deeply, or contains itself"])
    problems = resolved.problems
    shape = read_shape(resolved.data, problems)
    if shape is None:
        return Built(problems=_without(resolved.values, problems))

    def learn(key: str) -> None:
        secrets.add(key)

    tree = CapabilityTree()
    providers = _providers(shape, _Given(data["providers"], resolved.data["providers"], environ, learn), tree, problems)
    pools, owners, routing = build_pools(shape, providers, tree, problems)
    secrets = Secrets({key for provider in providers.values() for key in keys_of(provider.options)} | resolved.secrets)
    if problems:
        return Built(problems=_without({*secrets, *resolved.values}, problems))
    plain = {key: getattr(shape, key) for key in ("store", "store_text", "max_records", "drop_params", "seed")}
    config = LabConfig(
        providers, pools, owners, routing, **plain, secrets=secrets, written=Private(data), dotenv=dotenv
    )
    return Built(config, literal_keys=literal_keys(data))


def _without(hidden: Iterable[str], problems: list[str]) -> list[str]:
    redact = Redactor(hidden).redact
    return [redact(problem) for problem in problems]


@dataclass(frozen=True, slots=True)
class _Given:
    """The providers as they were written, and with references resolved."""

    written: Mapping[Any, Any] = field(repr=False)
    resolved: Mapping[str, Any] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    learn: Callable[[str], None] = field(repr=False)


def _providers(shape: LabShape, given: _Given, tree: CapabilityTree, problems: list[str]) -> dict[str, ProviderConfig]:
    listed = _listed(shape, tree)
    written = {str(name): one for name, one in given.written.items()}
    providers = {}
    for name, provider in shape.providers.items():
        path = f"providers.{name}"
        if not name or "/" in name:
            problems.append(f"{path}: a provider's name is not empty and has no slash")
        kind = _kind(name, provider, problems)
        options = Private({key: one for key, one in (given.resolved[name] or {}).items() if one is not None})
        problems += take_command(path, options, given.learn)
        if is_built_in(kind):
            options["kind"] = kind
            note_source(options, written[name])
            add_usual_key(kind, options, given.environ)
            _check_built_in(name, options, provider, problems)
        models = {
            model: _model(f"{path}.models.{model}", model, one, listed.get(f"{name}/{model}", []), tree, problems)
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


def _check_built_in(name: str, options: Mapping[str, Any], shape: ProviderShape, problems: list[str]) -> None:
    for model, one in shape.models.items():
        for key in one.model_extra or {}:
            hint = nearest(key, ModelShape.model_fields)
            problems.append(f"providers.{name}.models.{model}.{key}: unknown key{hint}")
    if "refresh" in options:
        problems.append(f"providers.{name}.refresh: is for a key that a command prints, api_key: ${{cmd:…}}")
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
        _features(path, shape.features, problems),
        shape.context_window,
        None if shape.price is None else Price(shape.price.input, shape.price.output, shape.price.cached_input),
        Private(shape.model_extra or {}),
    )


def _features(path: str, names: list[str] | None, problems: list[str]) -> frozenset[str] | None:
    try:
        return None if names is None else read_features(names)
    except ConfigurationError as error:
        problems.append(f"{path}.features: {error}")
        return None


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
