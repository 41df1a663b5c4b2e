"""``routerlab replay`` and ``routerlab compare``: a run in a shell, that a script can build on."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.datasets import Dataset, load_dataset
from routerlab.experiments.plan import made_up_name
from routerlab.session.specs import limit_s
from routerlab.views.cli_options import arrivals, check_outputs, concurrency, request_params, scorers, variants
from routerlab.views.cli_output import (
    comparison_json,
    print_comparison,
    print_json,
    print_result,
    run_json,
    write_files,
)
from routerlab.views.comparison import Comparison
from routerlab.views.console import console, print_lines, print_table
from routerlab.views.estimate import Estimate
from routerlab.views.live import Live
from routerlab.views.outlook import first_failures, way_on
from routerlab.views.progress import show_progress
from routerlab.views.run import Run
from routerlab.views.start import comparison_asked, estimate_replay, start_replay
from routerlab.views.words import plain

__all__ = ["compare", "compare_kept", "replay"]

_FAILED, _UNFINISHED = 3, 4
_SHOW_CURSOR = "\x1b[?25h"


@dataclass(slots=True)
class _Signals:
    """What asked the run to stop; None: nothing."""

    caught: int | None = None


def replay(arguments: argparse.Namespace, words: Sequence[str], live: Live) -> int:
    """Send a dataset to models.

    Args:
        arguments: as declared by `add_replay`.
        words: of the command line, after ``routerlab``: what is printed to go on with the run.
        live: of the lab.

    Returns:
        The exit code, see `EXIT_CODES`.
    """
    run, code = _run(arguments, words, live, _dataset(arguments))
    if run is None:
        return code
    _write(run, arguments)
    if arguments.json:
        print_json(run_json(run))
    else:
        print_result(run)
    _end(run)
    if run.status == "done" and arguments.fail_under is not None:
        low = _too_low(run, arguments.fail_under)
        for arm, mean in low.items():
            sys.stderr.write(f"{plain(arm)}: {mean:.3g} is below --fail-under {arguments.fail_under:g}\n")
        return _FAILED if low else 0
    return code


def compare(arguments: argparse.Namespace, words: Sequence[str], live: Live) -> int:
    """Send a dataset to several models and say which is better; arguments as for `replay`."""
    dataset, own = _dataset(arguments), {"variants": variants(arguments.variants), "scorers": scorers(arguments)}
    names = [*(arguments.models or ()), *(own["variants"] or ())]
    comparison_asked(dataset, arguments.models, own, judge=None, margin=arguments.margin, scorer=None)
    run, code = _run(arguments, words, live, dataset)
    if run is None:
        return code
    _write(run, arguments)
    verdict = _told(run.compare(*names, margin=arguments.margin), arguments, run)
    _end(run)
    return code or verdict


def compare_kept(arguments: argparse.Namespace, run: Run) -> int:
    """Say which model of a kept run is better."""
    if arguments.scorer is not None and len(arguments.scorer) > 1:
        raise ConfigurationError("--scorer: with --run give one, by whose score the models are compared")
    scorer = arguments.scorer[0] if arguments.scorer else None
    found = run.compare(*(arguments.models or ()), margin=arguments.margin, scorer=scorer)
    _write(run, arguments)
    return _told(found, arguments, run)


# -- the run -----------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace, words: Sequence[str], live: Live, dataset: Dataset) -> tuple[Run | None, int]:
    """The run, over, and its exit code; no run where only an estimate was asked for."""
    check_outputs(arguments)
    name = arguments.name or made_up_name()
    settings = {"params": request_params(arguments.param), "options": _options(arguments, name)}
    settings["options"]["command"] = _without_keys(_command(words, None if arguments.name else name), live)
    if arguments.dry_run:
        _print_estimate(estimate_replay(live, dataset, arguments.models, **settings), as_json=arguments.json)
        return None, 0
    run = start_replay(live, dataset, arguments.models, keep=True, **settings)
    with _stopping(run) as signals:
        _watch(run, live, quiet=arguments.quiet)
        wanted = arguments.retry_failed and signals.caught is None
        if wanted and run.status == "done" and run.progress.failed:
            _watch(run.retry_failed(wait=False), live, quiet=arguments.quiet)
    return run, _code(run, signals)


def _dataset(arguments: argparse.Namespace) -> Dataset:
    fields = {name: getattr(arguments, name) for name in ("prompt", "messages", "target", "id", "format", "limit")}
    dataset = load_dataset(arguments.dataset, on_error="skip" if arguments.skip_bad_rows else "raise", **fields)
    for line in dataset.skipped:
        sys.stderr.write(f"left out: {plain(line)}\n")
    return dataset


def _options(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """As ``Lab.replay`` hands them on."""
    same = ("repeats", "system", "stream", "pool", "fresh", "cache", "engine", "allow_unknown_prices")
    options = {word: getattr(arguments, word) for word in same}
    options |= {"scorers": scorers(arguments), "variants": variants(arguments.variants), "budget_usd": arguments.budget}
    options |= {"concurrency": concurrency(arguments.concurrency), "arrivals": arrivals(arguments)}
    options |= {
        "deadline_s": limit_s(arguments.deadline),
        "give_up_after_s": limit_s(arguments.give_up_after, "--give-up-after"),
    }
    return options | {"preflight": not arguments.no_preflight, "name": name}


def _command(words: Sequence[str], made_up: str | None) -> str:
    """The line that goes on with the run: the one that was typed, with the run's name, and without paying again."""
    again = [word for word in words if word not in {"--fresh", "--retry-failed"}]
    return shlex.join(["routerlab", *again, *(["--name", made_up] if made_up else [])])


