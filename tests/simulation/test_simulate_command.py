"""``routerlab simulate``: simulated models by themselves."""

from __future__ import annotations

import argparse
import io
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.simulation.cli import add_arguments, parse_fault, run


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["--port", "0", *arguments])


class Output(io.StringIO):
    """Standard output that says when something was flushed to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def flush(self) -> None:
        self.written.set()


@contextmanager
def running(*arguments: str) -> Iterator[tuple[str, str]]:
    """The command at work: its base URL, and what it printed."""
    out, stop, codes = Output(), threading.Event(), []
    thread = threading.Thread(target=lambda: codes.append(run(parsed(*arguments), out=out, stop=stop)))
    thread.start()
    try:
        assert out.written.wait(60.0)
        yield out.getvalue().split()[3].rstrip(":"), out.getvalue()
    finally:
        stop.set()
        thread.join(60.0)
    assert codes == [0]


def ask(url: str, model: str, **headers: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    return httpx.post(f"{url}/chat/completions", json=body, headers=headers).status_code


def test_the_demo_models_on_one_port() -> None:
    with running() as (url, printed):
        assert [ask(url, model) for model in ("alpha", "beta", "gamma")] == [200, 200, 200]
        assert "alpha, beta, gamma" in printed
        assert f"curl {url}/chat/completions" in printed


def test_the_address_of_each_wire_format_is_told() -> None:
    with running() as (url, printed):
        root = url.removesuffix("/v1")
        assert (
            f"Base URLs: {url} (openai, openai_responses); {root} (anthropic, ollama, cohere); {root}/v1beta (gemini)\n"
            in printed
        )


def test_models_key_and_faults() -> None:
    with running("--models", "alpha,mine", "--api-key", "k", "--fault", "mine:unavailable", "--fault", "reset@60") as (
        url,
        printed,
    ):
        assert ask(url, "alpha") == 401
        assert ask(url, "alpha", Authorization="Bearer k") == 200
        assert ask(url, "mine", Authorization="Bearer k") == 503
        assert '"Authorization: Bearer $KEY"' in printed


def test_a_file_of_models(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("seed: 3\nmodels:\n  tiny: {context_window: 5, ttft_s: 0}\n", encoding="utf-8")
    with running("--config", str(path)) as (url, _):
        assert ask(url, "tiny") == 400
    for text, message in (
        ("model: {}", "unknown key 'model'"),
        ("- 1", "mapping"),
        ("a: [", "not valid YAML"),
        ("models: {a: {rmp: 1}}", "did you mean 'rpm'"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=message):
            run(parsed("--config", str(path)))
    with pytest.raises(ConfigurationError, match="exclude each other"):
        run(parsed("--config", str(path), "--models", "a"))


@pytest.mark.parametrize(
    ("text", "model", "kind", "options"),
    [
        ("stall", "alpha", "stall", {"after": 0.0, "duration": None}),
        ("b:slow,factor=2@5", "b", "slow", {"factor": 2, "after": 5.0, "duration": None}),
        (
            "rate_limit,retry_after=soon@1.5+20",
            "alpha",
            "rate_limit",
            {"retry_after": "soon", "after": 1.5, "duration": 20.0},
        ),
    ],
)
def test_faults_of_the_command_line(text: str, model: str, kind: str, options: dict[str, Any]) -> None:
    assert parse_fault(text, ["alpha"]) == [(model, kind, options)]


def test_faults_that_make_no_sense() -> None:
    with pytest.raises(ConfigurationError, match="is not a fault"):
        parse_fault("stall@soon", ["alpha"])
    with pytest.raises(ConfigurationError, match="did you mean 'stall'"):
        run(parsed("--fault", "stal"))
    with pytest.raises(ConfigurationError, match="allow_remote"):
        run(parsed("--host", "0.0.0.0"))  # noqa: S104 - refused, that is the point


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_ends_it_cleanly() -> None:
    code = (
        "import argparse, sys\n"
        "from routerlab.simulation.cli import add_arguments, run\n"
        "parser = argparse.ArgumentParser()\n"
        "add_arguments(parser)\n"
        "sys.exit(run(parser.parse_args(['--port', '0'])))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Simulated models at http://127.0.0.1:")
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
