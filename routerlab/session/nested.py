"""The user's own ``asyncio.run`` inside a notebook cell, as an opt-in. routerlab itself never needs it."""

from __future__ import annotations

__all__ = ["allow_nested_loops"]


def allow_nested_loops() -> None:
    """Allow ``asyncio.run(...)`` in a notebook cell, where a loop runs already.

    This patches asyncio for the whole process (through nest-asyncio2). It is a crutch for code that cannot be changed:
    under recent kernels it may drop queued cells and clicks. Every verb of a lab works without it.
    """
    import nest_asyncio2

    nest_asyncio2.apply()
