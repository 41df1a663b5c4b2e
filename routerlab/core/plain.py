"""Texts of others, made fit for a terminal and a message."""

from __future__ import annotations

import re

__all__ = ["HARMFUL", "plain"]

# Controls but tab and line feed, marks that turn or override the direction of text, and half characters. The marks
# that right-to-left and joined scripts need (U+200C to U+200F) stay.
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """A text that a terminal only shows: what would move its cursor, change its colours or turn the text around is
    taken out, and half characters, which nothing can print.

    >>> plain("red: \\x1b[31m, bell: \\x07, \\u202etxt.exe")
    'red: \ufffd[31m, bell: \ufffd, \ufffdtxt.exe'
    """
    return HARMFUL.sub("\ufffd", text)
