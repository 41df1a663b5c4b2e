"""A file that is there whole or not at all: written beside its place, and put there when it is finished."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[int]:
    """A descriptor to write to; what was written takes the place of the file when the block ends without an error.

    An existing file keeps its permission bits; a symbolic link stays and the file that it points at is replaced. The
    descriptor is closed here.

    Args:
        path: the file; its folder exists.

    Raises:
        OSError: it could not be written; the file is as it was, and no temporary file is left.
    """
    target = os.path.realpath(path)
    mode = _permissions(target)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".{secrets.token_hex(8)}.tmp")
    try:
        descriptor = _new_file(temporary, mode)
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _permissions(target: str) -> int | None:
    """The permission bits of the file to be replaced; None if there is none yet."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), target)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", target)
    return stat.S_IMODE(mode)


def _new_file(path: str, mode: int | None) -> int:
    """Open a file that is not there yet; without a mode, it gets what the umask leaves."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666 if mode is None else 0o600)
    try:
        if mode is not None:
            os.chmod(path, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sync_folder(folder: str) -> None:
    """Make the rename last. The new file is in place: a folder that cannot be synced (network homes) fails nothing."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
