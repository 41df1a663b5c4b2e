"""``routerlab check``: mistakes with their paths, a summary, and whether the models answer; never a key."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from routerlab.cli import main
from routerlab.core.errors import ConfigurationError
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.simulation.server import SimulatedServer
from routerlab.views.check import check

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY = "sk-canary-0123456789abcdef"
WRONG = "sk-wrong-9876543210fedcba"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a ``lab.yaml`` into an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHECK_KEY", KEY)
    monkeypatch.setenv("WRONG_KEY", WRONG)

    def write(text):
        (tmp_path / "lab.yaml").write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def server():
    models = [SimulatedModel(name, ttft_s=Latency(0.001), tokens_per_s=Latency(0)) for name in ("small", "text-embed")]
    with SimulatedServer(models, separate_ports=False, api_key=KEY) as server:
        yield server


def run(**options):
    """The exit code and what was printed, on a wide terminal."""
    out = io.StringIO()
    code = check("lab.yaml", console=Console(file=out, width=200, highlight=False), **options)
    return code, out.getvalue()


GOOD = """
providers:
  house:
    kind: openai_compatible
    base_url: {url}
    api_key: ${{env:CHECK_KEY}}
    models:
      small: {{features: [tools], context_window: 8192, price: {{input: 1, output: 2.5}}}}
      text-embed: {{}}
pools:
  chat: {{models: [house/small], default: true, strategy: round-robin}}
"""


def test_a_good_file_is_summed_up(write, server):
    write(GOOD.format(url=server.url()))
    code, printed = run()
    assert code == 0
    assert "lab.yaml: no mistakes" in printed
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert any(line.startswith("house openai_compatible 127.0.0.1:") for line in lines)
    assert "environment variable CHECK_KEY" in printed
    assert "house/small chat-completion system, tools 8,192 1 / 2.5" in lines
    assert "house/text-embed embedding unknown unknown unknown" in lines
    assert "chat (default) chat-completion round-robin house/small" in lines
    assert KEY not in printed
    assert sum(server.requests(name) for name in ("small", "text-embed")) == 0


def test_all_mistakes_are_printed_with_their_paths(write):
    write("providers: {opnai: {models: [a]}, sim: {kind: simulated, models: {a: {price: {input: -1}}}}}\npols: {}\n")
    code, printed = run()
    assert code == 1
    assert printed.splitlines() == [
        "lab.yaml: 4 mistakes",
        "- providers.sim.models.a.price.input: must be greater than or equal to 0",
        "- providers.sim.models.a.price.output: is missing",
        "- pols: unknown key; did you mean 'pools'?",
        "- providers.opnai.kind: is missing, and no preset is called 'opnai'; did you mean 'openai'?",
    ]


def test_mistakes_that_only_the_connector_knows_are_found_too(write):
    write("providers: {sim: {kind: simulated, models: {a: {acuracy: 1, rpm: 0.5}}}}\n")
    code, printed = run()
    assert code == 1
    assert "- providers.sim.models.a.acuracy: unknown option; did you mean 'accuracy'?" in printed
    assert "- providers.sim.models.a.rpm: " in printed


@pytest.mark.parametrize(("text", "message"), [("a: [", "lab.yaml, line 2"), ("- 1", "expected a mapping")])
def test_a_file_that_is_no_configuration(write, text, message):
    write(text)
    code, printed = run()
    assert code == 1
    assert message in printed


def test_a_file_that_is_not_there(write):
    code, printed = run()
    assert code == 1
    assert "cannot read the configuration lab.yaml: No such file" in printed


def test_a_key_in_the_file_is_warned_of_and_not_shown(write):
    write(f"providers: {{house: {{kind: vllm, api_key: {KEY}, models: [a]}}}}\n")
    code, printed = run()
    assert code == 0
    assert "Warning: lab.yaml: providers.house.api_key holds a key itself; write ${env:NAME}" in printed
    assert "in the file" in printed
    assert "No pools" in printed
    assert KEY not in printed


def test_asking_every_model_that_answers_is_zero(write, server):
    write(GOOD.format(url=server.url()))
    code, printed = run(asks=True)
    assert code == 0
    assert "2 of 2 models answered" in printed
    table = [" ".join(line.split()) for line in printed.partition("Asking 2 models")[2].splitlines()]
    small, embed = (next(line for line in table if line.startswith(f"house/{name}")) for name in ("small", "text-e"))
    assert re.fullmatch(r"house/small ✓ ok [\d.]+ m?s 1 / 2\.5 8,192", small)
    assert re.fullmatch(r"house/text-embed ✓ ok [\d.]+ m?s unknown unknown", embed)
    assert [server.requests(name) for name in ("small", "text-embed")] == [1, 1]


def test_asking_a_model_that_does_not_answer_is_one_and_says_why(write, server):
    place = f"kind: openai_compatible, base_url: '{server.url()}'"
    write(
        f"providers:\n"
        f"  wrong: {{{place}, api_key: '${{env:WRONG_KEY}}', models: [small]}}\n"
        f"  good: {{{place}, api_key: '${{env:CHECK_KEY}}', models: [small, x]}}\n"
        f"  sim: {{kind: simulated, models: {{a: {{}}, picture: {{capabilities: [text-to-image]}}}}}}\n"
    )
    code, printed = run(asks=True)
    assert code == 1
    assert "2 of 4 models answered" in printed
    told = {line.split()[0]: line for line in printed.partition("Asking")[2].splitlines() if "/" in line}
    assert "✗ AuthenticationError: " in told["wrong/small"]
    assert "✗ ModelNotFoundError: " in told["good/x"]
    assert "✓ ok" in told["good/small"]
    assert "- not asked: " in told["sim/picture"]
    assert KEY not in printed
    assert WRONG not in printed


def test_the_command_takes_lab_yaml_and_gives_its_exit_code(write, capsys):
    write("providers: {sim: {kind: simulated, models: [a]}}\n")
    assert main(["check"]) == 0
    assert main(["check", "lab.yaml", "--ping", "--timeout", "20"]) == 0
    assert "1 of 1 model answered" in capsys.readouterr().out
    assert main(["check", "none.yaml"]) == 1
    assert main(["check", "--timeout", "0"]) == 1
    assert "above 0 seconds" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="above 0"):
        check("lab.yaml", timeout_s=-1)
