"""Where one model's answer broke off and another's carries it on: how to ask for the rest, and what to cut from it.

Two ways to ask. By *prefill*: the text so far is the last message, the assistant's, and a model that can carries it on
to the letter. By *instruction*: a message of the user's after it says what to do; models obey more or less, and like to
repeat the last word, the last sentence or all of it, which the `Seam` takes out.
"""

from __future__ import annotations

from collections.abc import Sequence

from routerlab.core.types import Message

__all__ = ["INSTRUCTION", "Seam", "carry_on"]

INSTRUCTION = (
    "Your answer was cut off in transmission; what arrived of it stands above. Write only the rest: go on from exactly "
    "its last character, in the middle of a word if need be, with a space first where a new word begins. Do not repeat "
    "anything, do not comment on this."
)
"""What a model is told that does not carry on by itself."""

_SURE_CHARS = 8  # nobody repeats so much by chance
_WORD_CHARS = 3


def carry_on(messages: Sequence[Message], so_far: str, *, prefill: bool) -> tuple[Message, ...]:
    """The messages that ask for the rest of an answer.

    Args:
        messages: those of the request; a last one of the assistant's is itself the beginning of the answer.
        so_far: what arrived of it.
        prefill: by prefill, else by instruction.

    >>> carry_on([{"role": "user", "content": "Count."}], "one, tw", prefill=True)[-1]
    {'role': 'assistant', 'content': 'one, tw'}
    """
    begun = messages[-1] if messages and messages[-1].get("role") == "assistant" else None
    own = begun.get("content") if begun is not None else None
    before = messages[:-1] if isinstance(own, str) else messages
    text = (own if isinstance(own, str) else "") + so_far
    answer: Message = {"role": "assistant", "content": text.rstrip()}  # several servers refuse a blank at the end
    return (*before, answer) if prefill else (*before, answer, {"role": "user", "content": INSTRUCTION})


class Seam:
    """Takes out of a continuation what it repeats of the text before it; what may be a repetition is held back.

    Args:
        so_far: the text before it.
        exact: it was asked for by prefill: less is taken for a repetition. Blanks at the end of the text so far always
            are, for the model did not see them.

    >>> seam = Seam("The sky is blue bec", exact=False)
    >>> [seam.feed(piece) for piece in ("bec", "ause of", " scattering")], seam.end()
    (['', 'ause of', ' scattering'], '')
    """

    def __init__(self, so_far: str, *, exact: bool) -> None:
        self._so_far = so_far
        self._exact = exact
        self._head = ""  # held back
        self._decided = not so_far

    def feed(self, text: str) -> str:
        """Take the next piece; returns what is certainly new."""
        if self._decided or not text:
            return text
        self._head += text
        return "" if self._head in self._so_far[:-1] else self.end()

    def end(self) -> str:
        """What is still held back, without the repetition; no more will be held back."""
        if self._decided:
            return ""
        self._decided = True
        return self._head[self._overlap() :]

    def _overlap(self) -> int:
        """How many characters of the head repeat the end of the text so far."""
        head, so_far = self._head, self._so_far
        for length in range(min(len(head), len(so_far)), 0, -1):
            if so_far.endswith(head[:length]) and self._is_repetition(length):
                return length
        return 0

    def _is_repetition(self, length: int) -> bool:
        start = len(self._so_far) - length
        repeated = self._so_far[start:]
        if length >= _SURE_CHARS or repeated.isspace():
            return True
        if not any(char.isalpha() for char in repeated):
            return False  # "1" may well be followed by another "1"
        if self._exact:
            return start == 0 and length >= _WORD_CHARS
        return start == 0 or not (self._so_far[start - 1].isalnum() and repeated[0].isalnum())
