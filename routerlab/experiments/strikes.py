"""Telling an item that breaks its model from a model that is out: a round counts only if others succeeded meanwhile.

The same counting runs live and over the records of a run that is opened again, so that both come to the same word.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROUNDS", "Strikes"]

ROUNDS = 3

Key = tuple[int, int, int]  # item, arm, repeat


@dataclass(slots=True)
class _Item:
    met: int = 0  # failures
    rounds: int = 0  # of them, those that count if the latest is confirmed
    base: int = -1  # the lane's successes when the latest round was sent


class Strikes:
    """How often each item met a failure of its model while others of its lane succeeded.

    >>> strikes = Strikes(1)
    >>> for _ in range(3):
    ...     sent = strikes.successes(0)
    ...     strikes.succeeded(0)
    ...     strikes.struck((0, 0, 0), sent)
    >>> strikes.condemned((0, 0, 0)), strikes.condemned((1, 0, 0))
    (True, False)
    """

    def __init__(self, arms: int) -> None:
        self._successes = [0] * arms
        self._of: dict[Key, _Item] = {}

    def successes(self, arm: int) -> int:
        """How many items of a lane got their answers so far."""
        return self._successes[arm]

    def succeeded(self, arm: int) -> None:
        """An item of this lane got its answer."""
        self._successes[arm] += 1

    def struck(self, key: Key, sent: int) -> None:
        """An item met a failure; `sent`: its lane's `successes` when it was sent.

        Where nobody has succeeded since its round before, as in an outage, that is no further round.
        """
        item = self._of.setdefault(key, _Item())
        item.met += 1
        if sent > item.base:
            item.rounds, item.base = item.rounds + 1, sent

    def cleared(self, key: Key) -> None:
        """An item has its row."""
        self._of.pop(key, None)

    def waits(self, key: Key) -> bool:
        """Whether an item met a failure and has no row yet."""
        return key in self._of

    def suspect(self, key: Key) -> bool:
        """Whether it met three failures, and others succeeded at least in its first round."""
        item = self._of.get(key)
        return item is not None and item.met >= ROUNDS and (item.rounds > 1 or self.confirmed(key))

    def confirmed(self, key: Key) -> bool:
        """Whether others of its lane have succeeded since its latest round was sent."""
        return key in self._of and self._successes[key[1]] > self._of[key].base

    def condemned(self, key: Key) -> bool:
        """Whether it met failures in three rounds, and others succeeded in each."""
        return self.confirmed(key) and self._of[key].rounds >= ROUNDS
