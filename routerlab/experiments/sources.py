"""Where rows come from: a path, a shipped name, a table in memory, any iterable."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from routerlab.core.errors import DatasetError
from routerlab.experiments.fields import nearest
from routerlab.experiments.rows import ENDINGS, Row, frame_rows, is_frame, iterable_rows, read_rows

__all__ = ["open_source"]

_SHOWN = 10


def open_source(source: Any, *, encoding: str, delimiter: str | None) -> tuple[Iterator[Row], str]:
    """The rows of a source, and a name for the dataset.

    Args:
        source: a path, the name of a shipped dataset, a DataFrame, a dataset of Hugging Face or another table with
            ``column_names``, or an iterable of dicts or strings.
        encoding: of a text file.
        delimiter: of a CSV file; None: as its ending says.

    Raises:
        DatasetError: it is none of these, or cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        path = _find(os.fspath(source))
        if path.suffix.lower() in {".yaml", ".yml"}:
            from routerlab.experiments.yamlrows import yaml_rows  # promptfoo and all: only where it is needed

            return yaml_rows(path, encoding), path.stem
        return read_rows(path, encoding=encoding, delimiter=delimiter), path.stem
    if hasattr(source, "column_names"):
        return _table_rows(source), _table_name(source)
    if is_frame(source):
        return frame_rows(source), "dataframe"
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return iterable_rows(source), "dataset"
    raise DatasetError(
        f"cannot read a dataset from {type(source).__name__}; expected a path, a shipped name, a list of dicts or "
        "strings, a DataFrame, a dataset of Hugging Face or a Dataset"
    )


def _table_rows(table: Any) -> Iterator[Row]:
    """Rows of what has ``column_names``: Hugging Face's datasets (streamed ones too), Arrow tables."""
    if isinstance(table, Mapping):  # a DatasetDict
        splits = ", ".join(map(repr, table))
        raise DatasetError(
            f"{type(table).__name__} holds several splits ({splits}); pass one: ds[{next(iter(table), '')!r}]"
        )
    if hasattr(type(table), "__iter__"):
        return iterable_rows(table)
    if hasattr(table, "to_pylist"):
        return iterable_rows(table.to_pylist())
    if hasattr(table, "to_pandas"):
        return frame_rows(table.to_pandas())
    raise DatasetError(f"cannot read rows from {type(table).__name__}: it has neither __iter__ nor to_pandas")


def _table_name(table: Any) -> str:
    name = getattr(getattr(table, "info", None), "dataset_name", None)
    return name if isinstance(name, str) and name else "dataset"


def _find(source: str) -> Path:
    path = Path(source).expanduser()
    if os.path.isfile(path):  # Path.is_file raises for a name that is too long
        if path.suffix.lower() not in ENDINGS:
            raise DatasetError(f"{source}: expected a file that ends in {', '.join(ENDINGS)}")
        return path
    shipped = _shipped()
    if source in shipped:
        return shipped[source]
    raise DatasetError(_not_found(path, source, shipped))


def _shipped() -> dict[str, Path]:
    """The datasets that come along by name: inside an installed wheel, or beside the package in a clone."""
    package = Path(__file__).parents[1]
    folder = next((f for f in (package / "_datasets", package.parent / "datasets") if f.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.jsonl"))} if folder else {}


def _not_found(path: Path, source: str, shipped: Iterable[str]) -> str:
    names = ", ".join(shipped)
    if os.path.isdir(path):
        inside = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() in ENDINGS)
        return f"{source} is a folder; name a file in it ({', '.join(inside[:_SHOWN]) or 'it holds no dataset'})"
    if not os.path.isdir(path.parent):
        return f"no file {source!r}: there is no folder {str(path.parent)!r}"
    beside = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in ENDINGS]
    hint = nearest(path.name, [*beside, *shipped])
    return f"no file {source!r}{hint} (shipped with routerlab: {names or 'none'})"
