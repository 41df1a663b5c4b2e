"""A frame as a Parquet file, written piece by piece, with metadata of our own in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.output import output_file

__all__ = ["METADATA", "write_parquet"]

METADATA = b"routerlab"
"""The key of a file's own metadata (JSON)."""


def write_parquet(frame: Any, pieces: Iterable[Any], path: str | os.PathLike[str], metadata: Mapping[str, Any]) -> Path:
    """Write a DataFrame whose columns have one type each.

    Args:
        frame: whose types the file has.
        pieces: the same frame in pieces; each becomes a row group.
        path: of the file; one that is there is replaced when the new one is whole.
        metadata: kept in the file under the key `METADATA`.

    Raises:
        ConfigurationError: pyarrow is not installed, there is no such folder, or another ending.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError('Parquet needs pyarrow: pip install "routerlab[arrow]"') from error
    schema = _schema(pa, frame)
    schema = schema.with_metadata({**schema.metadata, METADATA: json.dumps(metadata, default=str).encode()})
    with output_file(path, (".parquet", ".pq")) as file, parquet.ParquetWriter(file, schema) as writer:
        for piece in pieces:
            writer.write_table(pa.Table.from_pandas(piece, schema=schema, preserve_index=False))
    return Path(path)


def _schema(pa: Any, frame: Any) -> Any:
    """The frame's types; a column without any value is one of texts."""
    schema = pa.Schema.from_pandas(frame, preserve_index=False)
    for place, field in enumerate(schema):
        if pa.types.is_null(field.type):
            schema = schema.set(place, field.with_type(pa.string()))
        elif pa.types.is_dictionary(field.type) and pa.types.is_null(field.type.value_type):
            schema = schema.set(place, field.with_type(pa.dictionary(pa.int8(), pa.string())))
    return schema
