"""One writer at a time: a row in the database that says who it is, and that he is alive.

Runs are at work in the writer alone: those that a file without a living writer calls running were interrupted.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from routerlab.core.errors import LeaseLostError, StoreInUseError

__all__ = ["HEARTBEAT_S", "INTERRUPTED", "STALE_S", "Holder", "Lease", "holder_died", "holder_of"]

HEARTBEAT_S = 5.0
STALE_S = 15.0
INTERRUPTED = "interrupted"
"""The status of a run whose process ended without a word."""

_HOLDER = "SELECT pid, host, heartbeat FROM lease"


class Holder(NamedTuple):
    """The process that writes to a store: who it is, and the time of its latest sign of life (epoch seconds)."""

    pid: int
    host: str
    heartbeat: float


def holder_of(connection: sqlite3.Connection) -> Holder | None:
    """Who writes to a store now; None: nobody that is alive."""
    found = connection.execute(_HOLDER).fetchone()
    if found is None:
        return None
    holder = Holder(*found)
    here, now = socket.gethostname(), time.time()
    if (holder.pid, holder.host) == (os.getpid(), here):  # this very process: it knows that it lives
        return holder if abs(now - holder.heartbeat) <= STALE_S else None
    return holder if _alive(*holder, here=here, now=now) else None


def holder_died(connection: sqlite3.Connection) -> bool:
    """Whether the process that wrote to a store is surely gone, and has not given its lease back."""
    found = connection.execute(_HOLDER).fetchone()
    return found is not None and found[1] == socket.gethostname() and _gone(found[0])


class Lease:
    """The right to write to one store.

    It is renewed within every transaction, so that a process which lost it (its machine slept, say) finds out before it
    writes, not after.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self.token = uuid.uuid4().hex

    def acquire(self, inherit: Callable[[str, int], None]) -> None:
        """Take it, and say of the runs that its last holder has left at work that they were interrupted.

        Args:
            inherit: writes, in the same transaction, what a holder who died had yet to write; it is given his token
                and the number of rows that he had written.

        Raises:
            StoreInUseError: a living process has it.
        """
        host, now = socket.gethostname(), time.time()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            holder = self._connection.execute(_HOLDER).fetchone()
            if holder is not None and _alive(*holder, here=host, now=now):
                raise StoreInUseError(self._path, holder[0], holder[1])
            if holder is not None:
                inherit(*self._connection.execute("SELECT token, written FROM lease").fetchone())
            row = (self.token, os.getpid(), host, now)
            self._connection.execute("INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?, ?, 0)", row)
            self._connection.execute("UPDATE runs SET status = ? WHERE status = 'running'", (INTERRUPTED,))
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def renew(self, written: int) -> None:
        """Give a sign of life.

        Args:
            written: the number of rows that this holder has written once the transaction is committed.

        Raises:
            LeaseLostError: somebody else has it.
        """
        sql = "UPDATE lease SET heartbeat = ?, written = ? WHERE token = ?"
        if self._connection.execute(sql, (time.time(), written, self.token)).rowcount == 0:
            raise LeaseLostError(f"another process has taken over {self._path}: open the lab again to go on")

    def release(self) -> None:
        """Give it back."""
        self._connection.execute("DELETE FROM lease WHERE token = ?", (self.token,))


def _alive(pid: int, host: str, heartbeat: float, *, here: str, now: float) -> bool:
    if abs(now - heartbeat) > STALE_S:  # either way: the wall clock may jump
        return False
    if host != here:
        return True
    # this process has no writer for it: a namesake from before a restart of the container
    return pid != os.getpid() and not _gone(pid)


def _gone(pid: int) -> bool:
    """Whether there is surely no such process here."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is somebody else's
        pass
    return False
