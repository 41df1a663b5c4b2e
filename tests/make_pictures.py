"""Runs the notebooks and writes them back with their outputs, and makes the pictures of the README.

    python tests/make_pictures.py [name of a notebook ...]

Needs what the tests need, Chromium included. Pictures: ``notebooks/dashboard.png``, a dashboard in a real JupyterLab in
the middle of an outage, and ``notebooks/failover.png``, the trace of one call.
"""

import importlib.util
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import nbformat
from playwright.sync_api import sync_playwright

import routerlab as rl

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
VIEW = "application/vnd.jupyter.widget-view+json"
SCENE = """
import routerlab as rl
lab = rl.Lab.demo()
traffic = lab.traffic("12/s")
lab.dashboard()
"""


def module(name: str) -> ModuleType:
    """A file of the tests as a module."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), ROOT / "tests" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def run_notebook(path: Path) -> None:
    """Run a notebook and keep what can be seen without a kernel."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "notebooks"
        place.mkdir()
        (place.parent / "datasets").symlink_to(ROOT / "datasets")
        module("test_notebooks").execute(notebook, place)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if stays(output)]
            cell.metadata.pop("execution", None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, path)


def stays(output) -> bool:
    """Whether an output shows something by itself; a live view does not."""
    data = output.get("data", {})
    return VIEW not in data and (output.output_type == "stream" or any(data.values()))


def photograph(target: Path) -> None:
    """A dashboard in JupyterLab while a model is down."""
    pages = module("browser/conftest")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = pages.Server(Path(folder)).wait()
        browser = playwright.chromium.launch(executable_path=pages.CHROMIUM, args=pages.ARGUMENTS)
        try:
            page = browser.new_context(viewport={"width": 1280, "height": 1400}, device_scale_factor=1.5).new_page()
            server.put(pages.notebook_of(SCENE), "scene.ipynb")
            sheet = pages.Sheet(page, server).open("scene.ipynb")
            sheet.run()
            time.sleep(20)
            sheet.do("lab.faults.outage('sim/alpha', duration=10)")
            time.sleep(22)
            sheet.do("lab.faults.rate_limit('sim/alpha', retry_after=3, duration=6)")
            time.sleep(6)
            sheet.do("lab.faults.outage('sim/alpha', duration=20)")
            time.sleep(8)
            page.locator(".rlb").screenshot(path=target)
            sheet.do("lab.close()")
        finally:
            browser.close()
            pages.stop(server.process)


def draw_failover(target: Path) -> None:
    """The trace of one call that moved on."""
    with rl.Lab.demo(seed=1) as lab:
        lab.faults.outage("sim/alpha", duration=20)
        lab.chat("What is the capital of Portugal?").trace.save(target)


def main(names: list[str]) -> None:
    for path in [NOTEBOOKS / name for name in names] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(path.name)
        run_notebook(path)
    if not names:
        photograph(NOTEBOOKS / "dashboard.png")
        draw_failover(NOTEBOOKS / "failover.png")


if __name__ == "__main__":
    main(sys.argv[1:])
