"""What a model must be able to do to serve a call, read off the call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from routerlab.core.types import Needs
from routerlab.session.results import CallSpec

__all__ = ["needs_of"]

_CHARS_PER_TOKEN = 6  # a low estimate of the prompt's size: a model is left out only where it surely cannot hold it
_SYSTEM = {"system", "developer"}  # the second is what OpenAI's reasoning models call it


def needs_of(spec: CallSpec, *, drop_params: bool) -> Needs:
    """The features and the context window that a call needs.

    Args:
        spec: the call.
        drop_params: what a model does not take is left out, so that it is not needed.
    """
    roles = [message.get("role") for message in spec.messages]
    features = {"vision"} if any(_is_image(part) for part in _parts(spec)) else set()
    features |= {"system"} if _SYSTEM.intersection(roles) else set()
    features |= {"prefill"} if roles[-1:] == ["assistant"] else set()  # the answer is to go on with it
    if not drop_params:
        features |= {"tools"} if spec.params.get("tools") else set()
        features |= {"json"} if _is_json(spec.params.get("response_format")) else set()
    return Needs(frozenset(features), sum(_chars(part) for part in _parts(spec)) // _CHARS_PER_TOKEN)


def _parts(spec: CallSpec) -> list[Any]:
    parts: list[Any] = []
    for message in spec.messages:
        content = message.get("content")
        parts += [content] if isinstance(content, str) else content or ()
    return parts


def _is_image(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in ("image_url", "image", "input_image")


def _is_json(response_format: Any) -> bool:
    kind = response_format.get("type") if isinstance(response_format, Mapping) else response_format
    return kind not in (None, "text")


def _chars(part: Any) -> int:
    if isinstance(part, str):
        return len(part)
    text = part.get("text", "") if isinstance(part, Mapping) else ""
    return len(text if isinstance(text, str) else json.dumps(text, default=str))
