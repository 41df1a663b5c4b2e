"""Standard output and error that take every text: where their encoding lacks a sign, a likely one stands for it."""

from __future__ import annotations

import codecs
import os
import sys

__all__ = ["take_every_text", "to_nowhere"]

_HANDLER = "routerlab"
_SIGNS = {
    "─": "-", "█": "#", "▒": "=", "·": "-", "\u2212": "-", "…": "...", "→": "->", "✓": "+", "✗": "x",
}  # fmt: skip


def take_every_text() -> None:
    """Let standard output and error take every text from now on; one that is closed takes it for nobody."""
    codecs.register_error(_HANDLER, _likely)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def to_nowhere() -> None:
    """Send what is still to come on standard output to nobody: its reader is gone (``| head``)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _likely(error: UnicodeError) -> tuple[str, int]:
    """What stands for the signs that could not be encoded."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - nothing is decoded
    return "".join(_SIGNS.get(sign, "?") for sign in error.object[error.start : error.end]), error.end
