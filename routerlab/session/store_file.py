"""The store's file: made or checked when it is opened, moved aside when it is corrupt, refused when it is not ours."""

from __future__ import annotations

import os
import sqlite3
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from routerlab.core.errors import StoreError
from routerlab.session.store_spool import SPOOLS
from routerlab.session.tables import TABLES, Column, Row, Table

__all__ = [
    "APPLICATION_ID",
    "FORGET",
    "SCHEMA_VERSION",
    "columns_of",
    "open_file",
    "refuse_foreign",
    "set_journal",
    "write_rows",
]

FORGET = "-run"
"""Put in place of a table, with a run's id as the row: deletes the run."""

SCHEMA_VERSION = 4  # 2: the reasons in `scores`; 3: the notes in `runs`; 4: the number of rows written in `lease`
APPLICATION_ID = 0x524C4142  # "RLAB", so that another program's database is never written to
_BUSY_S = 10.0
_CHECKED_BYTES = 64 * 2**20  # a whole check reads the whole file
_TOGETHER = (128, 64, 32, 16, 8, 4, 2, 1)  # rows of a statement: few sizes, so that SQLite keeps them prepared
_STATEMENTS = 128  # that it keeps
_WAL_PAGES = 4000  # 16 MB: indices of many rows touch the same pages again and again, and each is copied back once
_SIDE_FILES = ("-wal", "-shm", "-journal", *SPOOLS)
_AFFINITY = {"int": "INTEGER", "small": "INTEGER", "bool": "INTEGER", "float": "REAL", "time": "REAL"}


def open_file(path: Path) -> sqlite3.Connection:
    """Open the store's database for writing; make it, with its folders, where it is missing.

    Raises:
        StoreError: of a newer routerlab, of another program, or not to be opened; the file is left as it is.

    Warns:
        RuntimeWarning: the file was corrupt and was moved aside; the store starts empty.
    """
    try:
        try:
            return _opened(path)
        except sqlite3.DatabaseError as error:
            if not _is_corruption(error):
                raise
        aside = _move_aside(path)
        warnings.warn(f"{path} is corrupt; it was moved to {aside}, and a new one was begun", RuntimeWarning, 2)
        return _opened(path)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"cannot open the store {path}: {error}") from error


def refuse_foreign(connection: sqlite3.Connection, path: Path, *, empty_is_fine: bool = False) -> None:
    """Raise `StoreError` unless this is a store that this version of routerlab can read."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables or version or application or not empty_is_fine:
            raise StoreError(f"{path} is not a routerlab store: choose another file")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer routerlab (schema {version}, this one knows {SCHEMA_VERSION}): "
            "upgrade routerlab or choose another file; it was left as it is"
        )


def write_rows(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows of any tables, those of one table in their order; the caller has begun a transaction.

    Raises:
        sqlite3.Error: they could not be written.
    """
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for table, values in rows:
        groups.setdefault(table, []).append(values)
    for table, group in groups.items():
        if table == FORGET:
            for sql in _forget_sql():
                connection.executemany(sql, group)
        else:
            _insert(connection, table, group)


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Many rows in one statement: each statement hands the interpreter lock over and takes it back."""
    start = 0
    for size in _TOGETHER:
        while len(rows) - start >= size:
            values = tuple(chain.from_iterable(rows[start : start + size]))
            connection.execute(_insert_sql(table, size), values)
            start += size


@cache
def _insert_sql(name: str, rows: int) -> str:
    """The statement that writes so many rows, in the place of earlier ones where the table says so."""
    table = TABLES[name]
    names = ", ".join(map(_quoted, table.names))
    marks = ", ".join([f"({', '.join('?' * len(table.columns))})"] * rows)
    sql = f"INSERT INTO {name} ({names}) VALUES {marks}"  # noqa: S608 - our own names
    if table.replaces:
        updates = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in table.names)
        sql += f" ON CONFLICT ({', '.join(map(_quoted, table.key))}) DO UPDATE SET {updates}"
    return sql


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """The names of the columns that a table of this file has."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


