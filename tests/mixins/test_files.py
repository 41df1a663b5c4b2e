"""FileSerializerMixin: three formats with one exception type, and writes that are whole or not there."""

from __future__ import annotations

import math
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

from routerlab.mixins.files import FileSerializerMixin, SerializationFormat

JSON, YAML, MSGPACK = SerializationFormat.JSON, SerializationFormat.YAML, SerializationFormat.MSGPACK
LABELS = {JSON: "JSON", YAML: "YAML", MSGPACK: "msgpack"}


class Provider(FileSerializerMixin):
    pass


provider = Provider()


def test_formats() -> None:
    assert {each.name: each.value for each in SerializationFormat} == {
        "JSON": "json",
        "YAML": "yaml",
        "MSGPACK": "msgpack",
    }
    assert issubclass(SerializationFormat, Enum)


@pytest.mark.parametrize("kind", list(SerializationFormat))
@pytest.mark.parametrize(
    "data",
    [
        {"name": "é ü 漢字 🙂 \u2028", "n": [1, -2, 3.5, True, None], "deep": {"a": [{"b": []}]}},
        [],
        "text",
        0,
        None,
        ["\x85", "a\x85b", "a\n\x85 b", {"\x85": "\u2029\x7f\ufeff\t"}],
        {"looks": ["yes", "1", "1e3", "null", "2024-01-01", "", " x ", "a: b", "#"]},
    ],
)
def test_round_trip(kind: SerializationFormat, data: object) -> None:
    raw = provider._serialize(data, kind)
    assert isinstance(raw, bytes)
    assert provider._deserialize(raw, kind) == data


def test_json_is_the_default_indented_and_readable() -> None:
    assert provider._serialize({"a": ["é"]}) == '{\n  "a": [\n    "é"\n  ]\n}'.encode()
    assert provider._deserialize(b"[1]") == [1]
    assert provider._deserialize(b"\xef\xbb\xbf[1]") == [1]


def test_json_writes_unknown_types_through_str() -> None:
    assert provider._deserialize(provider._serialize({"p": Path("a/b")})) == {"p": "a/b"}


def test_yaml_is_block_style_in_the_given_order() -> None:
    shared = [1]
    assert provider._serialize({"b": shared, "a": {"x": shared}}, YAML) == b"b:\n- 1\na:\n  x:\n  - 1\n"


def test_msgpack_keeps_integer_keys_and_bytes() -> None:
    data = {1: "a", -5: {2: b"\xff"}, "k": 1}
    assert provider._deserialize(provider._serialize(data, MSGPACK), MSGPACK) == data


@pytest.mark.parametrize("kind", ["xml", "JSON", None, 1, [], object()])
def test_unsupported_formats(kind: object) -> None:
    with pytest.raises(ValueError, match="unsupported format"):
        provider._serialize({}, kind)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unsupported format"):
        provider._deserialize(b"{}", kind)  # type: ignore[arg-type]


def test_a_formats_value_is_fine_too() -> None:
    assert provider._deserialize(provider._serialize({"a": 1}, "yaml"), "yaml") == {"a": 1}  # type: ignore[arg-type]


CORRUPT = {
    JSON: [
        b"",
        b"{",
        b'{"a": 1} x',
        b"\xff",
        b"{'a': 1}",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"[1e999]",
        b"9" * 5000,
    ],
    YAML: [
        b"a: b: c",
        b"[1",
        b"\xff",
        b"\x00",
        b"--- 1\n--- 2",
        b"{[1]: 2}",
        b"*x",
        b"!!bool x",
        b"!!timestamp x",
        b"!!int ''",
        b"!!float x",
        b"2024-13-45",
        b"!!python/object/apply:os.getcwd []",
    ],
    MSGPACK: [b"", b"\xc1", b"\x92\x01", b"\x01\x02", b"\xa2\xff\xff", b"\x81\x91\x01\x02", b"\xd9"],
}


