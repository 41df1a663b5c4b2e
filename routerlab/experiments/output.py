"""Files that are written for people and other programs: each is there whole, or as it was before."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from routerlab.core.errors import ConfigurationError
from routerlab.mixins.whole_file import whole_file

__all__ = ["HTML", "check_ending", "output_file", "output_text"]

HTML = (".html", ".htm")
"""How the name of a page ends; with another one no browser opens it."""


@contextmanager
def output_file(path: str | os.PathLike[str], endings: Sequence[str] = ()) -> Iterator[BinaryIO]:
    """A file to write bytes to; it takes the place of one that is there when the block ends without an error.

    Args:
        path: of the file.
        endings: those that its name may have; none: any.

    Raises:
        ConfigurationError: there is no such folder, a folder stands in the file's place, or another ending.
        OSError: it could not be written.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ConfigurationError(f"cannot write {target}: there is no folder {target.parent}; make it first")
    if target.is_dir():
        raise ConfigurationError(f"cannot write {target}: it is a folder; give the name of a file in it")
    if endings:
        check_ending(target, endings)
    try:
        with whole_file(target) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
            yield file
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk does not say where
            error.filename = str(target)
        raise


@contextmanager
def output_text(path: str | os.PathLike[str], endings: Sequence[str] = ()) -> Iterator[TextIO]:
    """The same for text: UTF-8, lines as they are given; what UTF-8 cannot hold (half a surrogate pair) becomes ``?``.

    Raises:
        ConfigurationError, OSError: as for `output_file`.
    """
    with output_file(path, endings) as file, io.TextIOWrapper(file, "utf-8", errors="replace", newline="") as text:
        yield text


def check_ending(path: str | os.PathLike[str], endings: Sequence[str]) -> None:
    """Refuse a name that promises something else than what is written.

    Raises:
        ConfigurationError: another ending, or none.
    """
    target = Path(path)
    if target.suffix.lower() not in endings:
        better = f"{target.stem or 'run'}{endings[0]}"
        raise ConfigurationError(
            f"cannot write {target}: expected a name that ends in {' or '.join(endings)}, such as {better}"
        )
