"""Whether a value is a number: `True` and `False` are none here, though Python counts with them."""

from __future__ import annotations

from typing import Any, TypeGuard

__all__ = ["is_number", "is_whole"]


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether it is a number.

    >>> is_number(0.5), is_number(True), is_number("1")
    (True, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_whole(value: Any, least: int = 1) -> TypeGuard[int]:
    """Whether it is a whole number of at least `least`.

    >>> is_whole(1), is_whole(0), is_whole(0, 0), is_whole(1.0)
    (True, False, True, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
