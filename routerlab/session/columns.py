"""A table in memory: columns, not row objects, and bounded.

New rows wait as tuples until a chunk is full; then each column of the chunk is packed into an array. Packed chunks
never change, so that a snapshot needs the lock only while it notes which ones there are. The oldest chunk leaves as a
whole.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from routerlab.session.rows import decoded
from routerlab.session.tables import Column, Table

__all__ = ["NO_BOOL", "NO_INT", "NO_SMALL", "ColumnTable", "FrozenTable", "Words"]

_CHUNK_ROWS = 512
NO_INT = -(2**63)
"""What stands in a packed column of whole numbers where there is none; `RowMaker` lets none so small pass."""
NO_SMALL = -(2**31)
"""The same where 32 bits are enough."""
NO_BOOL = -1
"""The same in a packed column of 0 and 1."""
_FIRST = {"attempts": ("attempt", 1), "decisions": ("step", 0), "candidates": ("step", 0)}  # of a call

_Chunk = tuple[Sequence[Any], ...]


class Words(Sequence[Any]):
    """A column of few different values: each of them once, and for each row which one it is."""

    __slots__ = ("codes", "words")

    def __init__(self, values: Iterable[Any]) -> None:
        known: dict[Any, int] = {}
        self.codes = array("H", [known.setdefault(value, len(known)) for value in values])  # a chunk has 512 rows
        self.words = tuple(word if word is None else sys.intern(word) for word in known)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: Any) -> Any:
        return self.words[self.codes[row]]

    def __iter__(self) -> Iterator[Any]:
        return map(self.words.__getitem__, self.codes)


class ColumnTable:
    """The newest rows of one table. It has one owner, who locks.

    Args:
        table: its columns.
        max_rows: at most so many rows are kept; up to an eighth of them leaves at once.
        max_bytes: of free text and JSON, as Python holds it; None: not counted.
    """

    def __init__(self, table: Table, max_rows: int, *, max_bytes: int | None = None) -> None:
        if max_rows < 1:
            raise ValueError(f"max_rows must be at least 1, not {max_rows}")
        self.table = table
        self.appended = 0
        self.evicted = 0
        self._max_rows = max_rows
        self._max_bytes = math.inf if max_bytes is None else max_bytes
        self._chunk_rows = max(1, min(_CHUNK_ROWS, max_rows // 8))
        self._chunk_bytes = self._max_bytes / 16
        self._chunks: deque[tuple[int, int, _Chunk]] = deque()  # rows, bytes, columns
        self._recent: list[tuple[Any, ...]] = []
        self._recent_bytes = 0
        self._bytes = 0
        self._sized = [i for i, column in enumerate(table.columns) if column.type in ("text", "json")]

    def append(self, values: tuple[Any, ...]) -> None:
        """Add one row, as `RowMaker` makes it."""
        self._recent.append(values)
        self.appended += 1
        for index in self._sized:
            if values[index]:
                self._recent_bytes += sys.getsizeof(values[index])
        if len(self._recent) >= self._chunk_rows or self._recent_bytes > self._chunk_bytes:
            self._pack()
        while self._chunks and (len(self) > self._max_rows or self._bytes + self._recent_bytes > self._max_bytes):
            rows, size, _ = self._chunks.popleft()
            self.evicted += rows
            self._bytes -= size

    def __len__(self) -> int:
        return self.appended - self.evicted

    def freeze(self) -> FrozenTable:
        """What is there now, to be read without the lock; takes microseconds."""
        return FrozenTable(self.table, [chunk for _, _, chunk in self._chunks], list(self._recent))

    def snapshot(self) -> dict[str, list[Any]]:
        """Every kept row, oldest first, as one list a column."""
        return self.freeze().columns()

    def tail(self, n: int) -> dict[str, list[Any]]:
        """The newest `n` rows, oldest first."""
        return self.freeze().columns(last=n)

    def _pack(self) -> None:
        columns = zip(self.table.columns, zip(*self._recent, strict=True), strict=True)
        chunk = tuple(_packed(column, values) for column, values in columns)
        self._chunks.append((len(self._recent), self._recent_bytes, chunk))
        self._bytes += self._recent_bytes
        self._recent, self._recent_bytes = [], 0


class FrozenTable:
    """A table at one moment: packed chunks and the rows after them."""

    def __init__(self, table: Table, chunks: list[_Chunk], rows: list[tuple[Any, ...]]) -> None:
        self._table = table
        self._chunks = chunks
        self._rows = rows

    def columns(self, *, last: int | None = None, names: Sequence[str] | None = None) -> dict[str, list[Any]]:
        """All rows, or the `last` newest, oldest first, as one list a column; `names`: only these columns."""
        chunks, rows = self._chunks, self._rows
        if last is not None:
            last = max(0, last)
            rows = rows[max(0, len(rows) - last) :]
            chunks = _newest(chunks, last - len(rows))
        found = {}
        for index, column in enumerate(self._table.columns):
            if names is not None and column.name not in names:
                continue
            values: list[Any] = []
            for chunk in chunks:
                values += _unpacked(column, chunk[index])
            values += [row[index] for row in rows]
            found[column.name] = decoded(column, values if last is None else values[len(values) - last :])
        return found

    def of_calls(self, call_ids: Collection[str], *, within: int = 50_000) -> dict[str, list[Any]]:
        """The rows of some calls among the newest `within`, oldest first.

        The search goes backwards through the column ``call_id`` alone, until the first row of each call is found (and
        one chunk more: the candidates of one decision may lie on both sides of a border).
        """
        left, pieces, seen, more = set(call_ids), [], 0, 1
        wanted = frozenset(call_ids)
        for chunk in (list(zip(*self._rows, strict=True)), *reversed(self._chunks)):
            if not chunk:
                continue
            if seen >= within or more < 0:
                break
            seen += len(chunk[self._calls])
            if not wanted.isdisjoint(chunk[self._calls]):
                piece = self._matching(chunk, wanted)
                left.difference_update(self._begun(piece))
                pieces.append(piece)
            more -= not left
        return {name: [value for piece in reversed(pieces) for value in piece[name]] for name in self._table.names}

    @property
    def _calls(self) -> int:
        return self._table.names.index("call_id")

    def _matching(self, chunk: Sequence[Sequence[Any]], wanted: frozenset[str]) -> dict[str, list[Any]]:
        rows = [row for row, value in enumerate(chunk[self._calls]) if value in wanted]
        return {
            column.name: decoded(column, _unpacked(column, [chunk[index][row] for row in rows]))
            for index, column in enumerate(self._table.columns)
        }

    def _begun(self, piece: Mapping[str, Sequence[Any]]) -> Iterable[str]:
        """The calls whose first row is there."""
        name, first = _FIRST.get(self._table.name, ("", None))
        if not name:
            return piece["call_id"]
        return (call for call, number in zip(piece["call_id"], piece[name], strict=True) if number == first)

    def packed(self) -> Iterator[tuple[str, list[Sequence[Any]]]]:
        """All rows, oldest first, column by column, each in pieces.

        Numbers are in arrays, NaN, `NO_INT`, `NO_SMALL` or `NO_BOOL` where there is none; names are `Words`, the rest
        is in lists.
        """
        for index, column in enumerate(self._table.columns):
            parts = [chunk[index] for chunk in self._chunks]
            parts.append(_packed(column, [row[index] for row in self._rows]))
            yield column.name, [decoded(column, part) for part in parts] if column.type == "json" else parts


def _newest(chunks: list[_Chunk], rows: int) -> list[_Chunk]:
    """As few of the last chunks as hold `rows` rows."""
    start = len(chunks)
    while start > 0 and rows > 0:
        start -= 1
        rows -= len(chunks[start][0])
    return chunks[start:]


def _packed(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    match column.type:
        case "float" | "time":
            return _numbers("d", values, math.nan)
        case "int":
            return _numbers("q", values, NO_INT)
        case "small":
            return _numbers("i", values, NO_SMALL)
        case "bool":
            return _numbers("b", values, NO_BOOL)
        case "name":
            return Words(values)
        case _:
            return values


def _numbers(typecode: str, values: Sequence[Any], none: float) -> array[Any]:
    try:
        return array(typecode, values)
    except TypeError:  # some are missing
        return array(typecode, [none if value is None else value for value in values])


def _unpacked(column: Column, values: Sequence[Any]) -> Iterable[Any]:
    match column.type:
        case "int":
            return [None if value == NO_INT else value for value in values]
        case "small":
            return [None if value == NO_SMALL else value for value in values]
        case "bool":
            return [None if value == NO_BOOL else value for value in values]
        case _:
            return values