def _without_keys(command: str, live: Live) -> str:
    """The line as it may be kept and printed; whoever typed a key into it is told."""
    masked = live.session.desk.redactor.redact(command)
    if masked != command:
        sys.stderr.write(
            "routerlab: warning: there is a key in the command line, where all users of this machine see it (ps): keys "
            "belong into lab.yaml, as ${env:NAME}\n"
        )
    return masked


def _watch(run: Run, live: Live, *, quiet: bool) -> None:
    if quiet:
        run.wait()
        return
    store = live.session.recorder.store
    where = f", kept in {os.path.relpath(store.path)}" if store is not None else ""
    sys.stderr.write(f"run {plain(run.name)}{where}\n")
    show_progress(run, sys.stderr)


@contextmanager
def _stopping(run: Run) -> Iterator[_Signals]:
    """Ctrl-C and SIGTERM stop the run; the second of them ends the process at once."""
    signals = _Signals()

    def handle(number: int, _: FrameType | None) -> None:
        if signals.caught is not None:
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
            os._exit(128 + number)
        signals.caught = number
        run.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(run: Run, arguments: argparse.Namespace) -> None:
    """Before anything is printed, for whoever reads that may leave before its end (``| head``)."""
    write_files(run, report=arguments.report, text=arguments.text, out=arguments.out)


def _end(run: Run) -> None:
    """What a reader must see last."""
    for line in [*first_failures(run.rows()), *way_on(run)]:
        sys.stderr.write(f"{plain(line)}\n")


# -- what came of it ---------------------------------------------------------------------------------------------------


def _code(run: Run, signals: _Signals) -> int:
    if run.status == "done":
        return _FAILED if run.progress.failed else 0
    return _UNFINISHED if signals.caught is None else 128 + signals.caught


def _too_low(run: Run, least: float) -> dict[str, float]:
    """The arms whose mean score is below what was asked for, and that score; a failed row counts as 0."""
    score = f"score_{run.scorers[0]}" if run.scorers else None
    of_arm: dict[str, list[float]] = {}
    for row in run.rows():
        value = float(row["status"] == "ok") if score is None or row["status"] == "failed" else row[score]
        if value is not None and row["status"] != "pending":
            of_arm.setdefault(row["variant"], []).append(value)
    means = {arm: sum(values) / len(values) for arm, values in of_arm.items()}
    return {arm: mean for arm, mean in means.items() if mean < least}


def _print_estimate(found: Estimate, *, as_json: bool) -> None:
    if as_json:
        print_json({"calls": found.calls, "cost_usd": found.cost_usd, "reaches": found.reaches, "arms": found.rows})
        return
    head, rows = found.table()
    out = console()
    print_table(out, head, rows, range(1, len(head)))
    print_lines(out, [found.line])


def _told(comparison: Comparison, arguments: argparse.Namespace, run: Run) -> int:
    """Print a comparison; 3 where it is not what was expected."""
    met = arguments.expect is None or _EXPECTED[arguments.expect](comparison)
    if arguments.json:
        expected = {} if arguments.expect is None else {"expected": arguments.expect, "met": met}
        print_json({**comparison_json(comparison), **expected, "run": run_json(run)})
    else:
        print_comparison(comparison, console())
    if not met:
        sys.stderr.write(f"expected {arguments.expect}: that is not shown\n")
    return 0 if met else _FAILED


def _better(comparison: Comparison) -> bool:
    return all(one.verdict == "better" for one in _of_first(comparison))


def _not_worse(comparison: Comparison) -> bool:
    """The whole interval lies above minus the margin: the usual test of non-inferiority."""
    return all(
        one.verdict in {"better", "as good"} or (one.low is not None and one.low > -comparison.margin)
        for one in _of_first(comparison)
    )


def _of_first(comparison: Comparison) -> list[Any]:
    """What is said of the first model's quality."""
    first = comparison.models[0]
    return [verdict.quality for verdict in comparison.verdicts if verdict.quality.first == first]


_EXPECTED: dict[str, Callable[[Comparison], bool]] = {"better": _better, "not-worse": _not_worse}
