"""The end of a session that nobody closes: its owner is collected, or the process exits."""

from __future__ import annotations

import atexit
import threading
import weakref

from routerlab.session.session import Session

__all__ = ["close_with"]

_WAIT_S = 2.0

_living: weakref.WeakSet[Session] = weakref.WeakSet()


def close_with(owner: object, session: Session) -> None:
    """Close `session` when `owner` is collected, or else when the process exits.

    The garbage collector may strike in any thread at any moment: in one that closing waits for, or one that holds a
    lock that closing needs. So a thread of its own closes, and is waited for only so long.
    """
    finalizer = weakref.finalize(owner, _close_aside, session)
    finalizer.atexit = False  # no thread can be started then
    _living.add(session)


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
