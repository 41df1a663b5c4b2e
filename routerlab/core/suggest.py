"""The nearest known name, for messages about an unknown one."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint to put behind a message.

    >>> nearest("opnai/gpt", ["openai/gpt", "groq/llama"])
    "; did you mean 'openai/gpt'?"
    >>> nearest("xyz", ["openai/gpt", "groq/llama"])
    '; there are: openai/gpt, groq/llama'
    """
    import difflib

    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}" if names else ""
