"""The one thread that writes to a store: rows go into a bounded queue and are committed in groups.

What was put is in the queue until its commit has returned; what must outlive the process before that is kept in the
spool as well (`Writer.keep`). When a commit fails (a full disk), the rows stay in the queue, who waits for them hears
the error, new rows are refused with it, and the thread tries again until there is room. The rows that say how a run
ended are small and few: they are taken all the same, and tried alone where the rest does not fit, so that no file says
of a run that a full disk ended that it is still running.

Rows are put without a lock, because appending to a list needs none: only who finds the thread asleep, or no room, goes
through the lock.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from routerlab.core.errors import LeaseLostError, StoreError
from routerlab.session.store_file import open_file, set_journal, write_rows
from routerlab.session.store_lease import HEARTBEAT_S, Lease
from routerlab.session.store_spool import Spool, spooled
from routerlab.session.tables import Row

__all__ = ["Writer", "flush_writer"]

_GROUP_S = 0.25  # what must not be lost is in the spool; large groups take less of the processor
_GROUP_ROWS = 3_000  # are enough for a group, too
_QUEUE_MAX = 20_000
_RETRY_S = 1.0
_URGENT = "runs"  # a later row replaces an earlier one, so that writing one twice is harmless

_writers: dict[Path, Writer] = {}
_writers_lock = threading.Lock()


class Writer:
    """Writes to one file, for everybody in this process who opened it. Use `Writer.shared`, not the constructor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = 0
        self._connection = open_file(path)
        self._lease = Lease(self._connection, path)
        try:
            self._lease.acquire(self._inherit)
            set_journal(self._connection, path)
            self._spool = Spool(path, self._lease.token)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error | OSError):
                raise StoreError(f"cannot open the store {path}: {error}") from error
            raise
        self._changed = threading.Condition()
        self._queue: list[Row] = []
        self._done = 0  # rows committed; those of the queue come after them
        self._kept = 0  # rows in the spool, or committed
        self._asleep = False  # the thread waits for a row
        self._tries = 0  # commits tried
        self._hurry = False  # somebody waits in `flush`
        self._stopping = False
        self._error: Exception | None = None  # of the latest commit
        self.ended = False  # the thread is gone, or will write no more
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"routerlab-store {path.name}", daemon=True)
        self._thread.start()

    @classmethod
    def shared(cls, path: Path) -> Writer:
        """The process's writer for this file; one `release` is owed for each call."""
        path = path.resolve()
        with _writers_lock:
            writer = _writers.get(path)
            if writer is None or writer.ended:
                writer = _writers[path] = cls(path)
            writer._users += 1
            return writer

    def release(self) -> None:
        """Give the writer back; the last one to do so waits until everything is written and the thread has ended.

        Raises:
            StoreError: some rows could not be written.
        """
        with _writers_lock:
            self._users -= 1
            if self._users == 0:
                if _writers.get(self._path) is self:
                    del _writers[self._path]
                self.stop()

    def put(self, table: str, values: tuple[Any, ...], *, timeout: float) -> None:
        """Queue one row; wait for room in the queue at most `timeout` seconds (a run's own row waits for nothing).

        Raises:
            StoreError: the row was not taken: the writer fails (a run's own row is taken), has ended, or does not keep
                up.
        """
        if self.ended or (self._error is not None and table != _URGENT):
            self._refuse()
        if len(self._queue) >= _QUEUE_MAX and table != _URGENT:
            self._wait_for_room(timeout)
        self._queue.append((table, values))
        if self._asleep:
            with self._changed:
                self._changed.notify_all()

    def _wait_for_room(self, timeout: float) -> None:
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._queue) < _QUEUE_MAX or self._failing, timeout)
        self._refuse()
        if len(self._queue) >= _QUEUE_MAX:
            raise StoreError(f"the store {self._path} has not kept up for {timeout:g} s: is its disk stuck?")

    def keep(self) -> None:
        """Make sure that everything put before outlives this process: it is in the spool, or committed.

        Raises:
            StoreError: it could not be written.
        """
        with self._changed:
            first = max(self._kept, self._done)
            rows = self._queue[first - self._done :]
            if not rows:
                return
            if self.ended:
                raise self._failure()
            try:
                self._spool.write(first, rows)
            except OSError as error:
                raise StoreError(f"cannot write to the store {self._path}: {error}") from error
            self._kept = first + len(rows)
            if len(self._queue) >= _GROUP_ROWS:
                self._changed.notify_all()

    @property
    def behind(self) -> bool:
        """Whether so many rows wait to be committed that it is time to bring no more."""
        return len(self._queue) > _QUEUE_MAX // 2

    def flush(self, timeout: float | None) -> None:
        """Wait until everything that was put before is committed.

        Raises:
            StoreError: it was not, because the writer fails or `timeout` seconds were too short.
        """
        with self._changed:
            target, tries = self._done + len(self._queue), self._tries
            if self._done >= target:
                return
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._done >= target or self.ended or (self._error is not None and self._tries > tries),
                timeout,
            )
            if self._done < target:
                self._refuse()
                raise StoreError(f"the store {self._path} has not written everything within {timeout:g} s")

    def stop(self) -> None:
        """Write what is queued and end the thread, whoever still uses it.

        Raises:
            StoreError: some rows could not be written.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        if self._queue:
            raise StoreError(
                f"{len(self._queue)} rows were not written to {self._path}: {self._error}"
            ) from self._error

    def disown(self) -> None:
        """In a forked child: there is no thread here, and the lock may never be released."""
        self._changed = threading.Condition()
        self.ended = True

    @property
    def _failing(self) -> bool:
        return self.ended or self._error is not None

    @property
    def _pressed(self) -> bool:
        return self._hurry or self._stopping or len(self._queue) >= _GROUP_ROWS

    def _refuse(self) -> None:
        if self._failing:
            raise self._failure() from self._error

    def _failure(self) -> StoreError:
        if isinstance(self._error, LeaseLostError):
            return LeaseLostError(str(self._error))
        if self._error is None:
            return StoreError(f"the writer of the store {self._path} has ended: open the lab again to go on")
        return StoreError(f"cannot write to the store {self._path}: {self._error}")

    def _run(self) -> None:
        try:
            while self._turn():
                pass
            if not self._failing:
                self._lease.release()
                self._spool.close(remove=True)
                self._settle()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is kept and raised to everybody who puts or waits
            self._fail(error)
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()
                self._spool.close()
            self._connection.close()

    def _inherit(self, token: str, written: int) -> None:
        """Write what a writer that died had kept and not committed."""
        write_rows(self._connection, spooled(self._path, token, written))

    def _settle(self) -> None:
        """Leave one plain file, without WAL, that can be copied or read in a read-only folder."""
        self._connection.execute("PRAGMA busy_timeout = 0")
        with suppress(sqlite3.OperationalError):  # somebody is reading: then it stays as it is
            self._connection.execute("PRAGMA journal_mode = DELETE")

    def _turn(self) -> bool:
        """Commit one group, or give a sign of life; False when there is nothing left to do."""
        batch = self._next_group()
        if not batch and self._stopping:
            return False
        if not batch and time.monotonic() - self._beat < HEARTBEAT_S:
            return True
        try:
            self._commit(batch, self._done + len(batch))
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            self._commit_urgent()
            with self._changed:
                if self._stopping:
                    return False
                self._changed.wait_for(lambda: self._hurry or self._stopping, _RETRY_S)
                self._hurry = False
            return True
        self._succeed(len(batch))
        return True

    def _next_group(self) -> list[Row]:
        with self._changed:
            self._asleep = True
            self._changed.wait_for(lambda: self._queue or self._stopping, HEARTBEAT_S / 2)
            self._asleep = False
            if self._queue:
                self._changed.wait_for(lambda: self._pressed, _GROUP_S)
            self._spool.turn(self._done)
            return list(self._queue)

    def _commit(self, rows: Iterable[Row], written: int) -> None:
        """One transaction; `written`: how many rows were written by then."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._lease.renew(written)
            write_rows(self._connection, rows)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._beat = time.monotonic()

    def _commit_urgent(self) -> None:
        """Write what matters most without what does not fit; it stays queued, and is written again in its turn."""
        with self._changed:
            urgent = [row for row in self._queue if row[0] == _URGENT]
        if urgent:
            with suppress(sqlite3.Error, OSError):  # then it waits for room like the rest
                self._commit(urgent, self._done)

    def _succeed(self, rows: int) -> None:
        with self._changed:
            del self._queue[:rows]
            self._done += rows
            self._tries += 1
            self._error = None
            self._hurry = self._hurry and bool(self._queue)
            self._spool.drop(self._done)
            self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._tries += 1
            self._changed.notify_all()


def flush_writer(path: Path, timeout: float) -> None:
    """Have this process's writer of a file, where there is one, commit what it was given so far.

    Raises:
        StoreError: it could not, or `timeout` seconds were too short.
    """
    if (writer := _writers.get(path)) is not None:
        writer.flush(timeout)


def _close_all() -> None:
    """At exit: what was put by a lab that nobody closed is written all the same."""
    with _writers_lock:
        for writer in _writers.values():
            try:
                writer.stop()
            except StoreError as error:
                warnings.warn(str(error), RuntimeWarning, stacklevel=2)
        _writers.clear()


def _forget_all() -> None:
    """In a forked child: the connections belong to the parent; not even closing them is safe, so they are kept."""
    global _writers_lock  # noqa: PLW0603 - a thread of the parent may have held it
    _writers_lock = threading.Lock()
    for writer in _writers.values():
        writer.disown()
        _inherited.append(writer)
    _writers.clear()


_inherited: list[Writer] = []
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
