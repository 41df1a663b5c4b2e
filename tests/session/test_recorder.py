"""Memory and store together: every row once, and what is gone is counted."""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path

import pytest

from routerlab.core.errors import StoreError
from routerlab.session.recorder import Recorder
from routerlab.session.results import AttemptRecord
from routerlab.session.store import Store


def test_memory_only() -> None:
    recorder = Recorder(max_records=100)
    for number in range(250):
        recorder.add("calls", {"call_id": f"c{number}", "model": "a/b"})
    found = recorder.columns("calls")

    assert found["call_id"][-1] == "c249"
    assert len(found["call_id"]) + recorder.gone("calls") == recorder.count("calls") == 250
    assert recorder.version == 250
    assert recorder.tail("calls", 2)["call_id"] == ["c248", "c249"]
    assert recorder.columns("attempts")["call_id"] == []
    recorder.keep()


def test_where_picks_rows_and_follows_calls_to_their_texts() -> None:
    recorder = Recorder()
    for number in range(4):
        recorder.add("calls", {"call_id": f"c{number}", "run_id": "r" if number % 2 else None, "attempts": number})
        recorder.add("texts", {"call_id": f"c{number}", "reply": f"reply {number}"})

    assert recorder.columns("calls", {"run_id": "r"})["call_id"] == ["c1", "c3"]
    assert recorder.columns("calls", {"run_id": None})["call_id"] == ["c0", "c2"]
    assert recorder.columns("calls", {"call_id": ["c0", "c3"], "attempts": 3})["call_id"] == ["c3"]
    assert recorder.columns("texts", {"run_id": "r"})["reply"] == ["reply 1", "reply 3"]
    with pytest.raises(KeyError, match="no column nothing"):
        recorder.columns("calls", {"nothing": 1})


