"""``routerlab runs`` and ``routerlab report``: runs that are kept, without keys."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from routerlab.experiments.follow import FollowedRun
from routerlab.session.config_file import store_in
from routerlab.session.rows import records
from routerlab.session.store import Store, StoreReader
from routerlab.views.cli_options import check_outputs
from routerlab.views.cli_output import print_json, print_result, run_json, write_files
from routerlab.views.console import console, print_lines, print_table
from routerlab.views.opened import RUN_STORE, kept_run, open_run
from routerlab.views.outlook import again
from routerlab.views.words import count, money

__all__ = ["kept_in", "report", "runs"]


def runs(arguments: argparse.Namespace) -> int:
    """List the runs of a file, or delete one.

    Raises:
        StoreError: there is no such file, or (to delete) another process writes to it.
        ConfigurationError: it holds no run of the name to delete.
    """
    path = kept_in(arguments)
    if arguments.delete is not None:
        return _delete(arguments.delete, path)
    missing = arguments.store is None and not Path(path).is_file()
    found = [] if missing else _listed(path)
    if arguments.json:
        print_json(found)
    elif found:
        numbers = {2, 3, 4}
        print_table(console(), ("name", "status", "rows", "failed", "cost", "begun", "models"), _cells(found), numbers)
    else:
        print_lines(console(), [f"no runs are kept in {path}"])
    return 0


def kept_in(arguments: argparse.Namespace) -> str:
    """The file that runs are kept in."""
    return arguments.store or store_in(Path("lab.yaml")) or RUN_STORE


def _listed(path: str) -> list[dict[str, Any]]:
    """Oldest first."""
    store = StoreReader(path)
    return [_about(run, FollowedRun(store, run)) for run in records(store.read("runs"))]


def _about(run: dict[str, Any], followed: FollowedRun) -> dict[str, Any]:
    now, given = followed.progress, run["params"] or {}
    return {
        **{name: run[name] for name in ("name", "run_id", "kind", "status", "created_at")},
        **{name: getattr(now, name) for name in ("total", "done", "failed", "cost_usd")},
        "dataset": given.get("dataset"),
        "variants": [arm["variant"] for arm in given.get("arms", ())],
        "to_go_on": followed.line_again() if now.done < now.total else None,
    }


def _cells(found: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            run["name"],
            run["status"],
            f"{run['done']:,}/{run['total']:,}",
            f"{run['failed']:,}",
            money(run["cost_usd"]),
            time.strftime("%m-%d %H:%M", time.localtime(run["created_at"])) if run["created_at"] else "",
            "\n".join(run["variants"]),
        ]
        for run in found
    ]


def _delete(name: str, path: str) -> int:
    _, run = kept_run(name, path)
    with Store(path) as store:
        store.forget(run["run_id"])
    print_lines(console(), [f"deleted {name} ({run['run_id']}) from {path}"])
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Tell what came of a kept run.

    Raises:
        StoreError: there is no such file.
        ConfigurationError: it holds no run of this name, or a result could not be written.
    """
    check_outputs(arguments)
    run = open_run(arguments.name, kept_in(arguments))
    write_files(run, report=arguments.report, text=arguments.text, out=arguments.out)
    if arguments.json:
        print_json(run_json(run))
    else:
        print_result(run)
        left = run.progress.total - run.progress.done
        if left:
            print_lines(console(), [f"{count(left, 'row')} left; {again(run)}"])
    return 0
