"""Model text made fit to be looked at: what would be invisible or turn the text around is shown as a sign."""

from __future__ import annotations

import re

from routerlab.core.plain import HARMFUL

__all__ = ["harmless"]


def harmless(text: str) -> str:
    """A text without controls, marks that turn its direction (U+202A to U+202E, U+2066 to U+2069) and half characters.

    Each of them becomes a sign that can be seen; line ends become line feeds. It is not escaped: whoever puts it into a
    page does that.

    >>> harmless("a\\r\\nb\\x1b[31m \\u202etxt.exe")
    'a\\nb␛[31m [U+202E]txt.exe'
    """
    return HARMFUL.sub(_sign, text.replace("\r\n", "\n").replace("\r", "\n"))


def _sign(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # the pictures of control characters
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"[U+{code:04X}]"
