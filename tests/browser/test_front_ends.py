"""The dashboard where it is shown: JupyterLab has tests of its own; here Notebook 7, Voilà and marimo."""

import re
import time
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "dashboard.ipynb"
KERNEL_IS_IDLE = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
MARIMO = """
import marimo

app = marimo.App(width="full")


@app.cell
def _():
    import routerlab as rl

    lab = rl.Lab.demo()
    lab.traffic("6/s")
    lab.dashboard()
    return
"""


@pytest.fixture
def open_page(new_page):
    """Open an address; requests to other hosts (icons that a front end wants) go nowhere."""
    complaints = []

    def go(server, path):
        page = new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.context.route(lambda url: not url.startswith((server.url, "data:", "blob:")), lambda route: route.abort())
        page.goto(f"{server.url}{path}", timeout=180_000)
        return page

    go.complaints = complaints
    return go


def calls(page):
    """As the page says (marimo's pages have roots of their own, which only locators look into)."""
    return int(re.sub("[^0-9]", "", page.locator(".rlb-tile small").first.inner_text()))


def assert_alive(page):
    """Calls are counted, a click is heard, the picture beside it is hidden."""
    page.locator(".rlb-lane .rlb-ok").first.wait_for(state="attached", timeout=180_000)
    before, end = calls(page), time.monotonic() + 60
    while calls(page) <= before + 3:
        assert time.monotonic() < end
        page.wait_for_timeout(100)
    page.get_by_role("button", name="Inject").click()
    page.locator(".rlb-is-1").first.wait_for()
    assert page.locator(".routerlab-still:visible").count() == 0


def test_voila(serve, open_page):
    server = serve("voila")
    server.put(nbformat.read(NOTEBOOK, as_version=4), NOTEBOOK.name)
    assert_alive(open_page(server, f"/voila/render/{NOTEBOOK.name}"))
    assert open_page.complaints == []


def test_notebook_7(serve, open_page):
    server = serve("notebook")
    server.put(nbformat.read(NOTEBOOK, as_version=4), NOTEBOOK.name)
    page = open_page(server, f"/notebooks/{NOTEBOOK.name}?token={server.token}")
    page.get_by_text("Kernel", exact=True).first.wait_for(timeout=180_000)
    page.get_by_text("Python 3 (ipykernel)").wait_for(timeout=180_000)
    page.wait_for_function(KERNEL_IS_IDLE, timeout=180_000)  # until then, cells that are run are forgotten
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).click()
    assert_alive(page)


def test_marimo(serve, open_page):
    assert_alive(open_page(serve("marimo", page_py=MARIMO), "/"))
    assert open_page.complaints == []
