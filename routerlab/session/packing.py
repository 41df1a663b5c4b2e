"""A column of values as something small: numbers in arrays, names as codes.

`packed` is strict: it takes what `RowMaker.check` lets pass, and raises where a value has not the column's type. It
looks at a whole column at once, which costs a tenth of looking at each value.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from struct import Struct
from struct import error as NotPackable  # noqa: N812 - the module calls it just `error`
from typing import Any

from routerlab.session.rows import encodable
from routerlab.session.tables import Column

__all__ = ["NO_BOOL", "NO_INT", "NO_SMALL", "Words", "packed", "unpacked"]

NO_INT = -(2**63)
"""What stands in a packed column of whole numbers where there is none; none so small is let pass."""
NO_SMALL = -(2**31)
"""The same where 32 bits are enough."""
NO_BOOL = -1
"""The same in a packed column of 0 and 1."""

_NONE: dict[str, tuple[str, float]] = {
    "float": ("d", math.nan),
    "time": ("d", math.nan),
    "int": ("q", NO_INT),
    "small": ("i", NO_SMALL),
    "bool": ("b", NO_BOOL),
}
_MISSING = {typecode: Struct(typecode).pack(none) for typecode, none in (("q", NO_INT), ("i", NO_SMALL))}
_STRINGS = frozenset({str})
_BOOLS = frozenset({bool, type(None)})


class Words(Sequence[Any]):
    """A column of few different values: each of them once, and for each row which one it is.

    Attributes:
        words: the values, None among them where one is missing.
        codes: places in `words`, one a row; bytes where there are at most 256 of them.

    Raises:
        TypeError: a value is neither a string nor None.
    """

    __slots__ = ("codes", "words")

    def __init__(self, values: Sequence[Any]) -> None:
        one = len(values) > 0 and values[0] == values[-1] and values.count(values[0]) == len(values)
        words = values[:1] if one else tuple(set(values))
        self.words = tuple([None if word is None else sys.intern(encodable(word)) for word in words])
        self.codes: Sequence[int]
        if len(words) < 2:
            self.codes = bytes(len(values))
        else:
            places = dict(zip(words, range(len(words)), strict=True))
            codes = itemgetter(*values)(places)  # the fastest way to look many things up
            self.codes = bytes(codes) if len(words) <= 256 else array("H", codes)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: Any) -> Any:
        codes = self.codes[row]
        return self.words[codes] if isinstance(codes, int) else [self.words[code] for code in codes]

    def __iter__(self) -> Iterator[Any]:
        return map(self.words.__getitem__, self.codes)


def packed(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """A column, packed; free text and JSON stay as they are.

    Args:
        column: whose values they are.
        values: fewer than 65,536.

    Raises:
        TypeError: a value of another type than the column's.
        OverflowError: a whole number beyond the column's bits.
    """
    match column.type:
        case "name":
            return Words(values)
        case "id":
            return _ids(values)
        case "text" | "json":
            return values
        case "bool" if not _BOOLS.issuperset(map(type, values)):
            raise TypeError(f"{column.name} takes bool")
    return _numbers(*_NONE[column.type], values)


def unpacked(column: Column, values: Sequence[Any]) -> Iterable[Any]:
    """The values of a packed column; a missing float is NaN, a bool 0 or 1, as `decoded` takes them."""
    if column.type in ("int", "small", "bool"):
        none = _NONE[column.type][1]
        return [None if value == none else value for value in values]
    return values


def _numbers(typecode: str, none: Any, values: Sequence[Any]) -> array[Any]:
    """`struct` takes a whole column at four times the speed of `array`, and is as strict."""
    count = len(values)
    if count and values[0] is values[-1] is None and values.count(None) == count:
        return array(typecode, [none]) * count
    pack = Struct(f"{count}{typecode}").pack
    try:
        try:
            raw = pack(*values)
        except NotPackable:  # some are missing
            raw = pack(*[none if value is None else value for value in values])
    except NotPackable as error:
        raise TypeError(str(error)) from error
    if typecode in _MISSING and _MISSING[typecode] in raw and none in values:
        raise OverflowError(f"{none} stands for a missing value")
    return array(typecode, raw)


def _ids(values: Sequence[Any]) -> Sequence[Any]:
    if _STRINGS.issuperset(map(type, values)) and "".join(values).isascii():
        return values
    return [None if value is None else encodable(value) for value in values]
