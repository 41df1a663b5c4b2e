"""The recorder: every row of every table passes here once, into memory and, where the lab has one, into a store."""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from routerlab.core.errors import StoreError
from routerlab.session.columns import ColumnTable, FrozenTable
from routerlab.session.rows import RowMaker
from routerlab.session.store import Store
from routerlab.session.tables import TABLES

__all__ = ["Recorder"]

_RUN_TABLES = ("runs", "items", "scores")


class Recorder:
    """Keeps the newest rows in memory and hands rows to a store. Any thread may call it.

    Args:
        max_records: rows of each table in memory.
        texts_bytes: of prompts and replies in memory, as Python holds them.
        store: keeps rows on disk; None: memory only. `attach` gives it one later.
        store_all: whether the store gets every row, or only those of runs.
        redact: takes free text, returns it without secrets.

    A row for the store is checked at once; one for memory alone in company, when a chunk of rows is packed or read.
    Either way nothing wrong is kept, and the error names the row; it comes from the `add` that finds it, which need not
    be the one that brought it, or as a warning from a reader.
    """

    def __init__(
        self,
        *,
        max_records: int = 100_000,
        texts_bytes: int = 64 * 2**20,
        store: Store | None = None,
        store_all: bool = True,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self.store = store
        self.store_all = store_all
        self._lock = threading.Lock()
        self._makers = {name: RowMaker(table, redact=redact) for name, table in TABLES.items()}
        self._memory = {name: ColumnTable(table, max_records, max_bytes=texts_bytes) for name, table in TABLES.items()}
        self._refused: Counter[str] = Counter()  # rows that a failing store did not take

    def attach(self, store: Store, *, store_all: bool) -> None:
        """From now on hand rows to this store, too."""
        self.store, self.store_all = store, store_all

    def add(self, table: str, row: Mapping[str, Any] | object, *, run_id: str | None = None) -> None:
        """Record one row.

        Args:
            table: its name.
            row: column to value, what is missing is None; or an object that has every column as an attribute.
            run_id: the run that the row belongs to, for tables without such a column (its texts and decisions go to
                the store of runs, too).

        Raises:
            KeyError: an unknown table or column.
            TypeError, OverflowError: a value that its column does not take, in this row or in one that was added
                before; that row is kept nowhere, this one is, unless it is the one.
            StoreError: the store did not take the row (it is in memory all the same).
        """
        maker, memory, store = self._makers[table], self._memory[table], self.store
        values = maker.enter(row)
        if store is not None and not (self.store_all or run_id or table in _RUN_TABLES or maker.run_of(values)):
            store = None
        if store is not None:
            values = maker.check(values)
        with self._lock:
            memory.append(values)
        if store is not None:
            try:
                store.put_values(table, values)
            except StoreError:
                with self._lock:
                    self._refused[table] += 1
                raise
        if memory.refused and (error := self._told(memory)) is not None:
            raise error

    @property
    def version(self) -> int:
        """Grows with every row; a view that saw it can tell whether there is anything new."""
        with self._lock:
            return sum(memory.seen for memory in self._memory.values())

    def columns(self, table: str, where: Mapping[str, Any] | None = None) -> dict[str, list[Any]]:
        """The rows of a table as one list a column, oldest first, each row once.

        They come from the store where it has them all (a lab's store: every session's; the store of runs: everything
        of a run that `where` names by ``run_id``, and the tables of runs), else from memory.

        Args:
            table: its name.
            where: column to value, or to a list of values. ``run_id`` works for every table that has a ``call_id``.

        Warns:
            RuntimeWarning: the store cannot be written or read; these are the rows in memory.
        """
        where = where or {}
        store = self.store
        if store is None or not self._store_has(store, table, where):
            return self._from_memory(table, where)
        try:
            store.flush()
            return store.read(table, where)
        except StoreError as error:
            warnings.warn(f"{error}; what follows is from memory", RuntimeWarning, stacklevel=2)
            return self._from_memory(table, where)

    def packed(self, table: str) -> Iterator[tuple[str, list[Sequence[Any]]]] | None:
        """What `columns` gives, packed as `FrozenTable.packed` says; None where the rows are not all in memory."""
        if TABLES[table].replaces or (self.store is not None and self._store_has(self.store, table, {})):
            return None
        return self._frozen(table).packed()

    def tail(self, table: str, n: int) -> dict[str, list[Any]]:
        """The newest `n` rows in memory, oldest first."""
        return self._frozen(table).columns(last=n)

    def since(
        self, table: str, mark: int, *, limit: int = 5000, columns: Sequence[str] | None = None
    ) -> tuple[int, dict[str, list[Any]]]:
        """What is new in memory: for those who look again and again.

        Args:
            table: its name.
            mark: from the last time; 0: from the beginning.
            limit: of the new rows the newest so many.
            columns: names; None: all.

        Returns:
            The mark for the next time, and the rows, oldest first.
        """
        if self.count(table) == mark:
            return mark, {name: [] for name in columns or TABLES[table].names}
        frozen = self._frozen(table)
        return frozen.end, frozen.columns(last=min(frozen.end - mark, limit), names=columns)

    def find(self, table: str, call_ids: Sequence[str]) -> dict[str, list[Any]]:
        """The rows of some calls among the newest in memory, as columns, oldest first; the store is not asked."""
        return self._frozen(table).of_calls(call_ids)

    def count(self, table: str) -> int:
        """How many rows were added in this session, those that are gone included."""
        with self._lock:
            return self._memory[table].appended

    def gone(self, table: str) -> int:
        """How many rows of this session `columns` no longer shows."""
        if self.store is not None and self._store_has(self.store, table, {}):
            return self._refused[table]
        return self._memory[table].evicted

    def keep(self) -> None:
        """Make sure that every row so far outlives this process (nothing without a store).

        Raises:
            StoreError: it could not be written.
        """
        if self.store is not None:
            self.store.keep()

    @property
    def behind(self) -> bool:
        """Whether the store is so far behind that it is time to bring no more rows for a moment."""
        return self.store is not None and self.store.behind

    def forget(self, run_id: str) -> None:
        """Take a run out of the store, with all that belongs to it; what is in memory stays for this session.

        Raises:
            StoreError: it could not be taken out.
        """
        if self.store is not None:
            self.store.forget(run_id)

    def flush(self, timeout: float | None = 30.0) -> None:
        """Wait until every row so far is on disk.

        Raises:
            StoreError: it is not, after `timeout` seconds.
        """
        if self.store is not None:
            self.store.flush(timeout)

    def close(self) -> None:
        """Close the store; what is recorded can still be read.

        Raises:
            StoreError: some rows could not be written.
        """
        if self.store is not None:
            self.store.close()

    def _frozen(self, table: str) -> FrozenTable:
        memory = self._memory[table]
        with self._lock:
            frozen = memory.freeze()
        if memory.refused and (error := self._told(memory)) is not None:
            warnings.warn(str(error), RuntimeWarning, stacklevel=4)
        return frozen

    def _told(self, memory: ColumnTable) -> Exception | None:
        """The first of the errors that wait to be told; their number is in it where there are more."""
        with self._lock:
            refused, memory.refused = memory.refused, []
        if len(refused) > 1:
            return type(refused[0])(f"{refused[0]}, and {len(refused) - 1} more")
        return refused[0] if refused else None

    def _store_has(self, store: Store, table: str, where: Mapping[str, Any]) -> bool:
        if not (self.store_all or table in _RUN_TABLES or where.get("run_id")):
            return False
        return store.keeps(table) or (table == "items" and not self._memory[table])

    def _from_memory(self, table: str, where: Mapping[str, Any]) -> dict[str, list[Any]]:
        columns = self._frozen(table).columns()
        if TABLES[table].replaces:
            columns = _taken(columns, _latest(columns, TABLES[table].key))
        for name, wanted in where.items():
            allowed = set(wanted) if isinstance(wanted, list | tuple | set | frozenset) else {wanted}
            if name == "run_id" and name not in columns and "call_id" in columns:
                name, allowed = "call_id", set(self._from_memory("calls", {"run_id": wanted})["call_id"])  # noqa: PLW2901
            if name not in columns:
                raise KeyError(f"table {table!r} has no column {name}")
            columns = _taken(columns, [i for i, value in enumerate(columns[name]) if value in allowed])
        return columns


def _latest(columns: Mapping[str, Sequence[Any]], key: Sequence[str]) -> list[int]:
    """Rows to keep where a later one replaces an earlier one: the newest of each key, in the order of the first."""
    newest = {values: index for index, values in enumerate(zip(*(columns[name] for name in key), strict=True))}
    return list(newest.values())


def _taken(columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> dict[str, list[Any]]:
    return {name: [values[row] for row in rows] for name, values in columns.items()}
