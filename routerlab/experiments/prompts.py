"""The text of a prompt, for a column of a frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["content_text", "prompt_text"]


def prompt_text(messages: Iterable[Mapping[str, Any]]) -> str | None:
    """The last user message of a conversation, as text; None where there is none.

    >>> prompt_text([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}])
    'Why?'
    """
    contents = [message.get("content") for message in messages if message.get("role") == "user"]
    return content_text(contents[-1]) if contents else None


def content_text(content: Any) -> str | None:
    """The text of a message's content: a string, or the text parts of a list of parts (a line each)."""
    if content is None or isinstance(content, str):
        return content
    parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    return "\n".join(part for part in parts if isinstance(part, str))
