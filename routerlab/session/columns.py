"""A table in memory: columns, not row objects, and bounded.

New rows wait as tuples until a chunk is full; then each column of the chunk is checked and packed at once. Packed
chunks never change, so that a snapshot needs the lock only while it notes which ones there are. The oldest chunk
leaves as a whole.

A row that waits need not have been checked. One that turns out to hold what its columns do not take is left out, and
the error waits in `ColumnTable.refused` for whoever can tell of it; no reader ever sees such a row.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from routerlab.session.packing import packed, unpacked
from routerlab.session.rows import RowMaker, decoded
from routerlab.session.tables import Table

__all__ = ["ColumnTable", "FrozenTable"]

_CHUNK_ROWS = 1024
_FIRST = {"attempts": ("attempt", 1), "decisions": ("step", 0), "candidates": ("step", 0)}  # of a call

_Chunk = tuple[Sequence[Any], ...]


class ColumnTable:
    """The newest rows of one table. It has one owner, who locks.

    Args:
        table: its columns.
        max_rows: at most so many rows are kept; up to an eighth of them leaves at once.
        max_bytes: of free text and JSON, as Python holds it; None: not counted.

    Attributes:
        evicted: rows that had to leave.
        refused: what was wrong with rows that were left out, until somebody takes it away.
    """

    def __init__(self, table: Table, max_rows: int, *, max_bytes: int | None = None) -> None:
        if max_rows < 1:
            raise ValueError(f"max_rows must be at least 1, not {max_rows}")
        self.table = table
        self.evicted = 0
        self.refused: list[Exception] = []
        self._check = RowMaker(table).check
        self._max_rows = max_rows
        self._max_bytes = math.inf if max_bytes is None else max_bytes
        self._chunk_rows = max(1, min(_CHUNK_ROWS, max_rows // 8))
        self._chunk_bytes = self._max_bytes / 16
        self._chunks: deque[tuple[int, int, _Chunk]] = deque()  # rows, bytes, columns
        self._rows = self._bytes = 0  # in chunks
        self._recent: list[tuple[Any, ...]] = []
        self._checked = 0  # so many of these, the first ones, are known to be right
        self._recent_bytes = 0
        self._left_out = 0
        self._full_at = self._chunk_rows  # waiting rows at which there is something to do
        self._sized = table.places("text", "json")

    def append(self, values: tuple[Any, ...]) -> None:
        """Add one row, as `RowMaker.enter` gives it."""
        self._recent.append(values)
        for place in self._sized:
            if values[place]:
                self._recent_bytes += sys.getsizeof(values[place])
                if self._recent_bytes > self._chunk_bytes or self._bytes + self._recent_bytes > self._max_bytes:
                    self._full_at = 0
        if len(self._recent) >= self._full_at:
            self._tidy()

    def __len__(self) -> int:
        return self._rows + len(self._recent)

    @property
    def appended(self) -> int:
        """How many rows were ever added, without those left out."""
        return self.evicted + len(self)

    @property
    def seen(self) -> int:
        """The same with those left out; it never falls."""
        return self.appended + self._left_out

    def freeze(self) -> FrozenTable:
        """What is there now, checked, to be read without the lock; takes microseconds, and one for each new row."""
        self._settle()
        return FrozenTable(self.table, [chunk for _, _, chunk in self._chunks], list(self._recent), self.appended)

    def snapshot(self) -> dict[str, list[Any]]:
        """Every kept row, oldest first, as one list a column."""
        return self.freeze().columns()

    def tail(self, n: int) -> dict[str, list[Any]]:
        """The newest `n` rows, oldest first."""
        return self.freeze().columns(last=n)

    def _tidy(self) -> None:
        """Pack what waits, let the oldest go, and note when to look again."""
        if len(self._recent) >= self._chunk_rows or self._recent_bytes > self._chunk_bytes:
            self._pack()
        while self._chunks and (len(self) > self._max_rows or self._bytes + self._recent_bytes > self._max_bytes):
            rows, size, _ = self._chunks.popleft()
            self.evicted += rows
            self._rows -= rows
            self._bytes -= size
        self._full_at = min(self._chunk_rows, self._max_rows - self._rows + 1)

    def _pack(self) -> None:
        try:
            chunk = self._packed()
        except (TypeError, OverflowError):  # one of many rows is wrong, or a value is right but of another type
            self._settle(afresh=True)
            chunk = self._packed()
        rows = len(self._recent)
        if rows:
            self._chunks.append((rows, self._recent_bytes, chunk))
            self._rows += rows
            self._bytes += self._recent_bytes
        self._recent, self._checked, self._recent_bytes = [], 0, 0

    def _packed(self) -> _Chunk:
        columns = zip(*self._recent, strict=True)
        return tuple(map(packed, self.table.columns, columns))

    def _settle(self, *, afresh: bool = False) -> None:
        """Check what waits, row by row, and leave out what is wrong."""
        start = 0 if afresh else self._checked
        right = []
        for values in self._recent[start:]:
            try:
                right.append(self._check(values))
            except (TypeError, OverflowError) as error:
                self._left_out += 1
                key = ", ".join(f"{name} {values[self.table.names.index(name)]!r:.40}" for name in self.table.key)
                self.refused.append(type(error)(f"{error}: the row {key or values!r:.80} is left out"))
        self._recent[start:] = right
        self._checked = len(self._recent)


class FrozenTable:
    """A table at one moment: packed chunks and the rows after them; `end` rows were added until then."""

    def __init__(self, table: Table, chunks: list[_Chunk], rows: list[tuple[Any, ...]], end: int) -> None:
        self.end = end
        self._table = table
        self._chunks = chunks
        self._rows = rows

    def columns(self, *, last: int | None = None, names: Sequence[str] | None = None) -> dict[str, list[Any]]:
        """All rows, or the `last` newest, oldest first, as one list a column; `names`: only these columns."""
        chunks, rows, skipped = self._chunks, self._rows, 0
        if last is not None:
            rows = rows[max(0, len(rows) - last) :] if last > 0 else []
            chunks, skipped = _newest(chunks, last - len(rows))
        found = {}
        for place, column in enumerate(self._table.columns):
            if names is not None and column.name not in names:
                continue
            values: list[Any] = []
            for number, chunk in enumerate(chunks):
                values += unpacked(column, chunk[place] if number else chunk[place][skipped:])
            values += [row[place] for row in rows]
            found[column.name] = decoded(column, values)
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
            column.name: decoded(column, unpacked(column, [chunk[place][row] for row in rows]))
            for place, column in enumerate(self._table.columns)
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
        for place, column in enumerate(self._table.columns):
            parts = [chunk[place] for chunk in self._chunks]
            parts.append(packed(column, [row[place] for row in self._rows]))
            yield column.name, [decoded(column, part) for part in parts] if column.type == "json" else parts


def _newest(chunks: list[_Chunk], rows: int) -> tuple[list[_Chunk], int]:
    """As few of the last chunks as hold `rows` rows, and how many rows of the first of them are too many."""
    start = len(chunks)
    while start > 0 and rows > 0:
        start -= 1
        rows -= len(chunks[start][0])
    return chunks[start:], max(0, -rows) if start < len(chunks) else 0