@pytest.mark.parametrize(("kind", "raw"), [(kind, raw) for kind, raws in CORRUPT.items() for raw in raws])
def test_corrupt_input_is_a_value_error_that_names_the_format(kind: SerializationFormat, raw: bytes) -> None:
    with pytest.raises(ValueError, match=f"not valid {LABELS[kind]}: ."):
        provider._deserialize(raw, kind)


def cycle() -> list[object]:
    data: list[object] = []
    data.append(data)
    return data


def nested(levels: int) -> list[object]:
    data: list[object] = []
    for _ in range(levels):
        data = [data]
    return data


UNWRITABLE = [
    *((kind, data) for kind in SerializationFormat for data in (cycle(), nested(5_000))),
    *((JSON, data) for data in (math.nan, [math.inf], {-math.inf: 1}, {(1, 2): 3}, "\ud800")),
    *((YAML, data) for data in (object(), "\ud800")),
    *((MSGPACK, data) for data in (object(), {1, 2}, 2**64, "\ud800")),
]


@pytest.mark.parametrize(("kind", "data"), UNWRITABLE, ids=lambda value: getattr(value, "name", type(value).__name__))
def test_data_that_a_format_cannot_hold(kind: SerializationFormat, data: object) -> None:
    with pytest.raises(ValueError, match=f"cannot be written as {LABELS[kind]}: ."):
        provider._serialize(data, kind)


@pytest.mark.parametrize("kind", list(SerializationFormat))
def test_what_can_be_written_can_be_read(kind: SerializationFormat) -> None:
    deepest = 0
    for levels in range(50, 1000, 50):
        try:
            raw = provider._serialize(nested(levels), kind)
        except ValueError:
            break
        assert provider._deserialize(raw, kind) == nested(levels)
        deepest = levels
    assert deepest >= 100


def billion_laughs() -> bytes:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for old, new in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]")
    return "\n".join(lines).encode()


def merge_bomb() -> bytes:
    lines = ["a: &a {x: 1}"]
    for old, new in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}")
    return "\n".join(lines).encode()


