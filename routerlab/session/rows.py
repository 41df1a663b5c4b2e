"""From a mapping to a row: known columns only, plain types, secrets out, and back.

What a row needs done depends on the types of its values alone, and these repeat; so the work is planned once for each
combination of types and then only carried out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from math import isnan
from numbers import Integral, Real
from operator import attrgetter
from typing import Any, NamedTuple

from routerlab.session.tables import Column, Table

__all__ = ["RowMaker", "decoded"]

_as_json = json.JSONEncoder(ensure_ascii=False, default=str).encode
_PLANS_MAX = 4096  # forgotten beyond that: a table has a few dozen in practice
_INT_MAX, _SMALL_MAX = 2**63 - 1, 2**31 - 1


class _Plan(NamedTuple):
    """What is to be done with a row, by the places of its columns.

    Attributes:
        words: strings that need a look: they must be encodable.
        counts, smalls: whole numbers that need a look: they must fit into 64 or 32 bits.
        steps: what turns another value into the one to keep.
    """

    words: tuple[int, ...]
    counts: tuple[int, ...]
    smalls: tuple[int, ...]
    steps: tuple[tuple[int, Callable[[Any], Any]], ...]


class RowMaker:
    """Makes the rows of one table.

    Args:
        table: whose columns a row may have.
        redact: takes free text, returns it without secrets; None: kept as it is.
    """

    def __init__(self, table: Table, *, redact: Callable[[str], str] | None = None) -> None:
        self._table = table
        self._order = table.names
        self._known = frozenset(table.names)
        self._redact = redact
        self._plans: dict[tuple[type, ...], _Plan] = {}
        self._read = attrgetter(*table.names)

    def __call__(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values in the table's order; what is missing is None.

        Returns:
            Only None, str, int, float and bool; a JSON value as its text.

        Raises:
            KeyError: a column that the table does not have.
            TypeError: a value of another type than its column's.
            OverflowError: a whole number beyond 64 bits.
        """
        if not row.keys() <= self._known:
            unknown = ", ".join(sorted(map(str, row.keys() - self._known)))
            raise KeyError(f"table {self._table.name!r} has no column {unknown}")
        return self._made(list(map(row.get, self._order)))

    def of(self, record: object) -> tuple[Any, ...]:
        """The same for an object that has every column as an attribute."""
        return self._made(list(self._read(record)))

    def _made(self, values: list[Any]) -> tuple[Any, ...]:
        kinds = tuple(map(type, values))
        plan = self._plans.get(kinds) or self._plan(kinds)
        for index in plan.words:
            if not values[index].isascii():
                values[index] = _encodable(values[index])
        for index in plan.counts:
            if not -_INT_MAX <= values[index] <= _INT_MAX:
                raise OverflowError(f"{values[index]} needs more than 64 bits")
        for index in plan.smalls:
            if not -_SMALL_MAX <= values[index] <= _SMALL_MAX:
                raise OverflowError(f"{values[index]} needs more than 32 bits")
        for index, step in plan.steps:
            values[index] = step(values[index])
        return tuple(values)

    def _plan(self, kinds: tuple[type, ...]) -> _Plan:
        words, counts, smalls, steps = [], [], [], []
        for index, (column, kind) in enumerate(zip(self._table.columns, kinds, strict=True)):
            if kind is str and column.type in ("id", "name"):
                words.append(index)
            elif kind is int and column.type == "int":
                counts.append(index)
            elif kind is int and column.type == "small":
                smalls.append(index)
            elif kind is not type(None) and (step := self._step(column, kind)) is not None:
                steps.append((index, step))
        if len(self._plans) >= _PLANS_MAX:
            self._plans.clear()
        plan = self._plans[kinds] = _Plan(tuple(words), tuple(counts), tuple(smalls), tuple(steps))
        return plan

    def _step(self, column: Column, kind: type) -> Callable[[Any], Any] | None:
        match column.type:
            case "json":
                return self._json
            case "text" if issubclass(kind, str):
                return self._text
            case "id" | "name" if issubclass(kind, str):
                return _encodable
            case "int" if issubclass(kind, Integral):
                return _int64
            case "small" if issubclass(kind, Integral):
                return _int32
            case "float" | "time" if issubclass(kind, float):
                return None
            case "float" | "time" if issubclass(kind, Real):
                return float
            case "bool" if kind is bool:
                return None
            case "bool" if kind.__name__ in ("bool", "bool_"):  # numpy's is no subclass
                return bool
        raise TypeError(f"{self._table.name}.{column.name} takes {column.type}, not {kind.__name__}")

    def _text(self, value: str) -> str:
        return _encodable(value if self._redact is None else self._redact(value))

    def _json(self, value: Any) -> str:
        return self._text(_as_json(value))


def _encodable(text: str) -> str:
    """Plain str that UTF-8 can hold: a lone surrogate (a provider may send one) becomes U+FFFD."""
    if text.isascii():
        return str.__str__(text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _int64(value: Any) -> int:
    number = int(value)
    if not -_INT_MAX <= number <= _INT_MAX:
        raise OverflowError(f"{number} needs more than 64 bits")
    return number


def _int32(value: Any) -> int:
    number = int(value)
    if not -_SMALL_MAX <= number <= _SMALL_MAX:
        raise OverflowError(f"{number} needs more than 32 bits")
    return number


def decoded(column: Column, values: Iterable[Any]) -> list[Any]:
    """Kept values as a reader wants them: JSON parsed, 0 and 1 of a bool column as False and True, NaN as None."""
    if column.type == "json":
        return [None if value is None else json.loads(value) for value in values]
    if column.type == "bool":
        return [None if value is None else bool(value) for value in values]
    if column.type in ("float", "time"):
        return [None if value is None or isnan(value) else value for value in values]
    return list(values)
