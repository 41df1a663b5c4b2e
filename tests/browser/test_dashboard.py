"""The live dashboard as people use it: it moves, it is clicked on, it is saved, it is seen again without a kernel."""

import base64
import contextlib
import time

import pytest

import routerlab as rl

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
    sheet.wait(MORE, arg=before)


def test_it_moves_while_the_kernel_is_idle_and_while_it_is_busy(open_cells):
    sheet = open_cells(LAB)
    sheet.run()
    sheet.wait("() => document.querySelectorAll('.rlb-lane .rlb-ok[d^=M]').length > 0")
    moves(sheet)
    sheet.do("import asyncio, pathlib; seen = pathlib.Path('seen')")
    seen = sheet.server.notebooks / "seen"
    for code in (
        "while not seen.exists(): time.sleep(0.5)",
        "while not seen.exists(): sum(range(1000))",
        "while not seen.exists(): await asyncio.sleep(0.1)",
        "lab.replay(rl.load_dataset('quickstart_qa').sample(150), concurrency=2)",
    ):
        seen.unlink(missing_ok=True)
        sheet.page.evaluate(
            "code => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code}); }",
            code,
        )
        sheet.wait(f"() => {KERNEL}.status === 'busy'")
        moves(sheet)
        seen.touch()
        sheet.wait(f"() => {KERNEL}.status === 'idle'", seconds=300)
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
    sheet.wait("() => /outage|unavailable/.test(document.querySelector('.rlb-active').textContent)")
    sheet.wait(ALPHA, arg="open")
    sheet.wait("() => document.querySelectorAll('.rlb-list button').length > 0")
    assert "alpha → beta" in sheet.text(".rlb-list button")
    page.locator(".rlb-list button").last.click()
    assert "moved on" in sheet.text(".rlb-detail")
    assert "Decision 2: sim/beta" in sheet.text(".rlb-detail")
    sheet.wait(ALPHA, arg="closed")
    for mark in ("probe", "fault"):
        page.locator(f".rlb-mark-{mark}").first.wait_for(state="attached")
    sheet.do("lab.close()")
    sheet.calm()


def test_breakers_traffic_and_the_view_are_moved_by_hand(open_cells):
    sheet = open_cells(LAB)
    sheet.run()
    page = sheet.page
    moves(sheet)
    page.get_by_role("button", name="Open", exact=True).click()
    sheet.wait(ALPHA, arg="open")
    page.get_by_role("button", name="Reset", exact=True).click()
    sheet.wait(ALPHA, arg="closed")
    page.get_by_role("button", name="Stop", exact=True).click()
    sheet.wait("() => document.querySelector('.rlb-status').textContent.startsWith('quiet')")
    assert page.locator(".rlb").get_attribute("data-idle") == "yes"
    page.get_by_role("button", name="Start", exact=True).click()
    sheet.wait("() => document.querySelector('.rlb-status').textContent.includes('live')")
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
    sheet.wait(f"() => ({light})() < 60")
    sheet.theme("Light")
    sheet.do("lab.close()")
    sheet.calm()


def test_saved_and_opened_again_without_a_kernel_it_shows_its_picture(open_cells, server, new_page):
    sheet = open_cells(LAB, BREAK)
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
    saved.metadata["kernelspec"]["name"] = "python3"
    server.put(saved, "trusted.ipynb")
    for cell in saved.cells:
        cell.metadata.pop("trusted", None)
    saved.cells[0].outputs[-1].data["text/plain"] += " "  # another signature
    server.put(saved, "untrusted.ipynb")
    pages = [new_page(), new_page()]
    for page, name in zip(pages, ("trusted", "untrusted"), strict=True):
        again = type(sheet)(page, server)
        page.goto(f"{server.url}/lab/tree/{name}.ipynb?token={server.token}&reset", timeout=180_000)
        again.wait("() => window.jupyterapp?.shell.currentWidget?.context?.isReady", seconds=180)
    for page in pages:
        page.wait_for_function(f"() => ({PICTURES})().some(width => width > 400)")
    pages[-1].wait_for_timeout(4000)  # what would come late
    for page in pages:
        widths = page.evaluate(PICTURES)
        assert widths, page.evaluate(SHOWN_TEXT)
        assert max(widths) > 400
        assert "Error displaying widget" not in page.evaluate(SHOWN_TEXT)


