"""What stands in a parsed answer, whatever it should be: each look gives a value of the expected type."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["arguments_text", "listed", "mapping", "new_call_id", "text", "tokens", "tool_call"]


def listed(value: Any, name: str) -> Sequence[Mapping[str, Any]]:
    """A list of objects; empty where there is none.

    Raises:
        ValueError: it is something else; ``name`` says what.
    """
    value = value or ()
    if isinstance(value, (list, tuple)):
        for one in value:
            if not isinstance(one, dict):
                break
        else:
            return value
    raise ValueError(f"{name}: a list of objects was expected")


def mapping(value: Any) -> Mapping[str, Any]:
    """An object; empty where there is none."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """A text; empty where there is none."""
    return value if isinstance(value, str) else ""


def tokens(usage: Mapping[str, Any], key: str) -> int | None:
    """A count of tokens; None where there is none."""
    value = usage.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def tool_call(name: str, arguments: Any, call_id: str = "") -> dict[str, Any]:
    """A whole tool call in OpenAI's shape: arguments as a JSON text, an id made up where the provider gave none."""
    function = {"name": name, "arguments": arguments_text(arguments)}
    return {"id": call_id or new_call_id(), "type": "function", "function": function}


def arguments_text(value: Any) -> str:
    """The arguments as a JSON text; several providers send the object itself."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def new_call_id() -> str:
    """An id for a tool call that came without one; unlike all others of the conversation."""
    return f"call_{secrets.token_hex(12)}"
