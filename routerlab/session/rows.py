"""From a mapping or an object to a row: known columns only, secrets out, plain types, and back.

A row is made in two steps. `RowMaker.enter` reads it and takes the secrets out of its free text: that is done before
anything is kept. `RowMaker.check` looks at the types of the rest. Where a row goes to disk it is checked at once; in
memory it waits until a whole column of rows is looked at (`packing.packed`), which costs a tenth.

What a row needs done depends on the types of its values alone, and these repeat; so the work is planned once for each
combination of types and then only carried out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from operator import itemgetter
from typing import Any, NamedTuple

from routerlab.session.tables import Column, ColumnType, Table

__all__ = ["RowMaker", "decoded", "encodable", "records"]

_as_json = json.JSONEncoder(ensure_ascii=False, default=str).encode
_PLANS_MAX = 4096  # forgotten beyond that: a table has a few dozen in practice
_INT_MAX, _SMALL_MAX = 2**63 - 1, 2**31 - 1
_FREE: tuple[ColumnType, ...] = ("text", "json")
_LOOKS: dict[tuple[ColumnType, type], str] = {  # whether a value of this type is good as it is; others never are
    ("id", str): "{0}.isascii()",
    ("name", str): "{0}.isascii()",
    ("int", int): f"-{_INT_MAX} <= {{0}} <= {_INT_MAX}",
    ("small", int): f"-{_SMALL_MAX} <= {{0}} <= {_SMALL_MAX}",
}


class _Plan(NamedTuple):
    """What is to be done with a row.

    Attributes:
        fine: whether the row is good as it is: strings that can be encoded, whole numbers that fit.
        steps: by the places of columns, what makes of a value the one to keep.
    """

    fine: Callable[[tuple[Any, ...]], bool]
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
        self._items = itemgetter(*table.names)
        self._free = table.places(*_FREE)
        self._run = table.names.index("run_id") if "run_id" in table.names else None
        self._redact = redact
        self._readers: dict[type, Callable[[Any], tuple[Any, ...]]] = {}
        self._plans: dict[tuple[type, ...], _Plan] = {}

    def __call__(self, row: Mapping[str, Any] | object) -> tuple[Any, ...]:
        """The values in the table's order, checked; what is missing is None.

        Args:
            row: column to value; or an object that has every column as an attribute.

        Returns:
            Only None, str, int, float and bool; a JSON value as its text.

        Raises:
            KeyError: a column that the table does not have.
            TypeError: a value of another type than its column's.
            OverflowError: a whole number beyond its column's bits.
        """
        return self.check(self.enter(row))

    def enter(self, row: Mapping[str, Any] | object) -> tuple[Any, ...]:
        """The values in the table's order, free text and JSON made and without secrets, the rest as it came.

        Raises:
            KeyError: a column that the table does not have.
            TypeError: a text that is none.
        """
        values = (self._readers.get(type(row)) or self._reader(row))(row)
        for place in self._free:
            if values[place] is not None:
                return self._made_free(values)
        return values

    def run_of(self, values: tuple[Any, ...]) -> Any:
        """The run that a row names; None where its table has no such column."""
        return None if self._run is None else values[self._run]

    def check(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row that entered, with plain types; a checked one stays as it is.

        Raises:
            TypeError: a value of another type than its column's.
            OverflowError: a whole number beyond its column's bits.
        """
        kinds = tuple(map(type, values))
        plan = self._plans.get(kinds) or self._plan(kinds)
        if plan.fine(values):
            return values
        made = list(values)
        for place, step in plan.steps:
            made[place] = step(made[place])
        return tuple(made)

    def _reader(self, row: Mapping[str, Any] | object) -> Callable[[Any], tuple[Any, ...]]:
        read = self._of_mapping if isinstance(row, Mapping) else _reader_of(self._order)
        return self._readers.setdefault(type(row), read)

    def _of_mapping(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        if len(row) == len(self._order):
            try:
                found: tuple[Any, ...] = self._items(row)  # all of them and no others
                return found
            except KeyError:
                pass
        if not row.keys() <= self._known:
            unknown = ", ".join(sorted(map(str, row.keys() - self._known)))
            raise KeyError(f"table {self._table.name!r} has no column {unknown}")
        return tuple(map(row.get, self._order))

    def _made_free(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        made = list(values)
        for place in self._free:
            value = made[place]
            if value is None:
                continue
            column = self._table.columns[place]
            if column.type == "json":
                made[place] = self._text(_as_json(value))
            elif isinstance(value, str):
                made[place] = self._text(value)
            else:
                raise self._wrong(column, type(value))
        return tuple(made)

    def _text(self, value: str) -> str:
        return encodable(value if self._redact is None else self._redact(value))

    def _plan(self, kinds: tuple[type, ...]) -> _Plan:
        looks: list[str] = []
        steps: list[tuple[int, Callable[[Any], Any]]] = []
        for place, (column, kind) in enumerate(zip(self._table.columns, kinds, strict=True)):
            if kind is type(None) or column.type in _FREE or (step := self._step(column, kind)) is None:
                continue
            steps.append((place, step))
            looks.append(_LOOKS.get((column.type, kind), "False").format(f"row[{place}]"))
        if len(self._plans) >= _PLANS_MAX:
            self._plans.clear()
        fine: Callable[[tuple[Any, ...]], bool] = eval(f"lambda row: {' and '.join(looks) or True}")  # noqa: S307 - ours
        plan = self._plans[kinds] = _Plan(fine, tuple(steps))
        return plan

    def _step(self, column: Column, kind: type) -> Callable[[Any], Any] | None:
        match column.type:
            case "id" | "name" if issubclass(kind, str):
                return encodable
            case "int" if hasattr(kind, "__index__"):
                return lambda value: _fitting(int(value), _INT_MAX)
            case "small" if hasattr(kind, "__index__"):
                return lambda value: _fitting(int(value), _SMALL_MAX)
            case "float" | "time" if kind is float:
                return None
            case "float" | "time" if hasattr(kind, "__float__") or hasattr(kind, "__index__"):
                return float
            case "bool" if kind is bool:
                return None
            case "bool" if kind.__name__ in ("bool", "bool_"):  # numpy's is no subclass
                return bool
        raise self._wrong(column, kind)

    def _wrong(self, column: Column, kind: type) -> TypeError:
        return TypeError(f"{self._table.name}.{column.name} takes {column.type}, not {kind.__name__}")


def _reader_of(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    """What reads these attributes; compiled, because that is twice as fast as `operator.attrgetter`."""
    values = ", ".join(f"row.{name}" for name in names)
    read: Callable[[object], tuple[Any, ...]] = eval(f"lambda row: ({values},)")  # noqa: S307 - our own names
    return read


def encodable(text: Any) -> str:
    """Plain str that UTF-8 can hold: a lone surrogate (a provider may send one) becomes U+FFFD.

    Raises:
        TypeError: it is no string.
    """
    if not isinstance(text, str):
        raise TypeError(f"a string is wanted, not {type(text).__name__}")
    if text.isascii():
        return str.__str__(text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def decoded(column: Column, values: Iterable[Any]) -> list[Any]:
    """Kept values as a reader wants them: JSON parsed, 0 and 1 of a bool column as False and True, NaN as None."""
    if column.type == "json":
        return [None if value is None else json.loads(value) for value in values]
    if column.type == "bool":
        return [None if value is None else bool(value) for value in values]
    if column.type in ("float", "time"):
        return [None if value is None or isnan(value) else value for value in values]
    return list(values)


def records(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns as rows."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _fitting(number: int, most: int) -> int:
    if not -most <= number <= most:
        raise OverflowError(f"{number} needs more than {most.bit_length() + 1} bits")
    return number
