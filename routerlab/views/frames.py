"""Records as DataFrames: the promised columns in the promised order, with explicit types, empty or not.

Types are pandas' nullable ones (``Int64``, ``Int32``, ``Float64``, ``boolean``, ``string``), so that a missing value
never turns a count into a float; what repeats (models, outcomes, …) is ``category``; ``…_at`` columns are UTC
datetimes; JSON columns hold Python objects.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
import pandas as pd

from routerlab.experiments.lines import Line
from routerlab.experiments.outcomes import number
from routerlab.experiments.prompts import prompt_text
from routerlab.session.packing import NO_BOOL, NO_INT, NO_SMALL, Words
from routerlab.session.tables import TABLES, ColumnType

__all__ = ["RecordSource", "calls_frame", "frame", "lines_frame", "run_frame", "table_frame", "to_frame"]

_DTYPES = {"id": "string", "name": "category", "text": "string", "json": "object", "int": "Int64", "small": "Int32",
           "float": "Float64", "bool": "boolean"}  # fmt: skip
_NUMPY = {"int": "int64", "small": "int32", "float": "float64", "time": "float64", "bool": "int8"}
_RUN_FIRST: dict[str, ColumnType] = {
    "item_id": "id",
    "model": "name",
    "repeat": "small",
    "variant": "name",
    "status": "name",
}


class RecordSource(Protocol):
    """What a recorder offers to its readers."""

    def columns(self, table: str, where: Mapping[str, Any] | None = None) -> dict[str, list[Any]]:
        """A table's rows, oldest first, as one list a column; `where`: only those with these values."""

    def packed(self, table: str) -> Iterator[tuple[str, list[Sequence[Any]]]] | None:
        """The same column by column, in packed pieces; None where only `columns` has them."""

    def gone(self, table: str) -> int:
        """How many of its rows are no longer there."""


