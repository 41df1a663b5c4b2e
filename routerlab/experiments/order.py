"""In which order a run's items go: by chance, and the repeats of one spread out.

Providers remember prompts for a while, so that a repeat that follows at once is answered faster and cheaper. The items
go in blocks, each block once and then again; a stop leaves at most one block of items without some of their repeats.
"""

from __future__ import annotations

import random
from array import array

__all__ = ["BLOCK", "Order", "shuffled"]

BLOCK = 64  # items between two repeats of one, if there are so many; less than twice as many


def shuffled(size: int, seed: int | None) -> array[int]:
    """Positions in a random order, the same for the same seed on every Python version; None: as they stand."""
    if seed is None:
        return array("L", range(size))
    generator = random.Random(seed)
    keys = [generator.random() for _ in range(size)]
    return array("L", sorted(range(size), key=keys.__getitem__))


class Order:
    """The places of a lane, from 0 to `size`.

    Args:
        items, repeats: how many there are.
        seed: of the items' order; None: their own.

    >>> order = Order(3, 2, None)
    >>> [order.at(place) for place in range(order.size)]
    [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    """

    def __init__(self, items: int, repeats: int, seed: int | None) -> None:
        self.size = items * repeats
        self._positions, self._items, self._repeats = shuffled(items, seed), items, repeats
        self._blocks = max(1, items // BLOCK)

    def at(self, place: int) -> tuple[int, int]:
        """The item and the repeat at a place."""
        if self._repeats == 1:
            return self._positions[place], 0
        block = ((place // self._repeats + 1) * self._blocks - 1) // self._items
        start, end = (number * self._items // self._blocks for number in (block, block + 1))
        repeat, offset = divmod(place - start * self._repeats, end - start)
        return self._positions[start + offset], repeat