@cache
def _forget_sql() -> list[str]:
    """The statements that delete a run, given its id: what hangs on its calls first."""
    of_calls = "call_id IN (SELECT call_id FROM calls WHERE run_id = ?)"
    own = [name for name, table in TABLES.items() if "run_id" in table.names]
    hanging = [name for name, table in TABLES.items() if "call_id" in table.names and name not in own]
    return [f"DELETE FROM {name} WHERE {of_calls}" for name in hanging if name != "events"] + [  # noqa: S608 - our names
        f"DELETE FROM {name} WHERE run_id = ?"  # noqa: S608 - our own names
        for name in own
    ]


def set_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Choose the journal, once the lease is held: WAL where it works, else a rollback journal."""
    wanted = "WAL" if _wal_works(path) else "DELETE"
    mode = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]
    # WAL survives a crash of the process either way; NORMAL spares a sync per commit.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")


def _opened(path: Path) -> sqlite3.Connection:
    _make(path)
    # Handed over to the writer thread once it is ready: one thread at a time.
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS
    )
    try:
        refuse_foreign(connection, path, empty_is_fine=True)
        _make_tables(connection)
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """An empty file that only its owner may read; SQLite gives its side files the same mode."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return


def _make_tables(connection: sqlite3.Connection) -> None:
    """In one transaction: a process that dies leaves all or nothing."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for table in TABLES.values():
        for statement in _ddl(table):
            connection.execute(statement)
        for column in table.columns:
            if column.name not in columns_of(connection, table.name):
                connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {_definition(column)}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT, pid INTEGER, host TEXT, "
        "heartbeat REAL, written INTEGER NOT NULL DEFAULT 0)"
    )
    if "written" not in columns_of(connection, "lease"):
        connection.execute("ALTER TABLE lease ADD COLUMN written INTEGER NOT NULL DEFAULT 0")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _ddl(table: Table) -> list[str]:
    columns = ", ".join(map(_definition, table.columns))
    statements = [f"CREATE TABLE IF NOT EXISTS {table.name} ({columns})"]
    if table.replaces:
        key = ", ".join(map(_quoted, table.key))
        statements.append(f"CREATE UNIQUE INDEX IF NOT EXISTS {table.name}_key ON {table.name} ({key})")
    for name in ("call_id", "run_id"):
        if name in table.names and not table.replaces:  # most rows belong to no run, and need no entry
            index = f"{table.name}_{name} ON {table.name} ({name}) WHERE {name} IS NOT NULL"
            statements.append(f"CREATE INDEX IF NOT EXISTS {index}")
    return statements


def _definition(column: Column) -> str:
    return f"{_quoted(column.name)} {_AFFINITY.get(column.type, 'TEXT')}"


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Read the whole of a small file, the newest row of each table of a large one."""
    if path.stat().st_size <= _CHECKED_BYTES:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _Corrupt(found)
    for name in TABLES:
        connection.execute(f"SELECT * FROM {name} ORDER BY rowid DESC LIMIT 1").fetchone()  # noqa: S608 - our own names


def _wal_works(path: Path) -> bool:
    """Try it on a scratch file in the same folder: network homes often lack the shared memory that it needs."""
    scratch = path.with_name(f".{path.name}.wal-test")  # one name for all: who holds the lease is alone
    _remove(scratch)  # a process that died here has left it
    try:
        writer = sqlite3.connect(scratch, isolation_level=None)
        try:
            if writer.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                return False
            writer.execute("CREATE TABLE t (x)")
            reader = sqlite3.connect(scratch)
            try:
                return bool(reader.execute("SELECT count(*) FROM t").fetchone() == (0,))
            finally:
                reader.close()
        finally:
            writer.close()
    except sqlite3.Error:
        return False
    finally:
        _remove(scratch)


def _remove(scratch: Path) -> None:
    for suffix in ("", *_SIDE_FILES):
        with suppress(OSError):  # what is in the way fails the test, not the store
            Path(f"{scratch}{suffix}").unlink()


class _Corrupt(sqlite3.DatabaseError):
    """What ``quick_check`` reports instead of raising."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _is_corruption(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte: the rest are its varieties
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _move_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    for suffix in _SIDE_FILES:
        side = Path(f"{path}{suffix}")
        if side.exists():
            side.rename(f"{aside}{suffix}")
    path.rename(aside)
    return aside


def _quoted(name: str) -> str:
    return f'"{name}"'
