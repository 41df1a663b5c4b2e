"""Rows that are safe before they are in the database: appended to a small file beside it, at once.

A commit takes milliseconds, and whoever waits for it waits for the writer's turn as well; an append takes microseconds.
So what must survive the death of the process goes into the spool, and the database follows. Who opens the store after
such a death enters what the spool has beyond the last commit; both are one transaction, so that nothing enters twice.

There are two files. While the rows of one are committed, new rows go into the other, and then it is emptied.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Any
from zlib import crc32

import msgpack

from routerlab.core.errors import LeaseLostError
from routerlab.session.tables import Row

__all__ = ["SPOOLS", "Spool", "is_spooled", "remove_spools", "spooled"]

SPOOLS = ("-rows1", "-rows2")
"""What is added to the name of a store's file."""

_FRAME = Struct("<IIQ")  # length and CRC-32 of what follows, and the number of its first row
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Spool:
    """The spool of one writer, who has the lease of the store; what is left of another's is removed.

    It has no lock of its own.

    Args:
        path: of the store's file.
        token: names the writer, so that nobody takes these rows for those of another one.
    """

    def __init__(self, path: Path, token: str) -> None:
        self._store = path
        self._paths = _paths(path)
        self._head = token.encode()
        self._files: list[int] = []
        self._rows = [0, 0]  # the number after the last row of each file
        self._sizes = [0, 0]
        self._into = 0
        remove_spools(path)
        try:
            for place, spool in enumerate(self._paths):
                self._files.append(os.open(spool, _FLAGS, 0o600))
                self._empty(place)
        except BaseException:
            self.close()
            raise

    def write(self, first: int, rows: Sequence[Row]) -> None:
        """Append rows; when this returns they outlive the process.

        Args:
            first: the number of the first of them among all that this writer was given.
            rows: in their order.

        Raises:
            OSError: they could not be written, and none of them is there.
            LeaseLostError: another process has taken over the store.
        """
        packed = msgpack.packb(rows)
        framed = _FRAME.pack(len(packed), crc32(packed), first) + packed
        file, size = self._files[self._into], self._sizes[self._into]
        try:
            written = os.write(file, framed)
            while written < len(framed):
                written += os.write(file, framed[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, size)
            raise
        if os.name == "posix" and os.fstat(file).st_nlink == 0:
            raise LeaseLostError(f"another process has taken over {self._store}: open the lab again to go on")
        self._sizes[self._into] += len(framed)
        self._rows[self._into] = first + len(rows)

    def turn(self, committed: int) -> None:
        """What comes now goes into the other file, if all its rows are among the first `committed` ones."""
        if self._rows[1 - self._into] <= committed:
            self._into = 1 - self._into

    def drop(self, committed: int) -> None:
        """Empty the file that nothing goes into, if all its rows are among the first `committed` ones."""
        place = 1 - self._into
        if self._sizes[place] > len(self._head) and self._rows[place] <= committed:
            with suppress(OSError):  # what is there once more does no harm: it has its number
                self._empty(place)

    def _empty(self, place: int) -> None:
        os.ftruncate(self._files[place], 0)
        os.write(self._files[place], self._head)
        self._sizes[place] = len(self._head)

    def close(self, *, remove: bool = False) -> None:
        """Let go of the files.

        Args:
            remove: whether everything is committed, so that they are not needed any more.
        """
        while self._files:
            os.close(self._files.pop())
        if remove:
            remove_spools(self._store)


def spooled(path: Path, token: str, committed: int) -> list[Row]:
    """The rows that a writer left beyond those it had committed.

    Args:
        path: of the store's file.
        token: the writer's.
        committed: how many of its rows are in the database.
    """
    found: list[tuple[int, list[Any]]] = []
    for spool in _paths(path):
        with suppress(OSError):  # it is not there
            found += _frames(spool.read_bytes(), token.encode())
    rows: list[Row] = []
    for first, group in sorted(found, key=lambda frame: frame[0]):
        beyond = group[max(0, committed - first) :]
        rows += ((table, tuple(values)) for table, values in beyond)
        committed = max(committed, first + len(group))
    return rows


def is_spooled(path: Path) -> bool:
    """Whether a writer is at work or has left something."""
    return any(spool.exists() for spool in _paths(path))


def remove_spools(path: Path) -> None:
    """Delete what a writer left."""
    for spool in _paths(path):
        with suppress(OSError):
            spool.unlink()


def _frames(data: bytes, head: bytes) -> Iterator[tuple[int, list[Any]]]:
    """What was written whole; the process may have died in the middle of the last one."""
    if not data.startswith(head):
        return
    place = len(head)
    while len(data) - place >= _FRAME.size:
        length, check, first = _FRAME.unpack_from(data, place)
        place += _FRAME.size
        packed = data[place : place + length]
        if len(packed) < length or crc32(packed) != check:
            return
        yield first, msgpack.unpackb(packed)
        place += length


def _paths(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(path.name + suffix) for suffix in SPOOLS)
