"""The promised names, in their order; and rows in memory."""

from __future__ import annotations

import math

import pytest

from routerlab.session.columns import ColumnTable
from routerlab.session.rows import RowMaker
from routerlab.session.tables import TABLES, Column, Table

PROMISED = {
    "calls": "call_id, run_id, item_id, repeat, variant, purpose, pool, capability, requested_model, model, provider, "
    "served_model, streamed, outcome, error_type, finish_reason, prompt_tokens, completion_tokens, cached_tokens, "
    "reasoning_tokens, cost_usd, cached, attempts, failovers, scheduled_at, started_at, first_token_at, ended_at, "
    "queue_s, ttft_s, latency_s, backoff_s, truncated, dropped_params, injected, simulated",
    "attempts": "call_id, run_id, attempt, model, provider, reason, started_at, ended_at, latency_s, ttft_s, outcome, "
    "status, error_type, error_message, retry_after_s, wait_before_s, breaker_before, breaker_after, score_before, "
    "score_after, committed, prompt_tokens, completion_tokens, cost_usd, chars, maybe_billed, malformed_events",
    "events": "at, kind, model, provider, old, new, cause, call_id",
    "decisions": "call_id, step, chosen, probability, strategy, seed",
    "candidates": "call_id, step, model, score, eligible, excluded_because",
    "texts": "call_id, attempt, request, reply",
    "runs": "run_id, name, kind, dataset_hash, params_hash, params, status, created_at, version, notes",
    "items": "run_id, item_id, prompt, target, metadata",
    "scores": "run_id, item_id, repeat, variant, scorer, value, error, reason",
}


def test_tables_have_the_promised_columns_in_their_order() -> None:
    assert {name: ", ".join(table.names) for name, table in TABLES.items()} == PROMISED


def test_every_column_is_explained_and_every_key_is_a_column() -> None:
    for table in TABLES.values():
        assert set(table.key) <= set(table.names)
        for column in table.columns:
            assert column.meaning
            assert column.type in ("id", "name", "text", "json", "int", "float", "time", "bool", "small"), column


EVERY = Table(
    "every",
    tuple(
        Column(kind, kind, "…")  # type: ignore[arg-type]
        for kind in ("id", "name", "text", "json", "int", "float", "time", "bool", "small")
    ),
)


def full_row(number: int) -> dict[str, object]:
    return {
        "id": f"id-{number}",
        "name": f"name-{number % 3}",
        "text": "x" * (number % 7),
        "json": {"n": [number]},
        "int": number,
        "small": number,
        "float": number / 3,
        "time": 1e9 + number,
        "bool": number % 2 == 0,
    }


@pytest.mark.parametrize("rows", [0, 1, 7, 1249, 1250, 1251, 7_000])
def test_memory_gives_back_what_it_took(rows: int) -> None:
    make, memory = RowMaker(EVERY), ColumnTable(EVERY, 10_000)
    given = [full_row(number) if number % 5 else {} for number in range(rows)]
    for row in given:
        memory.append(make(row))

    found = memory.snapshot()

    assert found == {name: [row.get(name) for row in given] for name in EVERY.names}
    assert memory.tail(3) == {name: values[-3:] for name, values in found.items()}
    assert memory.tail(0) == {name: [] for name in EVERY.names}


@pytest.mark.parametrize("max_rows", [1, 2, 10, 100, 5_000])
def test_memory_keeps_the_newest_rows_and_counts_the_others(max_rows: int) -> None:
    make, memory = RowMaker(EVERY), ColumnTable(EVERY, max_rows)
    for number in range(6_000):
        memory.append(make({"int": number}))
        assert len(memory) <= max_rows
    numbers = memory.snapshot()["int"]

    assert len(numbers) >= max_rows - max(1, max_rows // 8)
    assert numbers == list(range(6_000 - len(numbers), 6_000))
    assert memory.evicted == 6_000 - len(numbers)
    assert memory.tail(10**9)["int"] == numbers


def test_texts_are_bounded_by_their_bytes() -> None:
    make, memory = RowMaker(EVERY), ColumnTable(EVERY, 10_000, max_bytes=100_000)
    for number in range(100):
        memory.append(make({"int": number, "text": "x" * 10_000}))
        assert sum(map(len, memory.snapshot()["text"])) <= 100_000
    assert memory.snapshot()["int"][-1] == 99
    assert memory.evicted == 100 - len(memory)
    assert len(memory) >= 5

    memory.append(make({"text": "x" * 200_000}))  # larger than all there is
    assert len(memory) == 0
    assert memory.evicted == 101


def test_a_frozen_table_does_not_move() -> None:
    make, memory = RowMaker(EVERY), ColumnTable(EVERY, 100)
    for number in range(50):
        memory.append(make({"int": number}))
    frozen = memory.freeze()
    for number in range(50, 500):
        memory.append(make({"int": number}))
    assert frozen.columns()["int"] == list(range(50))


def test_not_a_number_is_missing() -> None:
    make, memory = RowMaker(EVERY), ColumnTable(EVERY, 8)
    for value in (math.nan, math.inf, 0.0):
        memory.append(make({"float": value}))
    assert memory.snapshot()["float"] == [None, math.inf, 0.0]


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ({"nothing": 1}, KeyError, "no column nothing"),
        ({"int": "1"}, TypeError, "every.int takes int, not str"),
        ({"name": 1}, TypeError, "every.name takes name, not int"),
        ({"text": ["x"]}, TypeError, "every.text takes text, not list"),
        ({"bool": 1}, TypeError, "every.bool takes bool, not int"),
        ({"float": "0.1"}, TypeError, "every.float takes float, not str"),
        ({"int": 2**63}, OverflowError, "64 bits"),
        ({"small": 2**31}, OverflowError, "32 bits"),
        ({"small": "1"}, TypeError, "every.small takes small, not str"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(row: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        RowMaker(EVERY)(row)


def test_rows_are_plain_utf8_and_without_secrets() -> None:
    make = RowMaker(EVERY, redact=lambda text: text.replace("sk-1", "***"))
    row = make(
        {"text": "key sk-1 \ud800 ü\U0001f600", "json": {"a": "sk-1"}, "name": "a\udfff", "float": 1, "id": "sk-1"}
    )
    assert row == ("sk-1", "a\ufffd", "key *** \ufffd ü\U0001f600", '{"a": "***"}', None, 1.0, None, None, None)
    assert type(row[5]) is float


def test_numbers_of_other_libraries_become_plain() -> None:
    numpy = pytest.importorskip("numpy")
    row = RowMaker(EVERY)({"int": numpy.int32(3), "float": numpy.float32(0.5), "bool": numpy.bool_(True)})
    assert [type(value) for value in row[4:6]] == [int, float]
    assert row[7] is True
