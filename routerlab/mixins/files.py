"""JSON, YAML and msgpack, and file writes that leave the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import msgpack
import yaml

from routerlab.mixins.safe_yaml import PlainDumper, load_yaml
from routerlab.mixins.whole_file import whole_file

__all__ = ["FileSerializerMixin", "SerializationFormat"]


class SerializationFormat(Enum):
    """How data becomes bytes."""

    JSON = "json"
    YAML = "yaml"
    MSGPACK = "msgpack"


class FileSerializerMixin:
    """Turns data into bytes and back, and writes files atomically.

    >>> class Provider(FileSerializerMixin): ...
    >>> provider = Provider()
    >>> provider._serialize({"model": "gpt-4o-mini"}, SerializationFormat.YAML)
    b'model: gpt-4o-mini\\n'
    >>> provider._deserialize(b'{"tokens": [1, 2]}')
    {'tokens': [1, 2]}
    """

    def _serialize(self, data: Any, format: SerializationFormat = SerializationFormat.JSON) -> bytes:  # noqa: A002 - documented name
        """Turn data into bytes.

        Args:
            data: JSON writes unknown types through ``str``; the others refuse them.
            format: the format; a string with its value is fine too.

        Returns:
            JSON: UTF-8, indented by 2. YAML: UTF-8, block style. msgpack: text and bytes told apart.

        Raises:
            ValueError: the format is unsupported, or cannot hold the data (non-finite floats in JSON, cycles, …).
        """
        chosen = _known(format)
        written: bytes = _translated(_WRITERS[chosen], data, f"data cannot be written as {_LABELS[chosen]}")
        return written

    def _deserialize(self, raw: bytes, format: SerializationFormat = SerializationFormat.JSON) -> Any:  # noqa: A002 - documented name
        """Turn bytes back into data.

        Args:
            raw: what ``_serialize`` returned, or a file's content.
            format: the format; a string with its value is fine too.

        Returns:
            The data; msgpack's and YAML's sequences are lists.

        Raises:
            ValueError: the format is unsupported, or the input is corrupt, nested too deeply, or (YAML) grows out of
                proportion through its aliases.
        """
        chosen = _known(format)
        return _translated(_READERS[chosen], raw, f"input is not valid {_LABELS[chosen]}")

    def _atomic_write(self, path: str | os.PathLike[str], data: bytes) -> None:
        """Write a file so that, whatever happens, the old content or the new is there, whole.

        An existing file keeps its permission bits; a symbolic link stays and the file that it points at is rewritten.

        Args:
            path: the file; its folder is created if missing.
            data: the new content.

        Raises:
            OSError: it could not be written; the file is as it was, and no temporary file is left.
        """
        view = memoryview(data).cast("B")
        os.makedirs(os.path.dirname(os.path.realpath(path)), exist_ok=True)
        with whole_file(path) as descriptor:
            _write_all(descriptor, view)

    def _read_file(self, path: str | os.PathLike[str]) -> bytes:
        """The whole content of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        return Path(path).read_bytes()


def _known(name: SerializationFormat | str) -> SerializationFormat:
    try:
        return SerializationFormat(name)
    except ValueError:
        supported = ", ".join(each.value for each in SerializationFormat)
        raise ValueError(f"unsupported format {name!r}: expected one of {supported}") from None


def _translated(function: Callable[[Any], Any], argument: Any, message: str) -> Any:
    """Call a parser or writer; whatever it makes of bad input becomes one exception type."""
    try:
        return function(argument)
    except RecursionError:
        raise ValueError(f"{message}: nested too deeply, or containing itself") from None
    # libraries leak all of these on corrupt input: KeyError for `!!bool x`, AttributeError for `!!timestamp x`, …
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, yaml.YAMLError) as error:
        raise ValueError(f"{message}: {str(error) or type(error).__name__}") from error


def _write_json(data: Any) -> bytes:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=str).encode()


def _read_json(raw: bytes) -> Any:
    text = str(raw, "utf-8-sig")
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is beyond the range of numbers")
    return value


def _write_yaml(data: Any) -> bytes:
    text: str = yaml.dump(data, Dumper=PlainDumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
    return text.encode()


def _read_yaml(raw: bytes) -> Any:
    return load_yaml(str(raw, "utf-8-sig"))


def _write_msgpack(data: Any) -> bytes:
    packed: bytes = msgpack.packb(data, use_bin_type=True)
    return packed


def _read_msgpack(raw: bytes) -> Any:
    # Skipping through it first costs no memory and finds lengths that are not there: a few bytes may claim a list of
    # four thousand million, and a reader that believes them reserves the space, once for each level of nesting.
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(raw), 1))
    unpacker.feed(raw)
    try:
        unpacker.skip()
    except msgpack.OutOfData:
        raise ValueError("the input ends too early") from None
    return msgpack.unpackb(raw, strict_map_key=False)


_LABELS = {SerializationFormat.JSON: "JSON", SerializationFormat.YAML: "YAML", SerializationFormat.MSGPACK: "msgpack"}
_WRITERS: dict[SerializationFormat, Callable[[Any], bytes]] = {
    SerializationFormat.JSON: _write_json,
    SerializationFormat.YAML: _write_yaml,
    SerializationFormat.MSGPACK: _write_msgpack,
}
_READERS: dict[SerializationFormat, Callable[[bytes], Any]] = {
    SerializationFormat.JSON: _read_json,
    SerializationFormat.YAML: _read_yaml,
    SerializationFormat.MSGPACK: _read_msgpack,
}


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:
        written = os.write(descriptor, view)  # one call may write only a part
        if not written:
            raise OSError(errno.EIO, "nothing could be written")
        view = view[written:]
