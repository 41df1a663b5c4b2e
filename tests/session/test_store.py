"""The store against real files, processes and signals."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from routerlab.core.errors import StoreError, StoreInUseError
from routerlab.session.store import Store
from routerlab.session.tables import TABLES

REPOSITORY = Path(__file__).parents[2]


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


def writers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("routerlab-store")]


def edit(path: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql, values)
    connection.commit()
    connection.close()


def row(number: int) -> dict[str, object]:
    return {
        "call_id": f"c{number}",
        "run_id": "r" if number % 2 else None,
        "model": "sim/alpha",
        "attempts": number,
        "cost_usd": number / 7,
        "streamed": bool(number % 3),
        "dropped_params": ["seed"] if number % 4 == 0 else None,
        "started_at": 1.7e9 + number,
    }


def test_what_was_flushed_is_read_back_as_it_was(tmp_path: Path) -> None:
    with Store(tmp_path / "new" / "folder" / "s.db") as store:
        for number in range(50):
            store.put("calls", row(number))
        store.flush()
        found = store.read("calls")
        assert found == {name: [row(number).get(name) for number in range(50)] for name in TABLES["calls"].names}
        assert store.read("calls", {"run_id": "r"})["attempts"] == list(range(1, 50, 2))
        assert store.read("calls", {"run_id": None, "attempts": [2, 4, 5]})["call_id"] == ["c2", "c4"]
        assert store.read("calls", limit=2)["call_id"] == ["c48", "c49"]
        assert store.read("events") == {name: [] for name in TABLES["events"].names}
        with pytest.raises(KeyError, match="no column nothing"):
            store.read("calls", {"nothing": 1})
    assert Store.open_readonly(store.path).read("calls") == found
    assert writers() == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    with Store(tmp_path / "new" / "s.db") as store:
        store.put("calls", row(1))
        store.flush()
        for file in (tmp_path / "new").iterdir():
            assert file.stat().st_mode & 0o777 == 0o600, file
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["s.db"]  # no scratch file is left


def test_a_reader_of_the_same_process_sees_what_was_put(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        reader = Store.open_readonly(store.path)
        for number in range(5):
            store.put("calls", row(number))
            assert reader.read("calls")["attempts"] == list(range(number + 1))


def test_rows_are_committed_without_being_asked(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.put("calls", row(1))
        until = time.monotonic() + 30
        while not store.read("calls")["call_id"] and time.monotonic() < until:
            time.sleep(0.01)
        assert store.read("calls")["call_id"] == ["c1"]


def test_stores_of_one_process_share_the_writer(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "s.db")
    one = Store(tmp_path / "s.db")
    two = Store(tmp_path / "link.db")
    assert len(writers()) == 1
    one.put("calls", row(1))
    one.close()
    one.close()
    assert len(writers()) == 1
    with pytest.raises(StoreError, match="is closed"):
        one.put("calls", row(2))
    two.put("calls", row(2))
    two.close()
    assert writers() == []
    assert two.read("calls")["call_id"] == ["c1", "c2"]
    with Store(tmp_path / "s.db") as again:  # a new writer, not the old one
        again.put("calls", row(3))
    assert again.read("calls", limit=1)["call_id"] == ["c3"]


def test_opening_and_closing_leaves_nothing_behind(tmp_path: Path) -> None:
    def open_files() -> list[str]:
        files = Path("/proc/self/fd").glob("*")  # some are gone when they are looked at
        return [link for link in map(os.path.realpath, files) if link.startswith(os.path.realpath(tmp_path))]

    for number in range(20):
        with Store(tmp_path / "s.db") as store:
            store.put("calls", row(number))
    assert len(store.read("calls")["call_id"]) == 20
    assert open_files() == []
    assert writers() == []


def test_a_reader_sees_whole_groups_while_rows_are_written(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        stop = threading.Event()
        seen: list[int] = []
        wrong: list[list[int]] = []

        def read() -> None:
            while not stop.is_set():
                found = store.read("calls")["attempts"]
                seen.append(len(found))
                if found != list(range(len(found))):
                    wrong.append(found)

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(3_000):
            store.put("calls", row(number))
        store.flush()
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert seen
        assert len(store.read("calls")["call_id"]) == 3_000


def test_throughput(tmp_path: Path) -> None:
    began = time.perf_counter()
    with Store(tmp_path / "s.db") as store:
        for number in range(10_000):
            store.put("calls", row(number))
        queued = time.perf_counter() - began
        store.flush()
        print(f"10,000 rows: queued in {queued:.2f} s, on disk in {time.perf_counter() - began:.2f} s")
        assert len(store.read("calls")["call_id"]) == 10_000


def test_a_second_process_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    code = (
        "import sys; from routerlab.session.store import Store\n"
        "store = Store(sys.argv[1]); print('open', flush=True); sys.stdin.read(); store.close()"
    )
    first = start(code, tmp_path / "s.db")
    assert first.stdout is not None
    assert first.stdout.readline() == "open\n"
    with pytest.raises(StoreInUseError, match=f"process {first.pid} on ") as refused:
        Store(tmp_path / "s.db")
    assert refused.value.pid == first.pid
    assert writers() == []
    assert Store.open_readonly(tmp_path / "s.db").read("calls")["call_id"] == []  # reading is free
    first.communicate("")
    assert first.returncode == 0
    Store(tmp_path / "s.db").close()


@pytest.mark.parametrize(
    ("age", "pid", "host", "stale"),
    [(0, 1, "elsewhere", False), (20, 1, "elsewhere", True), (-1e6, 1, "elsewhere", True), (20, 1, None, True)],
)
def test_a_lease_without_heartbeat_is_taken_over(
    tmp_path: Path, age: float, pid: int, host: str | None, stale: bool
) -> None:
    Store(tmp_path / "s.db").close()
    lease = ("other", pid, host or os.uname().nodename, time.time() - age)
    edit(tmp_path / "s.db", "INSERT INTO lease VALUES (1, ?, ?, ?, ?, 0)", *lease)
    if stale:
        Store(tmp_path / "s.db").close()
    else:
        with pytest.raises(StoreInUseError, match="process 1 on elsewhere"):
            Store(tmp_path / "s.db")


def test_who_lost_the_lease_writes_no_more(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.put("calls", row(1))
    store.flush()
    edit(tmp_path / "s.db", "UPDATE lease SET token = 'other', host = 'elsewhere'")
    store.put("calls", row(2))
    with pytest.raises(StoreError, match="taken over"):
        store.flush()
    with pytest.raises(StoreError, match="taken over"):
        store.put("calls", row(3))
    with pytest.raises(StoreError, match="1 rows were not written"):
        store.close()
    assert store.read("calls")["call_id"] == ["c1"]
    assert writers() == []


WRITE_ON = """
import sys
from routerlab.session.store import Store
store = Store(sys.argv[1])
first = int(sys.argv[2])
for number in range(first, first + 100_000):
    store.put("calls", {"call_id": f"c{number}", "attempts": number})
    store.put("attempts", {"call_id": f"c{number}", "attempt": 1})
    store.put("runs", {"run_id": "r", "status": f"at {number}"})
    if number % 50 == 0:
        store.flush()
        print(number, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_kill_9_at_any_moment_loses_only_what_was_not_flushed(tmp_path: Path) -> None:
    path, first = tmp_path / "s.db", 0
    for round_number in range(5):
        process = start(WRITE_ON, path, first)
        assert process.stdout is not None
        flushed = -1
        for _ in range(3 + round_number * 4):
            flushed = int(process.stdout.readline())
        time.sleep(0.003 * round_number)
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        flushed = int(rest[-1]) if rest and rest[-1].isdigit() else flushed

        numbers = Store.open_readonly(path).read("calls")["attempts"]
        with Store(path) as store:  # its lease died with it
            assert store.read("calls")["attempts"] == numbers
            assert numbers == list(range(len(numbers)))
            assert len(numbers) > flushed
            assert abs(len(store.read("attempts")["call_id"]) - len(numbers)) <= 1
            assert len(store.read("runs")["run_id"]) == 1
        first = len(numbers)


def test_what_was_put_is_written_at_exit(tmp_path: Path) -> None:
    code = (
        "import sys; from routerlab.session.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "for number in range(2000): store.put('calls', {'call_id': str(number)})"
    )
    process = start(code, tmp_path / "s.db")
    process.communicate()
    assert process.returncode == 0
    assert len(Store.open_readonly(tmp_path / "s.db").read("calls")["call_id"]) == 2_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_told_and_the_parent_goes_on(tmp_path: Path) -> None:
    code = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads
from routerlab.core.errors import StoreError
from routerlab.session.store import Store
store = Store(sys.argv[1])
store.put("calls", {"call_id": "before"})
child = os.fork()
if child == 0:
    try:
        store.put("calls", {"call_id": "child"})
    except StoreError:
        os._exit(7)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
store.put("calls", {"call_id": "after"})
store.close()
"""
    process = start(code, tmp_path / "s.db")
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert Store.open_readonly(tmp_path / "s.db").read("calls")["call_id"] == ["before", "after"]


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 500)


def hole(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5_000:-5_000] = bytes(len(data) - 10_000)
    path.write_bytes(data)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [garbage, hole, half])
def test_a_corrupt_file_is_moved_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with Store(tmp_path / "s.db") as store:
        for number in range(500):
            store.put("calls", row(number))
    damage(tmp_path / "s.db")
    corrupt = (tmp_path / "s.db").read_bytes()

    with pytest.warns(RuntimeWarning, match=r"s\.db is corrupt; it was moved to .*s\.db\.corrupt-"):
        store = Store(tmp_path / "s.db")
    store.put("calls", row(1))
    store.close()

    assert store.read("calls")["call_id"] == ["c1"]
    (aside,) = tmp_path.glob("s.db.corrupt-*")
    assert aside.read_bytes() == corrupt


def test_a_newer_schema_is_refused_and_kept(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.put("calls", row(1))
    edit(tmp_path / "s.db", "PRAGMA user_version = 99")
    before = (tmp_path / "s.db").read_bytes()
    for opened in (Store, Store.open_readonly):
        with pytest.raises(StoreError, match=r"newer routerlab \(schema 99,"):
            opened(tmp_path / "s.db")
    assert (tmp_path / "s.db").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["s.db"]


def test_an_older_schema_is_read_and_made_anew(tmp_path: Path) -> None:
    score = {"run_id": "r", "item_id": "1", "repeat": 0, "variant": "a", "scorer": "judge", "value": 1.0}
    with Store(tmp_path / "s.db") as store:
        store.put("scores", score)
    edit(tmp_path / "s.db", "ALTER TABLE scores DROP COLUMN reason")
    edit(tmp_path / "s.db", "PRAGMA user_version = 1")
    assert Store.open_readonly(tmp_path / "s.db").read("scores")["reason"] == [None]
    with Store(tmp_path / "s.db") as store:
        store.put("scores", {**score, "item_id": "2", "reason": "because"})
        store.flush()
        assert store.read("scores")["reason"] == [None, "because"]


def test_without_texts_a_score_is_kept_and_its_reason_is_not(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", store_text=False) as store:
        store.put("scores", {"run_id": "r", "scorer": "judge", "value": 1.0, "reason": "it quotes the prompt"})
        store.flush()
        assert (store.read("scores")["value"], store.read("scores")["reason"]) == ([1.0], [None])


def test_another_programs_database_is_refused_and_kept(tmp_path: Path) -> None:
    edit(tmp_path / "s.db", "CREATE TABLE mine (x)")
    before = (tmp_path / "s.db").read_bytes()
    for opened in (Store, Store.open_readonly):
        with pytest.raises(StoreError, match="not a routerlab store"):
            opened(tmp_path / "s.db")
    assert (tmp_path / "s.db").read_bytes() == before


def test_a_missing_store_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        Store.open_readonly(tmp_path / "s.db")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_opened_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "s.db"):
        with pytest.raises(StoreError, match="cannot open the store"):
            Store(path)
    assert writers() == []


def test_paths_with_odd_characters_work(tmp_path: Path) -> None:
    with Store(tmp_path / "a ?#%20ü.db") as store:
        store.put("calls", row(1))
        store.flush()
        assert store.read("calls")["call_id"] == ["c1"]
    assert [file.name for file in tmp_path.iterdir()] == ["a ?#%20ü.db"]
