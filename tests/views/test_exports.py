"""A run written down for other programs: what is written is read back, whole or not at all."""

from __future__ import annotations

import csv
import json
import re
import sys

import pandas as pd
import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError
from routerlab.views.tablefiles import write_csv, write_jsonl, write_parquet

NASTY = ['a "b", c', "=1+1", "  ", "two\r\nlines", "\u2028ö\U0001f600", "x\0y"]


def test_csv_is_what_the_frame_says(keep_run, tmp_path):
    run = keep_run(6, targets=[*NASTY[:4], None, "007"])
    path = run.to_csv(tmp_path / "run.csv")
    assert path == tmp_path / "run.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    df = run.df
    assert list(rows[0]) == list(df.columns)
    assert [row["target"] for row in rows] == df["target"].fillna("").tolist()
    assert rows[0]["started_at"] == "2027-01-15T08:00:00.000000Z"
    assert rows[2]["started_at"] == "2027-01-15T08:00:00.020000Z"
    assert [float(row["latency_s"]) for row in rows] == df["latency_s"].tolist()
    assert {row["queue_s"] for row in rows} == {""}
    assert "nan" not in path.read_text(encoding="utf-8").lower()


def test_formulas_are_escaped_where_asked(tmp_path):
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\uff1dx", "plain", None]
    frame = pd.DataFrame({"text": pd.Series(texts, dtype="string"), "n": range(-3, 5)})
    with write_csv(frame, tmp_path / "safe.csv", escape_formulas=True).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [*(f"'{text}" for text in texts[:6]), "plain", ""]
    assert rows[0]["n"] == "-3", "a number is none"
    plain = pd.read_csv(write_csv(frame, tmp_path / "plain.csv"), keep_default_na=False)
    assert plain["text"].tolist() == [*texts[:7], ""]


def test_json_lines_are_json(run, tmp_path):
    path = run.to_jsonl(tmp_path / "run.jsonl")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len(run.df) == 7
    assert list(rows[0]) == list(run.df.columns)
    assert rows[6]["score_exact"] is None
    assert rows[0]["started_at"].endswith("Z")
    assert (rows[0]["repeat"], rows[0]["simulated"], rows[0]["target"]) == (0, True, "REPLY 00001")


def test_parquet_has_the_frames_types_and_tells_of_the_run(keep_run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run = keep_run(8, targets=[*NASTY, None])
    path, df = run.to_parquet(tmp_path / "run.parquet"), run.df
    back = pd.read_parquet(path)
    changed = back.dtypes.astype(str).ne(df.dtypes.astype(str))
    assert set(changed[changed].index) <= {"target", "dropped_params"}, "JSON columns have one type now"
    df["target"], df["dropped_params"] = df["target"].astype("string"), df["dropped_params"].astype("string")
    pd.testing.assert_frame_equal(back, df, check_dtype=False, check_categorical=False)
    about = json.loads(parquet.read_schema(path).metadata[b"routerlab"])
    expected = {"name": "kept", "run_id": "r1", "kind": "replay", "status": "done", "dataset_hash": "d0"}
    assert about == expected | {"settings_hash": "p0", "version": "0.1.0", "json_columns": []}


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ([["a"], [], None], [["a"], [], None]),
        ([1, None, 3], [1, None, 3]),
        ([1, 2.5], [1.0, 2.5]),
        ([True, None], [True, None]),
        ([1, "a", None], ["1", '"a"', None]),
        ([{"a": 1}, {"b": [None]}], ['{"a": 1}', '{"b": [null]}']),
        ([2**70, 1], [str(2**70), "1"]),
        ([None, None], [None, None]),
    ],
)
def test_json_columns_become_columns_of_one_type(tmp_path, values, read):
    parquet = pytest.importorskip("pyarrow.parquet")
    frame = pd.DataFrame({"target": pd.Series(values, dtype="object")})
    write_parquet(frame, tmp_path / "x.parquet", {})
    assert parquet.read_table(tmp_path / "x.parquet")["target"].to_pylist() == read


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_was_written_answers_the_same_questions(keep_run, start_run, tmp_path, ending):
    pytest.importorskip("pyarrow")
    run = keep_run(60)
    path = getattr(run, f"to_{ending}")(tmp_path / f"run.{ending}", text=False)
    outcomes = rl.load_outcomes(path)
    assert outcomes.compare().sentence == run.compare().sentence
    assert outcomes.outcomes().items == run.outcomes().items
    pooled = start_run().wait(60)  # no model was asked for: none is another one
    path = getattr(pooled, f"to_{ending}")(tmp_path / f"pooled.{ending}")
    assert rl.load_outcomes(path).outcomes().left_out == pooled.outcomes().left_out


