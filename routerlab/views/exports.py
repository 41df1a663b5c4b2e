"""A run on its way out: a report to mail, its rows for other programs, its calls as OpenTelemetry spans."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.batches import write_batch_results
from routerlab.experiments.otlp import post_spans, write_spans
from routerlab.experiments.spans import RunAbout, call_spans
from routerlab.session.rows import records
from routerlab.views.result import RunResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExportedResult"]

Target = str | os.PathLike[str]

_TEXTS = ("prompt", "text", "target", "error_message")  # somebody's words, and what may quote them


class ExportedResult(RunResult):
    """The results of a run, with everything that writes them down.

    A file is there whole or not at all: an existing one is replaced when the new one is finished. Reports and spans
    are passed around, so texts stay out of them unless asked for; a table of the rows is one's own data and has them.
    """

    def report(self, path: Target, *, text: bool = False, margin: float = 0.05) -> Path:
        """Write a report: one HTML file that needs nothing else and opens offline.

        Args:
            path: where; ends in ``.html`` or ``.htm``.
            text: whether prompts and replies go into it; reports get mailed, so they stay out unless asked for.
            margin: for its verdicts, as for `compare`.

        Raises:
            ConfigurationError: the folder does not exist, or another ending.
        """
        from routerlab.views.report import write_report

        return write_report(self, path, text=text, margin=margin)

    def to_csv(self, path: Target, *, text: bool = True, escape_formulas: bool = False) -> Path:
        """Write `df` as CSV: a header, then a line for each row; UTF-8, UTC times in ISO 8601, missing values empty.

        Args:
            path: where; ends in ``.csv`` or ``.txt``.
            text: False: leave out prompts, replies, targets, judges' reasons and error messages.
            escape_formulas: put ``'`` before texts that begin with ``=``, ``+``, ``-``, ``@`` or a control character: a
                spreadsheet would take them for formulas, and models write what they like. Off by default, since it
                changes the texts for all other readers; switch it on for a file that is opened in a spreadsheet.

        Raises:
            ConfigurationError: the folder does not exist, or another ending.
        """
        from routerlab.views.tablefiles import write_csv

        return write_csv(self._table(text=text), path, escape_formulas=escape_formulas)

    def to_jsonl(self, path: Target, *, text: bool = True) -> Path:
        """Write `df` as JSON Lines: an object for each row; UTC times in ISO 8601, missing values null.

        Args:
            path: where; ends in ``.jsonl`` or ``.ndjson``.
            text: as for `to_csv`.

        Raises:
            ConfigurationError: the folder does not exist, or another ending.
        """
        from routerlab.views.tablefiles import write_jsonl

        return write_jsonl(self._table(text=text), path)

    def to_parquet(self, path: Target, *, text: bool = True) -> Path:
        """Write `df` as Parquet; ``pd.read_parquet`` reads it with the same types.

        The file's metadata has, under ``routerlab``, a JSON object with the run's ``name``, ``run_id``, ``kind``,
        ``status``, ``dataset_hash``, ``settings_hash`` and the ``version`` of routerlab.

        Args:
            path: where; ends in ``.parquet`` or ``.pq``.
            text: as for `to_csv`.

        Raises:
            ConfigurationError: the folder does not exist, another ending, or pyarrow is not installed.
        """
        from routerlab.views.tablefiles import write_parquet

        return write_parquet(self._table(text=text), path, self._about())

    def to_otel(
        self,
        path: Target | None = None,
        *,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        text: bool = False,
    ) -> int:
        """Hand out the calls as OpenTelemetry spans: one per call, below it one per attempt, judges' calls included.

        Attributes have the names of the GenAI conventions (``gen_ai.request.model``, ``gen_ai.usage.input_tokens``, …),
        ours begin with ``routerlab.``. Ids are made of the calls': what is sent twice is there once. Calls that the
        memory of a lab without a store let go (``max_records``) are not among them.

        Args:
            path: a file of OTLP's JSON, a line for each few hundred spans.
            endpoint: a collector that speaks OTLP over HTTP, such as ``http://localhost:4318``, in place of a file.
            headers: for the collector, a key for instance.
            text: whether prompts, replies and providers' error messages go along.

        Returns:
            How many spans there were.

        Raises:
            ConfigurationError: neither or both of `path` and `endpoint`, or one that cannot be.
            RouterLabError: the collector cannot be reached, or refuses them; they may be sent again.
        """
        if (path is None) == (endpoint is None):
            raise ConfigurationError(
                'say where to: to_otel("spans.jsonl") or to_otel(endpoint="http://localhost:4318")'
            )
        where = {"run_id": self.run_id}
        calls, attempts = (records(self._recorder.columns(table, where)) for table in ("calls", "attempts"))
        spans = call_spans(calls, attempts, self._span_facts(text=text))
        version = self.engine.plan.version or ""
        if path is not None:
            return write_spans(spans, path, version)
        return post_spans(spans, str(endpoint), headers, version)

    def to_batch_jsonl(self, path: Target) -> Path:
        """Write the rows as OpenAI's batch API writes its results; see `write_batch_results`."""
        return write_batch_results(self, path)

    def _table(self, *, text: bool) -> pd.DataFrame:
        frame = self.df
        if text:
            return frame
        return frame.drop(columns=[name for name in frame if name in _TEXTS or str(name).startswith("reason_")])

    def _about(self) -> dict[str, Any]:
        kept = records(self._recorder.columns("runs", {"run_id": self.run_id}))
        row = kept[-1] if kept else {}
        return {
            "name": self.name,
            "run_id": self.run_id,
            "kind": self.engine.plan.kind,
            "status": self.status,
            "dataset_hash": row.get("dataset_hash"),
            "settings_hash": row.get("params_hash"),
            "version": row.get("version"),
        }

    def _span_facts(self, *, text: bool) -> RunAbout:
        plan, rows = self.engine.plan, self.rows()
        kept = records(self._recorder.columns("texts", {"run_id": self.run_id})) if text else []
        return RunAbout(
            self.run_id,
            self.name,
            plan.kind,
            params={arm.variant: {**plan.params, **arm.params} for arm in plan.arms},
            scores={
                row["call_id"]: {name: row.get(f"score_{name}") for name in self.scorers}
                for row in rows
                if row.get("call_id")
            },
            texts={row["call_id"]: (row["request"], row["reply"]) for row in kept if row["attempt"] is None},
        )
