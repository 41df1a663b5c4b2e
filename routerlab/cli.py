"""The command line: ``routerlab`` and its commands."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from routerlab import __version__
from routerlab.core.errors import ConfigurationError, RouterLabError
from routerlab.views.standard import take_every_text, to_nowhere
from routerlab.views.words import plain

if TYPE_CHECKING:
    from routerlab.lab import Lab

__all__ = ["main"]

_USAGE = {"replay": "DATASET ", "compare": "DATASET | --run NAME "}  # where the list of options would be long
_BROKEN = "sim/alpha"
_REPEATS = 3  # long enough to see the break, the probe and the return


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the words after the command's name; None: those of the process.

    Returns:
        The exit code: 0, 1 for an error, 130 for an interrupt; `replay` and `compare` have more.
    """
    take_every_text()
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    arguments.words = words
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            code = int(arguments.run_command(arguments))
            sys.stdout.flush()  # what cannot be written is told here
            return code
    except BrokenPipeError:
        to_nowhere()
        return 1
    except (RouterLabError, OSError) as error:
        print(f"routerlab: {plain(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning without a line of our code."""
    print(f"routerlab: warning: {plain(str(message))}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    from routerlab.simulation import cli as simulate
    from routerlab.views import cli_options as options

    parser = argparse.ArgumentParser(
        prog="routerlab", description="Compare, route and fail over between LLM providers."
    )
    parser.add_argument("--version", action="version", version=f"routerlab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=words,
            description=f"{words[:1].upper()}{words[1:]}.",
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            usage=f"routerlab {name} {_USAGE[name]}[options]" if name in _USAGE else None,
            epilog=options.EXIT_CODES if name in {"replay", "compare"} else None,
        )
        made.set_defaults(run_command=run)
        return made

    demo = command("demo", _demo, "watch a failover: a replay over three simulated providers, no key needed")
    demo.add_argument("--report", default="routerlab-demo.html", help="where the report goes (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="of all answers and choices (default: %(default)s)")
    demo.add_argument("--limit", type=int, help="only so many prompts (default: all)")
    check = command("check", _check, "look for mistakes in a lab.yaml, and see whether its models answer")
    check.add_argument("config", nargs="?", default="lab.yaml", help="the file (default: %(default)s)")
    check.add_argument("--ping", action="store_true", help="make one tiny call to each model")
    check.add_argument("--timeout", type=float, default=30.0, help="seconds for each call (default: %(default)g)")
    options.add_replay(command("replay", _replay, "send a dataset to models; the same name goes on with the same run"))
    options.add_compare(command("compare", _compare, "say which model is better, after a replay or on a kept run"))
    options.add_runs(command("runs", _runs, "list the runs that are kept"))
    options.add_report(command("report", _report, "tell what came of a kept run, without keys"))
    simulate.add_arguments(command("simulate", simulate.run, "serve simulated providers, for any client"))
    return parser


def _lab(arguments: argparse.Namespace) -> Lab:
    from routerlab.lab import Lab

    options = {"store": arguments.store, "seed": arguments.seed, "store_text": False if arguments.no_text else None}
    if arguments.demo:
        return Lab.demo(**options)
    if arguments.config is None and not Path("lab.yaml").is_file():
        if not arguments.models:
            raise ConfigurationError(
                "there is no lab.yaml here: give --config FILE, --models with their keys in the environment, or --demo"
            )
        if simulated := [name for name in arguments.models if name.startswith("sim/")]:
            raise ConfigurationError(f"{simulated[0]} is a simulated model of the demo: add --demo")
        return Lab.from_env(arguments.models, **options)
    return Lab(arguments.config or "lab.yaml", **options)


def _replay(arguments: argparse.Namespace) -> int:
    from routerlab.views.cli_replay import replay

    with _lab(arguments) as lab:
        return replay(arguments, arguments.words, lab._live)  # noqa: SLF001 - one floor


def _compare(arguments: argparse.Namespace) -> int:
    from routerlab.views.cli_kept import kept_in
    from routerlab.views.cli_replay import compare, compare_kept
    from routerlab.views.opened import open_run

    if (arguments.run is None) == (arguments.dataset is None):
        raise ConfigurationError("compare needs either a dataset or --run with the name of a kept run")
    if arguments.run is not None:
        return compare_kept(arguments, open_run(arguments.run, kept_in(arguments)))
    with _lab(arguments) as lab:
        return compare(arguments, arguments.words, lab._live)  # noqa: SLF001 - one floor


def _runs(arguments: argparse.Namespace) -> int:
    from routerlab.views.cli_kept import runs

    return runs(arguments)


def _report(arguments: argparse.Namespace) -> int:
    from routerlab.views.cli_kept import report

    return report(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from routerlab.views.check import check

    return check(arguments.config, asks=arguments.ping, timeout_s=arguments.timeout)


def _demo(arguments: argparse.Namespace) -> int:
    from routerlab.experiments.datasets import load_dataset
    from routerlab.experiments.output import HTML, check_ending
    from routerlab.lab import Lab
    from routerlab.views.terminal import print_run

    check_ending(arguments.report, HTML)
    dataset = load_dataset("quickstart_qa", limit=arguments.limit)
    with Lab.demo(seed=arguments.seed, strategy="round-robin") as lab:
        print(f"Three simulated providers, real HTTP on loopback: {', '.join(lab.models)}")
        print(f"Replaying {len(dataset)} questions {_REPEATS} times, in turn. {_BROKEN} breaks after 2 s, for 7 s.\n")
        lab.faults.outage(_BROKEN, after=2, duration=7)
        run = lab.replay(dataset, scorers=["exact"], concurrency=4, repeats=_REPEATS, name="demo")
        print_run(run)
        report = run.report(arguments.report)
    print(f"\nReport, opens offline: {report}")
    return 130 if run.status == "stopped" else 0


if __name__ == "__main__":
    sys.exit(main())
