"""Loading datasets: every source, every way to name a field, and every bad line told with its place."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from routerlab.core.errors import ConfigurationError, DatasetError
from routerlab.experiments.datasets import Dataset, Item, load_dataset

ROWS = [
    {"id": "a", "question": "What is 2 + 2?", "answer": "4", "topic": "sums"},
    {"id": "b", "question": 'Say "hi",\nplease', "answer": "hi", "topic": "words"},
]


def write_jsonl(path: Path) -> None:
    path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n", encoding="utf-8")


def write_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS, indent=2), encoding="utf-8")


def write_csv(path: Path) -> None:
    pd.DataFrame(ROWS).to_csv(path, index=False)


def write_tsv(path: Path) -> None:
    pd.DataFrame(ROWS).to_csv(path, index=False, sep="\t")


def write_parquet(path: Path) -> None:
    pd.DataFrame(ROWS).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("qa.jsonl", write_jsonl),
        ("qa.ndjson", write_jsonl),
        ("qa.json", write_json),
        ("qa.csv", write_csv),
        ("qa.tsv", write_tsv),
        ("QA.CSV", write_csv),
        ("qa.parquet", write_parquet),
    ],
)
def test_each_format_gives_the_same_items(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    dataset = load_dataset(tmp_path / name)
    assert dataset.items == (
        Item("a", prompt="What is 2 + 2?", target="4", metadata={"topic": "sums"}),
        Item("b", prompt='Say "hi",\nplease', target="hi", metadata={"topic": "words"}),
    )
    assert dataset.name == (tmp_path / name).stem
    assert dataset.content_hash == load_dataset(ROWS).content_hash


def test_lists_frames_and_datasets_are_sources_too() -> None:
    from_rows = load_dataset(ROWS)
    assert load_dataset(iter(ROWS)) == from_rows
    assert load_dataset(pd.DataFrame(ROWS)).items == from_rows.items
    assert load_dataset(from_rows) == from_rows
    assert load_dataset(from_rows.to_records()) == from_rows
    assert load_dataset(from_rows, prompt="Be brief. {prompt}")[0].prompt == "Be brief. What is 2 + 2?"
    strings = load_dataset(["one", "two"], name="short")
    assert [(item.id, item.prompt, item.target) for item in strings] == [("00001", "one", None), ("00002", "two", None)]
    assert strings.name == "short"


def test_a_frame_gives_none_for_what_is_missing_and_plain_values_for_the_rest() -> None:
    frame = pd.DataFrame(
        {
            "prompt": ["p", "q", "r"],
            "target": [1.0, float("nan"), 3.5],
            "id": [7.0, float("nan"), 9.0],
            "when": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
            "tags": [np.array([1, 2]), None, pd.NA],
        }
    )
    items = load_dataset(frame).items
    assert [item.target for item in items] == [1.0, None, 3.5]
    assert [item.id for item in items] == ["7", "00002", "9"]
    assert [item.metadata["when"] for item in items] == ["2024-01-01T00:00:00", None, "2024-01-03T00:00:00"]
    assert [item.metadata["tags"] for item in items] == [[1, 2], None, None]
    with pytest.raises(DatasetError, match="two columns named 'x'"):
        load_dataset(pd.DataFrame([[1, 2]], columns=["x", "x"]))


def test_fields_by_name_path_template_and_function() -> None:
    rows = [{"q": {"text": "Sky?", "n": 2.5}, "a": ["blue", "azure"], "k": 1, "a.b": "dotted name"}]
    path = load_dataset(rows, prompt="q.text", target="a", id="k")[0]
    assert path == Item(
        "1", prompt="Sky?", target=["blue", "azure"], metadata={"q": rows[0]["q"], "a.b": "dotted name"}
    )
    template = load_dataset(rows, prompt="{{{k}}} {q.text} {q.n:.2f}", target="a.b")[0]
    assert (template.prompt, template.target) == ("{1} Sky? 2.50", "dotted name")
    function = load_dataset(rows, prompt=lambda row: row["q"]["text"].upper(), target=lambda row: np.int64(row["k"]))[0]
    assert (function.prompt, function.target, type(function.target)) == ("SKY?", 1, int)


def test_messages() -> None:
    talk = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    dataset = load_dataset([{"messages": talk, "n": 1}, {"prompt": "Hi", "n": 2}])
    assert dataset[0].prompt is None
    assert dataset[0].to_messages() == talk
    assert dataset[1].to_messages() == [{"role": "user", "content": "Hi"}]
    assert dataset[0].metadata == {"n": 1}
    assert load_dataset(dataset.to_records()).content_hash == dataset.content_hash
    assert load_dataset([{"t": talk}], messages="t")[0].to_messages() == talk
    for bad in ([], "Hello", [{"role": "user"}], [{"content": "x"}], ["Hello"]):
        with pytest.raises(DatasetError, match=r"row 1: .*role"):
            load_dataset([{"messages": bad}])
    with pytest.raises(DatasetError, match="not both"):
        load_dataset([{"t": talk}], messages="t", prompt="t")


def test_a_role_that_no_provider_knows_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    roles = ("system", "developer", "user", "assistant", "tool", "function")
    chats = [[{"role": role, "content": "x"} for role in roles], [{"role": "usr", "content": "x"}]]
    path.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in chats))
    with pytest.raises(DatasetError) as caught:
        load_dataset(path)
    told = f"chats.jsonl, line 2: message 1 has the role 'usr': expected {', '.join(roles)}"
    assert caught.value.problems == [told]
    assert [item.messages for item in load_dataset(path, on_error="skip")] == [tuple(chats[0])]


def test_the_first_canonical_name_that_has_a_value_is_taken() -> None:
    items = load_dataset([{"Question": "x", "text": "y", "Reference": 3}, {"prompt": None, "input": "z"}]).items
    assert [(item.prompt, item.target) for item in items] == [("x", 3), ("z", None)]
    assert items[0].metadata == {"text": "y"}


def test_unknown_fields_are_an_error_that_lists_the_fields() -> None:
    with pytest.raises(DatasetError, match=r"row 1: no prompt.*fields: frage, antwort.*prompt="):
        load_dataset([{"frage": "?", "antwort": "!"}])
    with pytest.raises(
        DatasetError, match=r"no field 'questoin' \(fields: question, answer; did you mean 'question'\?\)"
    ):
        load_dataset([{"question": "?", "answer": "!"}], prompt="Q: {questoin}")
    with pytest.raises(DatasetError, match="no field 'anwser'"):
        load_dataset([{"question": "?", "answer": "!"}], target="anwser")


def test_a_template_never_reads_attributes() -> None:
    with pytest.raises(DatasetError, match=r"no field 'q.__class__'"):
        load_dataset([{"q": "x"}], prompt="{q.__class__}")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{q", "no template"),
        ("{}", "field's name between"),
        ("", "field name, a template"),
        (3, "field name, a template"),
    ],
)
def test_a_wrong_specification_is_told_at_once(prompt: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset([{"q": "x"}], prompt=prompt)


def test_a_field_that_cannot_be_filled_is_a_bad_row() -> None:
    rows = [{"q": "x", "n": 1}, {"q": None, "n": 2}, {"q": "z", "n": "three"}]
    with pytest.raises(DatasetError) as caught:
        load_dataset(rows, prompt="{q} {n:d}")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["row 2", "row 3"]
    assert "'q' of the template is empty" in caught.value.problems[0]
    with pytest.raises(DatasetError, match="row 2: the prompt function raised AttributeError"):
        load_dataset(rows, prompt=lambda row: row["q"].upper())


def test_all_bad_lines_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    lines = [
        b'\xef\xbb\xbf{"prompt": "good"}',
        b"",
        b'{"prompt": "cut',
        b'["a", "list"]',
        b'{"prompt": "caf\xe9"}',
        b'{"prompt": 5}',
        b'{"prompt": "  "}',
        b'{"prompt": "x", "target": {"a": 1}}',
        b'{"prompt": "half \\ud800"}',
        b"[" * 100_000,
        '{"prompt": "line\u2028separator"}'.encode(),
    ]
    path.write_bytes(b"\r\n".join(lines))
    with pytest.raises(DatasetError) as caught:
        load_dataset(path)
    expected = {
        3: "not valid JSON",
        4: "expected an object with fields, found list",
        5: "byte 0xe9 is not valid UTF-8",
        6: "the prompt must be a text, found int",
        7: "the prompt is empty",
        8: "the target must be",
        9: "half of a surrogate pair",
        10: "not readable JSON",
    }
    assert len(caught.value.problems) == len(expected)
    for (line, reason), problem in zip(expected.items(), caught.value.problems, strict=True):
        assert problem.startswith(f"bad.jsonl, line {line}: ")
        assert reason in problem
        assert problem in str(caught.value)
    skipping = load_dataset(path, on_error="skip")
    assert [item.prompt for item in skipping] == ["good", "line\u2028separator"]
    assert list(skipping.skipped) == caught.value.problems
    assert "8 skipped" in repr(skipping)
    assert load_dataset(skipping).skipped == skipping.skipped


def test_a_long_report_is_cut_but_complete_in_problems() -> None:
    with pytest.raises(DatasetError, match=r"and 40 more") as caught:
        load_dataset([{"x": 1}] * 50)
    assert len(caught.value.problems) == 50
    assert len(str(caught.value).splitlines()) < 15


def test_ids_of_rows_without_one_do_not_shift_when_rows_are_skipped() -> None:
    items = load_dataset([{"prompt": "a"}, {"prompt": ""}, {"prompt": "c"}], on_error="skip").items
    assert [item.id for item in items] == ["00001", "00003"]


def test_duplicate_ids_name_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text('{"id": 1, "prompt": "a"}\n\n{"id": "1", "prompt": "b"}\n', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"twice.jsonl, line 3: the id '1' is already that of twice.jsonl, line 1"):
        load_dataset(path)
    skipping = load_dataset(path, on_error="skip")
    assert [item.prompt for item in skipping] == ["a"]
    assert len(skipping.skipped) == 1
    with pytest.raises(DatasetError, match="the id must be"):
        load_dataset([{"prompt": "a", "id": [1]}])


def test_csv_lines_are_counted_through_quoted_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "quoted.csv"
    path.write_bytes(
        b'\xef\xbb\xbfprompt,target\r\n"two\r\nlines, ""quoted""",1\r\n\r\ntoo,many,fields\r\n'
        b'few\r\n"bad"quote,1\r\ncaf\xe9,1\r\nlast,\r\n"open,1\r\n'
    )
    skipping = load_dataset(path, on_error="skip")
    assert [(item.prompt, item.target) for item in skipping] == [('two\r\nlines, "quoted"', "1"), ("last", None)]
    assert [problem.split(":")[0] for problem in skipping.skipped] == [
        f"quoted.csv, line {n}" for n in (5, 6, 7, 8, 10)
    ]
    reasons = ["3 fields where the header has 2", "1 fields where", "not valid CSV", "byte 0xe9", "never closed"]
    assert all(reason in problem for reason, problem in zip(reasons, skipping.skipped, strict=True))


