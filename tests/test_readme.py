"""The README is run: its ten lines, its connectors, its configuration."""

import ast
import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest

import routerlab as rl
from routerlab.cli import main
from routerlab.core.errors import CircuitOpenError
from routerlab.simulation.server import SimulatedServer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def block(language: str, word: str) -> str:
    found = [text for kind, text in BLOCKS if kind == language and word in text]
    assert len(found) == 1, f"README has {len(found)} {language or 'plain'} blocks with {word!r}"
    return found[0]


def without_times(text: str) -> list[str]:
    """What stays the same from run to run."""
    text = re.sub(r"[▒░█]+| {2,}", " ", text)
    text = re.sub(r"\d[\d.]* m?s\b|call \w+", "…", text)
    return [line.strip() for line in text.strip().splitlines()]


def test_the_ten_lines_print_what_the_readme_shows(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "88")
    code = block("python", "Lab.demo()")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    assert "duration=20" in code
    names = {}
    code = code.replace("duration=20", "duration=600")  # a slow machine needs more time
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own README
    names["lab"].close()
    printed, shown = without_times(capsys.readouterr().out), without_times(block("", "Lisbon"))
    # how many calls met the outage before the breaker opened depends on the machine's pace
    assert printed[:-2] == shown[:-2]
    assert re.fullmatch(r"0 sim/alpha \d+ 0 \d+ <NA>", printed[-2])
    assert re.fullmatch(r"1 sim/beta 60 60 0 0\.8\d+", printed[-1])


def test_the_blocks_run_from_top_to_bottom_in_one_notebook(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = [text for kind, text in BLOCKS if kind == "python" and "from_env" not in text]
    names = {}
    for code in blocks[: next(place for place, text in enumerate(blocks) if "class House" in text)]:
        exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own README
    names["lab"].close()
    assert {path.name for path in tmp_path.iterdir()} == {"run.html", "run.csv", "spans.jsonl"}
    said = capsys.readouterr().out
    assert re.search(r"On 120 prompts, sim/alpha (is|against) .* \(simulated\)\.", said)
    assert "'sim/alpha', " in said  # its stream was cut after it had begun


def test_the_commands_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = block("sh", "routerlab replay").splitlines()
    assert [main(shlex.split(line)[1:]) for line in lines] == [0] * len(lines)
    assert (tmp_path / "qa-v1.html").is_file()
    assert "sim/gamma is better than sim/alpha" in capsys.readouterr().out


def test_the_configuration_is_accepted(tmp_path, monkeypatch):
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-made-up-for-the-test")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lab.yaml"
    path.write_text(block("yaml", "inhouse"), encoding="utf-8")
    with rl.Lab(path) as lab:
        assert lab.models == ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "inhouse/llama-3.1-8b"]
        assert lab.explain("hello").chosen == "openai/gpt-4o-mini"


def test_the_promptfoo_file_is_read(tmp_path):
    (tmp_path / "polite.txt").write_text("Please name the capital of {{country}}.")
    (tmp_path / "suite.yaml").write_text(block("yaml", "defaultTest"), encoding="utf-8")
    dataset = rl.load_dataset(tmp_path / "suite.yaml")
    assert [item.id for item in dataset] == ["t1v1p1", "t1v1p2", "t1v2p1", "t1v2p2"]
    assert dataset[3].prompt == "Please name the capital of Peru."


def test_the_connector_is_short_and_keeps_every_rule():
    code = block("python", "class House")
    assert len([line for line in code.splitlines() if line.strip()]) < 30
    names = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102
    exec(compile(block("python", "check_connector(House)"), "README.md", "exec"), names)  # noqa: S102


def test_the_connector_of_the_third_notebook_is_the_same():
    notebook = json.loads((ROOT / "notebooks" / "03_your_own_connector.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert block("python", "class House").strip() in cells


def test_the_mixins_combine_as_shown():
    names = {}
    exec(compile(block("python", "class Watched"), "README.md", "exec"), names)  # noqa: S102

    class Flaky(names["Watched"]):
        async def backend(self, question):
            if question == "bad":
                raise OSError("down")
            return "fine"

    async def talk():
        flaky = Flaky()
        answers = [await flaky.ask("good")]
        for _ in range(5):
            with pytest.raises(OSError, match="down"):
                await flaky.ask("bad")
        with pytest.raises(CircuitOpenError) as refused:
            await flaky.ask("good")
        return answers, refused.value.remaining, flaky._get_rate("backend")

    answers, remaining, rate = asyncio.run(talk())
    assert answers == ["fine"]
    assert 30 < remaining <= 60
    assert rate == pytest.approx(1 / 6)


def test_the_example_provider_works_as_shipped():
    from routerlab.core.simulated import SimulatedModel
    from routerlab.mixins import CachedHttpProvider

    async def talk(url):
        provider = CachedHttpProvider(url, "key")
        models = await provider.list_models()
        await provider.close()
        return models

    with SimulatedServer([SimulatedModel("alpha")]) as server:
        assert [model["id"] for model in asyncio.run(talk(server.url("alpha")))["data"]] == ["alpha"]


def test_every_file_that_the_readme_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_a_stream_that_breaks_is_carried_on_as_the_readme_says(capsys: pytest.CaptureFixture[str]) -> None:
    with rl.Lab.demo() as lab:
        exec(block("python", "cut_streams"), {"lab": lab})  # noqa: S102 - the README's own words
    text, parts = capsys.readouterr().out.strip().splitlines()
    assert [model for model, _ in ast.literal_eval(parts)] == ["sim/alpha", "sim/beta"]
    assert sum(length for _, length in ast.literal_eval(parts)) == len(text)
