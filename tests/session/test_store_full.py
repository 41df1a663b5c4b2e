"""A full disk, imitated by a limit on the size of files and, where one may be mounted, by a real small one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

BEGIN = """
import contextlib, errno, os, pathlib, resource, sqlite3, sys, time, warnings
import routerlab as rl
from routerlab.core.types import CompletionResponse
from routerlab.providers.base import ProviderConnector

kind, path, mode = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
ballast = path.with_name("ballast")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def fill():
    if kind == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, hard))
        return
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))

def make_room():
    if kind == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    else:
        ballast.unlink()

class Wordy(ProviderConnector):
    async def complete(self, request):
        return CompletionResponse(request.messages[-1]["content"] + "." * 50_000, finish_reason="stop")

if mode == "delete":
    path.with_name(f".{path.name}.wal-test-shm").mkdir()

config = {"providers": {"p": {"kind": "__main__:Wordy", "models": ["m"]}}, "pools": {"chat": {"models": ["p/m"]}}}
lab = rl.Lab(config, store=path)
connection = sqlite3.connect(path)
assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)

def on_disk(column="call_id", table="calls"):
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return [value for value, in connection.execute(f"SELECT {column} FROM {table} ORDER BY rowid")]

def replies():
    return [text.split(".")[0] for text in on_disk("reply", "texts")]

def wait_for_room():
    end = time.monotonic() + 60
    while True:
        try:
            return lab._session.recorder.flush()
        except rl.StoreError:
            assert time.monotonic() < end
            time.sleep(0.05)

assert lab.chat("early").text.startswith("early.")
lab._session.recorder.flush()
fill()
"""

CALLS = """
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for number in range(40):
        began = time.monotonic()
        assert lab.chat(f"meanwhile {number}").text.startswith(f"meanwhile {number}.")
        assert time.monotonic() - began < 20
        time.sleep(0.01)
texts = [str(warning.message) for warning in told]
assert len(texts) == 1, texts
assert texts[0].startswith(f"cannot write to the store {path}: "), texts
assert texts[0].endswith("; records are kept in memory only"), texts
assert replies()[0] == "early"
assert len(on_disk()) < 41

with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    frame = lab.calls()
assert "what follows is from memory" in str(told[0].message)
assert len(frame) == 41

make_room()
wait_for_room()
assert lab.chat("late").text.startswith("late.")
lab.close()
written = replies()
assert written[0] == "early" and written[-1] == "late", written
assert len({*written}) == len(written) < 42, "what was refused is missing, nothing is there twice"
assert len(on_disk()) + lab.calls().attrs["gone"] == 42, lab.calls().attrs
"""

RUN = """
items = [{"id": str(number), "prompt": f"item {number}", "target": "x"} for number in range(60)]
with warnings.catch_warnings(record=True):
    warnings.simplefilter("always")
    run = lab.replay(items, scorers=["exact"], name="night", concurrency=4, wait=False)
    try:
        run.wait()
    except rl.StoreError as error:
        assert str(error).startswith(f"cannot write to the store {path}: "), error
    else:
        raise AssertionError("the run says nothing")
    assert run.progress.status == "failed", run.progress
    assert run.progress.done < 60
assert replies()[0] == "early"
make_room()
wait_for_room()
assert on_disk("status", "runs") == ["failed"], "not running: it has ended, and now there is room to say so"
again = lab.replay(items, scorers=["exact"], name="night", wait=False)
again.wait()
assert (again.progress.status, again.progress.done) == ("done", 60)
lab.close()
assert on_disk("status", "runs").count("done") == 1, on_disk("status", "runs")
"""


def small_disk() -> bool:
    """Whether one may be mounted here, without being root."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files, or mounts a small disk")
@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("kind", ["limit", "disk"])
@pytest.mark.parametrize("scenario", [CALLS, RUN], ids=["calls", "a run"])
def test_a_full_disk_is_told_and_outlived(tmp_path: Path, kind: str, mode: str, scenario: str) -> None:
    command = [sys.executable, "-W", "error", "-c", BEGIN + scenario, kind, str(tmp_path / "s.db"), mode]
    if kind == "disk":
        if not small_disk():
            pytest.skip("no disk may be mounted here")
        mount = 'mount -t tmpfs -o size=16m none "$0" && exec "$@"'
        command = ["unshare", "-rm", "sh", "-c", mount, str(tmp_path), *command]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
