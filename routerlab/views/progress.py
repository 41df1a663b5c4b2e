"""Watching a run: a live panel in a notebook, a bar in a terminal, plain lines where there is none.

All three say the same, from the same numbers (`Progress`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from routerlab.experiments.plan import Progress
from routerlab.views.front import kernel
from routerlab.views.outlook import last_words, outlook
from routerlab.views.run import Run
from routerlab.views.words import count, money, plain, seconds

__all__ = ["progress_line", "show_progress", "watch"]

_EVERY_S = 0.25  # between two pictures in a terminal or notebook
_LINE_EVERY_S = 5.0  # between two lines in a log
_PILOT = 10  # rows after which their cost says something

_Show = Callable[[Progress], None]


def watch(run: Run, *, stream: TextIO | None = None) -> Run:
    """Wait for a run and show how it goes.

    Args:
        run: that was started.
        stream: where a script's progress goes; None: the standard error stream, so that piped output stays clean.

    Returns:
        The run. An interrupt stops it and returns what it has.
    """
    output = sys.stderr if stream is None else stream
    show_progress(run, output)
    for line in last_words(run):
        (sys.stdout if kernel() is not None else output).write(f"{line}\n")
    return run


def show_progress(run: Run, output: TextIO) -> None:
    """Show how a run goes until it is over; nothing of one that is opened for nothing. An interrupt stops it."""
    if run.engine.opened:
        run.wait()
        return
    try:
        with _shown(run, output) as (show, every):
            try:
                while not run.wait(every).over:
                    show(run.progress)
            except KeyboardInterrupt:  # between two waits
                run.stop().wait()
            show(run.progress)
    except KeyboardInterrupt:  # while the picture was put up or taken down: nobody else holds the run
        run.stop().wait()


def progress_line(progress: Progress) -> str:
    """One line: how far, how well, how fast, how much longer, how dear."""
    share = f"{progress.done / progress.total:4.0%}" if progress.total else "    "
    return f"{share} {progress.done:,}/{progress.total:,} · {_details(progress)}"


def _details(progress: Progress) -> str:
    running = progress.status == "running"
    parts = [
        "" if running else progress.status,
        f"{progress.ok:,} ok",
        f"{progress.failed:,} failed",
        count(progress.failovers, "failover"),
        _spent(progress) if running else money(progress.cost_usd),
        f"{progress.rate_per_s:.1f}/s" if progress.rate_per_s else "",
        f"{seconds(progress.eta_s)} left" if running and progress.eta_s is not None else "",
        f"{progress.cached:,} cached" if progress.cached else "",
        *(outlook(progress) if running else ()),
        "" if running else seconds(progress.elapsed_s),
    ]
    return " · ".join(part for part in parts if part)


def _spent(progress: Progress) -> str:
    """The money so far, and what it comes to if the rest costs as much a row."""
    paid = progress.done - progress.cached
    if not progress.cost_usd or paid < _PILOT:
        return money(progress.cost_usd)
    return f"{money(progress.cost_usd)} of about {money(progress.cost_usd / paid * (progress.total - progress.cached))}"


@contextmanager
def _shown(run: Run, output: TextIO) -> Iterator[tuple[_Show, float]]:
    """What shows the progress here, and how often (seconds)."""
    if kernel() is not None and run.has_panel:
        with _panel(run) as show:
            yield show, _EVERY_S
    elif output.isatty():
        with _terminal(run.name, output) as show:
            yield show, _EVERY_S
    else:
        yield _lines(run.name, output), _LINE_EVERY_S


@contextmanager
def _panel(run: Run) -> Iterator[_Show]:
    """The live panel tells itself what is new; afterwards its picture stays."""
    from IPython.display import display

    panel = run.panel()
    try:
        display(panel)  # type: ignore[no-untyped-call]
        yield lambda _: None
    finally:
        panel.close()


@contextmanager
def _terminal(name: str, output: TextIO) -> Iterator[_Show]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    with Live(console=Console(file=output), auto_refresh=False) as live:

        def show(progress: Progress) -> None:
            bar = ProgressBar(total=max(1, progress.total), completed=progress.done, width=min(60, live.console.width))
            lines = (
                Text(plain(name), style="bold"),
                Padding(bar, 0),
                Text(progress_line(progress)),
            )  # a bar ends no line
            live.update(Group(*lines), refresh=True)

        yield show


def _lines(name: str, output: TextIO) -> _Show:
    def show(progress: Progress) -> None:
        output.write(f"{plain(name)} {progress_line(progress)}\n")
        output.flush()

    return show
