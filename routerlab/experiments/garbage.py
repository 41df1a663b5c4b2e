"""Python's search for cyclic garbage, made rarer while a run goes on.

With a hundred calls in flight everything that belongs to them outlives several searches, so that Python goes through
all objects of the process again and again, and finds next to nothing: what a call leaves goes without a search.
``tests/benchmarks/run.py replay`` shows what a run makes of it.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["rare_searches"]

_OBJECTS = 20_000  # new ones that are left over before a search; Python's own number is 700 or 2,000

_lock = threading.Lock()
_before: list[tuple[int, int, int]] = []  # Python's settings, once for each run that goes on


@contextmanager
def rare_searches() -> Iterator[None]:
    """Meanwhile search only after every 20,000 objects; the last to leave restores what was set before.

    Where somebody has turned the search off, or made it rarer still, or changes it meanwhile, that stands.
    """
    with _lock:
        _before.append(_before[0] if _before else gc.get_threshold())
        if 0 < gc.get_threshold()[0] < _OBJECTS:
            gc.set_threshold(_OBJECTS, *_before[0][1:])
    try:
        yield
    finally:
        with _lock:
            before = _before.pop()
            if not _before and gc.get_threshold()[0] == _OBJECTS:
                gc.set_threshold(*before)
