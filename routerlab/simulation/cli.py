"""``routerlab simulate``: simulated models by themselves, for any client."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from routerlab.core.errors import ConfigurationError
from routerlab.core.simulated import SimulatedModel
from routerlab.mixins.files import FileSerializerMixin, SerializationFormat
from routerlab.simulation.demo import demo_models
from routerlab.simulation.dialects import DIALECTS
from routerlab.simulation.options import read_models
from routerlab.simulation.server import SimulatedServer

__all__ = ["add_arguments", "parse_fault", "run"]

_FAULT_FORM = "[model:]kind[,option=value…][@start[+duration]]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0: any (default: %(default)s)")
    parser.add_argument("--allow-remote", action="store_true", help="accept a host that other machines can reach")
    parser.add_argument("--models", help="names, separated by commas (default: alpha,beta,gamma)")
    parser.add_argument("--config", help="YAML file with the models and their options, in place of --models")
    parser.add_argument("--seed", type=int, help="of all answers (default: 0)")
    parser.add_argument("--api-key", help="ask every request for this key")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help=f"{_FAULT_FORM}, in seconds: alpha:unavailable@5+20 or rate_limit,retry_after=2@10",
    )


def run(arguments: argparse.Namespace, *, out: TextIO | None = None, stop: threading.Event | None = None) -> int:
    """Serve until interrupted.

    Args:
        arguments: as declared by `add_arguments`.
        out: where to say what is served; None: standard output.
        stop: ends the command when set, as Ctrl-C does.

    Returns:
        The exit code: 0.

    Raises:
        ConfigurationError: the options make no sense.
        OSError: the port is taken, or the file cannot be read.
    """
    models, seed = _models(arguments)
    server = SimulatedServer(
        models,
        host=arguments.host,
        port=arguments.port,
        separate_ports=False,
        seed=seed,
        api_key=arguments.api_key,
        allow_remote=arguments.allow_remote,
    )
    for text in arguments.fault:
        for model, kind, options in parse_fault(text, list(server.models)):
            server.faults.inject(model, kind, **options)
    with server, contextlib.suppress(KeyboardInterrupt):
        _greet(server, arguments.api_key, out or sys.stdout)
        _wait(stop or threading.Event())
    return 0


def parse_fault(text: str, models: list[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """Read a fault of the command line.

    Args:
        text: ``[model:]kind[,option=value…][@start[+duration]]``, in seconds.
        models: those that are meant where the text names none.

    Returns:
        Model, kind and options for `FaultController.inject`, one for each model.

    Raises:
        ConfigurationError: the text has another form.

    >>> parse_fault("alpha:rate_limit,retry_after=2@5+20", ["alpha", "beta"])
    [('alpha', 'rate_limit', {'retry_after': 2, 'after': 5.0, 'duration': 20.0})]
    """
    head, _, times = text.partition("@")
    named, colon, what = head.rpartition(":")
    kind, *pairs = what.split(",")
    options = {name: _value(value) for name, _, value in (pair.partition("=") for pair in pairs)}
    start, _, duration = times.partition("+")
    try:
        options["after"] = float(start) if start else 0.0
        options["duration"] = float(duration) if duration else None
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a fault: expected {_FAULT_FORM}") from None
    return [(model, kind, options) for model in ([named] if colon else models)]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _models(arguments: argparse.Namespace) -> tuple[list[SimulatedModel], int]:
    if arguments.config is None:
        demo = demo_models()
        names = arguments.models.split(",") if arguments.models else list(demo)
        return read_models({name.strip(): demo.get(name.strip()) for name in names}), arguments.seed or 0
    if arguments.models:
        raise ConfigurationError("--models and --config exclude each other")
    config = _load(arguments.config)
    seed = arguments.seed if arguments.seed is not None else config.get("seed", 0)
    return read_models(config.get("models")), int(seed)


def _load(path: str) -> Mapping[str, Any]:
    files = FileSerializerMixin()
    try:
        config = files._deserialize(files._read_file(path), SerializationFormat.YAML)  # noqa: SLF001 - documented names
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    if not isinstance(config, Mapping):
        raise ConfigurationError(f"{path}: expected a mapping with the key 'models'")
    unknown = [key for key in config if key not in ("kind", "models", "seed")]
    if unknown:
        raise ConfigurationError(f"{path}: unknown key {unknown[0]!r}; expected 'models' and 'seed'")
    return config


def _greet(server: SimulatedServer, api_key: str | None, out: TextIO) -> None:
    body = json.dumps({"model": next(iter(server.models)), "messages": [{"role": "user", "content": "Hello"}]})
    key = ' -H "Authorization: Bearer $KEY"' if api_key else ""  # the key itself stays out of logs
    out.write(
        f"Simulated models at {server.url()}: {', '.join(server.models)}\n"
        f"Base URLs: {_addresses(server)}\n"
        f"Try: curl {server.url()}/chat/completions{key} -H 'Content-Type: application/json' -d '{body}'\n"
        "Ctrl-C stops.\n"
    )
    out.flush()


def _addresses(server: SimulatedServer) -> str:
    """Each base URL once, with the kinds of clients that take it."""
    kinds: dict[str, list[str]] = {}
    for dialect in DIALECTS:
        kinds.setdefault(server.url(kind=dialect.kind), []).append(dialect.kind)
    return "; ".join(f"{url} ({', '.join(names)})" for url, names in kinds.items())


def _wait(stop: threading.Event) -> None:
    while not stop.wait(1.0):  # in slices: on Windows an endless wait cannot be interrupted
        pass
