"""Checks that requests of several wire formats share."""

from __future__ import annotations

from typing import Any

__all__ = ["is_number", "is_texts", "is_whole", "is_within"]


def is_number(value: Any) -> bool:
    """Whether JSON's value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Any, low: int = 1) -> bool:
    """Whether it is a whole number of at least `low`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def is_within(value: Any, low: float, high: float) -> bool:
    """Whether it is a number between two others."""
    return is_number(value) and low <= value <= high


def is_texts(value: Any) -> bool:
    """Whether it is a list of texts, at least one, none of them empty."""
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text for text in value)
