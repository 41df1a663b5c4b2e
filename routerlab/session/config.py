"""A lab's configuration, checked and complete: what ``lab.yaml``, or a dict of the same shape, comes to."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from routerlab.core.breaker import BreakerConfig
from routerlab.core.errors import ConfigurationError
from routerlab.core.policy import PoolPolicy
from routerlab.core.redact import Private, Secrets
from routerlab.core.types import Price
from routerlab.session.config_file import environment, read_yaml, with_dotenv

if TYPE_CHECKING:
    from routerlab.session.config_build import Built

__all__ = ["LabConfig", "ModelConfig", "PoolConfig", "ProviderConfig", "load_config"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What the configuration says of one model.

    Attributes:
        capabilities: full dotted names.
        features: None: unknown, so nothing is ruled out.
        context_window: tokens; None: unknown.
        price: the user's own; None: the public one, where there is one.
        options: what else stands there, for the kind of provider that reads it.
    """

    capabilities: tuple[str, ...]
    features: frozenset[str] | None = None
    context_window: int | None = None
    price: Price | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One provider: ``options`` is what its connector is made of, with references resolved (so it is never shown)."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(repr=False)
    models: Mapping[str, ModelConfig] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """One pool, with what ``routing:`` gives it.

    Attributes:
        name: as declared; ``routing`` for the defaults that models in no pool have.
        capability: full dotted name.
        models: ``provider/model``, in the order in which they are preferred.
        strategy: its name.
        options: the strategy's.
        policy: retries, clocks, streams.
        breaker: of each model that this pool is the first to hold.
        latency_target: seconds that score 0.5, or found out.
        default: whether it goes first among the pools of its capability.
    """

    name: str
    capability: str
    models: tuple[str, ...] = ()
    strategy: str = "priority"
    options: Mapping[str, Any] = field(default_factory=dict)
    policy: PoolPolicy = field(default_factory=PoolPolicy)
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    latency_target: float | Literal["auto"] = "auto"
    default: bool = False


@dataclass(frozen=True, slots=True)
class LabConfig:
    """Everything that a lab is made of.

    Attributes:
        providers, pools: by name, in their order.
        model_owner: ``provider/model`` to the first declared pool that holds it.
        routing: for models that no pool holds.
        store: the file that keeps all records; None: only runs are kept.
        store_text: whether prompts and replies go into it.
        max_records: rows of each table in memory.
        drop_params: leave out parameters that a model does not take, in place of an error.
        seed: of every choice.
        secrets: what must never be shown; keys that a command prints join them.
        written: all this as it was written, with its references as they stand.
        dotenv: the file beside it whose variables count like the environment's.
    """

    providers: Mapping[str, ProviderConfig]
    pools: Mapping[str, PoolConfig]
    model_owner: Mapping[str, str]
    routing: PoolConfig
    store: str | None = None
    store_text: bool = True
    max_records: int = 100_000
    drop_params: bool = False
    seed: int = 0
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)
    written: Private = field(default_factory=Private, repr=False, compare=False)
    dotenv: str = field(default=".env", repr=False, compare=False)


def load_config(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> LabConfig:
    """Read and check a configuration.

    Args:
        source: the path of a ``lab.yaml``, or a dict of the same shape.
        environ: environment variables; None: the process's. They win over a ``.env`` file beside ``lab.yaml`` (for a
            dict: in the working folder).
        overrides: top-level keys that take the place of the source's; None as a value: keep the source's.

    Raises:
        ConfigurationError: ``problems`` lists every mistake, each with its path; no secret is shown.

    Warns:
        UserWarning: a key stands in the configuration itself.
    """
    source = Private(source) if isinstance(source, Mapping) else source  # tracebacks may show variables
    label, dotenv = _place_of(source)
    built = _built(source, Path(dotenv), environment() if environ is None else Private(environ), overrides or {})
    if built.config is None:
        raise ConfigurationError(
            "\n- ".join([f"{label} has {_count(built.problems)}:", *built.problems]), built.problems
        )
    for path in built.literal_keys:
        message = f"{label}: {path} holds a key itself; write ${{env:NAME}} and set the variable NAME, or use {dotenv}"
        warnings.warn(message, UserWarning, stacklevel=2)
    return built.config


def _place_of(source: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[str, str]:
    """What messages call the configuration, and its ``.env`` file."""
    if isinstance(source, Mapping):
        return "the configuration", ".env"
    path = Path(source).expanduser()
    return str(path), str(path.parent / ".env")


def _built(
    source: str | os.PathLike[str] | Mapping[str, Any],
    dotenv: Path,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
) -> Built:
    """Read and build; the frame that raises later holds no variables of the environment."""
    from routerlab.session.config_build import build

    variables = with_dotenv(environ, dotenv)
    data = source if isinstance(source, Mapping) else read_yaml(Path(source).expanduser())
    if isinstance(data, Mapping):
        data = {**data, **{key: value for key, value in overrides.items() if value is not None}}
    return build(data, variables, dotenv=str(dotenv))


def _count(problems: list[str]) -> str:
    return "a mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
