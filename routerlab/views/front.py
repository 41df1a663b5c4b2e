"""Where we are shown: a notebook with a page, a terminal, a script."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any

__all__ = ["apart_from_cells", "has_page", "kernel", "live_view"]


def kernel() -> Any:
    """The Jupyter kernel that we run in; None outside one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None)


def has_page() -> bool:
    """Whether there is a front end that shows widgets."""
    return kernel() is not None or "marimo" in sys.modules


def live_view(widget: Any) -> dict[str, Any]:
    """The part of a display bundle that a page shows a widget from."""
    return {
        "application/vnd.jupyter.widget-view+json": {
            "version_major": 2,
            "version_minor": 0,
            "model_id": widget.model_id,
        }
    }


def apart_from_cells() -> None:
    """Let what the running task sends belong to no cell.

    An ipykernel with subshells hands a page's message to the subshell to which the latest message of the same comm
    belonged. What belongs to a cell goes to the main shell, and would wait there until the running cell is over;
    what belongs to none is heard in the subshell that the page has chosen, at once.
    """
    parent = getattr(kernel(), "_shell_parent", None)
    if isinstance(parent, ContextVar):
        parent.set({})
