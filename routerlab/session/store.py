"""The store: all records in one SQLite file, written by one thread, read from anywhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future
from os import PathLike
from pathlib import Path
from typing import Any, Self

from routerlab.core.errors import StoreError
from routerlab.session.rows import RowMaker, decoded
from routerlab.session.store_file import refuse_foreign
from routerlab.session.store_writer import FORGET, Writer
from routerlab.session.tables import TABLES, Table

__all__ = ["Store", "StoreReader"]

_BUSY_S = 10.0
_TEXT_TABLES = {"texts": ("request", "reply"), "items": ("prompt", "target")}


class StoreReader:
    """Reads a store; each read opens a connection of its own, so that any thread may call it.

    Args:
        path: the file; it is not made if it is missing.

    Raises:
        StoreError: there is none, or it is not a store that this version can read.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path).resolve()
        connection = self._connect()
        try:
            refuse_foreign(connection, self.path)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the store {self.path}: {error}") from error
        finally:
            connection.close()

    def read(
        self, table: str, where: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> dict[str, list[Any]]:
        """Committed rows as one list a column, oldest first.

        Args:
            table: its name.
            where: column to value, or to a list of values; None means missing. ``run_id`` works for every table that
                has a ``call_id`` too.
            limit: at most so many rows, the newest ones; None: all.

        Raises:
            StoreError: the file cannot be read, or holds what was never written.
        """
        shape = TABLES[table]
        condition, values = _condition(shape, where or {})
        columns = ", ".join(f'"{name}"' for name in shape.names)
        sql = f"SELECT {columns} FROM {table}{condition} ORDER BY rowid"  # noqa: S608 - our own names, values are bound
        if limit is not None:
            sql += f" DESC LIMIT {max(0, int(limit))}"
        connection = self._connect()
        try:
            rows = connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the store {self.path}: {error}") from error
        finally:
            connection.close()
        if limit is not None:
            rows.reverse()
        lists = list(zip(*rows, strict=True)) or [()] * len(shape.columns)
        try:
            return {column.name: decoded(column, found) for column, found in zip(shape.columns, lists, strict=True)}
        except (ValueError, TypeError) as error:  # SQLite checks its pages, not what we wrote into them
            raise StoreError(f"cannot read the store {self.path}: a value in {table} is damaged ({error})") from error

    def close(self) -> None:
        """Nothing to close; here so that a reader can stand for a store."""

    def _connect(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise StoreError(f"there is no store at {self.path}")
        # Not mode=ro: after a crash SQLite must be able to roll a half commit back before it reads. It opens a file
        # that may not be written read-only by itself.
        try:
            connection = sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_S)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the store {self.path}: {error}") from error
        connection.execute("PRAGMA query_only = ON")
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


class Store(StoreReader):
    """A store that is written to, too. Several of one file in one process share its writer.

    Args:
        path: the file; it is made, mode 0600, with its folders, where it is missing.
        store_text: False keeps prompts, targets and replies out of the file.

    Raises:
        StoreInUseError: another process writes to it.
        StoreError: it cannot be opened, is of a newer version, or another program's.

    Warns:
        RuntimeWarning: it was corrupt, and was moved aside.
    """

    def __init__(self, path: str | PathLike[str], *, store_text: bool = True) -> None:
        self.store_text = store_text
        self._writer: Writer | None = None
        self._makers: dict[str, RowMaker] = {}
        writer = Writer.shared(Path(path))
        try:
            super().__init__(path)
        except BaseException:
            writer.release()
            raise
        self._writer = writer

    @staticmethod
    def open_readonly(path: str | PathLike[str]) -> StoreReader:
        """Open an existing store to read it, whoever may be writing to it."""
        return StoreReader(path)

    def keeps(self, table: str) -> bool:
        """Whether the rows of this table are stored whole."""
        return self.store_text or table not in _TEXT_TABLES

    def put(self, table: str, row: Mapping[str, Any], *, timeout: float = 30.0) -> None:
        """Hand one row to the writer; waits only while its queue is full, at most `timeout` seconds.

        Raises:
            StoreError: the row was not taken; an error of the writer (a full disk) shows here.
        """
        maker = self._makers.setdefault(table, RowMaker(TABLES[table]))
        self.put_values(table, maker(row), timeout=timeout)

    def put_values(self, table: str, values: tuple[Any, ...], *, timeout: float = 30.0) -> None:
        """The same, for a row that a `RowMaker` has made."""
        if self._writer is None:
            raise StoreError(f"the store {self.path} is closed")
        if not self.keeps(table):
            if table == "texts":
                return
            values = _without_text(TABLES[table], values)
        self._writer.put(table, values, timeout=timeout)

    def flush(self, timeout: float | None = 30.0) -> None:
        """Wait until everything put so far is on disk, at most `timeout` seconds (None: for ever).

        Raises:
            StoreError: it is not.
        """
        if self._writer is not None:
            self._writer.flush(timeout)

    def barrier(self) -> Future[None]:
        """A future that is done once everything put so far is on disk, and fails when that fails."""
        if self._writer is None:
            raise StoreError(f"the store {self.path} is closed")
        return self._writer.barrier()

    def forget(self, run_id: str) -> None:
        """Delete a run and everything that belongs to it.

        Raises:
            StoreError: it could not be deleted.
        """
        if self._writer is None:
            raise StoreError(f"the store {self.path} is closed")
        self._writer.put(FORGET, (run_id,), timeout=30.0)
        self._writer.flush(30.0)

    def close(self) -> None:
        """Write what is left and let go of the file; closing twice is fine, reading goes on.

        Raises:
            StoreError: some rows could not be written.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.release()


def _condition(table: Table, where: Mapping[str, Any]) -> tuple[str, list[Any]]:
    terms: list[str] = []
    values: list[Any] = []
    for name, wanted in where.items():
        comparison, bound = _comparison(wanted)
        if name in table.names:
            terms.append(f'"{name}" {comparison}')
        elif name == "run_id" and "call_id" in table.names:
            terms.append(f"call_id IN (SELECT call_id FROM calls WHERE run_id {comparison})")  # noqa: S608 - bound
        else:
            raise KeyError(f"table {table.name!r} has no column {name}")
        values += bound
    return (f" WHERE {' AND '.join(terms)}" if terms else ""), values


def _comparison(wanted: Any) -> tuple[str, list[Any]]:
    if wanted is None:
        return "IS NULL", []
    if isinstance(wanted, list | tuple | set | frozenset):  # as JSON: no limit on how many
        return "IN (SELECT value FROM json_each(?))", [json.dumps(list(wanted))]
    return "= ?", [wanted]


def _without_text(table: Table, values: tuple[Any, ...]) -> tuple[Any, ...]:
    hidden = _TEXT_TABLES[table.name]
    return tuple(None if name in hidden else value for name, value in zip(table.names, values, strict=True))
