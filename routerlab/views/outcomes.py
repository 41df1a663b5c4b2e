"""Outcomes from elsewhere: results that others measured, asked the same questions as a run of ours."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from routerlab.core.errors import DatasetError
from routerlab.core.suggest import nearest
from routerlab.experiments.outcomes import OutcomeTable, number
from routerlab.views.analysis import Analysis
from routerlab.views.words import count

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcomes", "load_outcomes"]

_OWN = {"item_id", "variant", "model", "requested_model", "repeat", "status", "cost_usd", "latency_s", "text", "target"}
_IDS = ("item_id", "id", "call_id", "run_id")  # 007 is not 7
_Known = float | str | Mapping[str, float | str] | None


class Outcomes(Analysis):
    """What models scored, cost and took, without the calls: ``compare``, ``frontier`` and ``route`` work on it.

    Args:
        rows: as those of a run: ``item_id, variant, status, score_<name>…``.
        scorers: names of the scores.
        metadata: of each prompt, by its id: what a routing rule may look at.
        name: to be shown.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        scorers: Sequence[str],
        *,
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        name: str = "outcomes",
    ) -> None:
        self.rows, self.scorers = list(rows), list(scorers)
        self._metadata, self._name = dict(metadata or {}), name

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        models: Sequence[str] | None = None,
        cost_usd: _Known = None,
        latency_s: _Known = None,
        exclude: Collection[str] = (),
        name: str = "outcomes",
    ) -> Self:
        """Outcomes of a DataFrame, long or wide.

        Args:
            frame: long: one row per prompt and model (and repeat), with ``item_id``, ``variant`` or ``model``, and
                ``score_<name>`` columns, as ``run.df`` has them. Wide: one row per prompt, a column of scores for each
                of `models`. Other columns are features that a routing rule may look at; of a long frame
                those that say the same in all rows of a prompt.
            models: the columns of scores of a wide frame; None: it is long.
            cost_usd: of a wide frame: USD for one answer, by model: a number, or the name of a column.
            latency_s: of a wide frame: seconds of one answer, likewise.
            exclude: prompts, or ids of them, that are left out altogether.
            name: to be shown.

        Raises:
            DatasetError: a column is missing, or a score is not in 0…1.
        """
        for column in ("item_id", "id", "prompt"):
            if column in frame.columns and exclude:
                frame = frame[~frame[column].isin(list(exclude))]
        if models is not None:
            return cls._wide(frame, list(models), cost_usd, latency_s, name)
        named = "variant" if "variant" in frame.columns else "model"
        _need(frame, ["item_id", named], "; models=[…] names the columns of scores, where each prompt is one row")
        scorers = [str(column)[6:] for column in frame.columns if str(column).startswith("score_")]
        extra = [c for c in frame.columns if c not in _OWN and not str(c).startswith("score_")]
        rows: list[dict[str, Any]] = [{"status": "ok", **row, "variant": row[named]} for row in _rows(frame)]
        for scorer in scorers:
            _check_scores((row[f"score_{scorer}"] for row in rows), f"score_{scorer}")
        metadata = _shared(rows, [str(column) for column in extra])
        return cls(rows, scorers, metadata=metadata, name=name)

    @classmethod
    def _wide(cls, frame: pd.DataFrame, models: list[str], cost: _Known, latency: _Known, name: str) -> Self:
        _need(frame, models)
        ids = "item_id" if "item_id" in frame.columns else "id" if "id" in frame.columns else None
        for model in models:
            _check_scores(frame[model], model)
        rows, metadata = [], {}
        for place, row in enumerate(_rows(frame), 1):
            item = str(row[ids]) if ids else f"{place:05d}"
            metadata[item] = {key: value for key, value in row.items() if key not in models}
            for model in models:
                known = {"cost_usd": _known(cost, model, row), "latency_s": _known(latency, model, row)}
                about = {"item_id": item, "variant": model, "status": "ok", "prompt": row.get("prompt")}
                rows.append({**about, "score_score": row[model], **known})
        return cls(rows, ["score"], metadata=metadata, name=name)

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    @property
    def simulated(self) -> bool:
        """Whether the rows say so."""
        return any(row.get("simulated") is True for row in self.rows)

    def outcomes(self, scorer: str | None = None) -> OutcomeTable:
        """See `Analysis.outcomes`."""
        return OutcomeTable.read(self.rows, scorer, scorers=self.scorers, metadata=self._metadata)

    def replies(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
        """See `Analysis.replies`."""
        return self.rows, self.scorers

    def __len__(self) -> int:
        return len({row["item_id"] for row in self.rows})

    def __repr__(self) -> str:
        models = list(dict.fromkeys(str(row["variant"]) for row in self.rows))
        return f"<Outcomes {self.name!r}: {count(len(self), 'prompt')}, {', '.join(models)}>"


def load_outcomes(source: str | Path, **options: Any) -> Outcomes:
    """Outcomes that others measured, from a file.

    Args:
        source: ``.csv``, ``.tsv``, ``.jsonl``, ``.json`` or ``.parquet``.
        options: as for `Outcomes.from_frame`.

    Returns:
        An object with ``compare``, ``frontier`` and ``route``, as a run has them.

    Raises:
        DatasetError: the file cannot be read, or a column is missing.
    """
    import pandas as pd

    path = Path(source)
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv" as ending:
                frame = pd.read_csv(path, sep="\t" if ending == ".tsv" else ",", dtype=dict.fromkeys(_IDS, "str"))
            case ".jsonl" | ".ndjson" | ".json" as ending:
                frame = pd.read_json(path, lines=ending != ".json", dtype=False)
            case ".parquet":
                frame = pd.read_parquet(path)
            case other:
                raise DatasetError(f"{path.name}: cannot read {other or 'a file without an ending'} as outcomes")
    except (OSError, ValueError, ImportError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    return Outcomes.from_frame(frame, **{"name": path.stem, **options})


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain dicts; None where a value is missing."""
    return [
        {str(name): None if gone else value for (name, value), gone in zip(row.items(), missing, strict=True)}
        for row, missing in zip(frame.to_dict("records"), frame.isna().to_numpy(), strict=True)
    ]


def _check_scores(scores: Iterable[Any], column: str) -> None:
    """Margins and intervals are shares of a score's range, so that it must be known."""
    for score in scores:
        try:
            value = number(score)
        except (TypeError, ValueError):
            value = math.inf
        if value is not None and not 0 <= value <= 1:
            raise DatasetError(
                f"{column}: {score!s:.80} is no score from 0 to 1; bring the column into this range first"
            )


def _need(frame: pd.DataFrame, columns: Sequence[str], hint: str = "") -> None:
    names = [str(column) for column in frame.columns]
    for column in columns:
        if column not in names:
            raise DatasetError(f"no column {column!r} in the outcomes{nearest(column, names)}{hint}")


def _shared(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The columns that say the same in all rows of a prompt: they belong to it, not to an answer."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        item = str(row["item_id"])
        if item not in found:
            found[item] = {column: row[column] for column in columns}
        else:
            found[item] = {c: v for c, v in found[item].items() if v is row[c] or str(v) == str(row[c])}
    return found


def _known(given: _Known, model: str, row: Mapping[Any, Any]) -> Any:
    value = given.get(model) if isinstance(given, Mapping) else given
    return row.get(value) if isinstance(value, str) else value
