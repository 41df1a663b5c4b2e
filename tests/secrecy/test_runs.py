"""Prompts that hold a known key, whole runs, reports, notebooks and the command line: nothing of it is left behind."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

import routerlab as rl

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hi(gateway: Any, config: dict[str, Any]) -> Any:
    """The gateway says Hi, and has its time to do so."""
    del config["routing"]["timeouts"]
    body = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    gateway.answer = [head % len(body), body]
    gateway.requests.clear()
    return gateway


def test_everything_is_sent_as_it_is(hi: Any, config: dict[str, Any], canaries: dict[str, str]) -> None:
    hi.greetings.clear()
    with rl.Lab(config, store=False) as lab:
        lab.chat(f"Is {canaries['spare']} a key?")
    (request,) = hi.requests
    assert f"Bearer {canaries['key']}" in request
    assert f"\r\nX-Auth: {canaries['header']}\r\n".lower() in request.lower()
    assert f"Is {canaries['spare']} a key?" in request
    assert "Basic " in hi.greetings[0]


def test_a_prompt_that_holds_keys_is_redacted_wherever_it_is_kept(
    hi: Any, config: dict[str, Any], canaries: dict[str, str], hunter: Any, tmp_path: Path
) -> None:
    with rl.Lab(config, store=tmp_path / "runs.db") as lab:
        for secret in (canaries["key"], canaries["spare"], canaries["query"]):
            reply = lab.chat(f"Is {secret} a key?", user=secret)
            hunter.look_at("reply", reply, reply.trace)
            assert len(pickle.dumps(reply)) > 0
        frame = lab.calls(text=True)
        assert frame["prompt"].tolist() == ["Is *** a key?"] * 3
        hunter.look_at("frame", frame, lab.calls(), lab.attempts(), lab.decisions(), lab.candidates())
        hunter.read_files(tmp_path)
    hunter.read_files(tmp_path)
    assert hunter.verdict() == []


@pytest.mark.parametrize("answer", ["success", "status 401", "page", "redirect", "silence in the answer"])
def test_a_run_with_all_that_comes_of_it(
    answer: str, opened: Any, gateway: Any, hunter: Any, canaries: dict[str, str], tmp_path: Path
) -> None:
    gateway.play(answer)
    data = [
        {"id": "a", "prompt": f"Is {canaries['spare']} a key?", "target": canaries["spare"]},
        {
            "id": "b",
            "prompt": "Which keys?",
            "target": [canaries["key"], "none"],
            "note": canaries["key"],
        },
    ]
    with opened(store=tmp_path / "runs.db") as lab:
        run = lab.replay(
            data,
            models=lab.models,
            scorers=["exact"],
            name="echo",
            deadline=0.3,
            concurrency=2,
            wait=False,
            give_up_after=0.5,
            preflight=False,
        ).wait(60)
        hunter.look_at("run", run, run.df, run.summary(), *run.traces(failovers=False))
        hunter.look_at("plot", run.plot())
        run.report(tmp_path / "report.html")
        run.report(tmp_path / "texts.html", text=True)
        run.to_otel(tmp_path / "spans.jsonl", text=True)
        for name in ("csv", "jsonl", "batch_jsonl"):
            getattr(run, f"to_{name}")(tmp_path / f"run.{name}")
        hunter.read_files(tmp_path)
    hunter.read_files(tmp_path)
    assert hunter.verdict() == []


CELLS = [
    "%xmode Verbose\nimport logging, sys, warnings\nlogging.basicConfig(level=logging.DEBUG, stream=sys.stdout)",
    "import routerlab as rl\nlab = rl.Lab('lab.yaml', store='runs.db')\nlab",
    "lab.chat('Why?')",
    "await lab.achat('Why?')",
    "for piece in lab.stream('Why?'): print(piece)",
    "run = lab.replay(['Why?'], models=lab.models, deadline=0.3, give_up_after=0.5, preflight=False)\nrun",
    "run.df",
    "lab.calls(text=True)",
    "run.report('report.html')",
    "rl.Lab({'providers': {'gw': {'api_key': '${env:CANARY_KEY}', 'bas_url': ''}}})",
    "lab.close()",
]


def test_a_notebook_that_is_saved(
    config: dict[str, Any], gateway: Any, hunter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.play("status 401")
    del config["routing"]["timeouts"]
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "lab.yaml").write_text(yaml.safe_dump(config))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with tempfile.TemporaryDirectory(prefix="rl-") as sockets:  # their paths must be short
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=str(Path(sockets) / "kernel.json"),
            transport="tcp" if os.name == "nt" else "ipc",
        )
        client = NotebookClient(
            notebook, km=manager, timeout=300, allow_errors=True, resources={"metadata": {"path": str(folder)}}
        )
        client.execute(cleanup_kc=True, env=dict(os.environ))
    nbformat.write(notebook, folder / "saved.ipynb")
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert len([output for output in outputs if output.output_type == "error"]) == 4
    assert any("refused the key" in str(output) for output in outputs)
    hunter.read_files(tmp_path)
    assert hunter.verdict() == []


def test_the_command_line(canaries: dict[str, str], hunter: Any) -> None:
    simulate = [sys.executable, "-m", "routerlab.cli", "simulate", "--api-key", canaries["key"]]
    for words in (["--host", "192.0.2.1"], ["--fault", "nobody:slow"], ["--config", "/nowhere"]):
        done = subprocess.run([*simulate, *words], capture_output=True, timeout=120, cwd=ROOT, check=False)
        assert done.returncode == 1
        hunter.search("command line", done.stdout, done.stderr)
    assert hunter.verdict() == []
