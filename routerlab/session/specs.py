"""From what a verb is given to a `CallSpec`; mistakes are told before anything is sent."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.capabilities import CHAT, EMBEDDING
from routerlab.core.checks import is_number
from routerlab.core.errors import ConfigurationError
from routerlab.core.types import Message
from routerlab.mixins.config import ConfigValidatorMixin
from routerlab.session.results import CallSpec

__all__ = ["Prompt", "chat_spec", "embed_spec", "limit_s"]

Prompt = str | Sequence[Message]

_DATA_ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".ndjson")


def chat_spec(prompt: Prompt, options: Mapping[str, Any], purpose: str, *, stream: bool = False) -> CallSpec:
    """A chat.

    Args:
        prompt: a string, or messages in OpenAI's shape.
        options: ``pool``, ``model``, ``system``, ``deadline``; all others go to the model.
        purpose: for the record.
        stream: whether the answer is wanted piece by piece.

    Raises:
        ConfigurationError: this is no prompt, or no deadline.
    """
    params = dict(options)
    system = params.pop("system", None)
    messages = _messages(prompt)
    if system is not None:
        messages = ({"role": "system", "content": system}, *messages)
    return CallSpec(messages=messages, capability=CHAT, stream=stream, purpose=purpose, **_way(params), params=params)


def embed_spec(texts: str | Sequence[str], options: Mapping[str, Any]) -> CallSpec:
    """Embeddings of texts; options as for `chat_spec`, without ``system``."""
    inputs = (texts,) if isinstance(texts, str) else tuple(texts)
    if not inputs or not all(isinstance(text, str) for text in inputs):
        raise ConfigurationError("embed takes a string or a list of strings, at least one")
    params = dict(options)
    return CallSpec(inputs=inputs, capability=EMBEDDING, purpose="embed", **_way(params), params=params)


def limit_s(limit: Any, name: str = "deadline") -> float | None:
    """A limit in seconds, by default that of a whole call: a number, or a text such as ``"30s"``; None: none."""
    seconds = limit
    if isinstance(limit, str):
        try:
            seconds = ConfigValidatorMixin()._validate_duration(limit)  # noqa: SLF001 - documented name
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}") from None
    if seconds is None:
        return None
    if not is_number(seconds) or not 0 < seconds < math.inf:
        raise ConfigurationError(f"{name}: expected a positive number of seconds or a text like '30s', not {limit!r}")
    return float(seconds)


def _way(params: dict[str, Any]) -> dict[str, Any]:
    """Take out what is the router's and not the model's."""
    return {
        "pool": params.pop("pool", None),
        "model": params.pop("model", None),
        "deadline_s": limit_s(params.pop("deadline", None)),
    }


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return ({"role": "user", "content": _not_a_file(prompt)},)
    messages: list[Any] = list(prompt) if isinstance(prompt, Sequence) else []
    if messages and all(isinstance(message, Mapping) and "role" in message for message in messages):
        return tuple(messages)
    raise ConfigurationError(
        "a prompt is a string or a list of messages such as {'role': 'user', 'content': '…'}, "
        f"not {type(prompt).__name__}"
    )


def _not_a_file(prompt: str) -> str:
    """A string is always a prompt; one that is meant as a dataset is a mistake worth telling."""
    if not prompt.strip():
        raise ConfigurationError("the prompt is empty")
    if len(prompt) < 256 and "\n" not in prompt and (prompt.lower().endswith(_DATA_ENDINGS) or os.path.isfile(prompt)):
        raise ConfigurationError(
            f"{prompt!r} looks like a file, but a string is always a prompt: "
            f"use lab.replay(rl.load_dataset({prompt!r})) for a dataset"
        )
    return prompt
