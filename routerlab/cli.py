"""The command line: ``routerlab demo`` and ``routerlab simulate``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from routerlab import __version__
from routerlab.core.errors import RouterLabError

__all__ = ["main"]


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
    arguments = parser.parse_args(argv)
    try:
        return _demo(arguments) if arguments.command == "demo" else simulate.run(arguments)
    except (RouterLabError, OSError) as error:
        print(f"routerlab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _demo(arguments: argparse.Namespace) -> int:
    from routerlab.lab import Lab
    from routerlab.views.demo import show_demo

    with Lab.demo(seed=arguments.seed, strategy="round-robin") as lab:
        return show_demo(lab, report=arguments.report, limit=arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
