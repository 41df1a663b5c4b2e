"""YAML files and tables in memory as sources of datasets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from routerlab.core.errors import DatasetError
from routerlab.experiments.datasets import load_dataset

ROWS = [{"id": "a", "prompt": "2 + 2?", "target": 4, "tags": ["sums"]}, {"id": "b", "prompt": "Hi", "target": None}]
YAML = "- {id: a, prompt: 2 + 2?, target: 4, tags: [sums]}\n- id: b\n  prompt: Hi\n"


@pytest.mark.parametrize(
    "text", [YAML, "items:\n" + YAML.replace("\n", "\n  ").replace("- {", "  - {", 1), "\ufeff" + YAML]
)
def test_yaml_is_a_list_of_rows_or_items_with_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "qa.yaml"
    path.write_text(text)
    dataset = load_dataset(path)
    assert [item.id for item in dataset] == ["a", "b"]
    assert dataset[0].metadata == {"tags": ["sums"]}
    assert dataset.content_hash == load_dataset(ROWS).content_hash
    assert dataset.name == "qa"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- prompt: a\n- 5\n", "qa.yml, line 2: expected an object with fields, found int"),
        ("- prompt: a\n-\n  answer: 5\n", "qa.yml, line 3: no prompt"),
        ("- prompt: [\n", "qa.yml, line 2: not valid YAML"),
        ("- prompt: a\n  prompt: b\n", "qa.yml, line 2: the key 'prompt' stands twice"),
        ("- !!python/object/apply:os.getcwd []\n", "qa.yml, line 1: not valid YAML: could not determine a constructor"),
        ("a: &a [*a]\n", "qa.yml: not readable YAML"),
        ("", "qa.yml: expected a list of rows, or items: with one, found nothing"),
        ("rows: []\n", "qa.yml: expected a list of rows, or items: with one, found dict"),
        ("items: []\nseed: 3\n", "qa.yml: beside items there is 'seed', which nothing reads"),
    ],
)
def test_bad_yaml_is_told_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "qa.yml"
    path.write_text(text)
    with pytest.raises(DatasetError) as error:
        load_dataset(path)
    assert reason in str(error.value)


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "qa.yaml").write_bytes(b"- prompt: a\n- prompt: \xff\n")
    with pytest.raises(DatasetError, match=r"qa\.yaml, line 2: byte 0xff is not valid UTF-8"):
        load_dataset(tmp_path / "qa.yaml")


def test_answers_in_yaml_are_the_words_that_stand_there(tmp_path: Path) -> None:
    answers = ["yes", "No", "off", "12:30", "true", "12", "1.5", "'5'"]
    (tmp_path / "qa.yaml").write_text("".join(f"- {{prompt: a, target: {answer}}}\n" for answer in answers))
    targets = [item.target for item in load_dataset(tmp_path / "qa.yaml")]
    assert targets == ["yes", "No", "off", "12:30", True, 12, 1.5, "5"]


def test_a_bad_yaml_row_can_be_skipped_and_is_listed(tmp_path: Path) -> None:
    (tmp_path / "qa.yaml").write_text("- prompt: a\n- {}\n- prompt: c\n")
    dataset = load_dataset(tmp_path / "qa.yaml", on_error="skip")
    assert [item.id for item in dataset] == ["00001", "00003"]
    assert len(dataset.skipped) == 1
    assert dataset.skipped[0].startswith("qa.yaml, line 2: no prompt")


class Info:
    dataset_name = "squad"


class HuggingFace:
    """What a split looks like: names of columns, features, an iteration over dicts."""

    column_names = ("id", "prompt", "target", "tags")
    features = dict.fromkeys(column_names)
    info = Info()

    def __iter__(self):
        return iter(ROWS)


class Splits(dict):
    @property
    def column_names(self):
        return {name: ["id"] for name in self}


class OnlyPandas:
    column_names = ("id", "prompt", "target", "tags")

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame(ROWS)


def test_a_split_of_a_hugging_face_dataset_is_read_row_by_row() -> None:
    dataset = load_dataset(HuggingFace())
    assert dataset.content_hash == load_dataset(ROWS).content_hash
    assert dataset.name == "squad"


def test_all_splits_at_once_are_refused_with_the_way_out() -> None:
    with pytest.raises(DatasetError, match=r"Splits holds several splits \('test'\); pass one: ds\['test'\]"):
        load_dataset(Splits(test=HuggingFace()))


def test_tables_that_only_give_frames_or_lists_are_read_too() -> None:
    arrow = pytest.importorskip("pyarrow").Table.from_pylist(ROWS)
    expected = load_dataset(ROWS).content_hash
    assert load_dataset(OnlyPandas()).content_hash == expected
    assert load_dataset(arrow).content_hash == expected
