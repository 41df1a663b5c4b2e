"""The spool: what was kept outlives the process before it is committed, enters once, and leaves nothing behind."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from routerlab.core.errors import LeaseLostError, StoreError
from routerlab.session import store_writer
from routerlab.session.store import Store
from routerlab.session.store_file import write_rows
from routerlab.session.store_spool import SPOOLS, Spool, is_spooled, spooled
from routerlab.session.tables import Row

REPOSITORY = Path(__file__).parents[2]
ROWS: list[Row] = [("calls", (f"c{number}", number, 0.1 * number, None, True, "é\n" * number)) for number in range(40)]

# Commits some rows, keeps others, and dies before the writer's next turn.
DIE = """
import os, sys
from routerlab.session import store_writer
from routerlab.session.store import Store
store_writer._GROUP_S = 60
store = Store(sys.argv[1])
for number in range(30):
    store.put("calls", {"call_id": f"c{number}", "attempts": number})
    if number == 9:
        store.flush()
    if number in (14, 24):
        store.keep()
store.put("runs", {"run_id": "r", "status": "running"})
if len(sys.argv) > 2:
    store.keep()
os._exit(9)
"""


def died(path: Path, *words: str) -> None:
    done = subprocess.run([sys.executable, "-c", DIE, str(path), *words], cwd=REPOSITORY, check=False)
    assert done.returncode == 9


def numbers(path: Path) -> list[int]:
    """What is committed."""
    connection = sqlite3.connect(path)
    try:
        return [number for (number,) in connection.execute("SELECT attempts FROM calls ORDER BY rowid")]
    finally:
        connection.close()


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_what_was_kept_enters_when_the_store_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    died(path)
    assert numbers(path) == list(range(10))
    with Store(path) as store:
        assert numbers(path) == list(range(25))  # the rest was put, not kept
        store.put("calls", {"call_id": "later", "attempts": 25})
        store.keep()
    assert numbers(path) == list(range(26))
    assert files(tmp_path) == {"s.db"}


def test_a_reader_enters_it_too_and_says_what_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    died(path, "and the run")
    reader = Store.open_readonly(path)
    assert reader.read("calls")["attempts"] == list(range(30))
    assert reader.read("runs")["status"] == ["interrupted"]
    assert files(tmp_path) == {"s.db"}


def test_a_reader_leaves_it_alone_while_its_writer_lives(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    read = f"from routerlab.session.store import StoreReader; StoreReader({str(path)!r}).read('calls')"
    with Store(path) as store:
        store.put("calls", {"call_id": "c0", "attempts": 0})
        store.keep()
        subprocess.run([sys.executable, "-c", read], cwd=REPOSITORY, check=True)
        store.put("calls", {"call_id": "c1", "attempts": 1})
        store.keep()
        store.flush()
    assert numbers(path) == [0, 1]


def test_an_entry_that_fails_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows and the new lease are one transaction."""
    path = tmp_path / "s.db"
    died(path, "and the run")

    def full(connection: sqlite3.Connection, rows: list[Row]) -> None:
        write_rows(connection, rows[:7])
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store_writer, "write_rows", full)
        with pytest.raises(StoreError, match=r"cannot open the store .* disk is full"):
            Store(path)
        with pytest.warns(RuntimeWarning, match="is full; the last rows of a process that died are missing"):
            reader = Store.open_readonly(path)
        assert reader.read("calls")["attempts"] == list(range(10))
    with Store(path) as store:
        assert store.read("calls")["attempts"] == list(range(30))


def test_another_writers_rows_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    died(path, "and the run")
    path.unlink()  # by hand, and the rest stays
    with Store(path) as store:
        assert store.read("calls")["attempts"] == []
    assert files(tmp_path) == {"s.db"}


def test_who_lost_the_store_is_told_before_a_row_counts(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", "one")
    spool.write(0, ROWS)
    other = Spool(tmp_path / "s.db", "two")
    with pytest.raises(LeaseLostError, match="another process has taken over"):
        spool.write(40, ROWS)
    spool.close()
    other.close(remove=True)
    assert not is_spooled(tmp_path / "s.db")


def test_rows_come_back_as_they_were_beyond_the_committed_ones(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    spool = Spool(path, "one")
    spool.write(0, ROWS[:10])
    spool.turn(0)
    spool.write(10, ROWS[10:20])  # into the other file
    spool.turn(5)  # not all of the first one's are committed: what comes stays in the second
    spool.write(20, ROWS[20:])
    assert [spooled(path, "one", done) for done in (0, 10, 13, 20, 40)] == [ROWS[done:] for done in (0, 10, 13, 20, 40)]
    spool.drop(9)
    assert spooled(path, "one", 0) == ROWS
    spool.drop(10)
    assert spooled(path, "one", 10) == ROWS[10:]
    spool.turn(40)
    spool.write(40, ROWS[:1])
    spool.drop(40)
    assert spooled(path, "one", 40) == ROWS[:1]
    assert max(os.path.getsize(f"{path}{suffix}") for suffix in SPOOLS) < 200
    spool.close()
    assert spooled(path, "two", 0) == []


@pytest.mark.parametrize("lost", [1, 20, 700])
def test_a_frame_that_was_not_written_whole_is_none(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "s.db"
    spool = Spool(path, "one")
    spool.write(0, ROWS[:10])
    spool.write(10, ROWS[10:])
    spool.close()
    file = Path(f"{path}{SPOOLS[0]}")
    file.write_bytes(file.read_bytes()[:-lost])
    assert spooled(path, "one", 0) == ROWS[:10]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_full_disk_leaves_whole_frames_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    spool = Spool(path, "one")
    spool.write(0, ROWS)
    size = os.path.getsize(f"{path}{SPOOLS[0]}")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            spool.write(40, ROWS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.path.getsize(f"{path}{SPOOLS[0]}") == size
    spool.write(40, ROWS[:2])
    spool.close()
    assert spooled(path, "one", 0) == ROWS + ROWS[:2]


def test_many_rows_are_committed_before_the_writers_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writer, "_GROUP_S", 60)
    monkeypatch.setattr(store_writer, "_GROUP_ROWS", 100)
    path = tmp_path / "runs.db"
    store = Store(path)
    for number in range(100):
        store.put("calls", {"call_id": f"c{number}", "attempts": number})
        if number == 50:
            store.keep()
    store.keep()
    deadline = time.monotonic() + 60
    while len(numbers(path)) < 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    store.close()
