"""The words of ``routerlab replay``, ``compare``, ``runs`` and ``report``: those of the API, as options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.arrivals import Arrivals, load_arrivals
from routerlab.experiments.output import HTML, check_ending
from routerlab.experiments.plan import CONCURRENCY
from routerlab.experiments.rows import ENDINGS
from routerlab.mixins.files import FileSerializerMixin, SerializationFormat

__all__ = [
    "EXIT_CODES",
    "WRITERS",
    "add_compare",
    "add_replay",
    "add_report",
    "add_runs",
    "arrivals",
    "check_outputs",
    "concurrency",
    "request_params",
    "scorers",
    "variants",
]

EXIT_CODES = """\
exit codes:
  0    done, every row has its answer (compare: and the verdict is the expected one)
  1    an error: a mistake in the configuration or the data, a refused key, a file that cannot be written
  2    an unknown option
  3    done, but rows failed; with --fail-under: a score is too low; with --expect: another verdict
  4    stopped with rows pending: the budget is spent, or a model gave no answer for --give-up-after
  130  stopped by Ctrl-C; 143: by SIGTERM. What is finished is kept; a second Ctrl-C does not wait
"""

WRITERS = {".jsonl": "to_jsonl", ".csv": "to_csv", ".parquet": "to_parquet"}
"""By the ending of a file, the method of a run that writes its rows there."""

_Group = Any  # argparse keeps the class of its groups to itself


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``routerlab replay``."""
    parser.add_argument("dataset", help="a file (.jsonl, .csv, .parquet, .yaml, …), or quickstart_qa")
    _add_run(parser)
    result = _add_result(parser)
    result.add_argument(
        "--fail-under",
        type=_share,
        metavar="SHARE",
        help="exit with 3 only where the mean score of a model is below this (0 to 1; a failed row counts as 0; "
        "without a scorer: the share of rows with an answer)",
    )


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``routerlab compare``."""
    parser.add_argument("dataset", nargs="?", help="as for replay; leave it out with --run")
    group = parser.add_argument_group("the question")
    group.add_argument("--run", metavar="NAME", help="compare within a kept run: no key, no call")
    group.add_argument(
        "--margin", type=_share, default=0.05, help="difference in score that does not matter (default: %(default)g)"
    )
    group.add_argument(
        "--expect",
        choices=("better", "not-worse"),
        help="exit with 3 unless the first model is better than each of the others, or not worse by the margin",
    )
    _add_run(parser)
    _add_result(parser)


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``routerlab runs``."""
    _add_store(parser)
    parser.add_argument("--delete", metavar="NAME", help="take the newest run of this name out of the file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_report(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``routerlab report``."""
    parser.add_argument("name", help="of the run; of several the newest")
    _add_store(parser)
    parser.add_argument("--report", metavar="FILE", help="write an HTML file that opens offline")
    parser.add_argument("--text", action="store_true", help="with prompts and replies in it")
    parser.add_argument("--out", action="append", default=[], metavar="FILE", help="write the rows, as for replay")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_lab(parser.add_argument_group("the lab"))
    _add_data(parser.add_argument_group("the data"))
    _add_arms(parser.add_argument_group("who is asked, and how"))
    _add_money(parser.add_argument_group("the run"))


def _add_lab(group: _Group) -> None:
    group.add_argument("--config", metavar="FILE", help="default: lab.yaml, else the keys in the environment")
    group.add_argument("--demo", action="store_true", help="three simulated models: sim/alpha, sim/beta, sim/gamma")
    _add_store(group)
    group.add_argument("--no-text", action="store_true", help="keep prompts and replies out of the file")
    group.add_argument("--seed", type=int, help="of the order and of all choices")


def _add_store(group: _Group) -> None:
    group.add_argument(
        "--store", metavar="FILE", help="where runs are kept (default: as lab.yaml says, else .routerlab/runs.db)"
    )


def _add_data(group: _Group) -> None:
    group.add_argument("--prompt", metavar="FIELD", help='the field with the prompt, or a template: "Q: {question}"')
    group.add_argument("--messages", metavar="FIELD", help="the field with messages, in place of a prompt")
    group.add_argument("--target", metavar="FIELD", help="the field with the known answer")
    group.add_argument("--id", metavar="FIELD", help="the field with the id")
    group.add_argument("--format", metavar="NAME", help="rows, gsm8k, mt-bench, openai-batch, promptfoo")
    group.add_argument("--limit", type=int, metavar="N", help="only the first items")
    group.add_argument("--skip-bad-rows", action="store_true", help="leave out what cannot be read")


def _add_arms(group: _Group) -> None:
    group.add_argument("--models", nargs="+", metavar="MODEL", help="provider/model each; default: the pool routes")
    group.add_argument("--variants", metavar="FILE", help="YAML: name: {model: …, system: …, temperature: …}")
    group.add_argument("--pool", help="that routes where no model is named")
    group.add_argument("--system", metavar="TEXT", help="a system message for items without one")
    group.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as temperature=0; repeatable",
    )
    group.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="answers piece by piece, for the time to the first token (default: where the model can)",
    )
    group.add_argument("--deadline", metavar="TIME", help="of each call, all attempts included: 30s")
    group.add_argument(
        "--scorer", action="append", metavar="NAME", help="exact, contains, numeric, choice, similarity; repeatable"
    )
    group.add_argument("--judge", metavar="MODEL", help="a model that scores the replies")
    group.add_argument("--rubric", metavar="TEXT", help="for the judge: what makes a reply good")
    group.add_argument("--pairwise", action="store_true", help="the judge compares the replies of each two models")


