"""A stream of text without the known secrets, wherever it is cut; only what may be the beginning of one waits."""

from __future__ import annotations

from collections.abc import Callable

from routerlab.core.redact import MASK, Redactor

__all__ = ["StreamMask", "without_half"]

_HALF = 8
"""From so many characters on the beginning of a secret is one, too: what is left of a key where a stream was cut."""


class StreamMask:
    """Takes pieces, gives back what may be shown of them.

    Nothing waits unless the text so far ends in what could be the first characters of a secret, in any of the forms
    that `Redactor` knows; the next piece, or the end, decides.

    Args:
        redactor: knows the secrets.

    >>> mask = StreamMask(Redactor(["correct-horse"]))
    >>> mask.feed("it is cor"), mask.feed("rect-hor"), mask.feed("se, of course"), mask.end()
    ('it is ', '', '***, of course', '')
    >>> mask.feed("so cor"), mask.feed("al")
    ('so ', 'coral')
    """

    __slots__ = ("_before", "_begins", "_held", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._begins: Callable[[str], object] | None = None  # asked for when the first piece is there: its key is known
        self._held = ""
        self._before = ""  # the last character shown: a short secret counts only where it stands alone

    def feed(self, text: str) -> str:
        """What may be shown now, of this piece and of what was held back before."""
        if self._begins is None:
            self._begins = self._redactor.beginning.search
        if not self._held and self._begins(text) is None:
            self._before = text[-1:] or self._before
            return text
        whole = self._held + text
        cut = self._redactor.open_end(whole)
        self._held = whole[cut:]
        return self._show(whole[:cut])

    def end(self) -> str:
        """What is left, now that nothing follows: half a key is masked, a few letters are not."""
        held, self._held = self._held, ""
        return self._show(without_half(held, self._redactor))

    def _show(self, text: str) -> str:
        if not text:
            return ""
        shown = self._redactor.mask(self._before + text)[len(self._before) :]
        self._before = text[-1]
        return shown


def without_half(text: str, redactor: Redactor) -> str:
    """A text that was cut somewhere, without the secrets in it and without the half of one at its end.

    >>> without_half("the key is correct-h", Redactor(["correct-horse"]))
    'the key is ***'
    """
    cut = redactor.open_end(text)
    tail = redactor.mask(text[cut:])
    if tail == text[cut:] and len(tail) >= _HALF:
        tail = MASK
    return redactor.mask(text[:cut]) + tail
