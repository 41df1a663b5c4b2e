"""Results of a run in the shape of OpenAI's batch output, so that what reads that output reads them too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from routerlab.experiments.output import output_text
from routerlab.experiments.rows import plain

__all__ = ["write_batch_results"]

_TOKENS = ("prompt_tokens", "completion_tokens")


def write_batch_results(run: Any, path: str | os.PathLike[str]) -> Path:
    """Write one line for each row of a run: ``id``, ``custom_id``, ``response``, ``error``.

    Source: https://platform.openai.com/docs/api-reference/batch/request-output

    Args:
        run: a run, its frame (``run.df``) or its rows as dicts.
        path: of the file; one that is there is replaced when the new one is whole.

    Returns:
        The path. ``custom_id`` is the item's id: a run of several arms or repeats has several lines with the same one,
        told apart by ``id`` and the body's ``model``. Where a request failed or was not sent (``not_sent``), and where
        a model called tools (``tool_calls_not_kept``: a run's rows keep texts), ``response`` is null and ``error`` says
        so.
    """
    with output_text(path) as file:
        for number, row in enumerate(_rows(run), 1):
            file.write(json.dumps(_line(row, number), ensure_ascii=False) + "\n")
    return Path(path)


def _rows(run: Any) -> Iterable[dict[str, Any]]:
    source = getattr(run, "df", run)
    rows = source.to_dict("records") if hasattr(source, "to_dict") else source
    return [plain(row) for row in rows]


def _line(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    key = row.get("call_id") or f"{number:05d}"
    error = _error(row)
    response = {"status_code": 200, "request_id": key, "body": _completion(row, key)} if error is None else None
    return {"id": f"batch_req_{key}", "custom_id": row["item_id"], "response": response, "error": error}


def _error(row: Mapping[str, Any]) -> dict[str, str] | None:
    if row.get("status") == "pending":
        return {"code": "not_sent", "message": "the run ended before this request was sent"}
    if row.get("status") == "failed":
        return {"code": row.get("error_type") or "failed", "message": row.get("error_message") or "the request failed"}
    if row.get("finish_reason") == "tool_calls":
        return {"code": "tool_calls_not_kept", "message": "the model called tools; a run's rows keep texts only"}
    return None


def _completion(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": row.get("text"), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": row.get("finish_reason")}
    body = {
        "id": f"chatcmpl-{key}",
        "object": "chat.completion",
        "created": _second(row.get("ended_at")),
        "model": row.get("served_model") or row.get("model"),
        "choices": [choice],
    }
    return {**body, "usage": _usage(row)} if row.get("prompt_tokens") is not None else body


def _usage(row: Mapping[str, Any]) -> dict[str, int]:
    prompt, completion = (row.get(name) or 0 for name in _TOKENS)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _second(when: Any) -> int | None:
    """Whole epoch seconds, of a number or a frame's time (which `plain` has written in ISO 8601)."""
    if isinstance(when, str):
        return int(datetime.fromisoformat(when).timestamp())
    return None if when is None else int(when)