def test_csv_takes_long_fields_other_delimiters_and_encodings(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(f"prompt;target\n{'é' * 200_000};1\n", encoding="latin-1")
    assert load_dataset(path, encoding="latin-1", delimiter=";")[0].prompt == "é" * 200_000
    with pytest.raises(DatasetError, match=r"line 2: byte 0xe9"):
        load_dataset(path, delimiter=";")
    with pytest.raises(DatasetError, match="unknown encoding 'utf-99'"):
        load_dataset(path, encoding="utf-99")
    path.write_text("a,a\n1,2\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"long.csv, line 1: the header names 'a' twice"):
        load_dataset(path)


def test_a_json_file_that_is_no_array(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text, message in [
        ('[{"prompt": "a"},\n oops]', r"x.json, line 2: not valid JSON"),
        ('{"prompt": "a"}', "expected an array of objects, found dict"),
        ('{"prompt": "a"}\n{"prompt": "b"}', "one object a line is .jsonl"),
        ('[{"prompt": "a"}, 5]', r"x.json, entry 2: expected an object with fields, found int"),
    ]:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DatasetError, match=message):
            load_dataset(path)


@pytest.mark.parametrize("source", [[], "empty.jsonl", "empty.csv", "header.csv"])
def test_an_empty_dataset_is_an_error(tmp_path: Path, source: Any) -> None:
    for name, text in [("empty.jsonl", "\n"), ("empty.csv", ""), ("header.csv", "prompt,target\n")]:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="no items"):
        load_dataset(tmp_path / source if isinstance(source, str) else source)


def test_when_all_is_skipped_the_error_says_why() -> None:
    with pytest.raises(DatasetError, match=r"no items(.|\n)*the prompt is empty"):
        load_dataset([""], on_error="skip")


def test_a_mistyped_path_names_the_nearest(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "trivia.jsonl")
    with pytest.raises(DatasetError, match=r"did you mean 'trivia.jsonl'\?"):
        load_dataset(tmp_path / "trvia.jsonl")
    with pytest.raises(DatasetError, match=r"did you mean 'quickstart_qa'\?"):
        load_dataset("quickstart-qa")
    with pytest.raises(DatasetError, match=r"is a folder; name a file in it \(trivia.jsonl\)"):
        load_dataset(tmp_path)
    with pytest.raises(DatasetError, match="there is no folder"):
        load_dataset(tmp_path / "nowhere" / "x.jsonl")
    with pytest.raises(DatasetError, match="no file"):
        load_dataset("Why is the sky blue? " * 100)
    (tmp_path / "qa.xlsx").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"expected a file that ends in \.csv"):
        load_dataset(tmp_path / "qa.xlsx")