def test_a_run_in_a_busy_cell_is_stopped_by_its_button(open_cells):
    sheet = open_cells(LAB, "run = lab.replay(rl.load_dataset('quickstart_qa'), concurrency=2, repeats=9)\nrun")
    sheet.start()
    stop = sheet.page.get_by_role("button", name="stop run").last
    stop.wait_for()
    sheet.wait("() => [...document.querySelectorAll('.rlb-run span')].some(one => / of 2,232/.test(one.textContent))")
    stop.click()
    sheet.over()
    sheet.do("assert run.status == 'stopped' and 0 < run.progress.done < 2232, run")
    sheet.wait("() => [...document.querySelectorAll('.routerlab-still img')].at(-1)?.alt.includes('stopped')")
    sheet.do("lab.close()")
    sheet.calm()


def test_a_cell_that_is_run_again_leaves_one_lab_and_one_dashboard(open_cells):
    sheet = open_cells(LAB)
    for _ in range(3):
        sheet.run()
        sheet.wait("() => document.querySelectorAll('.rlb').length === 1")
    moves(sheet)
    sheet.do("import threading, gc")
    sheet.until("[gc.collect(), *(thread.name for thread in threading.enumerate())].count('routerlab') == 1")
    sheet.do("lab.close()")
    sheet.calm()


def test_a_dashboard_that_is_shown_again_takes_the_place_of_the_old_one(open_cells):
    sheet = open_cells("import gc, routerlab as rl\nlab = rl.Lab.demo()\nlab.traffic('20/s');", "lab.dashboard()")
    sheet.run()
    run_cell = "() => window.jupyterapp.commands.execute('notebook:run-cell')"
    for _ in range(3):
        sheet.page.locator(".jp-Notebook .jp-CodeCell").nth(1).click()
        sheet.page.evaluate(run_cell)
        sheet.wait(f"() => {KERNEL}.status === 'idle' && document.querySelectorAll('.rlb').length === 1")
    moves(sheet)
    sheet.until("len(lab._live.publisher._kept) == len(lab._live.publisher._shown) == 1")
    sheet.do("lab.close()")
    sheet.until("not lab._live.publisher._kept and not lab._live.publisher._shown")
    sheet.wait("() => document.querySelector('.rlb-status').textContent.includes('closed')")
    sheet.calm()


def test_small_panels_stand_alone_and_close(open_cells):
    sheet = open_cells(
        LAB,
        "lab.breaker_panel()",
        "lab.score_panel()",
        "lab.trace_panel()",
        "for _ in range(3): lab.faults.outage('sim/alpha', duration=2); time.sleep(1)",
    )
    sheet.run()
    sheet.wait("() => document.querySelectorAll('.rlb').length === 4")
    sheet.wait("() => document.querySelectorAll('.rlb-head').length === 2")
    sheet.do("lab.close()")
    sheet.calm()


def test_the_shared_file_is_scrubbed_through_without_a_kernel(new_page, tmp_path):
    with rl.Lab.demo(breaker={"reset_timeout": "1s"}) as lab:
        traffic = lab.traffic("30/s")
        panel = lab.dashboard()
        panel.publisher.add(Quiet())
        time.sleep(2.5)
        lab.faults.outage("sim/alpha")
        until(lambda: lab.breaker("sim/alpha").state == "open")
        time.sleep(2)
        lab.faults.clear()
        until(lambda: lab.breaker("sim/alpha").state == "closed" and traffic.sent["ok"] > 150)
        traffic.stop()
        path = panel.save(tmp_path / "failover.html")
    page, complaints, asked = new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.locator(".rlb-lane").first.wait_for()
    calls = [page.evaluate(CALLS)]
    states = set()
    length = page.evaluate("() => Number(document.querySelector('.rlb-player input').max)")
    assert 5 < length < 600
    steps = round(2 * length)  # what lasts a second is not missed
    for step in range(steps, -1, -1):
        page.locator(".rlb-player input").fill(str(round(length * step / steps, 2)))
        calls.append(page.evaluate(CALLS))
        states.add(page.locator(".rlb-lane .rlb-state").first.inner_text().split()[1])
    assert states >= {"closed", "open"}
    assert calls == sorted(calls, reverse=True)
    assert calls[0] > 100
    assert calls[-1] < calls[0] / 2
    page.get_by_label("speed").select_option("10")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => document.querySelector('.rlb-play').textContent.includes('Play')", timeout=300_000)
    assert page.evaluate(CALLS) == calls[0]
    page.locator(".rlb-list button").first.click()
    assert "moved on" in page.locator(".rlb-detail").inner_text()
    page.locator(".rlb-band").first.hover(position={"x": 400, "y": 20})
    assert "breaker" in page.locator(".rlb-tip").inner_text()
    assert page.locator(".rlb-controls").count() == 0
    assert complaints == []
    assert asked == [path.as_uri()]


