"""Rows in other people's shapes, told by their fields and turned into ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from routerlab.core.errors import DatasetError
from routerlab.experiments.fields import FieldError, Fields
from routerlab.experiments.promptfoo_csv import flat_test, has_expected
from routerlab.experiments.rows import Row

__all__ = ["Shape"]

_FINAL = re.compile(r"####[ \t]*\$?(-?[\d,]*\.?\d+)\s*$")


class Shape:
    """Turns rows of known shapes into rows with our fields; all others pass as they are.

    Args:
        format: the shape that every row must have; ``"rows"``: none; None: as each row's fields tell.
        has_content: whether the caller says where the prompt is; then nothing looks for it here.

    Raises:
        DatasetError: no such format.
    """

    def __init__(self, format: str | None, *, has_content: bool) -> None:  # noqa: A002
        if format not in {None, "rows", *_SHAPES}:
            raise DatasetError(f"format={format!r}: expected {', '.join(map(repr, ('rows', *_SHAPES)))} or None")
        self._format = format
        self._names = [name for name in _SHAPES if not (has_content and name in _CONTENT)]

    def of(self, row: Row) -> Row:
        """The row in our shape; a bad row says what is wrong."""
        if row.problem or self._format == "rows":
            return row
        try:
            return replace(row, fields=self._reshaped(row.fields))
        except FieldError as error:
            return Row(row.place, {}, str(error))

    def _reshaped(self, fields: Fields) -> Fields:
        if self._format is not None:
            return _SHAPES[self._format][1](fields)
        for name in self._names:
            looks_so, reshape = _SHAPES[name]
            if looks_so(fields):
                return reshape(fields)
        return fields


def _is_gsm8k(fields: Fields) -> bool:
    answer = fields.get("answer")
    return "question" in fields and isinstance(answer, str) and _FINAL.search(answer) is not None


def _gsm8k(fields: Fields) -> Fields:
    """The number behind ``####`` is the target; the worked answer stays in the metadata."""
    answer = fields.get("answer")
    found = _FINAL.search(answer) if isinstance(answer, str) else None
    if "question" not in fields or found is None:
        raise FieldError("format 'gsm8k' needs a question and an answer that ends with #### and a number")
    digits = found[1].replace(",", "")
    return {**fields, "target": float(digits) if "." in digits else int(digits)}


def _is_mt_bench(fields: Fields) -> bool:
    return "question_id" in fields and isinstance(fields.get("turns"), list)


def _mt_bench(fields: Fields) -> Fields:
    """The last turn's reference is the target, as the last answer is the text; all references stay in the metadata."""
    if not isinstance(fields.get("turns"), list):
        raise FieldError("format 'mt-bench' needs turns, a list of texts")
    reference = fields.get("reference")
    last = reference[-1] if isinstance(reference, list) and len(reference) == len(fields["turns"]) else None
    inner = fields.get("metadata")
    metadata = {**(inner if isinstance(inner, Mapping) else {}), "reference": reference} if reference else inner
    rest = {name: value for name, value in fields.items() if name not in {"reference", "metadata"}}
    return {**rest, "target": last or None, **({} if metadata is None else {"metadata": metadata})}


def _is_batch(fields: Fields) -> bool:
    body = fields.get("body")
    return isinstance(body, Mapping) and ("custom_id" in fields or "messages" in body)


def _batch(fields: Fields) -> Fields:
    """The request's messages and parameters; its model stays in the metadata, for a run says which models it asks.

    Source: https://platform.openai.com/docs/api-reference/batch/request-input
    """
    body = fields.get("body")
    if not isinstance(fields.get("custom_id"), str) or not isinstance(body, Mapping):
        raise FieldError("a line of a batch needs custom_id, a text, and body, an object")
    for name, expected in (("method", "POST"), ("url", "/v1/chat/completions")):
        if fields.get(name, expected) != expected:
            raise FieldError(f"{name} {fields[name]!r} of a batch is not supported, only {expected}")
    if body.get("stream"):
        raise FieldError("body.stream is not for batches: their answers come whole")
    if "messages" not in body:
        raise FieldError("body has no messages")
    known: dict[str, Any] = {"id": fields["custom_id"], "messages": body["messages"]}
    rest = {name: value for name, value in fields.items() if name not in {"custom_id", "body"}}
    own = {name: value for name, value in body.items() if name not in {"messages", "model", "stream"}}
    model = {"model": body["model"]} if "model" in body else {}
    return {**rest, **model, **known, **({"params": own} if own else {})}


_SHAPES: dict[str, tuple[Callable[[Fields], bool], Callable[[Fields], Fields]]] = {
    "gsm8k": (_is_gsm8k, _gsm8k),
    "mt-bench": (_is_mt_bench, _mt_bench),
    "openai-batch": (_is_batch, _batch),
    "promptfoo": (has_expected, flat_test),
}
_CONTENT = {"mt-bench", "openai-batch"}  # these say where the prompt is
