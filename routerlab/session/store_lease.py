"""One writer at a time: a row in the database that says who it is, and that he is alive."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
import uuid
from pathlib import Path

from routerlab.core.errors import LeaseLostError, StoreInUseError

__all__ = ["HEARTBEAT_S", "STALE_S", "Lease"]

HEARTBEAT_S = 5.0
STALE_S = 15.0


class Lease:
    """The right to write to one store.

    It is renewed within every transaction, so that a process which lost it (its machine slept, say) finds out before it
    writes, not after.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._token = uuid.uuid4().hex

    def acquire(self) -> None:
        """Take it.

        Raises:
            StoreInUseError: a living process has it.
        """
        host, now = socket.gethostname(), time.time()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            holder = self._connection.execute("SELECT pid, host, heartbeat FROM lease").fetchone()
            if holder is not None and _alive(*holder, here=host, now=now):
                raise StoreInUseError(self._path, holder[0], holder[1])
            row = (self._token, os.getpid(), host, now)
            self._connection.execute("INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?, ?)", row)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def renew(self) -> None:
        """Give a sign of life.

        Raises:
            LeaseLostError: somebody else has it.
        """
        sql = "UPDATE lease SET heartbeat = ? WHERE token = ?"
        if self._connection.execute(sql, (time.time(), self._token)).rowcount == 0:
            raise LeaseLostError(f"another process has taken over {self._path}: open the lab again to go on")

    def release(self) -> None:
        """Give it back."""
        self._connection.execute("DELETE FROM lease WHERE token = ?", (self._token,))


def _alive(pid: int, host: str, heartbeat: float, *, here: str, now: float) -> bool:
    if abs(now - heartbeat) > STALE_S:  # either way: the wall clock may jump
        return False
    if host != here or os.name != "posix":
        return True
    if pid == os.getpid():  # this process has no writer for it: a namesake from before a restart of the container
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
