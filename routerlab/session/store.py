"""The store: all records in one SQLite file, written by one thread, read from anywhere."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Self

from routerlab.core.errors import StoreError
from routerlab.session.rows import RowMaker, decoded
from routerlab.session.store_file import FORGET, columns_of, refuse_foreign
from routerlab.session.store_lease import INTERRUPTED, Holder, holder_died, holder_of
from routerlab.session.store_spool import is_spooled
from routerlab.session.store_writer import Writer, flush_writer
from routerlab.session.tables import TABLES, Table

__all__ = ["News", "Store", "StoreReader"]

_BUSY_S = 10.0
_TEXTS = {"texts": ("request", "reply"), "items": ("prompt", "target"), "scores": ("reason",)}


class News(NamedTuple):
    """What is new of a run in a store.

    Attributes:
        rows: by table, the new rows as one list a column, oldest first.
        marks: for the next look.
        items: of the run that are kept by now.
        status: of the run, as its writer left it; None: there is no such run.
        holder: who writes to the store now; None: nobody.
    """

    rows: Mapping[str, dict[str, list[Any]]]
    marks: Mapping[str, int]
    items: int
    status: str | None
    holder: Holder | None


class StoreReader:
    """Reads a store; each read opens a connection of its own, so that any thread may call it.

    It sees everything that this process has put into the file, and of other processes what they have committed.

    Args:
        path: the file; it is not made if it is missing. What a process that died had kept for it and not committed is
            entered first.

    Raises:
        StoreError: there is none, or it is not a store that this version can read.

    Warns:
        RuntimeWarning: such rows could not be entered, and are missing.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path).resolve()
        connection = self._connect()
        try:
            refuse_foreign(connection, self.path)
            left = is_spooled(self.path) and holder_died(connection)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the store {self.path}: {error}") from error
        finally:
            connection.close()
        if left:
            try:
                Writer.shared(self.path).release()
            except StoreError as error:
                warnings.warn(f"{error}; the last rows of a process that died are missing", RuntimeWarning, 2)

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
        with self._snapshot() as connection:
            found = _select(connection, shape, shape.names, _condition(shape, where or {}), limit=limit)
            if table == "runs" and "running" in found["status"] and holder_of(connection) is None:
                found["status"] = [INTERRUPTED if status == "running" else status for status in found["status"]]
        return found

    def news(self, run_id: str, marks: Mapping[str, int], columns: Mapping[str, Sequence[str]]) -> News:
        """What was committed of a run since the last look, for those who look again and again.

        Args:
            run_id: of the run.
            marks: of the last look (`News.marks`); empty: everything is new.
            columns: by table, the names of those that are wanted. Tables whose rows replace each other are not for it.
        """
        with self._snapshot() as connection:
            found: dict[str, dict[str, list[Any]]] = {}
            seen = dict(marks)
            for name, names in columns.items():
                condition, values = _condition(TABLES[name], {"run_id": run_id})
                after = (f"{condition} AND rowid > ?", [*values, seen.get(name, 0)])
                rows = _select(connection, TABLES[name], names, after, rowids=True)
                seen[name] = max(rows.pop("rowid"), default=seen.get(name, 0))
                found[name] = rows
            items = connection.execute("SELECT count(*) FROM items WHERE run_id = ?", (run_id,)).fetchone()[0]
            status = connection.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            return News(found, seen, items, None if status is None else status[0], holder_of(connection))

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection in which all tables are seen at one moment."""
        with suppress(StoreError):  # what is committed can be read all the same
            flush_writer(self.path, _BUSY_S)
        connection = self._connect()
        try:
            connection.execute("BEGIN")
            yield connection
        except (sqlite3.Error, _DamagedError) as error:
            raise StoreError(f"cannot read the store {self.path}: {error}") from error
        finally:
            connection.close()

    def close(self) -> None:
        """Nothing to close; here so that a reader can stand for a store."""

    def _connect(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise StoreError(
                f"no run is kept in {self.path}: there is no such file; store= (--store) names another one"
            )
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
        """Whether its rows of this table are as good as those in memory (a judge's reasons aside)."""
        return self.store_text or table not in ("texts", "items")

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
        if not self.store_text and table in _TEXTS:
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

    def keep(self) -> None:
        """Make sure that everything put so far outlives this process, whenever it is committed.

        Raises:
            StoreError: it could not be written.
        """
        if self._writer is None:
            raise StoreError(f"the store {self.path} is closed")
        self._writer.keep()

    @property
    def behind(self) -> bool:
        """Whether it is time to bring no more rows for a moment."""
        return self._writer is not None and self._writer.behind

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


def _select(
    connection: sqlite3.Connection,
    table: Table,
    names: Sequence[str],
    condition: tuple[str, list[Any]],
    *,
    limit: int | None = None,
    rowids: bool = False,
) -> dict[str, list[Any]]:
    """Columns of the rows that meet a condition, oldest first; with a limit the newest ones."""
    there = columns_of(connection, table.name)  # a file of an earlier version lacks some
    wanted = [*(["rowid"] if rowids else []), *(f'"{name}"' if name in there else "NULL" for name in names)]
    sql = f"SELECT {', '.join(wanted)} FROM {table.name}{condition[0]} ORDER BY rowid"  # noqa: S608 - our own names, values are bound
    if limit is not None:
        sql += f" DESC LIMIT {max(0, int(limit))}"
    rows = connection.execute(sql, condition[1]).fetchall()
    if limit is not None:
        rows.reverse()
    lists = list(zip(*rows, strict=True)) or [()] * len(wanted)
    kinds = {column.name: column for column in table.columns}
    found = {"rowid": list(lists.pop(0))} if rowids else {}
    try:
        return found | {name: decoded(kinds[name], values) for name, values in zip(names, lists, strict=True)}
    except (ValueError, TypeError) as error:  # SQLite checks its pages, not what we wrote into them
        raise _DamagedError(f"a value in {table.name} is damaged ({error})") from error


class _DamagedError(Exception):
    """A value that was never written so."""


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
    hidden = _TEXTS[table.name]
    return tuple(None if name in hidden else value for name, value in zip(table.names, values, strict=True))
