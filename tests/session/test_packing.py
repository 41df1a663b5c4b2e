"""Columns as arrays and codes: what goes in comes out, and what is wrong does not get in."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from routerlab.session.columns import ColumnTable
from routerlab.session.packing import NO_INT, NO_SMALL, Words, packed, unpacked
from routerlab.session.rows import RowMaker, decoded
from routerlab.session.tables import Column, ColumnType, Table


class Indexed:
    def __index__(self) -> int:
        return 7


class Named(str):
    """A string of a subclass, as a stream's piece is one."""


GOOD: dict[str, list[Any]] = {
    "id": ["c1", "é", None],
    "name": ["ok", "é", None],
    "int": [0, -7, 2**63 - 1, NO_INT + 1, 128, None],
    "small": [0, -7, 2**31 - 1, NO_SMALL + 1, 128, None],
    "float": [0.1, -1e300, math.inf, None],
    "time": [1_800_000_000.25, None],
    "bool": [True, False, None],
}
ODD: list[Any] = [
    "1", "a\udfff", b"1", 1, -1, 1.0, 0.5, True, NO_INT, 2**63, NO_SMALL, 2**31, 10**400, math.nan, Decimal("0.5"), 1j,
    Indexed(), Named("x"), [], [1], {}, (), object(), None, str,
]  # fmt: skip


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("times", [1, 2, 500])
def test_a_packed_column_is_read_as_it_was(kind: ColumnType, times: int) -> None:
    column = Column(kind, kind, "…")
    for values in (GOOD[kind], GOOD[kind][:1], [None], []):
        for given in (values * times, values[::-1] * times):
            made = packed(column, tuple(given))
            assert len(made) == len(given)
            assert decoded(column, unpacked(column, made)) == given
            assert decoded(column, unpacked(column, made[1:])) == given[1:]


@pytest.mark.parametrize("kind", GOOD)
def test_a_value_is_let_pass_among_others_just_where_it_is_let_pass_alone(kind: ColumnType) -> None:
    table = Table("t", (Column("x", kind, "…"),), ("x",))
    for good in GOOD[kind]:
        for odd in ODD:
            try:
                alone = list(RowMaker(table).check((odd,)))
            except (TypeError, OverflowError) as error:
                alone, refused = [], [type(error)]
            else:
                refused = []
            memory = ColumnTable(table, 100)  # chunks of 12
            for value in [good] * 7 + [odd] + [good] * 8:
                memory.append((value,))
            found = memory.snapshot()["x"]
            wanted = [None if str(value) == "nan" else value for value in [good] * 7 + alone + [good] * 8]
            assert found == wanted, (good, odd)
            assert list(map(type, found)) == list(map(type, wanted)), (good, odd)
            assert list(map(type, memory.refused)) == refused, (good, odd)


@pytest.mark.parametrize("count", [1, 2, 256, 257, 2_000])
def test_words_are_kept_once_in_as_few_bytes_as_they_need(count: int) -> None:
    values = [f"w{number}" for number in range(count)] * 3
    words = Words(values)
    assert list(words) == values
    assert sorted(words.words) == sorted(set(values))
    assert words[-1] == values[-1]
    assert words[2:5] == values[2:5]
    assert len(memoryview(words.codes).tobytes()) == len(values) * (1 if count <= 256 else 2)