def _add_money(group: _Group) -> None:
    group.add_argument("--name", help="the same name goes on with the same run (default: made up, and told)")
    group.add_argument("--fresh", action="store_true", help="begin anew, and pay again, where the name is taken")
    group.add_argument("--retry-failed", action="store_true", help="send once more what failed")
    group.add_argument(
        "--concurrency",
        nargs="+",
        metavar="N",
        help=f"calls in flight to each provider (default: {CONCURRENCY}), or to some: openai=16 groq=4",
    )
    group.add_argument(
        "--arrivals", metavar="RATE|FILE", help="send as something arrives: 5/s, or the times of a trace (.csv, .jsonl)"
    )
    group.add_argument("--speed", type=float, default=1.0, metavar="X", help="of a trace: 10 is ten times as fast")
    group.add_argument("--engine", choices=("dask",), help="a process on each core of this machine makes the calls")
    group.add_argument("--repeats", type=int, default=1, metavar="N", help="each item so often (default: %(default)s)")
    group.add_argument("--budget", type=float, metavar="USD", help="stop before more than this is spent")
    group.add_argument("--allow-unknown-prices", action="store_true", help="with a budget: such calls count as free")
    group.add_argument("--cache", action="store_true", help="answer from disk what was asked before, word for word")
    group.add_argument("--give-up-after", default="30m", metavar="TIME", help="of an outage (default: %(default)s)")
    group.add_argument("--no-preflight", action="store_true", help="without a small call to each model first")
    group.add_argument("--dry-run", action="store_true", help="estimate calls and cost; nothing is sent")


def _add_result(parser: argparse.ArgumentParser) -> _Group:
    group = parser.add_argument_group("what comes out")
    group.add_argument("--report", metavar="FILE", help="an HTML file that opens offline")
    group.add_argument("--text", action="store_true", help="with prompts and replies in the report")
    group.add_argument("--out", action="append", default=[], metavar="FILE", help="the rows: .jsonl, .csv or .parquet")
    group.add_argument("--json", action="store_true", help="print JSON in place of the table")
    group.add_argument("--quiet", action="store_true", help="show no progress")
    return group


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, not {text}")
    return value


# -- what they mean ----------------------------------------------------------------------------------------------------


def request_params(pairs: list[str]) -> dict[str, Any]:
    """``NAME=VALUE`` each; a value is JSON where it can be, else text.

    >>> request_params(["temperature=0", "stop=END"])
    {'temperature': 0, 'stop': 'END'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"--param {pair}: expected NAME=VALUE, such as temperature=0")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def concurrency(words: list[str] | None) -> int | dict[str, int] | None:
    """One number for each provider, or numbers by their names; None: nothing was said.

    >>> concurrency(["16"]), concurrency(["openai=16", "groq=4"])
    (16, {'openai': 16, 'groq': 4})
    """
    try:
        if words and "=" not in words[0]:
            (word,) = words
            return int(word)
        pairs = [word.partition("=") for word in words or ()]
        return {name: int(number) for name, _, number in pairs} or None
    except ValueError:
        said = " ".join(words or ())
        raise ConfigurationError(f"--concurrency {said}: expected a number, or such as openai=16 groq=4") from None


def arrivals(arguments: argparse.Namespace) -> Arrivals | str | None:
    """When items are sent: at a rate, or as a file says; None: as soon as there is room.

    Raises:
        ConfigurationError: a speed without a trace.
        DatasetError: the file tells no times.
    """
    said: str | None = arguments.arrivals
    if said is not None and said.lower().endswith(ENDINGS):
        return load_arrivals(said, speed=arguments.speed)
    if arguments.speed != 1.0:
        raise ConfigurationError("--speed is for a trace: name its file with --arrivals")
    return said


def scorers(arguments: argparse.Namespace) -> list[Any] | None:
    """The named scorers and the judge; None: the dataset's own.

    Raises:
        ConfigurationError: a rubric without a judge.
    """
    from routerlab.experiments.judge import judge

    if arguments.judge is None:
        if arguments.rubric is not None or arguments.pairwise:
            raise ConfigurationError("--rubric and --pairwise are for a judge: name its model with --judge")
        return arguments.scorer  # type: ignore[no-any-return] # a list of strings, or None
    rubric = {} if arguments.rubric is None else {"rubric": arguments.rubric}
    return [*(arguments.scorer or ()), judge(arguments.judge, pairwise=arguments.pairwise, **rubric)]


def variants(path: str | None) -> Mapping[str, Any] | None:
    """The variants in a YAML file.

    Raises:
        ConfigurationError: it is no mapping, or no YAML.
        OSError: it cannot be read.
    """
    if path is None:
        return None
    files = FileSerializerMixin()
    try:
        found = files._deserialize(files._read_file(path), SerializationFormat.YAML)  # noqa: SLF001 - documented names
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    if not isinstance(found, Mapping) or not found:
        raise ConfigurationError(f"{path}: expected variants by name, such as terse: {{model: …, system: …}}")
    return found


def check_outputs(arguments: argparse.Namespace) -> None:
    """Tell before any money is spent that a result could not be written.

    Raises:
        ConfigurationError: an unknown ending, or a folder that is not there.
    """
    for path in arguments.out:
        if Path(path).suffix.lower() not in WRITERS:
            raise ConfigurationError(f"--out {path}: expected a name that ends in {', '.join(WRITERS)}")
    if arguments.report:
        check_ending(arguments.report, HTML)
    for path in (*arguments.out, *([arguments.report] if arguments.report else [])):
        if not Path(path).resolve().parent.is_dir():
            raise ConfigurationError(f"{path} cannot be written: there is no folder {Path(path).resolve().parent}")
