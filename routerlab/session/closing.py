"""The end of a session that nobody closes: its owner is collected or forgotten, or the process exits."""

from __future__ import annotations

import atexit
import gc
import re
import sys
import threading
import weakref
from types import FrameType
from typing import Any

from routerlab.session.session import Session

__all__ = ["close_forgotten", "close_with"]

_WAIT_S = 2.0

_OUTPUT = re.compile("_+[0-9]*")  # IPython's names for what cells have shown: _, __, ___, _12

_living: weakref.WeakSet[Session] = weakref.WeakSet()
_owners: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


def close_with(owner: object, session: Session) -> None:
    """Close `session` when `owner` is collected, or else when the process exits.

    The garbage collector may strike in any thread at any moment: in one that closing waits for, or one that holds a
    lock that closing needs. So a thread of its own closes, and is waited for only so long.
    """
    finalizer = weakref.finalize(owner, _close_aside, session)
    finalizer.atexit = False  # no thread can be started then
    _living.add(session)
    _owners[owner] = session


def close_forgotten() -> None:
    """In a notebook: close the sessions of owners that only the history of outputs still holds.

    A cell that ends in ``lab`` puts the lab into ``Out``, which never lets go; run again and again, such a cell would
    pile up labs. What a variable, a list or an attribute holds is left alone.
    """
    open_ones = [owner for owner, session in list(_owners.items()) if not session.closed]
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not open_ones:
        return
    gc.collect()  # an error that a cell raised holds its frames, and so the lab, in a cycle
    while open_ones:
        owner = open_ones.pop()
        if _only_history(owner, shell):
            _owners[owner].close()


def _only_history(owner: Any, shell: Any) -> bool:
    for holder in gc.get_referrers(owner):  # noqa: SIM110 - the closure of a generator would be a holder itself
        if not _is_history(holder, owner, shell):
            return False
    return True


def _is_history(holder: Any, owner: Any, shell: Any) -> bool:
    if isinstance(holder, FrameType) or holder is shell.displayhook:  # the frame is our own
        return True
    if not isinstance(holder, dict):
        return False
    names = {name for name, value in holder.items() if value is owner}
    if holder is shell.user_ns:
        return all(_OUTPUT.fullmatch(name) for name in names)
    return any(holder is place for place in (shell.user_ns_hidden, shell.user_ns.get("_oh"), vars(shell.displayhook)))


def _close_aside(session: Session) -> None:
    if session.closed:
        return
    closer = threading.Thread(target=session.close, name="routerlab-close")
    closer.start()
    if not threading.current_thread().name.startswith("routerlab"):  # else it may wait for this very thread
        closer.join(_WAIT_S)


def _close_all() -> None:
    for session in list(_living):
        session.close()


atexit.register(_close_all)
