"""The command line: ``routerlab demo``, ``routerlab check`` and ``routerlab simulate``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from routerlab import __version__
from routerlab.core.errors import RouterLabError

__all__ = ["main"]

_BROKEN = "sim/alpha"
_REPEATS = 3  # long enough to see the break, the probe and the return


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the words after the command's name; None: those of the process.

    Returns:
        The exit code: 0, 1 for an error, 130 for an interrupt.
    """
    from routerlab.simulation import cli as simulate

    parser = argparse.ArgumentParser(
        prog="routerlab", description="Compare, route and fail over between LLM providers."
    )
    parser.add_argument("--version", action="version", version=f"routerlab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="watch a failover: a replay over three simulated providers, no key needed")
    demo.add_argument("--report", default="routerlab-demo.html", help="where the report goes (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="of all answers and choices (default: %(default)s)")
    demo.add_argument("--limit", type=int, help="only so many prompts (default: all)")
    simulate.add_arguments(commands.add_parser("simulate", help="serve simulated providers, for any client"))
    check = commands.add_parser("check", help="look for mistakes in a lab.yaml, and see whether its models answer")
    check.add_argument("config", nargs="?", default="lab.yaml", help="the file (default: %(default)s)")
    check.add_argument("--ping", action="store_true", help="make one tiny call to each model")
    check.add_argument("--timeout", type=float, default=30.0, help="seconds for each call (default: %(default)g)")
    arguments = parser.parse_args(argv)
    run = {"demo": _demo, "check": _check, "simulate": simulate.run}[arguments.command]
    try:
        return run(arguments)
    except (RouterLabError, OSError) as error:
        print(f"routerlab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _check(arguments: argparse.Namespace) -> int:
    from routerlab.views.check import check

    return check(arguments.config, asks=arguments.ping, timeout_s=arguments.timeout)


def _demo(arguments: argparse.Namespace) -> int:
    from routerlab.experiments.datasets import load_dataset
    from routerlab.lab import Lab
    from routerlab.views.terminal import print_run

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
