"""The command line in this process: what it prints, what it writes, and with what code it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl
from routerlab.cli import main
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.session.store import Store
from routerlab.simulation.server import SimulatedServer

REPOSITORY = Path(__file__).parents[2]
MODELS = ("--models", "sim/alpha", "sim/gamma")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(folder: Path) -> str:
    """Eight prompts that all models answer alike, and a target that they never give for the last two."""
    rows = [{"q": f"What is {n} + {n}?", "a": "never" if n > 5 else f"{2 * n}"} for n in range(8)]
    (folder / "sums.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return "sums.jsonl"


def replay(data: str, *more: str) -> int:
    return main(["replay", data, "--demo", "--prompt", "q", "--target", "a", *MODELS, *more])


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_a_replay_prints_its_table_and_goes_on_by_its_name(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(data, "--name", "sums") == 0
    out, err = capsys.readouterr()
    assert out.startswith("sums · done\n")
    assert "sim/gamma" in out
    assert "Simulated:" in out
    assert err.startswith("run sums, kept in .routerlab/runs.db\n")
    assert "sums 100% 16/16 · done · 16 ok" in err
    assert replay(data, "--name", "sums", "--json") == 0
    told, err = printed(capsys)
    assert "opened sums: 16 rows, 0 calls, $0.00" in err
    assert told["rows"] == {"total": 16, "ok": 16, "failed": 0, "pending": 0, "cached": 0}
    assert [row["model"] for row in told["models"]] == ["sim/alpha", "sim/gamma"]
    assert told["to_go_on"] is None
    assert told["simulated"] is True


def test_a_run_without_a_name_says_how_it_is_called_and_how_to_go_on(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(data, "--budget", "0.000001", "--param", "max_tokens=20", "--fresh", "--system", "Be brief.") == 4
    out, err = capsys.readouterr()
    name = err.split()[1].rstrip(",")
    assert name.startswith("replay-")
    assert "stopped at its budget" in out
    line = err.splitlines()[-1].partition("to go on: ")[2]
    words = "--budget 0.000001 --param max_tokens=20 --system 'Be brief.'"
    assert line == f"routerlab replay {data} --demo --prompt q --target a {' '.join(MODELS)} {words} --name {name}"
    assert main(["report", name]) == 0
    assert f"16 rows left; raise the budget to go on: {line}\n" in capsys.readouterr().out


def test_failed_rows_and_low_scores_have_their_code(
    data: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SimulatedServer([SimulatedModel("alpha", tokens_per_s=Latency(0.0))], separate_ports=False) as server:
        provider = {"kind": "openai_compatible", "base_url": server.url(), "models": ["alpha"]}
        (folder / "lab.yaml").write_text(json.dumps({"providers": {"sim": provider}, "store": "kept.db"}))
        words = ["replay", data, "--prompt", "q", "--target", "a", "--models", "sim/alpha", "--quiet"]
        assert main([*words, "--name", "good"]) == 0
        assert capsys.readouterr().err == ""
        assert main([*words, "--name", "good", "--fail-under", "1"]) == 0
        assert main([*words, "--name", "scored", "--scorer", "exact", "--fail-under", "0.9"]) == 3
        assert "sim/alpha: 0 is below --fail-under 0.9\n" in capsys.readouterr().err
        assert main([*words, "--name", "scored", "--scorer", "exact"]) == 0
        server.faults.inject("sim/alpha", "invalid_request")
        assert main([*words, "--name", "bad", "--no-preflight"]) == 3
        out, err = capsys.readouterr()
        assert "Note: sim/alpha: 8 rows failed (InvalidRequestError)" in out
        assert "\nsim/alpha failed, first with: sim/alpha: " in err
        assert main([*words, "--name", "bad", "--no-preflight", "--fail-under", "0"]) == 0
        capsys.readouterr()
        assert main([*words, "--name", "refused"]) == 1
        assert capsys.readouterr().err.startswith("routerlab: ")
        assert main(["runs", "--json"]) == 0
        told, _ = printed(capsys)
        server.faults.clear("sim/alpha")
        assert main([*words, "--name", "bad", "--no-preflight", "--retry-failed"]) == 0
    states = [(run["name"], run["status"], run["done"], run["failed"], run["total"]) for run in told]
    assert states == [
        ("good", "done", 8, 0, 8),
        ("scored", "done", 8, 0, 8),
        ("bad", "done", 8, 8, 8),
        ("refused", "failed", 0, 0, 8),
    ]


def test_an_estimate_sends_nothing(data: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(data, "--dry-run", "--budget", "1", "--json") == 0
    told, _ = printed(capsys)
    assert told["calls"] == 16
    assert [arm["variant"] for arm in told["arms"]] == ["sim/alpha", "sim/gamma"]
    assert replay(data, "--dry-run") == 0
    assert "16 calls · at most about $" in capsys.readouterr().out
    assert not (folder / ".routerlab").exists()


def test_a_comparison_can_gate_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "quickstart_qa", "--demo", "--limit", "60", "--scorer", "exact", "--name", "gate", "--quiet"]
    assert main([*words, "--models", "sim/gamma", "sim/alpha", "--expect", "better"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("On 60 prompts, sim/gamma is better than sim/alpha: ")
    assert "quality" in out
    kept = ["compare", "--run", "gate"]
    assert main([*kept, "--expect", "not-worse"]) == 0
    assert main([*kept, "--models", "sim/alpha", "sim/gamma", "--expect", "not-worse"]) == 3
    assert "expected not-worse: that is not shown" in capsys.readouterr().err
    assert main([*kept, "--models", "sim/alpha", "sim/gamma", "--expect", "better", "--json", "--scorer", "exact"]) == 3
    told, _ = printed(capsys)
    assert (told["expected"], told["met"], told["verdicts"][0]["verdict"]) == ("better", False, "worse")
    assert told["run"]["rows"]["ok"] == 120
    assert main(kept[:1]) == 1
    assert "needs either a dataset or --run" in capsys.readouterr().err


def test_runs_are_listed_reported_and_deleted(data: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert capsys.readouterr().out == "no runs are kept in .routerlab/runs.db\n"
    assert replay(data, "--name", "sums", "--quiet", "--report", "a.html") == 0
    assert capsys.readouterr().err == "written: a.html\n"
    assert main(["report", "sums", "--report", "b.html", "--json"]) == 0
    assert printed(capsys)[0]["status"] == "done"
    assert (folder / "b.html").stat().st_size > 1000
    assert main(["runs"]) == 0
    assert "16/16" in capsys.readouterr().out
    assert main(["runs", "--delete", "sums"]) == 0
    assert main(["report", "sums"]) == 1
    assert "there is no run 'sums'" in capsys.readouterr().err


def test_rows_are_written(data: str, folder: Path) -> None:
    assert replay(data, "--limit", "2", "--quiet", "--out", "rows.jsonl", "--out", "rows.csv") == 0
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 4
    assert (folder / "rows.csv").read_text().startswith("prompt,")


def test_a_run_whose_process_is_gone_was_interrupted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"run_id": "r1", "name": "lost\x1b[31m", "kind": "replay", "status": "running", "created_at": 1.0}
    with Store("runs.db") as store:
        store.put("runs", row)
        store.flush()
        assert store.read("runs")["status"] == ["running"], "its process is this one"
    assert main(["runs", "--store", "runs.db"]) == 0
    out = capsys.readouterr().out
    assert "interrupted" in out
    assert "\x1b" not in out
    assert main(["report", "lost\x1b[31m", "--store", "runs.db"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert rl.open_run("lost\x1b[31m", "runs.db").status == "interrupted"
    with Store("runs.db") as store:  # the next writer begins a run of its own
        store.put("runs", row | {"run_id": "r2", "name": "new"})
        store.flush()
        assert store.read("runs")["status"] == ["interrupted", "running"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["replay", "quickstart_qa"], "there is no lab.yaml here"),
        (["replay", "quickstart_qa", "--models", "sim/alpha"], "add --demo"),
        (["replay", "quickstart_qa", "--demo", "--models", "sim/alhpa"], "did you mean 'sim/alpha'"),
        (["replay", "quickstart_qa", "--demo", "--out", "rows.txt"], "ends in .jsonl, .csv, .parquet"),
        (["replay", "quickstart_qa", "--demo", "--report", "none/a.html"], "there is no folder"),
        (["replay", "quickstart_qa", "--demo", "--report", "a.pdf"], "ends in .html or .htm, such as a.html"),
        (["demo", "--report", "a.pdf"], "ends in .html or .htm, such as a.html"),
        (["replay", "quickstart_qa", "--demo", "--param", "temperature"], "expected NAME=VALUE"),
        (["replay", "quickstart_qa", "--demo", "--rubric", "Is it right?"], "name its model with --judge"),
        (["replay", "quickstart_qa", "--demo", "--variants", "list.yaml"], "expected variants by name"),
        (["compare", "quickstart_qa", "--demo", "--models", "sim/alpha"], "two"),
        (["replay", "quickstart_qa", "--demo", "--concurrency", "many"], "such as openai=16 groq=4"),
        (["replay", "quickstart_qa", "--demo", "--concurrency", "4", "5"], "such as openai=16 groq=4"),
        (["replay", "quickstart_qa", "--demo", "--arrivals", "list.csv"], "list.csv"),
        (["replay", "quickstart_qa", "--demo", "--arrivals", "5/s", "--speed", "2"], "--speed is for a trace"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(
    words: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "list.yaml").write_text("[a, b]")
    assert main(words) == 1
    assert told in capsys.readouterr().err
    assert not (folder / ".routerlab").exists()


def test_variants_stand_in_a_file_and_a_judge_may_score(
    data: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "variants.yaml").write_text(
        "terse: {model: sim/alpha, system: Be brief., temperature: 0}\nplain: {model: sim/alpha}"
    )
    words = ["replay", data, "--demo", "--prompt", "q", "--target", "a", "--name", "v", "--quiet", "--json"]
    assert main([*words, "--variants", "variants.yaml", "--limit", "2", "--judge", "sim/gamma"]) == 0
    told, err = printed(capsys)
    assert err == ""
    assert "score_judge" in told["variants"][0]
    assert [row["variant"] for row in told["variants"]] == ["terse", "plain"]
    assert rl.open_run("v").summary()["variant"].tolist() == ["terse", "plain"]
    assert rl.open_run("v").summary("model")["model"].tolist() == ["sim/alpha"]
    assert main(["report", "v"]) == 0
    printed_table = capsys.readouterr().out
    assert re.search(r"^ variant .*\n.*\n terse .*\n plain ", printed_table, re.MULTILINE)
    assert rl.open_run("v").settings()["arms"][0]["params"] == {"temperature": 0}
    assert rl.open_run("v").settings()["command"].startswith("routerlab replay sums.jsonl --demo ")


@pytest.fixture
def kept(data: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert replay(data, "--name", "sums", "--quiet", "--scorer", "exact") == 0
    capsys.readouterr()
    return "sums"


def shell(*words: str, out: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "routerlab.cli", *words]
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    return subprocess.Popen(command, env=variables, stdout=out, stderr=subprocess.PIPE)


def test_a_terminal_that_lacks_signs_gets_likely_ones(kept: str) -> None:
    out, err = shell("report", kept, PYTHONIOENCODING="ascii").communicate(timeout=120)
    assert err == b""
    assert b"sums - done" in out
    assert b"- closed, # open, = half-open" in out


def test_a_reader_that_leaves_early_breaks_nothing(kept: str, folder: Path) -> None:
    for words in (["report", kept, "--report", "early.html"], ["report", kept, "--json"]):
        left, written = os.pipe()
        os.close(left)
        process = shell(*words, out=written)
        os.close(written)
        assert process.communicate(timeout=120)[1] in (b"written: early.html\n", b"")
        assert process.returncode == 1
    assert (folder / "early.html").stat().st_size > 1000


def test_a_narrow_terminal_shows_every_number(kept: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for words in (["report", kept], ["runs"], ["compare", "--run", kept]):
        assert main(words) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "sim/gamma" in out
        assert "…" not in out
    assert "difference (95 %) 0.0 (" in out


def test_a_key_that_was_typed_is_neither_kept_nor_printed(data: str, folder: Path, capsys: Any) -> None:
    key = "sk-canary-0123456789"
    budget = ["--budget", "0.000001", "--param", "max_tokens=20"]
    assert replay(data, "--name", "k", *budget, "--param", f"api_key={key}", "--system", f"It is {key}", "--json") == 4
    told, err = printed(capsys)
    assert "there is a key in the command line" in err
    assert "--param api_key=*** --system 'It is ***'" in told["to_go_on"]
    report = rl.open_run("k").report("k.html", text=True).read_text(encoding="utf-8")
    everything = json.dumps(told) + err + report + repr(rl.open_run("k").settings())
    everything += "".join(path.read_bytes().decode("latin-1") for path in (folder / ".routerlab").iterdir())
    assert key not in everything


def test_pace_is_told_as_in_the_api(data: str, folder: Path, capsys: Any) -> None:
    (folder / "trace.csv").write_text("TIMESTAMP\n" + "".join(f"{n}\n" for n in range(8)))
    words = ["--concurrency", "sim=3", "--arrivals", "trace.csv", "--speed", "100", "--no-stream", "--name", "paced"]
    assert replay(data, *words, "--quiet", "--json") == 0
    assert printed(capsys)[0]["variants"][0]["p50_queue_s"] is not None
    settings = rl.open_run("paced").settings()
    assert (settings["concurrency"], settings["stream"]) == ({"sim": 3}, False)
    assert replay(data, "--concurrency", "5", "--name", "plain", "--quiet") == 0
    assert (rl.open_run("plain").settings()["concurrency"], rl.open_run("plain").settings()["stream"]) == (5, None)
