"""What a run asks for each of its units, and how: from a cache where it may, else once the small calls have passed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any

from routerlab.experiments.answers import Answers
from routerlab.experiments.budget import Budget
from routerlab.experiments.lanes import Unit
from routerlab.experiments.plan import ReplayPlan
from routerlab.experiments.preflight import Gate, preflight_spec
from routerlab.experiments.turns import ask
from routerlab.session.results import CallResult, CallSpec

__all__ = ["Asking"]

_WAIT_MAX_S = 3.0  # a routed call waits this long for a cooling model; longer, and its lane rests instead


class Asking:
    """Asks for the units of one run.

    Args:
        plan: of the run.
        call: sends one call.
        notes: get what turned out on the way.
        answers: what identical calls were answered before; None: everything is asked.
        check: positions of the arms that get a small call before the first real one.
        budget: counts what these cost.
    """

    def __init__(
        self,
        plan: ReplayPlan,
        call: Callable[[CallSpec], Awaitable[CallResult]],
        notes: list[str],
        *,
        answers: Answers | None,
        check: Collection[int],
        budget: Budget,
    ) -> None:
        self._plan, self._call, self._notes, self._answers = plan, call, notes, answers
        self._checked = list(check)
        self._whole: set[str | None] = set()  # arms whose models turned out not to stream
        comes_whole = self._comes_whole if plan.stream is None else None
        self.gate = Gate(self._checks, call, budget, open_already=not check, comes_whole=comes_whole)

    def spec(self, unit: Unit) -> CallSpec:
        """The call for one item, arm and repeat."""
        plan, arm, item = self._plan, self._plan.arms[unit.arm], self._plan.dataset[unit.item]
        return CallSpec(
            messages=arm.messages(item, plan.system),
            params={**item.params, **plan.params, **arm.params},
            capability=plan.capability,
            pool=arm.pool,
            model=arm.model,
            stream=plan.streamed(arm),
            deadline_s=plan.deadline_s,
            run_id=plan.run_id,
            item_id=item.id,
            repeat=unit.repeat,
            variant=arm.variant,
            purpose=plan.kind,
            wait_max_s=0.0 if arm.model else _WAIT_MAX_S,  # a pinned call makes room for the provider's other models
            stitch=False,  # nothing that two models wrote enters a comparison
        )

    async def answer(self, unit: Unit, spec: CallSpec) -> CallResult:
        """What becomes of a unit's call; a failed one comes back in the result.

        Raises:
            RequestError: a model will answer no item.
        """
        item = self._plan.dataset[unit.item]
        answers = self._answers if item.turns is None else None  # a conversation is had anew
        known = await answers.find(spec) if answers is not None else None
        if known is not None:
            return known
        await self.gate.passed()
        if spec.variant in self._whole:
            spec = replace(spec, stream=False)
        result = await ask(self._call, spec, item)
        if answers is not None:
            await answers.keep(spec, result)
        return result

    def _checks(self) -> list[tuple[int, CallSpec]]:
        shared, plan = self._shared(), self._plan
        found = []
        for arm in self._checked:
            params = {**shared, **plan.params, **plan.arms[arm].params}
            found.append((arm, preflight_spec(replace(self.spec(Unit(0, arm, 0)), params=params))))
        return found

    def _shared(self) -> dict[str, Any]:
        """The parameters of their own that all items have alike: a mistake in one item alone is no reason to stop."""
        first, *others = self._plan.dataset
        return {
            name: value
            for name, value in first.params.items()
            if all(name in item.params and item.params[name] == value for item in others)
        }

    def _comes_whole(self, spec: CallSpec) -> None:
        self._whole.add(spec.variant)
        self._notes.append(f"{spec.variant}: streams are refused, so its answers came in one piece, without ttft_s")
