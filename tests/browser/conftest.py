"""Notebooks in a real JupyterLab in a real headless browser; what the page complains of fails the test."""

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

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
ARGUMENTS += [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--js-flags=--expose-gc",
]
START_S = 180.0
RUN_S = 300.0
PATIENCE_S = 60.0

READY = """() => { const notebook = window.jupyterapp?.shell.currentWidget;
  return notebook?.context?.isReady && notebook.sessionContext?.session?.kernel?.status === 'idle'; }"""
RUN_ALL = """() => { window.ran = false; window.jupyterapp.commands.execute('notebook:run-all-cells')
  .then(() => { window.ran = true; }, error => { window.ran = 'failed: ' + error; }); }"""
OVER = """() => window.ran && window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"""
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
END_KERNEL = "() => { window.jupyterapp?.shell.currentWidget?.sessionContext?.shutdown(); }"  # and do not wait for it
CHANGE_THEME = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
HAS_THEME = "light => document.body.dataset.jpThemeLight === light"


def missing():
    """What is not there to see a page with."""
    there = {
        "chromium (apt install chromium)": Path(CHROMIUM).exists(),
        "jupyterlab": find_spec("jupyterlab"),
        "playwright": find_spec("playwright"),
        "voila, notebook and marimo": all(map(find_spec, ("voila", "notebook", "marimo"))),
    }
    return [name for name, found in there.items() if not found]


def pytest_collection_modifyitems(items):
    lacking = missing()
    for item in items:
        if lacking and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(lacking)}"))


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


def free_port():
    """One that the system hands out to nobody: what it hands out may be taken until a slow server listens."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


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
    """A Jupyter server of this interpreter on loopback, with nothing of the user's configuration.

    Args:
        folder: everything it reads and writes is below.
        application: ``lab``, ``notebook``, ``voila`` or ``marimo``.
        files: texts by name, there from the beginning.
    """

    def __init__(self, folder, application="lab", files=()):
        self.folder, self.log = folder, folder / "server.log"
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()
        for name, text in dict(files).items():
            (self.notebooks / name).write_text(text)
        (folder / "datasets").symlink_to(ROOT / "datasets")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = secrets.token_hex(16)
        self.settings()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                getattr(self, application)(),
                env=self.environment(),
                cwd=self.notebooks,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def environment(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            env[name] = str(self.folder / name)
        env["JUPYTERLAB_SETTINGS_DIR"] = str(self.folder / "settings")
        env["JUPYTERLAB_WORKSPACES_DIR"] = str(self.folder / "workspaces")
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
        return env

    def lab(self):
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
        return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]

    def voila(self):
        options = [
            f"--port={self.port}",
            "--Voila.ip=127.0.0.1",
            "--no-browser",
            "--token=",
            "--Voila.open_browser=False",
        ]
        return [sys.executable, "-m", "voila", *options, str(self.notebooks)]

    def notebook(self):
        options = [word for word in self.lab()[3:] if "LabApp" not in word]
        return [sys.executable, "-m", "notebook", *options, "--JupyterNotebookApp.expose_app_in_browser=True"]

    def marimo(self):
        options = ["--headless", "--host", "127.0.0.1", "--port", str(self.port), "--no-token", "--no-skew-protection"]
        return [sys.executable, "-m", "marimo", "-q", "run", "page.py", *options]

    def settings(self):
        settings = {
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
            "docmanager-extension/plugin": {"autosave": False},
        }
        for setting, value in settings.items():
            path = self.folder / "settings" / "@jupyterlab" / f"{setting}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))

    def wait(self):
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2):
                return self
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def put(self, notebook, name):
        """Write a notebook where the server finds it."""
        nbformat.write(notebook, self.notebooks / name)
        return self.notebooks / name


class Sheet:
    """A notebook that is open in the browser.

    Args:
        page: of Playwright.
        server: that it came from.
    """

    def __init__(self, page, server):
        self.page, self.server = page, server
        self.complaints, self.outside, self.forgiven = [], [], []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.context.route(
            re.compile(rf"^(?!{re.escape(server.url)}|data:|blob:)"),
            lambda route: (self.outside.append(route.request.url), route.abort()),
        )

    def open(self, name):
        self.name = name
        url = f"{self.server.url}/lab/tree/{name}?token={self.server.token}&reset"
        self.page.goto(url, timeout=START_S * 1000)
        self.page.wait_for_function(READY, timeout=START_S * 1000)
        return self

    def start(self):
        """Begin to run all cells."""
        self.page.evaluate(RUN_ALL)

    def run(self):
        """Run all cells to the end."""
        self.start()
        self.over()

    def over(self):
        self.page.wait_for_function(OVER, timeout=RUN_S * 1000)
        assert self.page.evaluate("() => window.ran") is True

    def do(self, code):
        """Have the kernel do something, without a cell."""
        self.page.evaluate(
            """async code => { const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({code, silent: false, store_history: false});
            const reply = await future.done;
            if (reply.content.status !== 'ok') throw new Error(reply.content.evalue); }""",
            code,
        )

    def until(self, expression):
        """Wait until the kernel finds it true."""
        from playwright.sync_api import Error

        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.do(f"assert {expression}, {expression!r}")
            except Error:
                if time.monotonic() > end:
                    raise
            self.page.wait_for_timeout(100)

    def theme(self, name):
        self.page.evaluate(CHANGE_THEME, f"JupyterLab {name}")
        self.page.wait_for_function(HAS_THEME, arg=str(name == "Light").lower())
        self.forgiven = ["removeChild"]  # JupyterLab's own, now and then, while it changes its theme; ours calls none

    def save(self):
        """Save it and read the file."""
        self.page.evaluate(SAVE)
        return nbformat.read(self.server.notebooks / self.name, as_version=4)

    def text(self, selector):
        return self.page.locator(selector).first.inner_text()

    def wait(self, condition, *, seconds=PATIENCE_S, arg=None):
        """Wait until JavaScript says so."""
        self.page.wait_for_function(condition, arg=arg, timeout=seconds * 1000)

    def calm(self):
        """Nothing was complained of, nothing was asked of another host."""
        assert [text for text in self.complaints if not any(one in text for one in self.forgiven)] == []
        assert self.outside == []


def notebook_of(*cells):
    """A notebook of code cells without outputs."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("jupyterlab"))
    try:
        yield server.wait()
    finally:
        stop(server.process)


@pytest.fixture
def serve(tmp_path):
    """Start a server of another kind."""
    servers = []

    def start(application, **files):
        servers.append(
            Server(tmp_path, application, {name.replace("_py", ".py"): text for name, text in files.items()})
        )
        return servers[-1].wait()

    yield start
    for server in servers:
        stop(server.process)


@pytest.fixture(scope="module")  # it holds an event loop, which other tests must not find running
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=START_S * 1000)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """A page of a browser without a memory."""
    contexts = []

    def make(width=1280, height=1000, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE_S * 1000)
        contexts.append(context)
        return context.new_page()

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def open_cells(server, new_page):
    """Write code cells into a notebook and open it; its kernel ends with the test."""
    sheets = []

    def open_them(*cells, name=None, width=1280):
        name = name or f"cells-{secrets.token_hex(4)}.ipynb"
        server.put(notebook_of(*cells), name)
        sheets.append(Sheet(new_page(width), server).open(name))
        return sheets[-1]

    yield open_them
    for sheet in sheets:
        sheet.page.evaluate(END_KERNEL)
