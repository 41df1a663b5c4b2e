"""Runs that are kept: a list of them, and one of them opened without keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from routerlab.core.errors import ConfigurationError
from routerlab.core.suggest import nearest
from routerlab.experiments.kept import KeptRun
from routerlab.experiments.resume import find_run
from routerlab.session.recorder import Recorder
from routerlab.session.store import StoreReader
from routerlab.views.exports import ExportedResult
from routerlab.views.run import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RUN_STORE", "OpenedRun", "kept_run", "open_run", "runs_frame"]

RUN_STORE = ".routerlab/runs.db"


class _StoreRecords:
    """A store as those see it who read a recorder."""

    def __init__(self, store: StoreReader) -> None:
        self.store = store

    def columns(self, table: str, where: Mapping[str, Any] | None = None) -> dict[str, list[Any]]:
        """A table's rows, oldest first, as one list a column."""
        return self.store.read(table, where)

    def packed(self, table: str) -> Iterator[tuple[str, list[Sequence[Any]]]] | None:
        """Nothing is packed here."""
        return None

    def gone(self, table: str) -> int:
        """Everything is there."""
        return 0


class OpenedRun(Run):
    """A run read from its file: everything that a run shows, and nothing that would send or change something.

    Args:
        kept: what the file knows of it.
        records: the file.
    """

    def __init__(self, kept: KeptRun, records: _StoreRecords) -> None:
        ExportedResult.__init__(self, cast("Any", kept), records, None)
        self._live = None

    @property
    def over(self) -> bool:
        """Nothing goes on here, whatever another process does."""
        return True

    def stop(self) -> Self:
        """Nothing to stop."""
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Nothing to wait for."""
        return self

    async def finished(self) -> Self:
        """Nothing to wait for."""
        return self

    def retry_failed(self, *, wait: bool = True) -> NoReturn:
        """It needs a lab: ``lab.replay(…, name=…)`` opens the run there."""
        raise ConfigurationError(f"this run was opened to be read; lab.replay(…, name={self.name!r}) opens it in a lab")

    def delete(self) -> NoReturn:
        """It needs a lab, as `retry_failed` does."""
        self.retry_failed()


def open_run(name: str, store: str | PathLike[str] | None = None) -> OpenedRun:
    """Open a run that is kept in a file, to read it; no lab and no keys are needed, and nothing is changed.

    Args:
        name: of the run; of several the newest.
        store: the file; None: ``.routerlab/runs.db``, where labs without a store keep their runs.

    Returns:
        The run: ``df``, ``summary()``, ``plot()``, ``report()``.

    Raises:
        StoreError: there is no such file, or it is no store.
        ConfigurationError: it holds no run of this name.
    """
    records, found = kept_run(name, RUN_STORE if store is None else store)
    return OpenedRun(KeptRun(found, records), records)


def kept_run(name: str, store: str | PathLike[str]) -> tuple[_StoreRecords, dict[str, Any]]:
    """The records of a file, and in it the row of the newest run of a name; raises as `open_run` does."""
    records = _StoreRecords(StoreReader(store))
    found = find_run(records, name)
    if found is None:
        names = list(dict.fromkeys(records.columns("runs")["name"]))
        raise ConfigurationError(f"there is no run {name!r} in {records.store.path}{nearest(name, names)}")
    return records, found


def runs_frame(recorder: Recorder, *, keep: bool) -> pd.DataFrame:
    """One row per run that is kept, oldest first.

    Args:
        recorder: of a lab.
        keep: whether runs of a lab without a store are in the file for them.

    Returns:
        ``name, kind, status, dataset, variants, created_at, run_id, version``.
    """
    from routerlab.session.tables import ColumnType
    from routerlab.views.frames import to_frame

    rows = recorder.columns("runs")
    if recorder.store is None and keep and Path(RUN_STORE).is_file():
        rows = StoreReader(RUN_STORE).read("runs")
    params = [given or {} for given in rows["params"]]
    columns: dict[str, Sequence[Any]] = {
        **rows,
        "dataset": [given.get("dataset") for given in params],
        "variants": [", ".join(arm["variant"] for arm in given.get("arms", ())) for given in params],
    }
    types: dict[str, ColumnType] = {"name": "id", "kind": "name", "status": "name", "dataset": "id", "variants": "id"}
    types |= {"created_at": "time", "run_id": "id", "version": "name"}
    return to_frame({name: columns[name] for name in types}, types)
