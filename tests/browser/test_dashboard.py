"""The live dashboard as people use it: it moves, it is clicked on, it is saved, it is seen again without a kernel."""

import base64

import pytest

LAB = """
import time, routerlab as rl
lab = rl.Lab.demo(breaker={"reset_timeout": "4s"})
traffic = lab.traffic("20/s")
lab.dashboard()
"""
BREAK = """
dashboard = _
time.sleep(3)
lab.faults.outage("sim/alpha", duration=3)
time.sleep(4)
dashboard.freeze();
"""
CALLS = """() => Number(document.querySelector('.rlb-tile small').textContent.replace(/[^0-9]/g, ''))"""
MORE = f"before => ({CALLS})() > before + 5"
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
ALPHA = "word => document.querySelector('.rlb-lane .rlb-state').textContent.includes(word)"
PICTURES = """() => [...document.querySelectorAll('.routerlab-still img, .jp-RenderedImage img, .jp-RenderedSVG')]
  .filter(shown => shown.checkVisibility()).map(shown => shown.getBoundingClientRect().width)"""
SHOWN_TEXT = "() => document.querySelector('.jp-Notebook').innerText"


def moves(sheet):
    """Calls are counted on the page while one waits."""
    before = sheet.page.evaluate(CALLS)
    sheet.wait(MORE, seconds=5, arg=before)


def test_it_moves_while_the_kernel_is_idle_and_while_it_is_busy(open_cells):
    sheet = open_cells(LAB)
    sheet.run()
    sheet.wait("() => document.querySelectorAll('.rlb-lane .rlb-ok[d^=M]').length > 0")
    moves(sheet)
    for code in (
        "time.sleep(4)",
        "end = time.monotonic() + 4\nwhile time.monotonic() < end: sum(range(1000))",
        "import asyncio; await asyncio.sleep(4)",
        "lab.replay(rl.load_dataset('quickstart_qa').sample(150), concurrency=2)",
    ):
        sheet.page.evaluate(
            "code => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code}); }",
            code,
        )
        sheet.wait("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")
        moves(sheet)
        sheet.wait(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'", seconds=30
        )
    sheet.do("lab.close()")
    sheet.wait("() => document.querySelector('.rlb-status').textContent.includes('closed')")
    sheet.calm()


def test_a_click_breaks_a_model_and_its_return_is_seen(open_cells):
    sheet = open_cells(LAB)
    sheet.run()
    page = sheet.page
    moves(sheet)
    page.get_by_label("duration of the fault").select_option("10")
    page.get_by_role("button", name="Inject").click()
    sheet.wait(ALPHA, seconds=2, arg="open")
    sheet.wait("() => document.querySelectorAll('.rlb-list button').length > 0", seconds=3)
    assert "alpha → beta" in sheet.text(".rlb-list button")
    page.locator(".rlb-list button").last.click()
    assert "moved on" in sheet.text(".rlb-detail")
    assert "Decision 2: sim/beta" in sheet.text(".rlb-detail")
    assert "outage" in sheet.text(".rlb-active") or "unavailable" in sheet.text(".rlb-active")
    sheet.wait(ALPHA, seconds=20, arg="closed")
    assert page.locator(".rlb-mark-probe").count() > 0
    assert page.locator(".rlb-mark-fault").count() > 0
    sheet.do("lab.close()")
    sheet.calm()


def test_breakers_traffic_and_the_view_are_moved_by_hand(open_cells):
    sheet = open_cells(LAB)
    sheet.run()
    page = sheet.page
    moves(sheet)
    page.get_by_role("button", name="Open", exact=True).click()
    sheet.wait(ALPHA, seconds=2, arg="open")
    page.get_by_role("button", name="Reset", exact=True).click()
    sheet.wait(ALPHA, seconds=2, arg="closed")
    page.get_by_role("button", name="Stop", exact=True).click()
    sheet.wait("() => document.querySelector('.rlb-status').textContent.startsWith('quiet')", seconds=15)
    assert page.locator(".rlb").get_attribute("data-idle") == "yes"
    page.get_by_role("button", name="Start", exact=True).click()
    sheet.wait("() => document.querySelector('.rlb-status').textContent.includes('live')", seconds=5)
    page.get_by_role("button", name="Pause").click()
    held = page.evaluate(CALLS)
    page.wait_for_timeout(1500)
    assert page.evaluate(CALLS) == held
    page.get_by_role("button", name="Go on").click()
    moves(sheet)
    page.locator(".rlb-chip").nth(2).click()
    assert page.locator(".rlb-lanes .rlb-lane:visible").count() == 2
    page.get_by_label("time span").select_option("300")
    page.locator(".rlb-plot").first.hover(position={"x": 300, "y": 40})
    assert "EWMA score" in sheet.text(".rlb-tip")
    page.locator(".rlb-band").first.hover(position={"x": 300, "y": 20})
    assert "breaker" in sheet.text(".rlb-tip")
    sheet.do("lab.close()")
    sheet.calm()


def test_it_follows_the_theme(open_cells):
    sheet = open_cells(LAB)
    sheet.run()
    sheet.wait("() => document.querySelectorAll('.rlb-lane').length > 2")
    light = "() => Number(getComputedStyle(document.querySelector('.rlb')).backgroundColor.match(/[0-9]+/)[0])"
    assert sheet.page.evaluate(light) > 200
    sheet.theme("Dark")
    assert sheet.page.evaluate(light) < 60
    sheet.theme("Light")
    sheet.do("lab.close()")
    sheet.calm()


@pytest.mark.parametrize("trusted", [True, False])
def test_saved_and_opened_again_without_a_kernel_it_shows_its_picture(open_cells, server, new_page, trusted):
    sheet = open_cells(
        LAB,
        "dashboard = _\ntime.sleep(3)\nlab.faults.outage('sim/alpha', duration=3)\ntime.sleep(4)\ndashboard.freeze();",
    )
    sheet.run()
    moves(sheet)
    assert sheet.page.evaluate(PICTURES) == [], "the live panel is enough"
    saved = sheet.save()
    bundle = saved.cells[0].outputs[-1].data
    assert {"image/svg+xml", "image/png", "text/plain"} <= bundle.keys()
    assert len(bundle["image/svg+xml"]) + len(bundle["image/png"]) <= 60_000
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert "failover" in bundle["text/plain"]
    sheet.do("lab.close()")
    sheet.calm()
    if not trusted:
        for cell in saved.cells:
            cell.metadata.pop("trusted", None)
        saved.cells[0].outputs[-1].data["text/plain"] += " "  # another signature
    name = f"again-{trusted}.ipynb"
    saved.metadata["kernelspec"]["name"] = "python3"
    server.put(saved, name)
    again = type(sheet)(new_page(), server)
    again.name = name
    again.page.goto(f"{server.url}/lab/tree/{name}?token={server.token}&reset", timeout=90_000)
    again.wait("() => window.jupyterapp?.shell.currentWidget?.context?.isReady", seconds=90)
    again.page.wait_for_timeout(4000)
    widths = again.page.evaluate(PICTURES)
    assert widths, again.page.evaluate(SHOWN_TEXT)
    assert max(widths) > 400
    assert "Error displaying widget" not in again.page.evaluate(SHOWN_TEXT)
