"""Which pool serves a call."""

from __future__ import annotations

from routerlab.core.capabilities import CapabilityTree, held_nearby
from routerlab.core.decisions import Pool
from routerlab.core.errors import ConfigurationError
from routerlab.core.strategies import Priority, make_strategy
from routerlab.core.suggest import nearest
from routerlab.session.config import LabConfig
from routerlab.session.results import CallSpec

__all__ = ["Serving"]


class Serving:
    """The models and pools of a lab. Neither change while it lives.

    Args:
        config: what ``lab.yaml`` says, checked.

    Attributes:
        models: capabilities by ``provider/model``, in the order of the configuration.
        pools: the declared ones by name, each with its strategy and that one's memory.
        tree: of all capabilities.
    """

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self.tree = CapabilityTree()
        self.models: dict[str, tuple[str, ...]] = {
            f"{provider.name}/{name}": model.capabilities
            for provider in config.providers.values()
            for name, model in provider.models.items()
        }
        for capability in {capability for names in self.models.values() for capability in names}:
            self.tree.add(capability)
        self.pools = {
            name: Pool(name, pool.capability, pool.models, make_strategy(pool.strategy, pool.options), pool.policy)
            for name, pool in config.pools.items()
        }
        self._found: dict[str, Pool] = {}  # by capability

    def pool_for(self, spec: CallSpec) -> tuple[Pool, bool]:
        """The pool that serves a call, and whether the caller pinned it to one model.

        Raises:
            ConfigurationError: no model or pool has this name, or none serves the capability.
        """
        if spec.model is not None:
            return self._pinned(spec.model), True
        if spec.pool is not None:
            if spec.pool not in self.pools:
                raise ConfigurationError(f"there is no pool {spec.pool!r}{nearest(spec.pool, self.pools)}")
            return self._fitting(self.pools[spec.pool], spec.capability), False
        pool = self._found.get(spec.capability)
        if pool is None:
            found = self._declared(spec.capability) or self._all(spec.capability)
            pool = self._found.setdefault(spec.capability, found)
        return pool, False

    def _pinned(self, model: str) -> Pool:
        """A pool of one, with the retries and clocks of the first declared pool that holds the model."""
        if model not in self.models:
            raise ConfigurationError(f"there is no model {model!r}{nearest(model, self.models)}")
        owner = self._config.model_owner.get(model)
        policy = self.pools[owner].policy if owner else self._config.routing.policy
        return Pool(model, "", (model,), Priority(), policy)

    def _fitting(self, pool: Pool, capability: str) -> Pool:
        """A pool that the caller chose, unless it is for something else."""
        if self._related(pool.capability, capability):
            return pool
        others = [f"{name!r}" for name, other in self.pools.items() if self._related(other.capability, capability)]
        there = f"; for that there is {' and '.join(others)}" if others else ""
        raise ConfigurationError(f"pool {pool.name!r} is for {pool.capability!r}, not {capability!r}{there}")

    def _related(self, target: str, capability: str) -> bool:
        return self.tree.covers(target, capability) or self.tree.covers(capability, target)

    def _declared(self, capability: str) -> Pool | None:
        """The declared pool that a verb uses: the default one, else the first."""
        serving = [pool for pool in self._config.pools.values() if self._related(pool.capability, capability)]
        chosen = next((pool for pool in serving if pool.default), serving[0] if serving else None)
        return self.pools[chosen.name] if chosen else None

    def _all(self, capability: str) -> Pool:
        """Where no pool is declared: all models with the capability."""
        models = [model for model, names in self.models.items() if self.tree.serves(capability, names)]
        if not models:
            raise ConfigurationError(
                f"no model of this lab serves {capability!r}{held_nearby(self.tree, capability, self.models)}: "
                "declare a pool, or give a model that capability"
            )
        routing = self._config.routing
        strategy = make_strategy(routing.strategy, routing.options)
        return Pool(capability.rpartition(".")[2], capability, models, strategy, routing.policy)
