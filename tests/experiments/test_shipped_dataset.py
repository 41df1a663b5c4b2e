"""The shipped dataset: what its README promises holds for every line of the file."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from routerlab.experiments import load_dataset, resolve_scorers, score_row

FOLDER = Path(__file__).parents[2] / "datasets"
ROWS = [json.loads(line) for line in (FOLDER / "quickstart_qa.jsonl").read_text(encoding="utf-8").splitlines()]
NUMBERS_ONLY = {"arithmetic", "units"}


def test_every_line_has_the_fields_and_nothing_else() -> None:
    assert len(ROWS) >= 200
    for row in ROWS:
        assert list(row) == ["id", "question", "answer", "category"]
        assert all(isinstance(value, str) and value == value.strip() != "" for value in row.values())


@pytest.mark.parametrize("field", ["id", "question"])
def test_no_line_repeats_another(field: str) -> None:
    counts = Counter(row[field].casefold() for row in ROWS)
    assert [value for value, count in counts.items() if count > 1] == []


def test_ids_count_the_lines() -> None:
    assert [row["id"] for row in ROWS] == [f"qa-{number:03d}" for number in range(1, len(ROWS) + 1)]


def test_prompts_differ_in_length() -> None:
    lengths = sorted(len(row["question"].split()) for row in ROWS)
    assert lengths[0] <= 5
    assert lengths[len(lengths) // 10] < 8
    assert sum(length >= 80 for length in lengths) >= 15


def test_answers_are_short_and_no_question_gives_them_away_as_its_own_text() -> None:
    for row in ROWS:
        assert len(row["answer"].split()) <= 2
        assert row["answer"] != row["question"]
    for row in ROWS:
        if row["category"] in NUMBERS_ONLY:
            assert re.fullmatch(r"-?\d+(\.\d+)?", row["answer"])


def test_the_readme_counts_what_is_there() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    table = {name: int(count) for name, count in re.findall(r"^\| `(\w+)` \| (\d+) \|", readme, re.MULTILINE)}
    assert table == Counter(row["category"] for row in ROWS)
    assert f"| **all** | **{len(ROWS)}** |" in readme
    assert f"{len(ROWS)} questions" in readme
    assert f"`{ROWS[0]['id']}` … `{ROWS[-1]['id']}`" in readme


def test_it_loads_by_name_and_every_answer_scores_full_marks() -> None:
    dataset = load_dataset("quickstart_qa")
    assert len(dataset) == len(ROWS)
    assert dataset.name == "quickstart_qa"
    assert dataset[0].metadata == {"category": ROWS[0]["category"]}
    for item in dataset:
        scorers = resolve_scorers(["exact", "contains"] + ["numeric"] * (item.metadata["category"] in NUMBERS_ONLY))
        assert [result.value for result in score_row(scorers, f"{item.target}.", item)] == [1.0] * len(scorers)


@pytest.mark.parametrize(
    ("start", "answer"),
    [
        ("What is 17 times 23?", 17 * 23),
        ("Add up all whole numbers from 1 to 60.", sum(range(61))),
        ("A small cinema has 18 rows.", 8 * (sum(range(10, 28)) - 23)),
        ("A library lends out 240 books", 240 + 180 + (240 + 180) + 210 + 0 + 305),
        ("Priya runs a stall", 40 * 9 + 27 * 5 + 10 * 7 - 50),
        ("A cyclist starts at eight", int(18 * 2.5 + 16 * 1.5 + 3)),
        ("The instructions on an old tin", 2 * 30 * 18 // 90 // 4),
        ("A flight takes off at 9:35", (14 * 60 + 20) - (9 * 60 + 35)),
    ],
)
def test_a_few_answers_are_computed_again(start: str, answer: int) -> None:
    (row,) = [row for row in ROWS if row["question"].startswith(start)]
    assert row["answer"] == str(answer)
