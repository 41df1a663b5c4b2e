"""Answers that were paid for once: an identical call of a run is answered from disk.

Identical means: the same model at the same address, the same messages, the same parameters (tools among them) and the
same repetition. Errors are never kept. The file may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from routerlab.core.errors import StoreError
from routerlab.core.types import CompletionResponse, TokenUsage
from routerlab.experiments.threads import in_thread
from routerlab.session.results import CallResult, CallSpec

__all__ = ["AnswerFile", "Answers", "request_key"]

_BUSY_S = 10.0
_KEPT = ("text", "reasoning", "tool_calls", "finish_reason", "served_model")
_TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, at REAL, answer TEXT)"


class AnswerFile:
    """A SQLite file of answers by their key; several processes may use one. Any thread may call it.

    Args:
        path: made, mode 0600, where it is missing.

    Raises:
        StoreError: it cannot be opened, or is something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).resolve()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._do(_TABLE)
        except OSError as error:
            raise StoreError(f"cannot open the cache {self.path}: {error}") from error

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer of this key; None where there is none."""
        found = self._do("SELECT answer FROM answers WHERE key = ?", key)
        return json.loads(found[0][0]) if found else None

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep an answer; it is on disk when this returns."""
        text = json.dumps(answer, default=str)
        self._do("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", key, time.time(), text)

    def _do(self, sql: str, *values: Any) -> list[Any]:
        try:
            connection = sqlite3.connect(self.path, timeout=_BUSY_S)
            try:
                with connection:
                    return connection.execute(sql, values).fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise StoreError(f"cannot use the cache {self.path}: {error}; it may be deleted") from error


class Answers:
    """Finds and keeps the answers of one lab.

    Args:
        file: where they are.
        address: what is told of a model's provider: its kind and base URL.
        record: takes a table's name, a row and its run, for the calls that are answered from here.
        simulated: whether a model is.
    """

    def __init__(
        self,
        file: AnswerFile,
        *,
        address: Callable[[str], str],
        record: Callable[[str, Mapping[str, Any], str | None], None],
        simulated: Callable[[str], bool] = lambda model: False,
    ) -> None:
        self._file, self._address, self._record, self._simulated = file, address, record, simulated

    async def find(self, spec: CallSpec) -> CallResult | None:
        """A call's result from disk, recorded as ``cached``; None where nobody asked this before."""
        if spec.model is None:  # the pool chooses anew
            return None
        started = time.time()
        kept = await in_thread(partial(self._file.get, request_key(spec, self._address(spec.model))))
        return None if kept is None else self._answered(spec, kept, started)

    async def keep(self, spec: CallSpec, result: CallResult) -> None:
        """Keep the answer of a call that succeeded."""
        response = result.response
        if spec.model is None or result.error is not None or not isinstance(response, CompletionResponse):
            return
        answer: dict[str, Any] = {name: getattr(response, name) for name in _KEPT}
        answer["usage"] = asdict(response.usage) if response.usage else None
        await in_thread(partial(self._file.put, request_key(spec, self._address(spec.model)), answer))

    def _answered(self, spec: CallSpec, kept: Mapping[str, Any], started: float) -> CallResult:
        usage = TokenUsage(**kept["usage"]) if kept["usage"] else None
        told = {name: kept[name] for name in _KEPT} | {"tool_calls": tuple(kept["tool_calls"])}
        result = CallResult(secrets.token_hex(8), spec, response=CompletionResponse(**told, usage=usage))
        result.row = self._row(result.call_id, spec, kept, usage, started)
        result.parts = [(spec.model or "", kept["text"])]
        self._record("calls", result.row, spec.run_id)
        request = {"messages": [dict(message) for message in spec.messages], "params": dict(spec.params)}
        text = {"call_id": result.call_id, "attempt": None, "request": request, "reply": kept["text"]}
        self._record("texts", text, spec.run_id)
        return result

    def _row(
        self, call_id: str, spec: CallSpec, kept: Mapping[str, Any], usage: TokenUsage | None, started: float
    ) -> dict[str, Any]:
        model, now = spec.model or "", time.time()
        names = ("run_id", "item_id", "repeat", "variant", "purpose", "capability")
        tokens = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
        return {
            "call_id": call_id,
            **{name: getattr(spec, name) for name in names},
            **{name: getattr(usage, name) if usage else None for name in tokens},
            "requested_model": model,
            "model": model,
            "provider": model.partition("/")[0],
            "served_model": kept["served_model"],
            "streamed": False,
            "outcome": "ok",
            "finish_reason": kept["finish_reason"],
            "cost_usd": 0.0,
            "cached": True,
            "attempts": 0,
            "failovers": 0,
            "started_at": started,
            "ended_at": now,
            "truncated": kept["finish_reason"] == "length",
            "injected": False,
            "simulated": self._simulated(model),
        }


def request_key(spec: CallSpec, address: str) -> str:
    """What names a request: SHA-256 (hex) of everything that an answer depends on."""
    whole = {
        "model": spec.model,
        "address": address,
        "capability": spec.capability,
        "messages": [dict(message) for message in spec.messages],
        "params": dict(spec.params),
        "repeat": spec.repeat,
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
