"""The prompts of a promptfoo file: texts, chats as JSON, and files of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from routerlab.core.errors import DatasetError
from routerlab.experiments.fields import FieldError
from routerlab.experiments.rows import decode, undecodable

__all__ = ["read_prompt"]

_TEXT_FILES = {"", ".md", ".txt"}
_CODE_FILES = {".js", ".ts", ".mjs", ".cjs", ".py", ".rb", ".sh", ".j2", ".csv", ".yaml", ".yml"}


def read_prompt(value: Any, folder: Path, encoding: str) -> list[dict[str, Any]]:
    """What one entry of ``prompts`` stands for.

    Args:
        value: a text, or ``file://`` and a path.
        folder: that paths are relative to.
        encoding: of files.

    Returns:
        One ``{"prompt": …}`` or ``{"messages": …}`` each; a text file holds several between lines of ``---``.

    Raises:
        FieldError: it is something else, or the file cannot be read.
    """
    if not isinstance(value, str):
        raise FieldError(f"a prompt that is an object is not supported, only a text or file://…: found {value!r:.80}")
    if value.startswith("file://"):
        return _file(value, folder, encoding)
    suffix = Path(value).suffix if len(value.split()) == 1 and len(value) < 256 else ""
    if suffix in (_TEXT_FILES | _CODE_FILES | {".json"}) - {""}:
        raise FieldError(f"the prompt {value!r} looks like a file: write 'file://{value}'")
    return [_content(value)]


def _file(value: str, folder: Path, encoding: str) -> list[dict[str, Any]]:
    path = folder / value.removeprefix("file://")
    if path.suffix not in _TEXT_FILES | {".json"} or "*" in value:
        raise FieldError(f"the prompt {value!r} is not supported, only files of text (.txt, .md) and chats (.json)")
    try:
        text = decode(path, encoding).replace("\r\n", "\n")
    except DatasetError as error:
        raise FieldError(str(error)) from None
    if problem := undecodable(text):
        raise FieldError(f"{path.name}: {problem}")
    if path.suffix == ".json":
        return [_content(text, chat=True)]
    return [_content(part.strip()) for part in f"\n{text}\n".split("\n---\n")]


def _content(text: str, *, chat: bool = False) -> dict[str, Any]:
    if not text.strip():
        raise FieldError("the prompt is empty")
    if chat or text.lstrip().startswith("["):
        try:
            messages = json.loads(text)
        except ValueError as error:
            if chat:
                raise FieldError(f"not valid JSON: {error}") from None
            return {"prompt": text}
        if isinstance(messages, list) and messages and all(isinstance(m, dict) and "role" in m for m in messages):
            return {"messages": messages}
        if chat:
            raise FieldError("a chat is a list of objects with role and content")
    return {"prompt": text}
