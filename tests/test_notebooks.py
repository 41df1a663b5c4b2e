"""Every notebook runs from top to bottom in a real kernel, and is committed with its outputs, fit to be mailed."""

import os
import re
import tempfile
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELL_TIMEOUT_S = 300
PATHS = re.compile(
    r"(?<![\w.:/])/(?:home|root|tmp|Users|private|var|work|mnt|opt|usr)/[\w.-]+|[A-Z]:\\\\?Users|site-packages"
)
KEYS = re.compile(r"\b(?:sk-[\w-]{16,}|gsk_\w{16,}|AIza[\w-]{30,}|hf_\w{20,}|ghp_\w{20,})|\bBearer\s+[\w.-]{8,}")
BINARY = re.compile(r"base64,[A-Za-z0-9+/=]+")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def test_there_are_notebooks():
    assert NOTEBOOKS, "notebooks/ holds no notebook"


def execute(notebook, folder):
    """Run all cells; an error in one is raised, with its traceback."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    environment["IPYTHONDIR"] = str(folder.parent / "ipython")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="rl-") as sockets:  # their paths must be short
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),  # only ipykernel's own: this interpreter
            connection_file=str(Path(sockets) / "kernel.json"),
            transport="tcp" if os.name == "nt" else "ipc",  # a port that was free may be taken a moment later
        )
        resources = {"metadata": {"path": str(folder)}}
        patience = dict.fromkeys(("timeout", "startup_timeout", "iopub_timeout"), CELL_TIMEOUT_S)
        client = NotebookClient(notebook, km=manager, resources=resources, **patience)
        client.execute(cleanup_kc=True, env=environment)


@each_notebook
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    cells = code_cells(notebook)
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    execute(notebook, folder)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert not [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]


@each_notebook
def test_a_notebook_is_committed_as_it_ran(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert any(output.get("data", {}).get("image/png") for output in outputs), "no picture to be seen without running"
    assert all(output.get("text") or any(output.get("data", {}).values()) for output in outputs)
    assert notebook.metadata.kernelspec.name == "python3"


@each_notebook
def test_a_notebook_tells_nothing_of_the_machine(path):
    text = BINARY.sub("", path.read_text(encoding="utf-8"))
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/png", None)
    text = nbformat.writes(notebook)
    assert not PATHS.findall(text)
    assert not KEYS.findall(text)


@pytest.mark.parametrize(
    "text", ["/home/ann/lab/x.py", "at /tmp/tmpab1/run.db", "C:\\\\Users\\\\ann", "see site-packages/x"]
)
def test_paths_are_recognised(text):
    assert PATHS.search(text)


@pytest.mark.parametrize(
    "text", ["https://a.example/home/page", "sim/tmp/x", "datasets/home/x.jsonl", "runs/var/run.html"]
)
def test_what_is_no_path_of_a_machine_is_left_alone(text):
    assert not PATHS.search(text)


@pytest.mark.parametrize(
    "text", ["sk-proj-0123456789abcdef", "Authorization: Bearer abcdefgh1", "gsk_0123456789abcdefgh"]
)
def test_keys_are_recognised(text):
    assert KEYS.search(text)