def test_a_run_is_updated_in_its_place(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        for recorder in (Recorder(), Recorder(store=store)):
            recorder.add("runs", {"run_id": "r1", "status": "running"})
            recorder.add("runs", {"run_id": "r2", "status": "running"})
            recorder.add("runs", {"run_id": "r1", "status": "finished"})
            runs = recorder.columns("runs")
            assert (runs["run_id"], runs["status"]) == (["r1", "r2"], ["finished", "running"])


def test_a_store_of_everything_has_what_memory_lost(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        recorder = Recorder(max_records=10, store=store)
        for number in range(100):
            recorder.add("calls", {"call_id": f"c{number}"})
        assert recorder.columns("calls")["call_id"] == [f"c{number}" for number in range(100)]
        assert recorder.gone("calls") == 0
    with Store(tmp_path / "s.db") as store:  # the next session goes on where this one stopped
        recorder = Recorder(store=store)
        recorder.add("calls", {"call_id": "new"})
        assert recorder.columns("calls")["call_id"][-2:] == ["c99", "new"]
    assert recorder.columns("calls")["call_id"][-2:] == ["c99", "new"]  # closed, and still to be read


def test_a_store_of_runs_gets_only_runs(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        recorder = Recorder(max_records=10, store=store, store_all=False)
        for number in range(30):
            run = "r" if number % 3 == 0 else None
            recorder.add("calls", {"call_id": f"c{number}", "run_id": run})
            recorder.add("texts", {"call_id": f"c{number}", "request": "hello"}, run_id=run)
            recorder.add("events", {"kind": "breaker"})
        recorder.add("scores", {"run_id": "r", "item_id": "1", "scorer": "exact", "value": 1.0})
        recorder.flush()

        assert store.read("events")["kind"] == []
        of_run = [f"c{number}" for number in range(0, 30, 3)]
        assert store.read("calls")["call_id"] == store.read("texts")["call_id"] == of_run
        assert recorder.columns("calls", {"run_id": "r"})["call_id"] == of_run
        assert recorder.columns("texts", {"run_id": "r"})["call_id"] == of_run
        assert recorder.columns("calls")["call_id"] == [f"c{number}" for number in range(20, 30)]
        assert recorder.gone("calls") == 20
        assert recorder.columns("scores")["value"] == [1.0]


def test_prompts_stay_out_of_a_store_without_text(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", store_text=False) as store:
        recorder = Recorder(store=store)
        recorder.add("texts", {"call_id": "c", "request": ["a secret prompt"], "reply": "a secret reply"})
        recorder.add("items", {"run_id": "r", "item_id": "1", "prompt": "a secret prompt", "target": "a secret target"})
        recorder.flush()
        assert recorder.columns("texts")["reply"] == ["a secret reply"]
        assert recorder.columns("items")["prompt"] == ["a secret prompt"]
        assert Recorder(store=store).columns("items")["item_id"] == ["1"]
    for file in tmp_path.iterdir():
        assert b"secret" not in file.read_bytes()


def test_free_text_is_redacted_before_it_is_kept(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        recorder = Recorder(store=store, redact=lambda text: text.replace("sk-1", "***"))
        recorder.add("attempts", {"call_id": "c", "error_message": "bad key sk-1"})
        recorder.add("texts", {"call_id": "c", "request": {"content": "sk-1"}, "reply": "sk-1"})
        assert recorder.columns("attempts")["error_message"] == ["bad key ***"]
        assert recorder.tail("texts", 1)["request"] == [{"content": "***"}]
    assert b"sk-1" not in (tmp_path / "s.db").read_bytes()


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        recorder = Recorder(max_records=100, store=store)

        def add(worker: int) -> None:
            for number in range(200):
                recorder.add(
                    "scores",
                    {"run_id": "r", "item_id": str(number), "repeat": 0, "variant": str(worker), "scorer": "s"},
                )
                recorder.tail("scores", 5)

        threads = [threading.Thread(target=add, args=(worker,)) for worker in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = recorder.columns("scores")
        assert len(set(zip(found["variant"], found["item_id"], strict=True))) == recorder.count("scores") == 1_200


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of this process's files")
def test_a_full_disk_is_said_survived_and_counted(tmp_path: Path) -> None:
    """A real limit on the size of files stands for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = Store(tmp_path / "s.db")
    try:
        recorder = Recorder(store=store)
        recorder.add("texts", {"call_id": "early", "reply": "kept"})
        recorder.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        recorder.add("texts", {"call_id": "large", "reply": "x" * 2_000_000})
        with pytest.raises(StoreError, match="cannot write"):
            recorder.keep()
        with pytest.raises(StoreError, match=r"s\.db: (disk I/O error|database or disk is full)"):
            recorder.flush()
        with pytest.raises(StoreError, match="cannot write"):
            recorder.add("texts", {"call_id": "refused", "reply": "not written"})
        assert store.read("texts")["call_id"] == ["early"]
        with pytest.warns(RuntimeWarning, match="from memory"):
            assert recorder.columns("texts")["call_id"] == ["early", "large", "refused"]

        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        recorder.flush()
        recorder.add("texts", {"call_id": "late", "reply": "there is room"})
        assert recorder.columns("texts")["call_id"] == ["early", "large", "late"]
        assert recorder.gone("texts") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of this process's files")
def test_how_a_run_ended_is_written_where_the_rest_does_not_fit(tmp_path: Path) -> None:
    """A run that a full disk ended stayed ``running`` in the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = Store(tmp_path / "s.db")
    try:
        recorder = Recorder(store=store)
        recorder.add("runs", {"run_id": "r", "status": "running"})
        recorder.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        recorder.add("texts", {"call_id": "large", "reply": "x" * 2_000_000})
        with pytest.raises(StoreError, match="cannot write"):
            recorder.flush()
        recorder.add("runs", {"run_id": "r", "status": "failed"})  # no error: it is taken
        with pytest.raises(StoreError, match="2 rows were not written"):
            store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with Store.open_readonly(tmp_path / "s.db") as file:
        assert file.read("runs")["status"] == ["failed"]
        assert file.read("texts")["call_id"] == []


def test_what_is_new_is_read_once_and_the_newest_of_it() -> None:
    recorder = Recorder(max_records=5_000)
    for number in range(700):
        recorder.add("attempts", {"call_id": f"c{number}", "attempt": 1, "model": "a/b"})
    mark, rows = recorder.since("attempts", 0, limit=10, columns=["call_id", "model"])
    assert mark == 700
    assert rows == {"call_id": [f"c{number}" for number in range(690, 700)], "model": ["a/b"] * 10}
    assert recorder.since("attempts", mark)[1]["call_id"] == []
    recorder.add("attempts", {"call_id": "new", "attempt": 1})
    assert recorder.since("attempts", mark, columns=["call_id"]) == (701, {"call_id": ["new"]})


def test_the_rows_of_a_call_are_found_wherever_they_lie() -> None:
    recorder = Recorder(max_records=50_000)
    for number in range(5_000):
        for attempt in (1, 2):
            recorder.add("attempts", {"call_id": f"c{number}", "attempt": attempt, "model": f"a/{attempt}"})
        for model in ("a/1", "a/2", "a/3"):
            recorder.add("candidates", {"call_id": f"c{number}", "step": 0, "model": model})
    for number in (0, 2_499, 4_999, 170, 171):  # 170 and 171 lie on both sides of a chunk's border
        found = recorder.find("attempts", [f"c{number}"])
        assert (found["call_id"], found["attempt"]) == ([f"c{number}"] * 2, [1, 2])
        assert recorder.find("candidates", [f"c{number}"])["model"] == ["a/1", "a/2", "a/3"]
    both = recorder.find("attempts", ["c4998", "c7"])
    assert both["call_id"] == ["c7", "c7", "c4998", "c4998"], "oldest first"
    assert recorder.find("attempts", ["nobody"])["call_id"] == []


def test_an_object_with_the_columns_as_attributes_is_a_row() -> None:
    recorder = Recorder()
    record = AttemptRecord("c1", None, 1, "a/b", "a", "selected", 1_800_000_000.0, error_message="x")
    recorder.add("attempts", record)
    assert recorder.columns("attempts")["model"] == ["a/b"]
    assert recorder.columns("attempts")["error_message"] == ["x"]


def test_a_wrong_value_among_many_rows_is_told_and_left_out() -> None:
    """A row for memory alone is checked in company: the error comes later, but nothing wrong is ever kept."""
    recorder = Recorder(max_records=100_000)
    told = []
    for number in range(3_000):
        tokens: object = "12" if number == 5 else 2**63 if number == 1_500 else 12
        try:
            recorder.add("attempts", {"call_id": f"c{number}", "attempt": 1, "prompt_tokens": tokens})
        except (TypeError, OverflowError) as error:
            told.append(str(error))
    assert len(told) == 2
    assert "attempts.prompt_tokens takes int, not str" in told[0]
    assert "call_id 'c5', attempt 1" in told[0]
    assert "64 bits" in told[1]
    assert "'c1500'" in told[1]
    found = recorder.columns("attempts")
    assert found["call_id"] == [f"c{number}" for number in range(3_000) if number not in (5, 1_500)]
    assert set(found["prompt_tokens"]) == {12}
    assert recorder.count("attempts") == 2_998
    assert recorder.version == 3_000, "a view must see that something happened"


def test_a_reader_that_finds_a_wrong_value_warns_and_shows_the_rest() -> None:
    recorder = Recorder()
    recorder.add("attempts", {"call_id": "good", "attempt": 1})
    mark, _ = recorder.since("attempts", 0)
    recorder.add("attempts", {"call_id": "bad", "committed": 1})
    recorder.add("attempts", {"call_id": "worse", "committed": "yes"})
    recorder.add("attempts", {"call_id": "late", "attempt": 1})
    with pytest.warns(RuntimeWarning, match=r"attempts\.committed takes bool, not int: the row .*'bad'.*, and 1 more"):
        mark, new = recorder.since("attempts", mark)
    assert (mark, new["call_id"]) == (2, ["late"])
    assert recorder.columns("attempts")["call_id"] == ["good", "late"], "told once"


def test_a_wrong_row_for_the_store_is_refused_at_once(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        recorder = Recorder(store=store)
        with pytest.raises(TypeError, match=r"calls\.attempts takes small, not str"):
            recorder.add("calls", {"call_id": "c", "attempts": "1"})
        assert recorder.columns("calls")["call_id"] == []
    assert recorder.tail("calls", 1)["call_id"] == []


def test_what_is_recorded_is_what_it_was_then() -> None:
    recorder = Recorder()
    record = AttemptRecord("c1", None, 1, "a/b", "a", "selected", 1_800_000_000.0, outcome="ok")
    row = {"call_id": "c1", "outcome": "ok"}
    recorder.add("attempts", record)
    recorder.add("calls", row)
    record.outcome = row["outcome"] = "changed"
    assert recorder.columns("attempts")["outcome"] == recorder.columns("calls")["outcome"] == ["ok"]