def frame(recorder: RecordSource, table: str, where: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """A table of records.

    Args:
        recorder: that kept them.
        table: ``calls`` (one row per request), ``attempts`` (per request sent), ``events`` (per change of a breaker, a
            model, a budget or a setting), ``decisions`` (per choice), ``candidates`` (per model and choice), ``texts``,
            ``runs``, ``items``, ``scores``.
        where: column to value (or list of values); ``run_id`` works for every table that has a ``call_id``.

    Returns:
        The rows, oldest first; ``df.attrs["gone"]`` counts those that the bounded memory let go.
    """
    types = {column.name: column.type for column in TABLES[table].columns}
    packed = None if where else recorder.packed(table)
    if packed is None:
        made = to_frame(recorder.columns(table, where), types)
    else:  # one column after the other: what is packed is let go of as it is read
        made = pd.DataFrame({name: _from_parts(parts, types[name]) for name, parts in packed}, copy=False)
    made.attrs.update(table=table, gone=recorder.gone(table))
    return made


def calls_frame(recorder: RecordSource, *, text: bool = False) -> pd.DataFrame:
    """One row per request; with `text` its ``prompt``, ``text`` and ``params`` first, where they were kept."""
    calls = frame(recorder, "calls")
    if not text:
        return calls
    kept = recorder.columns("texts")
    finals = {
        call_id: (request, reply)
        for call_id, attempt, request, reply in zip(
            kept["call_id"], kept["attempt"], kept["request"], kept["reply"], strict=True
        )
        if attempt is None
    }
    pairs = [finals.get(call_id, (None, None)) for call_id in calls["call_id"]]
    requests = [request if isinstance(request, Mapping) else {} for request, _ in pairs]
    calls.insert(0, "prompt", pd.Series([_prompt_of(request) for request in requests], dtype="string"))
    calls.insert(1, "text", pd.Series([reply for _, reply in pairs], dtype="string"))
    calls.insert(2, "params", pd.Series([request.get("params") for request in requests], dtype="object"))
    calls.attrs["gone_texts"] = recorder.gone("texts")
    return calls


def _prompt_of(request: Mapping[str, Any]) -> str | None:
    inputs = request.get("inputs")
    return "\n".join(map(str, inputs)) if inputs else prompt_text(request.get("messages") or ())


def table_frame(table: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of a table as its frame; keys that the table does not have are left out."""
    types = {column.name: column.type for column in TABLES[table].columns}
    return to_frame({name: [row.get(name) for row in rows] for name in types}, types)


def run_frame(rows: Sequence[Mapping[str, Any]], scorers: Iterable[str] = ()) -> pd.DataFrame:
    """The frame of a run: one row per item, arm and repeat.

    Args:
        rows: as the replay engine gives them.
        scorers: names of the scorers; each has its ``score_<name>`` even where nothing was scored yet.

    Returns:
        ``prompt, text, target, score_<name>…`` (and ``reason_<name>`` of judges, and of scorers that failed),
        ``item_id, model, repeat, variant, status``, then the columns of ``calls``, ``error_message`` and ``note``;
        where items have several turns also ``answers``, lists of all their answers (``text`` is the last one).
        ``status`` is ``ok``, ``failed`` or ``pending``.
    """
    call = {column.name: column.type for column in TABLES["calls"].columns}
    types: dict[str, ColumnType] = {"prompt": "text", "text": "text", "target": "json"}
    names = list(scorers)
    types |= {f"score_{name}": "float" for name in names}
    types |= {f"reason_{name}": "text" for name in names if any(f"reason_{name}" in row for row in rows)}
    types |= _RUN_FIRST
    types |= {name: kind for name, kind in call.items() if name not in types}
    types |= {"error_message": "text", "note": "text"}
    types |= {"answers": "json"} if any("answers" in row for row in rows) else {}
    return to_frame({name: [row.get(name) for row in rows] for name in types}, types)


def lines_frame(lines: Sequence[Line], arms: Sequence[str], scorers: Sequence[str], scorer: str | None) -> pd.DataFrame:
    """The frame of replies side by side: one row per line, columns for each arm; see `SideBySide.df`."""
    types: dict[str, ColumnType] = {"item_id": "id", "repeat": "int", "prompt": "text", "target": "json"}
    columns: dict[str, list[Any]] = {name: [getattr(line, name) for line in lines] for name in types}
    types |= {"spread": "float", "difference": "float"}
    columns["spread"] = [line.spread(scorer) if scorer else None for line in lines]
    columns["difference"] = [line.difference for line in lines]
    measures: dict[str, ColumnType] = {"text": "text", "status": "name"}
    measures |= dict.fromkeys((*(f"score_{name}" for name in scorers), "latency_s", "cost_usd"), "float")
    for arm in arms:
        for measure, kind in measures.items():
            values = [line.cells.get(arm, {}).get(measure) for line in lines]
            types[f"{measure}_{arm}"] = kind
            columns[f"{measure}_{arm}"] = [number(value) for value in values] if kind == "float" else values
    return to_frame(columns, types)


def to_frame(columns: Mapping[str, Sequence[Any]], types: Mapping[str, ColumnType]) -> pd.DataFrame:
    """Lists as a frame with the columns and types of `types`."""
    return pd.DataFrame({name: _series(columns[name], kind) for name, kind in types.items()})


def _from_parts(parts: Sequence[Sequence[Any]], kind: ColumnType) -> Any:
    """A packed column."""
    if isinstance(parts[0], Words):
        return _from_words(parts)  # type: ignore[arg-type]
    if isinstance(parts[0], array):
        numbers = [np.frombuffer(memoryview(part), dtype=_NUMPY[kind]) for part in parts]  # type: ignore[arg-type]
        return _from_array(np.concatenate(numbers), kind)
    return _series(list(chain.from_iterable(parts)), kind)


def _from_words(parts: Sequence[Words]) -> pd.Categorical:
    words = sorted({word for part in parts for word in part.words if word is not None})
    place = {word: code for code, word in enumerate(words)} | {None: -1}
    small = np.min_scalar_type(-1 - len(words))
    codes = [
        np.array([place[word] for word in part.words], dtype=small)[np.asarray(memoryview(part.codes))]  # type: ignore[arg-type]
        for part in parts
        if len(part)
    ]
    whole: Any = np.concatenate(codes) if codes else np.empty(0, dtype=small)
    return pd.Categorical.from_codes(whole, categories=pd.Index(words, dtype="str"))


def _series(values: Sequence[Any], kind: ColumnType) -> pd.Series[Any]:
    if kind == "name":
        words = sorted({value for value in values if value is not None})
        return pd.Series(pd.Categorical(values, categories=pd.Index(words, dtype="str")))
    if kind == "time":  # whole microseconds: floats this large are good for about a quarter of one
        stamps = pd.array([None if value is None else round(value * 1e6) for value in values], dtype="Int64")
        return pd.Series(pd.to_datetime(stamps, unit="us", utc=True)).astype("datetime64[us, UTC]")
    if _DTYPES[kind] == "string":  # by way of numpy: half the time
        return pd.Series(pd.array(np.array(values, dtype=object), dtype="string"), copy=False)
    return pd.Series(values, dtype=_DTYPES[kind])


def _from_array(numbers: np.ndarray[Any, Any], kind: ColumnType) -> Any:
    """A packed column; the same as from a list, at a tenth of the time and memory."""
    match kind:
        case "int":
            return pd.arrays.IntegerArray(numbers, numbers == NO_INT)
        case "small":
            return pd.arrays.IntegerArray(numbers, numbers == NO_SMALL)
        case "bool":
            return pd.arrays.BooleanArray(numbers == 1, numbers == NO_BOOL)
        case "time":
            missing = np.isnan(numbers)
            numbers[missing] = 0
            numbers *= 1e6
            stamps = np.rint(numbers, out=numbers).astype("int64").view("datetime64[us]")
            stamps[missing] = np.datetime64("NaT")
            return pd.DatetimeIndex(stamps).tz_localize("UTC")
    return pd.arrays.FloatingArray(numbers, np.isnan(numbers))
