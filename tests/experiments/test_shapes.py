"""Rows in other people's shapes: GSM8K, MT-bench, OpenAI's batches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from routerlab.core.errors import DatasetError
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.scorers import numeric

DATA = Path(__file__).parents[3] / "shared" / "data" / "prompts"
GSM8K, MT_BENCH = DATA / "gsm8k_test.jsonl", DATA / "mt_bench_question.jsonl"

SUM = {"question": "1,000 + 1?", "answer": "It is <<1000+1=1001>>1001.\n#### 1,001"}
TALK = {"question_id": 7, "category": "sums", "turns": ["2 + 2?", "And twice that?"], "reference": ["4", "8"]}
LINE = {
    "custom_id": "r-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 7},
}


def test_gsm8k_has_the_number_behind_the_marks_as_target() -> None:
    item = load_dataset([SUM])[0]
    assert (item.prompt, item.target, item.metadata) == ("1,000 + 1?", 1001, {"answer": SUM["answer"]})
    assert load_dataset([{**SUM, "answer": "#### -2.5"}])[0].target == -2.5
    assert load_dataset([SUM], prompt="{question} Only the number.")[0].prompt == "1,000 + 1? Only the number."


def test_format_rows_takes_a_row_as_it_is() -> None:
    assert load_dataset([SUM], format="rows")[0].target == SUM["answer"]


def test_a_row_that_lacks_its_format_is_told() -> None:
    with pytest.raises(DatasetError) as error:
        load_dataset([SUM, {"question": "?", "answer": "4"}], format="gsm8k")
    assert error.value.problems == [
        "row 2: format 'gsm8k' needs a question and an answer that ends with #### and a number"
    ]
    with pytest.raises(DatasetError, match="format 'mt-bench' needs turns"):
        load_dataset([SUM], format="mt-bench")
    with pytest.raises(DatasetError, match="a line of a batch needs custom_id"):
        load_dataset([SUM], format="openai-batch")
    with pytest.raises(DatasetError, match="format='gsm': expected 'rows', 'gsm8k'"):
        load_dataset([SUM], format="gsm")


def test_mt_bench_has_turns_and_the_last_reference_as_target() -> None:
    item = load_dataset([TALK])[0]
    assert (item.id, item.turns, item.target) == ("7", ("2 + 2?", "And twice that?"), "8")
    assert item.metadata == {"category": "sums", "reference": ["4", "8"]}
    no_last = load_dataset([{**TALK, "reference": ["4", ""]}])[0]
    assert (no_last.target, no_last.metadata["reference"]) == (None, ["4", ""])


@pytest.mark.parametrize("turns", [[], ["a", ""], ["a", 2]])
def test_turns_that_are_no_texts_are_a_bad_row(turns: list[object]) -> None:
    with pytest.raises(DatasetError, match="row 1: turns must be a list of texts"):
        load_dataset([{**TALK, "turns": turns}])


def test_a_batch_gives_its_messages_and_its_parameters(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps(LINE) + "\n")
    item = load_dataset(path)[0]
    assert (item.id, item.messages, item.params) == ("r-1", ({"role": "user", "content": "Hi"},), {"max_tokens": 7})
    assert item.metadata == {"method": "POST", "url": "/v1/chat/completions", "model": "gpt-4o-mini"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": "/v1/embeddings"}, "url '/v1/embeddings' of a batch is not supported, only /v1/chat/completions"),
        ({"method": "GET"}, "method 'GET' of a batch is not supported, only POST"),
        ({"body": {"messages": [], "stream": True}}, "body.stream is not for batches: their answers come whole"),
        ({"body": {"input": "x"}}, "body has no messages"),
        ({"custom_id": None}, "a line of a batch needs custom_id, a text, and body, an object"),
    ],
)
def test_what_a_batch_may_not_hold_is_told_with_its_line(tmp_path: Path, change: dict, reason: str) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps(LINE) + "\n" + json.dumps({**LINE, "custom_id": "r-2", **change}) + "\n")
    with pytest.raises(DatasetError) as error:
        load_dataset(path)
    assert error.value.problems == [f"batch.jsonl, line 2: {reason}"]
    kept = load_dataset(path, on_error="skip")
    assert ([item.id for item in kept], kept.skipped) == (["r-1"], (f"batch.jsonl, line 2: {reason}",))


@pytest.mark.skipif(not GSM8K.exists(), reason="the public GSM8K file is not beside the project")
def test_the_whole_of_gsm8k_has_numbers_as_targets_that_its_own_answers_meet() -> None:
    dataset = load_dataset(GSM8K)
    assert len(dataset) == 1319
    score = numeric().score
    assert all(score(item.metadata["answer"], item.target, item) for item in dataset)


@pytest.mark.skipif(not MT_BENCH.exists(), reason="the public MT-bench file is not beside the project")
def test_the_whole_of_mt_bench_has_two_turns_an_item() -> None:
    dataset = load_dataset(MT_BENCH)
    assert (len(dataset), {len(item.turns or ()) for item in dataset}) == (80, {2})
    assert {item.id: item.target for item in dataset}["101"] == "Uncertain."
    assert {item.id: item.target for item in dataset}["103"] is None
