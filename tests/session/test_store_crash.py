"""``kill -9`` at any moment: what was acknowledged is in the file, once and whole, and the file opens."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from routerlab.session.store import Store

REPOSITORY = Path(__file__).parents[2]
ROUNDS = 24

# Opens, writes and closes again and again, and says which rows are on disk.
WRITE_ON = """
import os, random, sys
from routerlab.session.store import Store
print("ready", flush=True)
path, number, chance = sys.stdin.readline().strip(), int(sys.stdin.readline()), random.Random(sys.argv[1])
while True:
    with Store(path) as store:
        for _ in range(chance.randrange(8)):
            for _ in range(chance.randrange(1, 60)):
                store.put("calls", {"call_id": f"c{number}", "attempts": number})
                store.put("texts", {"call_id": f"c{number}", "reply": f"{number};" * (number % 1000)})
                store.put("runs", {"run_id": "r", "status": str(number)})
                number += 1
            if chance.random() < 0.3:
                store.flush()
            store.keep()
            os.write(1, b"%d\\n" % number)
"""


def writing(round_number: int) -> subprocess.Popen[str]:
    """A process that has imported all it needs and waits to be told where to begin."""
    command = [sys.executable, "-c", WRITE_ON, str(round_number)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)


def killed(process: subprocess.Popen[str], path: Path, first: int, after_s: float) -> int:
    """Let it write for so long, kill it; gives back how many rows it knew to be on disk."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write(f"{path}\n{first}\n")
    process.stdin.flush()
    time.sleep(after_s)
    process.kill()
    acknowledged = process.communicate()[0].split()
    return int(acknowledged[-1]) if acknowledged else first


def allow(path: Path, mode: str) -> None:
    """Let the proof of WAL succeed or, as on a network home, fail for want of shared memory."""
    in_the_way = path.with_name(f".{path.name}.wal-test-shm")
    if mode == "delete":
        in_the_way.mkdir(exist_ok=True)
    elif in_the_way.exists():
        in_the_way.rmdir()


def pragma(path: Path, name: str) -> object:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        connection.close()


def check(path: Path, mode: str, acknowledged: int) -> int:
    """The file is whole and has what was acknowledged; gives back how many rows there are."""
    if path.exists():  # what the next one to come finds, before anybody else has mended it
        assert pragma(path, "integrity_check") == "ok"
    with Store(path) as store:
        assert pragma(path, "journal_mode") == mode
        numbers = store.read("calls")["attempts"]
        assert numbers == list(range(len(numbers)))  # each once, none left out
        assert len(numbers) >= acknowledged
        replies = store.read("texts")["reply"]
        assert len(numbers) - len(replies) in (0, 1)  # a group may end between the two
        assert replies == [f"{number};" * (number % 1000) for number in range(len(replies))]
        status = store.read("runs")["status"]
        assert status in ([[]] if not replies else [[str(len(replies) - 1)], [str(len(replies) - 2)], []])
        return len(numbers)


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
@pytest.mark.parametrize("modes", [["wal"], ["delete"], ["wal", "delete"]], ids=["WAL", "rollback journal", "in turn"])
def test_kill_9_at_any_moment(tmp_path: Path, modes: list[str]) -> None:
    chance = random.Random(11)
    path, rows, total, waiting = tmp_path / "s.db", 0, 0, writing(0)
    for number in range(10 * ROUNDS):
        if number >= ROUNDS and total > 50 and not path.exists():  # a busy machine writes little in each
            break
        mode = modes[number % len(modes)]
        allow(path, mode)
        process, waiting = waiting, writing(number + 1)
        acknowledged = killed(process, path, rows, chance.choice((0.02, 0.2)) * chance.random())
        found = check(path, mode, acknowledged)
        total += found - rows
        rows = found
        if number % 4 == 3:  # and its making, too
            path.unlink()
            rows = 0
    waiting.kill()
    waiting.communicate()
    assert total > 50
    allow(path, "wal")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["no database", ""])
def test_a_scratch_file_that_a_dead_process_left_is_no_proof_against_wal(tmp_path: Path, left: str) -> None:
    path = tmp_path / "s.db"
    connection = sqlite3.connect(tmp_path / ".s.db.wal-test")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    if left:
        (tmp_path / ".s.db.wal-test").write_text(left * 1_000)
    with Store(path):
        assert pragma(path, "journal_mode") == "wal"
    assert [file.name for file in tmp_path.iterdir()] == ["s.db"]


def test_without_wal_a_rollback_journal_does(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    allow(path, "delete")
    with Store(path) as store:
        assert pragma(path, "journal_mode") == "delete"
        for number in range(1_000):
            store.put("calls", {"call_id": f"c{number}"})
            if number % 300 == 0:
                store.flush()
                assert len(Store.open_readonly(path).read("calls")["call_id"]) == number + 1
        assert {file.name for file in tmp_path.iterdir()} <= {
            *("s.db", "s.db-journal", "s.db-rows1", "s.db-rows2", ".s.db.wal-test-shm")
        }
    assert len(store.read("calls")["call_id"]) == 1_000
