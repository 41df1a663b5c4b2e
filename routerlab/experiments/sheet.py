"""The rows of a run: one per item, arm and repeat, and what they add up to."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any

from routerlab.core.types import CompletionResponse
from routerlab.experiments.items import Item
from routerlab.experiments.judge import split_judges
from routerlab.experiments.plan import Arm, ReplayPlan
from routerlab.experiments.prompts import prompt_text
from routerlab.experiments.rowbook import Key, RowBook
from routerlab.session.results import CallResult
from routerlab.session.rows import encodable

__all__ = ["Key", "Sheet"]

_OF_ITEM = frozenset({"item_id", "repeat", "variant"})


class Sheet:
    """Holds the rows of one run; counts those that are on disk.

    Args:
        plan: of the run.
        mask: takes secrets out of prompts and targets.
    """

    def __init__(self, plan: ReplayPlan, mask: Callable[[Any], Any] = lambda data: data) -> None:
        self.settled = RowBook()
        self.tried: dict[Key, dict[str, Any]] = {}  # the latest failure of an item that waits for another round
        self.ok = self.failed = self.cached = self.failovers = self.complete = 0
        self.prompts_cached = 0  # answers for which a provider knew a part of the prompt already
        self._plan, self._mask = plan, mask
        self._packs = not split_judges(plan.scorers)[1]
        self._shown: dict[str, dict[str, Any]] = {}
        self._rows_of = array("L", bytes(array("L").itemsize * len(plan.dataset)))  # per item, those that count

    def count(self, key: Key) -> None:
        """Count a row: it is on disk, and only a judge may still write something into it."""
        row = self.settled[key]
        if row["status"] == "ok":
            self.ok += 1
        else:
            self.failed += 1
        self.cached += bool(row.get("cached"))
        self.prompts_cached += bool(row.get("cached_tokens") and not row.get("cached"))
        self.failovers += row.get("failovers") or 0
        self._rows_of[key[0]] += 1
        self.complete += self._rows_of[key[0]] == len(self._plan.arms) * self._plan.repeats
        if self._packs:
            self.settled.pack(key)

    def row(self, key: Key, result: CallResult) -> dict[str, Any]:
        """The row of a finished call."""
        response, error = result.response, result.error
        text = response.text if isinstance(response, CompletionResponse) else None
        return self.made(key, result.row, text, None if error is None else str(error), ok=error is None)

    def made(
        self, key: Key, call: Mapping[str, Any], text: str | None, error: str | None, *, ok: bool
    ) -> dict[str, Any]:
        """A row from a call's row, its text and its error's message; of each what the records can hold."""
        told = {name: value for name, value in call.items() if name not in _OF_ITEM}
        told |= {"text": text, "status": "ok" if ok else "failed", "error_message": error}
        held = {name: encodable(value) if isinstance(value, str) else value for name, value in told.items()}
        return {**self.blank(key), **held}

    def rows(self) -> list[dict[str, Any]]:
        """All rows, item by item, arm by arm; those not reached are ``pending``."""
        plan = self._plan
        keys = (
            (place, arm, repeat)
            for place in range(len(plan.dataset))
            for arm in range(len(plan.arms))
            for repeat in range(plan.repeats)
        )
        return [dict(self.settled.get(key) or self.blank(key)) for key in keys]

    def blank(self, key: Key) -> dict[str, Any]:
        """A row that waits for its answer."""
        item, arm = self._plan.dataset[key[0]], self._plan.arms[key[1]]
        return {
            **self._of_item(item, arm),
            **{f"score_{scorer.name}": None for scorer in self._plan.scorers},
            "item_id": item.id,
            "model": None,
            "repeat": key[2],
            "variant": arm.variant,
            "status": "pending",
        }

    def _of_item(self, item: Item, arm: Arm) -> dict[str, Any]:
        """What rows show of an item; made once, but for arms with a prompt of their own."""
        shown = self._shown.get(item.id)
        if shown is None:
            prompt, target = self._prompt(item.asked()), self._mask(item.target)
            shown = self._shown[item.id] = {"prompt": prompt, "text": None, "target": target}
        return shown if arm.prompt is None else {**shown, "prompt": self._prompt(arm.messages(item))}

    def _prompt(self, messages: Any) -> str | None:
        prompt = prompt_text(messages)
        return prompt and self._mask(prompt)