@pytest.mark.parametrize("source", [5, None, {"prompt": "x"}, b"bytes"])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises(DatasetError, match="cannot read a dataset from"):
        load_dataset(source)


def test_limit_stops_reading() -> None:
    assert [item.prompt for item in load_dataset(["a", "b", ""], limit=2)] == ["a", "b"]
    assert [item.prompt for item in load_dataset(["", "a", "b"], limit=1, on_error="skip")] == ["a"]
    for option in ({"limit": 0}, {"on_error": "ignore"}):
        with pytest.raises(DatasetError, match="expected"):
            load_dataset(["a"], **option)  # type: ignore[arg-type]


def test_a_dataset_is_a_sequence() -> None:
    dataset = load_dataset([f"prompt {n}" for n in range(20)])
    assert len(dataset) == 20
    assert dataset[-1].prompt == "prompt 19"
    assert isinstance(dataset[2:4], Dataset)
    assert [item.prompt for item in dataset[2:4]] == ["prompt 2", "prompt 3"]
    assert dataset[3] in dataset
    assert [item.id for item in dataset.filter(lambda item: item.prompt.endswith("5"))] == ["00006", "00016"]
    assert pickle.loads(pickle.dumps(dataset)) == dataset  # noqa: S301 - our own bytes
    with pytest.raises(AttributeError):
        dataset.name = "other"  # type: ignore[misc]


