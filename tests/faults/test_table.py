"""No row of the fault table is forgotten: each has its tests, over sockets and on the virtual clock, or a reason."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ROWS: list[dict[str, Any]] = tomllib.loads((HERE / "rows.toml").read_text())["row"]
SHARED = ("test_rows.py", "test_virtual_faults.py")  # a row stands under the same name in both


@pytest.fixture(scope="module")
def tests() -> list[str]:
    """The ids of both suites, without their folders."""
    places = [str(HERE), *map(str, sorted((ROOT / "tests" / "simulation").glob("test_virtual_*.py")))]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *places]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return [
        line.rpartition("/")[2] if "[" not in line else re.sub(r"^[^\[]*/", "", line)
        for line in done.stdout.splitlines()
        if "::" in line
    ]


def claims(row: dict[str, Any], suite: str) -> list[str]:
    """What a row says of one suite: entries ``file: text``; none where a text says why not."""
    named = row.get(suite, [])
    shared = SHARED[suite == "virtual"]
    return [] if isinstance(named, str) else [*named, *(f"{shared}: {name}" for name in row.get("both", []))]


def found(claim: str, tests: list[str]) -> list[str]:
    file, _, text = claim.partition(": ")
    return [test for test in tests if test.startswith(f"{file}::") and text in test]


@pytest.mark.parametrize("suite", ["socket", "virtual"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['section']}: {row['fault']}")
def test_a_row_is_tested(row: dict[str, Any], suite: str, tests: list[str]) -> None:
    claimed = claims(row, suite)
    if not claimed:
        assert isinstance(row[suite], str), "neither a test nor a reason why there is none"
    assert [claim for claim in claimed if not found(claim, tests)] == []
    assert [file for file in row.get("elsewhere", []) if not (ROOT / file).exists()] == []


@pytest.mark.parametrize(
    ("suite", "pattern"),
    [
        ("socket", r"test_rows\.py::test_nothing_is_left\["),
        ("virtual", r"test_virtual_faults\.py::test_nothing_is_left\["),
    ],
)
def test_a_tested_row_stands_in_the_table(suite: str, pattern: str, tests: list[str]) -> None:
    """So that a row that is added to one suite is asked for in the other."""
    names = {test for test in tests if re.match(pattern, test)}
    assert names
    claimed = {test for row in ROWS for claim in claims(row, suite) for test in found(claim, tests)}
    assert names - claimed == set()


def test_every_test_over_sockets_belongs_to_a_row(tests: list[str]) -> None:
    virtual = ("test_virtual", "test_table.py")
    functions = {re.sub(r"\[.*", "", test, flags=re.DOTALL) for test in tests if not test.startswith(virtual)}
    claimed = {test for row in ROWS for claim in claims(row, "socket") for test in found(claim, tests)}
    unclaimed = functions - {re.sub(r"\[.*", "", test, flags=re.DOTALL) for test in claimed}
    assert unclaimed <= BESIDES


BESIDES = {  # what no row says in so many words
    "test_secrets.py::test_the_key_is_sent_all_the_same",
    "test_status.py::test_a_context_too_long_without_a_larger_window_is_its_own_error",
    "test_status.py::test_an_error_page_of_any_size_is_a_short_message",
    "test_status.py::test_embeddings_are_no_different",
    "test_streams.py::test_an_error_that_no_retry_can_mend_ends_a_broken_stream_too",
    "test_streams.py::test_done_without_a_finish_reason_is_complete",
    "test_streams.py::test_reasoning_ends_the_first_token_clock_without_committing",
    "test_transport.py::test_a_connection_that_ended_while_nobody_used_it_costs_nothing",
    "test_transport.py::test_a_healthy_connection_is_used_again",
    "test_breaker.py::test_a_dead_first_model_costs_no_call_and_few_requests",
}
