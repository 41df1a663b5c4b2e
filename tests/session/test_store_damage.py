"""A damaged file: moved aside with a warning, or readable, or a clear error; never a crash, never overwritten."""

from __future__ import annotations

import random
import shutil
import sqlite3
import warnings
from pathlib import Path

import pytest

from routerlab.core.errors import StoreError
from routerlab.session.store import Store
from routerlab.session.tables import TABLES

ROWS = 400


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with rows in several tables, texts longer than a page, an index, JSON."""
    path = tmp_path_factory.mktemp("whole") / "s.db"
    with Store(path) as store:
        for number in range(ROWS):
            store.put("calls", {"call_id": f"c{number}", "run_id": "r", "attempts": number, "dropped_params": ["seed"]})
            store.put(
                "texts", {"call_id": f"c{number}", "request": {"content": "wörds"}, "reply": "é" * 37 * (number % 99)}
            )
            store.put("runs", {"run_id": f"r{number}", "status": "done", "params": {"seed": 1}})
    return path


def flipped(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 30, 3_000))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def head_flipped(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(100)] ^= 1 << chance.randrange(8)


def truncated(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


def strewn(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start : start + 9_000] = chance.randbytes(min(9_000, len(data) - start))


@pytest.mark.parametrize("damage", [flipped, head_flipped, truncated, strewn])
def test_damage_of_any_kind_ends_well(whole: Path, tmp_path: Path, damage) -> None:
    chance = random.Random(5)
    fates = [fate(whole, tmp_path / str(number), damage, chance) for number in range(60)]
    assert "moved aside" in fates or damage is head_flipped
    assert set(fates) <= {"moved aside", "refused", "readable", "readable in part"}


def fate(whole: Path, folder: Path, damage, chance: random.Random) -> str:
    """What becomes of a damaged copy; whatever it is, none of its bytes are lost."""
    folder.mkdir()
    path = folder / "s.db"
    data = bytearray(whole.read_bytes())
    damage(data, chance)
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            store = Store(path)
        except StoreError:
            assert path.read_bytes() == data
            return "refused"
    aside = list(folder.glob("s.db.corrupt-*"))
    with store:
        if caught:
            assert str(aside[0]) in str(caught[0].message)
            assert (len(aside), aside[0].read_bytes()) == (1, data)
            assert {table: len(next(iter(store.read(table).values()))) for table in TABLES} == dict.fromkeys(TABLES, 0)
            store.put("calls", {"call_id": "new"})
            store.flush()
            assert store.read("calls")["call_id"] == ["new"]
            return "moved aside"
        assert aside == []
        return "readable" if all(read(store, table) for table in TABLES) else "readable in part"


def read(store: Store, table: str) -> bool:
    """Whether a table can be read; damage within a value is found only now."""
    try:
        store.read(table)
    except StoreError:
        return False
    return True


def test_a_damaged_value_is_an_error_that_names_its_table(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(whole.read_bytes().replace(b'["seed"]', b'["seed"}', 1))
    with Store(path) as store:
        with pytest.raises(StoreError, match=r"s\.db: a value in calls is damaged"):
            store.read("calls")
        assert len(store.read("runs")["run_id"]) == ROWS


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_garbage_beside_a_whole_file_is_no_harm(whole: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "s.db"
    shutil.copyfile(whole, path)
    Path(f"{path}{suffix}").write_bytes(random.Random(1).randbytes(20_000))
    with Store(path) as store:
        assert store.read("calls")["attempts"] == list(range(ROWS))
    assert [file.name for file in tmp_path.iterdir()] == ["s.db"]


def test_a_file_that_breaks_while_it_is_open_is_an_error_that_names_it(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    shutil.copyfile(whole, path)
    store = Store(path)
    connection = sqlite3.connect(path)
    page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'calls'").fetchone()[0]
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StoreError, match=r"cannot read the store .*s\.db: database disk image is malformed"):
        store.read("calls")
    store.close()