def test_repr_is_one_line_without_prompts() -> None:
    text = repr(load_dataset(["a secret\nprompt"], name="mine"))
    assert text.startswith("<Dataset 'mine': 1 items, hash ")
    assert "secret" not in text
    assert "\n" not in text


def test_a_sample_depends_on_the_seed_alone() -> None:
    dataset = load_dataset([f"prompt {n}" for n in range(20)])
    drawn = [item.id for item in dataset.sample(5, seed=1)]
    # The numbers are pinned: a run must be repeatable on another machine and another Python.
    assert drawn == ["00014", "00010", "00020", "00009", "00001"]
    assert [item.id for item in dataset.sample(5, seed=2)] != drawn
    assert len({item.id for item in dataset.sample(20)}) == 20
    for n in (-1, 21):
        with pytest.raises(ConfigurationError, match=f"cannot sample {n} of 20"):
            dataset.sample(n)


def test_the_hash_is_of_the_content() -> None:
    dataset = load_dataset(ROWS)
    assert len(dataset.content_hash) == 64
    reordered = [dict(reversed(row.items())) for row in ROWS]
    assert load_dataset(reordered, name="other").content_hash == dataset.content_hash
    assert load_dataset(ROWS[::-1]).content_hash != dataset.content_hash
    assert load_dataset([ROWS[0], {**ROWS[1], "answer": "ho"}]).content_hash != dataset.content_hash
    assert load_dataset([ROWS[0], {**ROWS[1], "topic": "ho"}]).content_hash != dataset.content_hash


def test_changing_the_source_changes_nothing() -> None:
    rows: list[dict[str, Any]] = [{"prompt": "a", "nested": {"list": [1]}}]
    dataset = load_dataset(rows)
    rows[0]["nested"]["list"].append(2)
    assert dataset[0].metadata == {"nested": {"list": [1]}}


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(DatasetError, match="cannot be read as Parquet"):
        load_dataset(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DatasetError, match=r'pip install "routerlab\[arrow\]"'):
        load_dataset(path)


def test_loading_imports_no_heavy_package() -> None:
    program = (
        "import sys; from routerlab.experiments import load_dataset; load_dataset('quickstart_qa'); "
        "print([name for name in ('pandas', 'numpy', 'scipy', 'pyarrow') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_hash_is_that_of_the_content_whatever_a_table_writes_for_gaps_and_whole_numbers(tmp_path: Path) -> None:
    rows = [{"id": "a", "prompt": "p", "target": 4, "topic": "sums"}, {"id": "b", "prompt": "q"}]
    frame = pd.DataFrame(rows)  # 4.0 and NaN, None for the missing topic
    frame.to_parquet(tmp_path / "q.parquet")
    expected = load_dataset(rows).content_hash
    assert load_dataset(frame).content_hash == expected
    assert load_dataset(tmp_path / "q.parquet").content_hash == expected
    assert load_dataset([{**rows[0], "target": 5}, rows[1]]).content_hash != expected
