"""The first notebook in a real JupyterLab in a real browser: it runs, nothing complains, the pictures are seen."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "01_first_route.ipynb"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
MISSING = [
    name
    for name, there in {
        "chromium (apt install chromium)": Path(CHROMIUM).exists(),
        "jupyterlab": find_spec("jupyterlab"),
        "playwright": find_spec("playwright"),
    }.items()
    if not there
]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
HARMLESS: list[str] = []  # patterns of console errors that are not ours, each with its reason
START_S = 90.0
RUN_S = 180.0

READY = """() => { const notebook = window.jupyterapp?.shell.currentWidget;
  return notebook?.context?.isReady && notebook.sessionContext?.session?.kernel?.status === 'idle'; }"""
RUN_ALL = """() => { window.ran = false; window.jupyterapp.commands.execute('notebook:run-all-cells')
  .then(() => { window.ran = true; }, error => { window.ran = 'failed: ' + error; }); }"""
OVER = """() => window.ran && window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code')
  .map(cell => ({count: cell.model.executionCount, outputs: cell.model.outputs.toJSON()}))"""
PICTURES = """() => [...document.querySelectorAll('.jp-OutputArea-output :is(img, svg)')].map(shown => {
  const box = shown.getBoundingClientRect();
  return {alt: shown.getAttribute('alt') || '', width: box.width, height: box.height,
          loaded: shown.tagName !== 'IMG' || (shown.complete && shown.naturalWidth > 0),
          swapped: getComputedStyle(shown).content.startsWith('url(')}; })"""
CHANGE_THEME = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
HAS_THEME = "light => document.body.dataset.jpThemeLight === light"
INKS = """() => [...document.querySelectorAll('.jp-OutputArea-output .routerlab')].map(part => {
  const [r, g, b] = getComputedStyle(part).color.match(/[\\d.]+/g).map(Number);
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255; })"""


def descendants(pid):
    """Processes that a process has started, and those have."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, to_do = [], [pid]
    while to_do:
        new = children.get(to_do.pop(), [])
        found += new
        to_do += new
    return found


def stop(process):
    """End a server with all its kernels."""
    started = descendants(process.pid)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Server:
    """A JupyterLab of this interpreter on loopback, with nothing of the user's configuration.

    Args:
        folder: everything it reads and writes is below.
    """

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "server.log"
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()
        (folder / "datasets").symlink_to(ROOT / "datasets")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = secrets.token_hex(16)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            env[name] = str(folder / name)
        env["JUPYTERLAB_SETTINGS_DIR"] = str(folder / "settings")
        env["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "workspaces")
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": self.notebooks,
            "ServerApp.allow_root": True,
            "ServerApp.open_browser": False,
            "IdentityProvider.token": self.token,
            "LabApp.expose_app_in_browser": True,
            "LabApp.extension_manager": "readonly",
            "LabApp.news_url": None,
        }
        command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=env, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def wait(self):
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2):
                return
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def open(self):
        """The address of a copy of the notebook without outputs."""
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, self.notebooks / NOTEBOOK.name)
        settings = {
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
            "docmanager-extension/plugin": {"autosave": False},
        }
        for setting, value in settings.items():
            path = self.folder / "settings" / "@jupyterlab" / f"{setting}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))
        return f"{self.url}/lab/tree/{NOTEBOOK.name}?token={self.token}&reset"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("jupyterlab"))
    try:
        server.wait()
        yield server
    finally:
        stop(server.process)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def test_the_first_notebook_runs_and_is_seen_in_both_themes(server, browser):
    complaints, outside = [], []
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    try:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        context.route(
            re.compile(rf"^(?!{re.escape(server.url)}|data:|blob:)"),
            lambda route: (outside.append(route.request.url), route.abort()),
        )
        page.goto(server.open(), timeout=START_S * 1000)
        page.wait_for_function(READY, timeout=START_S * 1000)
        page.evaluate(RUN_ALL)
        page.wait_for_function(OVER, timeout=RUN_S * 1000)
        assert page.evaluate("() => window.ran") is True
        assert_cells_ran(page.evaluate(CELLS))
        for theme in ("Light", "Dark"):
            page.evaluate(CHANGE_THEME, f"JupyterLab {theme}")
            page.wait_for_function(HAS_THEME, arg=str(theme == "Light").lower())
            assert_pictures_are_seen(page.evaluate(PICTURES), dark=theme == "Dark")
            inks = page.evaluate(INKS)
            assert inks
            assert all(ink > 0.5 if theme == "Dark" else ink < 0.5 for ink in inks), inks
    finally:
        context.close()
    assert [text for text in complaints if not any(re.search(pattern, text) for pattern in HARMLESS)] == []
    assert outside == []


def assert_cells_ran(cells):
    assert [cell["count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert [output for output in outputs if output["output_type"] == "error"] == []


def assert_pictures_are_seen(pictures, *, dark):
    """Every one has a size, and stands in the colours of the theme; one tells of a failover."""
    assert all(picture["loaded"] and picture["width"] > 100 and picture["height"] > 30 for picture in pictures), (
        pictures
    )
    ours = [picture for picture in pictures if picture["alt"]]
    assert any("failover" in picture["alt"] for picture in ours), pictures
    assert {picture["swapped"] for picture in ours} == {dark}
