"""Rows of a dataset's source, each with the place it came from; what cannot be read is said, not dropped.

Nothing here knows about prompts: a row is a flat mapping of field names to plain values.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routerlab.core.errors import DatasetError

__all__ = ["ENDINGS", "Row", "decode", "frame_rows", "is_frame", "iterable_rows", "plain", "read_rows", "undecodable"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a source.

    Attributes:
        place: where it stands, in words for a message (``qa.jsonl, line 17``).
        fields: its values by field name; empty when the row is bad.
        problem: why it could not be read; empty for a good row.
    """

    place: str
    fields: Mapping[str, Any]
    problem: str = ""


def read_rows(path: Path, *, encoding: str, delimiter: str | None) -> Iterator[Row]:
    """The rows of a file, read as its ending says.

    Args:
        path: an existing file with one of the ``ENDINGS``.
        encoding: of text files; a byte order mark is tolerated.
        delimiter: between fields of a CSV file; None: a comma, for ``.tsv`` a tab.

    Raises:
        DatasetError: the file as a whole cannot be read.
    """
    ending = path.suffix.lower()
    if ending == ".parquet":
        return _parquet_rows(path)
    text = decode(path, encoding)
    if ending in {".csv", ".tsv"}:
        return _csv_rows(text, path.name, delimiter or ("\t" if ending == ".tsv" else ","))
    return _json_rows(text, path.name) if ending == ".json" else _jsonl_rows(text, path.name)


ENDINGS = (".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".yaml", ".yml")


def iterable_rows(source: Iterable[Any], *, name: str = "row") -> Iterator[Row]:
    """The rows of any iterable of mappings or strings (a string becomes ``{"prompt": …}``), counted from 1."""
    for number, value in enumerate(source, 1):
        yield _value_row(value, f"{name} {number}")


def is_frame(source: Any) -> bool:
    """Whether ``source`` quacks like a pandas DataFrame (pandas itself is not imported on this floor)."""
    return hasattr(source, "to_dict") and hasattr(source, "columns")


def frame_rows(frame: Any) -> Iterator[Row]:
    """The rows of a DataFrame; the index is not read (``reset_index()`` makes it a column)."""
    columns = [str(column) for column in frame.columns]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DatasetError(f"the DataFrame has two columns named {', '.join(map(repr, twice))}; rename one")
    return iterable_rows(frame.to_dict("records"))


def plain(value: Any) -> Any:
    """A copy of ``value`` made of JSON's types alone; missing values (NaN, NA, NaT) become None.

    So items cannot change behind a dataset's back, and its hash does not depend on where the rows came from.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(inner) for inner in value), key=str)
    if type(value).__name__ in {"NAType", "NaTType"}:
        return None
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    for method in ("tolist", "isoformat"):  # numpy's arrays and scalars, then dates
        convert: Callable[[], Any] | None = getattr(value, method, None)
        if callable(convert):
            return plain(convert())
    return str(value)


def _value_row(value: Any, place: str) -> Row:
    if isinstance(value, str):
        return Row(place, {"prompt": value})
    if isinstance(value, Mapping):
        return Row(place, plain(value))
    return Row(place, {}, f"expected an object with fields, found {_kind(value)}")


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def decode(path: Path, encoding: str) -> str:
    """The text of a file; undecodable bytes stay in it as lone surrogates, so that their line can be named."""
    try:
        text = path.read_bytes().decode(encoding, errors="surrogateescape")
    except LookupError:
        raise DatasetError(f"unknown encoding {encoding!r}; Python's names are meant, such as 'utf-8'") from None
    except (OSError, UnicodeError) as error:
        raise DatasetError(f"{path} cannot be read as {encoding}: {error}") from error
    return text.removeprefix("\ufeff")


def undecodable(text: str) -> str:
    """Which byte of ``text`` could not be decoded, in words; empty when all could."""
    found = None if text.isascii() else re.search("[\udc80-\udcff]", text)
    return f"byte 0x{ord(found[0]) - 0xDC00:02x} is not valid UTF-8 (or what encoding= says)" if found else ""


def _jsonl_rows(text: str, name: str) -> Iterator[Row]:
    # Only \n ends a line: splitlines() would also cut at characters that JSON allows inside a string.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _json_row(line, f"{name}, line {number}")


def _json_row(line: str, place: str) -> Row:
    problem = undecodable(line)
    if problem:
        return Row(place, {}, problem)
    try:
        return _value_row(json.loads(line), place)
    except json.JSONDecodeError as error:
        return Row(place, {}, f"not valid JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets 1,000 deep
        return Row(place, {}, f"not readable JSON: {error}")


def _json_rows(text: str, name: str) -> Iterator[Row]:
    problem = next(
        (f"{name}, line {n}: {bad}" for n, line in enumerate(text.split("\n"), 1) if (bad := undecodable(line))), ""
    )
    if problem:
        raise DatasetError(problem, [problem])
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{name}, line {error.lineno}: not valid JSON: {error.msg} at column {error.colno}"
        hint = " (one object a line is .jsonl)" if error.msg == "Extra data" else ""
        raise DatasetError(reason + hint, [reason]) from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{name}: not readable JSON: {error}") from None
    if not isinstance(values, list):
        raise DatasetError(f"{name}: expected an array of objects, found {_kind(values)}")
    return iterable_rows(values, name=f"{name}, entry")


def _csv_rows(text: str, name: str, delimiter: str) -> Iterator[Row]:
    reader = _records(text, delimiter)
    line, header, problem = next(reader, (1, [], ""))
    problem = problem or _header_problem(header)
    if problem:
        raise DatasetError(f"{name}, line {line}: {problem}", [f"{name}, line {line}: {problem}"])
    for line, values, reason in reader:
        place = f"{name}, line {line}"
        if reason:
            yield Row(place, {}, reason)
        elif len(values) != len(header):
            yield Row(place, {}, f"{len(values)} fields where the header has {len(header)}")
        else:  # CSV knows no null: an empty field is a missing value
            yield Row(place, {key: value or None for key, value in zip(header, values, strict=True)})


def _header_problem(header: list[str]) -> str:
    twice = sorted({field for field in header if header.count(field) > 1})
    return f"the header names {', '.join(map(repr, twice))} twice" if twice else ""


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """First line, values and problem of each record that is not blank; a quoted field may span lines."""
    limit = csv.field_size_limit(2**31 - 1)  # prompts longer than the default 128 KiB are no mistake
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        while True:
            first = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield first, [], _csv_reason(str(error))
                continue
            problem = undecodable("".join(values))
            if values:
                yield first, [] if problem else values, problem
    finally:
        csv.field_size_limit(limit)


def _csv_reason(message: str) -> str:
    never_closed = message.startswith("unexpected end of data")
    return "a quote that opens here is never closed" if never_closed else f"not valid CSV: {message}"


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DatasetError(f'{path.name} needs pyarrow: pip install "routerlab[arrow]"') from error
    try:
        values = parquet.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path} cannot be read as Parquet: {error}") from error
    return iterable_rows(values, name=f"{path.name}, row")