def test_texts_stay_out_where_asked(keep_run, tmp_path):
    run = keep_run(3)
    whole = run.to_jsonl(tmp_path / "a.jsonl").read_text()
    assert "PROMPT" in whole
    assert "REPLY" in whole
    for name in ("csv", "jsonl"):
        bare = getattr(run, f"to_{name}")(tmp_path / f"b.{name}", text=False).read_text()
        assert "PROMPT" not in bare
        assert "REPLY" not in bare
        assert "sim/beta" in bare


def test_a_file_is_replaced_by_a_whole_one_only(tmp_path):
    class Broken:
        def __str__(self):
            raise OSError("gone")

    frame = pd.DataFrame({"a": pd.Series([*range(6000), Broken()], dtype="object")})
    (tmp_path / "x.jsonl").write_text("as it was")
    with pytest.raises(OSError, match="gone"):
        write_jsonl(frame, tmp_path / "x.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]
    assert (tmp_path / "x.jsonl").read_text() == "as it was"
    assert len(write_jsonl(frame[:6000], tmp_path / "x.jsonl").read_text().splitlines()) == 6000


@pytest.mark.parametrize("export", ["to_csv", "to_jsonl", "to_parquet", "to_otel", "to_batch_jsonl", "report"])
def test_a_place_that_cannot_be_is_told(run, tmp_path, export):
    with pytest.raises(ConfigurationError, match=r"there is no folder .*absent; make it first"):
        getattr(run, export)(tmp_path / "absent" / "run")
    with pytest.raises(ConfigurationError, match="it is a folder; give the name of a file in it"):
        getattr(run, export)(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("export", "name", "better"),
    [
        ("report", "x.pdf", "x.html"),
        ("report", "x", "x.html"),
        ("to_csv", "x.xlsx", "x.csv"),
        ("to_jsonl", "x.json", "x.jsonl"),
        ("to_parquet", "x.csv", "x.parquet"),
    ],
)
def test_a_name_that_promises_something_else_is_refused(run, tmp_path, export, name, better):
    if export == "to_parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(ConfigurationError, match=rf"expected a name that ends in .*, such as {re.escape(better)}$"):
        getattr(run, export)(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r'pip install "routerlab\[arrow\]"'):
        run.to_parquet(tmp_path / "run.parquet")


def test_a_run_without_an_answer_is_written_too(start_run, tmp_path):
    pytest.importorskip("pyarrow")
    run = start_run([], size=3)
    assert len(pd.read_csv(run.to_csv(tmp_path / "run.csv"))) == 3
    assert pd.read_parquet(run.to_parquet(tmp_path / "run.parquet"))["status"].tolist() == ["pending"] * 3
    assert run.to_otel(tmp_path / "spans.jsonl") == 0
    run.stop().wait(60)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_a_full_disk_leaves_the_old_files_and_says_where(keep_run, tmp_path):
    pytest.importorskip("pyarrow")
    import resource
    import signal

    run = keep_run(40)
    side, figure = run.side_by_side(), run.plot()
    writers = {"csv": run.to_csv, "jsonl": run.to_jsonl, "parquet": run.to_parquet, "otel": run.to_otel}
    writers |= {"batch": run.to_batch_jsonl, "htm": run.report, "html": side.save, "svg": figure.save}
    for ending in writers:
        (tmp_path / f"run.{ending}").write_text("old")
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        for ending, write in writers.items():
            with pytest.raises(OSError, match=rf"run\.{ending}"):
                write(tmp_path / f"run.{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}