HOSTILE = {
    "yaml laughs": (YAML, billion_laughs()),
    "yaml merges": (YAML, merge_bomb()),
    "yaml in itself": (YAML, b"&a [*a]"),
    "yaml map in itself": (YAML, b"a: &a\n  b: *a\n"),
    "yaml renamed into itself": (YAML, b"- &a 1\n- &a [*a]\n"),
    "yaml flow": (YAML, b"[" * 200_000),
    "yaml flow maps": (YAML, b"{a: " * 200_000),
    "yaml block": (YAML, b"- " * 200_000),
    "yaml keys": (YAML, b"? " * 200_000),
    "json lists": (JSON, b"[" * 200_000),
    "json closed lists": (JSON, b"[" * 200_000 + b"]" * 200_000),
    "json objects": (JSON, b'{"a":' * 200_000),
    "msgpack lists": (MSGPACK, b"\x91" * 200_000),
    "msgpack huge lists": (MSGPACK, b"\xdd\xff\xff\xff\xff" * 500),
    "msgpack lying lists": (MSGPACK, b"\xdd\x00\x10\x00\x00" * 500 + b"\xc0" * 1_000_000),
    "msgpack huge text": (MSGPACK, b"\xdb\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_ends_quickly_and_in_an_error(name: str) -> None:
    kind, raw = HOSTILE[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    with pytest.raises(ValueError, match=LABELS[kind]):
        provider._deserialize(raw, kind)
    assert time.perf_counter() - started < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_honest_aliases_and_merges_work() -> None:
    raw = b"base: &b {x: 1}\none: {<<: *b, y: 2}\nlist: [*b, *b]\nname: &n abc\nagain: *n\n"
    assert provider._deserialize(raw, YAML) == {
        "base": {"x": 1},
        "one": {"x": 1, "y": 2},
        "list": [{"x": 1}, {"x": 1}],
        "name": "abc",
        "again": "abc",
    }


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "f.bin"
    provider._atomic_write(path, b"one")
    provider._atomic_write(str(path), b"two")
    assert provider._read_file(path) == b"two"
    provider._atomic_write(path, b"")
    assert provider._read_file(str(path)) == b""
    assert os.listdir(path.parent) == ["f.bin"]


def test_a_path_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    provider._atomic_write("f", b"x")
    assert provider._read_file("f") == b"x"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        provider._read_file(tmp_path / "missing")


@pytest.mark.usefixtures("umask")
def test_a_new_file_gets_the_umasks_bits_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    path = tmp_path / "f"
    provider._atomic_write(path, b"x")
    assert mode_of(path) == 0o640
    for mode in (0o600, 0o444, 0o755, 0o666):
        path.chmod(mode)
        provider._atomic_write(path, b"y")
        assert mode_of(path) == mode


def test_a_symbolic_link_stays_and_its_file_is_rewritten(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link, second = tmp_path / "real" / "f", tmp_path / "link", tmp_path / "second"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(Path("real") / "f")
    second.symlink_to(link)
    provider._atomic_write(second, b"new")
    assert target.read_bytes() == b"new"
    assert (link.is_symlink(), second.is_symlink(), mode_of(target)) == (True, True, 0o600)
    assert os.listdir(tmp_path / "real") == ["f"]


def test_a_dangling_link_gets_its_file(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "missing" / "f")
    provider._atomic_write(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "missing" / "f").read_bytes() == b"new"


def test_a_link_in_a_circle_is_an_error(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        provider._atomic_write(link, b"new")
    assert os.listdir(tmp_path) == ["link"]


def test_what_is_no_regular_file_is_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(OSError, match="regular"):
            provider._atomic_write(path, b"new")
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_text_is_refused_before_anything_happens(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        provider._atomic_write(tmp_path / "new" / "f", "text")  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("call", ["open", "chmod", "write", "fsync", "close", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Interrupted()])
def test_any_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    real = getattr(os, call)

    def failing(*args: object, **kwargs: object) -> None:
        if call in {"open", "close"}:
            real(*args, **kwargs)
        raise error

    with monkeypatch.context() as patch:  # the operating system's calls, not ours: no other way to make them fail
        patch.setattr(os, call, failing)
        with pytest.raises(type(error)) as caught:
            provider._atomic_write(path, b"new")
    assert caught.value is error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:7])))
    content = bytes(range(256)) * 10
    provider._atomic_write(tmp_path / "f", content)
    assert (tmp_path / "f").read_bytes() == content


def test_a_write_that_writes_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: len(data) // 2]))
    with pytest.raises(OSError, match="nothing could be written"):
        provider._atomic_write(tmp_path / "f", b"0123456789")
    assert os.listdir(tmp_path) == []


def test_file_and_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def recording(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    provider._atomic_write(tmp_path / "f", b"x")
    assert synced == [False, True]


LIMITED = """
import resource, signal, sys
from routerlab.mixins.files import FileSerializerMixin
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    FileSerializerMixin()._atomic_write(sys.argv[1], b"n" * 150_000)
except OSError as error:
    print(error.errno)
"""


def test_a_disk_that_fills_up_in_mid_write(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    assert done.stdout == "27\n", done.stderr  # EFBIG: the first write was short, the second failed
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


WRITING = """
import sys
from routerlab.mixins.files import FileSerializerMixin
provider = FileSerializerMixin()
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        provider._atomic_write(sys.argv[1], letter * 300_000)
"""


def test_a_killed_writer_leaves_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * 300_000)
    for pause in (0.0, 0.003, 0.011):
        with subprocess.Popen([sys.executable, "-c", WRITING, path], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(pause)
            writer.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert len(content) == 300_000
        assert content in (b"a" * 300_000, b"b" * 300_000)