def until(condition):
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Quiet:
    """A face without a page: the board is kept up to date as if somebody looked."""

    def __init__(self):
        self.whole, self.tick = {}, {}

    def hold_sync(self):
        return contextlib.nullcontext()


@pytest.mark.parametrize("width", [600, 1800])
@pytest.mark.parametrize("models", [1, 12])
def test_nothing_sticks_out_of_the_page(new_page, tmp_path, width, models):
    names = [f"a-provider/a-family-of-models-{n}-70b-instruct-turbo-preview".replace("/", "-") for n in range(models)]
    config = {"providers": {"sim": {"kind": "simulated", "models": {name: {} for name in names}}}}
    with rl.Lab(config, store=False) as lab:
        panel = lab.dashboard()
        if models > 1:
            lab.faults.outage(f"sim/{names[0]}")
        lab.chat("hi")
        path = panel.save(tmp_path / "board.html")
    page = new_page(width)
    page.goto(path.as_uri())
    page.locator(".rlb-lane").first.wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    shown = page.locator(".rlb-name span").all_inner_texts()
    assert len(set(shown)) == models
    clipped = """() => [...document.querySelectorAll('.rlb-tile *, .rlb button, .rlb-numbers span, .rlb-state')]
      .filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"""
    assert page.evaluate(clipped) == []


def test_the_keyboard_reaches_everything_and_everything_has_a_name(open_cells):
    sheet = open_cells(LAB)
    sheet.run()
    sheet.wait("() => document.querySelectorAll('.rlb-lane').length > 2")
    nameless = """() => [...document.querySelectorAll('.rlb :is(button, select, input, svg[role=img])')]
      .filter(one => one.checkVisibility() && !(one.getAttribute('aria-label') || one.textContent.trim()
        || one.closest('label'))).map(one => one.outerHTML.slice(0, 200))"""
    assert sheet.page.evaluate(nameless) == []
    sheet.page.locator(".rlb-span").focus()
    reached = []
    for _ in range(24):
        sheet.page.keyboard.press("Tab")
        reached.append(sheet.page.evaluate("() => document.activeElement.textContent.trim().slice(0, 20)"))
    assert {"Pause", "Inject", "Open", "Reset", "Stop"} <= set(reached)
    sheet.do("lab.close()")
    sheet.calm()


def test_from_an_event_to_the_pixel(open_cells):
    """Printed with ``pytest -s``; asserted loosely, for a machine that is busy with other things."""
    sheet = open_cells(LAB)
    sheet.run()
    moves(sheet)
    sheet.page.evaluate(
        """() => { window.seen = []; const state = document.querySelector('.rlb-lane .rlb-state');
        new MutationObserver(() => requestAnimationFrame(() => window.seen.push([Date.now(), state.textContent])))
          .observe(state, {childList: true, characterData: true, subtree: true}); }"""
    )
    times = []
    for _ in range(7):
        sheet.do("lab.breaker('sim/alpha').close()")
        sheet.wait(ALPHA, arg="closed")
        sheet.page.wait_for_timeout(137)
        sheet.page.evaluate("() => { window.seen = []; }")
        sheet.do("lab.breaker('sim/alpha').open()\nopened = lab.events()['at'].iloc[-1].timestamp()")
        sheet.wait("() => window.seen.some(([, text]) => text.includes('open'))")
        seen = next(at for at, text in sheet.page.evaluate("() => window.seen") if "open" in text)
        times.append(seen / 1000 - opened_at(sheet))
    print(f"\nfrom an event to the pixel: median {sorted(times)[3]:.3f} s, at most {max(times):.3f} s; aim <= 0.5 s")
    assert sorted(times)[3] < 5.0
    sheet.do("lab.close()")


def opened_at(sheet):
    """When the kernel opened the breaker last."""
    return sheet.page.evaluate(
        """async () => { const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        let found = null; const future = kernel.requestExecute({code: 'print(opened)', store_history: false});
        future.onIOPub = (message) => { if (message.header.msg_type === 'stream') found = message.content.text; };
        await future.done; return Number(found); }"""
    )
