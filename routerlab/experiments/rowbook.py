"""The rows of a run in memory: those that are done are packed, which takes a fifth of the room."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

__all__ = ["Key", "RowBook"]

Key = tuple[int, int, int]  # item, arm, repeat


class RowBook(MutableMapping[Key, dict[str, Any]]):
    """Rows by key. One that was packed is given out as a copy: to change it, set it again."""

    def __init__(self) -> None:
        self._rows: dict[Key, dict[str, Any] | tuple[Any, ...]] = {}
        self._columns: dict[tuple[str, ...], tuple[str, ...]] = {}  # each combination of names once

    def pack(self, key: Key) -> None:
        """Keep a row's values without its dict."""
        row = self[key]
        names = tuple(row)
        self._rows[key] = (self._columns.setdefault(names, names), *row.values())

    def having(self, column: str) -> Iterator[dict[str, Any]]:
        """The rows that have a column, whatever is in it; the others are not unpacked."""
        for key, row in self._rows.items():
            if column in (row if isinstance(row, dict) else row[0]):
                yield self[key]

    def __getitem__(self, key: Key) -> dict[str, Any]:
        row = self._rows[key]
        return row if isinstance(row, dict) else dict(zip(row[0], row[1:], strict=True))

    def __setitem__(self, key: Key, row: dict[str, Any]) -> None:
        self._rows[key] = row

    def __delitem__(self, key: Key) -> None:
        del self._rows[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
