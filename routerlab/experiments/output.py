"""Files that are written for people and other programs: each is there whole, or as it was before."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from routerlab.core.errors import ConfigurationError
from routerlab.mixins.whole_file import whole_file

__all__ = ["output_file", "output_text"]


@contextmanager
def output_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write bytes to; it takes the place of one that is there when the block ends without an error.

    Raises:
        ConfigurationError: there is no such folder, or a folder stands in the file's place.
        OSError: it could not be written.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ConfigurationError(f"cannot write {target}: there is no folder {target.parent}; make it first")
    if target.is_dir():
        raise ConfigurationError(f"cannot write {target}: it is a folder; give the name of a file in it")
    try:
        with whole_file(target) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
            yield file
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk does not say where
            error.filename = str(target)
        raise


@contextmanager
def output_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """The same for text: UTF-8, lines as they are given; what UTF-8 cannot hold (half a surrogate pair) becomes ``?``.

    Raises:
        ConfigurationError, OSError: as for `output_file`.
    """
    with output_file(path) as file, io.TextIOWrapper(file, "utf-8", errors="replace", newline="") as text:
        yield text
