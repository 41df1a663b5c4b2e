"""Checks that requests of several wire formats share."""

from __future__ import annotations

from typing import Any

from routerlab.core.checks import is_number

__all__ = ["is_texts", "is_within"]


def is_within(value: Any, low: float, high: float) -> bool:
    """Whether it is a number between two others."""
    return is_number(value) and low <= value <= high


def is_texts(value: Any) -> bool:
    """Whether it is a list of texts, at least one, none of them empty."""
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text for text in value)
