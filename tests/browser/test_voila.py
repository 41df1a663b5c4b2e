"""The dashboard's page under Voilà: no code, no kernel to see, and it is alive."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "dashboard.ipynb"
NOT_OURS = ("cdn.jsdelivr.net",)  # an icon font that Voilà's own page asks for


@pytest.fixture
def voila(serve):
    return serve("voila")


def test_the_dashboard_page_lives(voila, new_page):
    voila.put(nbformat.read(NOTEBOOK, as_version=4), NOTEBOOK.name)
    page, complaints = new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.context.route(lambda url: not url.startswith(voila.url), lambda route: route.abort())
    page.goto(f"{voila.url}/voila/render/{NOTEBOOK.name}", timeout=90_000)
    page.locator(".rlb-lane .rlb-ok").first.wait_for(state="attached", timeout=60_000)
    calls = "() => Number(document.querySelector('.rlb-tile small').textContent.replace(/[^0-9]/g, ''))"
    before = page.evaluate(calls)
    page.wait_for_function(f"before => ({calls})() > before + 3", arg=before, timeout=10_000)
    page.get_by_role("button", name="Inject").click()
    page.wait_for_function("() => document.querySelector('.rlb-state').textContent.includes('open')", timeout=8_000)
    assert page.locator(".routerlab-still:visible").count() == 0
    assert complaints == []
