"""A frame in a file, for other programs: CSV, JSON Lines, Parquet; written piece by piece."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from routerlab.experiments import parquet
from routerlab.experiments.output import output_text
from routerlab.experiments.rows import plain

__all__ = ["write_csv", "write_jsonl", "write_parquet"]

_ROWS = 5000  # at a time
_ISO = "%Y-%m-%dT%H:%M:%S.%fZ"
_FORMULA = re.compile("[=+\\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20]")  # what a cell begins with, the full-width forms too


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str], *, escape_formulas: bool = False) -> Path:
    """Write a frame as CSV (RFC 4180, UTF-8, ``\\n``).

    Args:
        frame: times are written in ISO 8601, missing values as nothing, lists and objects as JSON.
        path: of the file; one that is there is replaced when the new one is whole.
        escape_formulas: put ``'`` before texts that a spreadsheet would take for a formula.
    """
    with output_text(path, (".csv", ".txt")) as file:
        for place, piece in enumerate(_pieces(frame)):
            cells = pd.DataFrame({name: _csv_cells(values, escape_formulas) for name, values in piece.items()})
            cells.to_csv(file, index=False, header=place == 0, date_format=_ISO, lineterminator="\n")
    return Path(path)


def write_jsonl(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a frame as JSON Lines: one object a row; missing values are null, times ISO 8601."""
    names = [str(name) for name in frame.columns]
    with output_text(path, (".jsonl", ".ndjson")) as file:
        for piece in _pieces(frame):
            for values in zip(*(_json_values(piece[name]) for name in piece.columns), strict=True):
                row = dict(zip(names, values, strict=True))
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    return Path(path)


def write_parquet(frame: pd.DataFrame, path: str | os.PathLike[str], metadata: Mapping[str, Any]) -> Path:
    """Write a frame as Parquet, with the frame's types.

    Args:
        frame: JSON columns become columns of texts, numbers or lists of texts where all their values are that; else
            JSON texts, and the metadata names them (``json_columns``).
        path: of the file; one that is there is replaced when the new one is whole.
        metadata: kept in the file under the key ``routerlab``.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    typed, as_json = _typed(frame)
    return parquet.write_parquet(typed, _pieces(typed), path, {**metadata, "json_columns": as_json})


def _pieces(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """At least one, so that an empty frame has its header."""
    for start in range(0, max(1, len(frame)), _ROWS):
        yield frame.iloc[start : start + _ROWS]


def _csv_cells(values: pd.Series[Any], escape_formulas: bool) -> Any:
    """A column as it goes into CSV; numbers, truths and times as they are."""
    if not isinstance(values.dtype, pd.StringDtype | pd.CategoricalDtype) and values.dtype != object:
        return values
    texts = [value if value is None or isinstance(value, str) else _json_text(value) for value in _objects(values)]
    if escape_formulas:
        texts = [f"'{text}" if text is not None and _FORMULA.match(text) else text for text in texts]
    return pd.Series(texts, index=values.index, dtype="object")


def _json_text(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def _json_values(values: pd.Series[Any]) -> list[Any]:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.strftime(_ISO)
    return [plain(value) for value in _objects(values)]


def _objects(values: pd.Series[Any]) -> list[Any]:
    """A column as Python's own objects, None where there is none."""
    missing = values.isna()
    return [None if gone else value for value, gone in zip(values.tolist(), missing, strict=True)]


def _typed(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A frame whose columns have one type each, and the names of those that are JSON texts now."""
    made, as_json = frame.copy(deep=False), []
    for name in [name for name in frame if frame[name].dtype == object]:
        values = _objects(frame[name])
        typed = _one_type(values)
        if typed is None:
            typed = pd.array([None if value is None else _json_text(value) for value in values], dtype="string")
            as_json.append(str(name))
        made[name] = typed
    return made, as_json


def _one_type(values: list[Any]) -> Any:
    """Values of JSON as a typed column; None where they have no type in common."""
    kinds = {type(value) for value in values if value is not None}
    try:
        if kinds <= {str}:
            return pd.array(values, dtype="string")
        if kinds == {bool}:
            return pd.array(values, dtype="boolean")
        if kinds == {int}:
            return pd.array(values, dtype="Int64")
        if kinds <= {int, float}:
            return pd.array(values, dtype="Float64")
    except OverflowError:  # a number of more than 64 bits
        return None
    if kinds == {list} and all(isinstance(inner, str) for value in values if value for inner in value):
        return pd.Series(values, dtype="object").to_numpy()
    return None
