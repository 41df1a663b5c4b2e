"""One item of a dataset, and how a row becomes one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from routerlab.experiments.fields import CANONICAL, FieldError, Fields, Getter, find_canonical, getter, names_of
from routerlab.experiments.rows import plain

__all__ = ["Item", "ItemMaker"]

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")

_Spec = str | Callable[[Fields], Any] | None


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt of a dataset.

    Attributes:
        id: unique in its dataset.
        prompt: the text to send; None where ``messages`` is given.
        messages: a whole conversation to send, dicts with ``role`` and ``content``; None where ``prompt`` is given.
        target: the known answer: a string, a number, a list of acceptable answers; None when unknown.
        metadata: all other fields of the row.
        params: parameters of this item's own request (``max_tokens``, ``tools``, …); those of a run win over them.
        turns: in place of ``prompt`` and ``messages``: user messages that are sent one after the other, each with the
            answers to those before it; None for a single request.
    """

    id: str
    prompt: str | None = None
    messages: tuple[Mapping[str, Any], ...] | None = None
    target: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    turns: tuple[str, ...] | None = None

    def to_messages(self) -> list[dict[str, Any]]:
        """What is sent (first): ``messages``, or the prompt or the first turn as one user message."""
        return self.asked()[:1] if self.turns is not None else self.asked()

    @property
    def later(self) -> tuple[str, ...]:
        """What is said after the first answer, in turns."""
        return (self.turns or ())[1:]

    def asked(self) -> list[dict[str, Any]]:
        """Everything that is known before an answer comes: as `to_messages`, but with all turns."""
        if self.messages is not None:
            return [dict(message) for message in self.messages]
        return [{"role": "user", "content": text} for text in ((self.prompt,) if self.turns is None else self.turns)]

    def to_record(self) -> dict[str, Any]:
        """A plain dict: ``id``; ``prompt``, ``messages`` or ``turns``; ``target``, ``metadata``, ``params`` if any."""
        if self.turns is not None:
            content: dict[str, Any] = {"turns": list(self.turns)}
        else:
            content = {"prompt": self.prompt} if self.messages is None else {"messages": self.to_messages()}
        record = {"id": self.id, **content, "target": self.target, "metadata": dict(self.metadata)}
        return {**record, "params": dict(self.params)} if self.params else record


class ItemMaker:
    """Makes items of rows, as the user's field specifications say.

    Args:
        prompt: field, path, template or callable (see ``fields.getter``); None guesses from the canonical names.
        messages: the same for a conversation.
        target: the same for the known answer; a row without one is fine only when this is None.
        id: the same for the item's id; None also numbers the rows where they have none.
    """

    def __init__(self, *, prompt: _Spec, messages: _Spec, target: _Spec, id: _Spec) -> None:  # noqa: A002
        specs = {"prompt": prompt, "messages": messages, "target": target, "id": id}
        self._getters: dict[str, Getter] = {
            role: getter(spec, role) for role, spec in specs.items() if spec is not None
        }
        self._names = {role: spec for role, spec in specs.items() if isinstance(spec, str)}

    def make(self, fields: Fields, number: int) -> tuple[Item | None, str]:
        """The item of a row, or None and why there is none. ``number`` (from 1) is its id where it has no other."""
        try:
            item = self._make(fields, number)
            _check_encodable(item)
        except FieldError as error:
            return None, str(error)
        return item, ""

    def _make(self, fields: Fields, number: int) -> Item:
        content, used = self._content(fields)
        target, target_field = self._take("target", fields)
        item_id, id_field = self._take("id", fields)
        params = fields.get("params")
        has_params = isinstance(params, Mapping)
        return Item(
            id=_checked_id(item_id) or f"{number:05d}",
            target=_checked_target(target),
            metadata=_metadata(fields, {used, target_field, id_field, "params" if has_params else None}),
            params=plain(params) if has_params else {},
            **content,
        )

    def _content(self, fields: Fields) -> tuple[dict[str, Any], str | None]:
        """``prompt``, ``messages`` or ``turns``: which was asked for or the row has, and the field it came from."""
        asked = [role for role in ("prompt", "messages") if role in self._getters]
        for role in asked or ("prompt", "messages"):
            value, used = self._take(role, fields)
            if value is not None:
                return {role: _checked_prompt(value) if role == "prompt" else _checked_messages(value)}, used
        if not asked and fields.get("turns") is not None:
            return {"turns": _checked_turns(fields["turns"])}, "turns"
        raise FieldError(_no_prompt(fields) if not asked else f"no {asked[0]}: the value is empty")

    def _take(self, role: str, fields: Fields) -> tuple[Any, str | None]:
        """The value for ``role``, and the field that it uses up (templates, paths and callables use up none)."""
        if role in self._getters:
            value, name = self._getters[role](fields), self._names.get(role)
        else:
            filled = [name for name, value in fields.items() if value is not None]
            name = find_canonical(role, filled) or find_canonical(role, fields)
            value = None if name is None else fields[name]
        return value if role == "prompt" else plain(value), name if name in fields else None


def _no_prompt(fields: Fields) -> str:
    known = ", ".join((*CANONICAL["prompt"], *CANONICAL["messages"]))
    found = names_of(fields)
    return f"no prompt, or an empty one (fields: {found}; looked for: {known}); name the field with prompt="


def _metadata(fields: Fields, used: set[str | None]) -> dict[str, Any]:
    rest = {name: value for name, value in fields.items() if name not in used}
    nested = rest.get("metadata")
    if isinstance(nested, Mapping):  # a record that we wrote, or one in our shape
        rest = {**{name: value for name, value in rest.items() if name != "metadata"}, **nested}
    return rest


def _checked_prompt(value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError(f"the prompt must be a text, found {type(value).__name__}")
    if not value.strip():
        raise FieldError("the prompt is empty")
    return value


def _checked_messages(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else type(value).__name__
        raise FieldError(f"messages must be a list of objects with role and content, found {found}")
    for position, message in enumerate(value, 1):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str) or "content" not in message:
            raise FieldError(f"message {position} must be an object with role and content")
        if message["role"] not in _ROLES:
            raise FieldError(f"message {position} has the role {message['role']!r:.80}: expected {', '.join(_ROLES)}")
    return tuple(dict(message) for message in value)


def _checked_turns(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(turn, str) and turn.strip() for turn in value):
        raise FieldError("turns must be a list of texts, none of them empty")
    return tuple(value)


def _checked_id(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():  # a DataFrame column of ints with a gap
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FieldError(f"the id must be a text or a whole number, found {value!r}")
    return str(value)


def _checked_target(value: Any) -> Any:
    answers = value if isinstance(value, list) else [value]
    wrong = next((answer for answer in answers if not isinstance(answer, str | int | float | None)), None)
    if wrong is not None:
        raise FieldError(
            f"the target must be a text, a number or a list of acceptable answers, found {type(wrong).__name__}"
        )
    return value


def _check_encodable(item: Item) -> None:
    try:
        json.dumps(item.to_record(), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise FieldError("it holds half of a surrogate pair, which cannot be sent as UTF-8") from None
