"""The live dashboard: what a tick costs the kernel and the page, how large it is, what it takes from the calls.

The kernel's side is measured with the comm that the widget really writes to, its messages turned into JSON as a kernel
does; the page's side in headless Chromium, the module of the package drawing on a page of its own.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import comm
from comm.base_comm import BaseComm
from local_lab import SPEC, local_lab
from measure import bar, crowd, interleave, ratio, show

from routerlab.lab import Lab
from routerlab.views.panel import asset
from routerlab.views.points import Point, Sample

MODELS, POINTS, CALLS_A_TICK = 6, 300, 250  # a thousand calls a second
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--js-flags=--expose-gc"]
ARGUMENTS += ["--enable-precise-memory-info", "--disable-background-networking"]
PAGE = """<!doctype html><meta charset="utf-8"><style>%s</style><main id="board" style="width:1200px"></main>
<script type="module">%s
const traits = { whole: %s, tick: {}, show: ["counters", "breakers", "scores", "failovers", "controls"], about: "" };
const heard = {};
const model = { get: (name) => traits[name], on: (name, then) => { heard[name] = then; }, send: () => {} };
const store = new Store(model);
new View(store, document.getElementById("board"), traits.show);
let number = traits.whole.n;
window.tick = (tick) => {
  tick.n = ++number; traits.tick = tick;
  const begun = performance.now();
  heard["change:tick"](); document.body.offsetHeight;
  return performance.now() - begun;
};
window.ready = true;
</script>"""


class CountingComm(BaseComm):
    """Makes JSON of what it is given, as a kernel does, and counts."""

    sizes: list[int] = []  # noqa: RUF012 - one list of the whole benchmark

    def publish_msg(self, msg_type: str, data: Any = None, *_: Any, **__: Any) -> None:
        self.sizes.append(len(json.dumps(data or {}, separators=(",", ":"))))


def main(*, quick: bool) -> None:
    comm.create_comm = CountingComm
    ticks = 4 if quick else 200
    with lab_of_many() as lab:
        updates, whole = cost_of_a_tick(lab, ticks)
    cost_of_watching(quick=quick)
    if find_spec("playwright") is None or not Path(CHROMIUM).exists():
        print("  (playwright or Chromium is not installed: the page is not measured)")
        return
    cost_of_drawing(updates, whole, ticks=ticks, hours=0.02 if quick else 1.0)


@contextlib.contextmanager
def lab_of_many() -> Iterator[Lab]:
    """Six simulated models with three hundred points behind them."""
    models = {f"model-{place}": {} for place in range(MODELS)}
    with Lab({"providers": {"sim": {"kind": "simulated", "models": models}}}, store=False) as lab:
        board = lab._live.publisher.board
        start = time.time() - POINTS
        for second in range(POINTS):
            sample = Sample(0.5 + 0.001 * (second % 97), 0.987, 0.123, 40 + second % 9, 1)
            board.points.add(Point(start + second, 1.0, (sample,) * MODELS, {}))
        yield lab


def a_busy_tick(lab: Lab, number: int) -> None:
    """The records of a quarter of a second at a thousand calls a second; some calls moved on."""
    recorder, now = lab._session.recorder, time.time()
    for call in range(CALLS_A_TICK):
        call_id, place = f"{number:08x}{call:08x}", call % MODELS
        moved = call % 100 == 0
        for attempt in range(1 + moved):
            model = f"sim/model-{(place + attempt) % MODELS}"
            row = {"call_id": call_id, "attempt": attempt + 1, "model": model, "provider": "sim", "reason": "selected"}
            ok = attempt == moved
            row |= {"outcome": "ok" if ok else "retryable", "status": 200 if ok else 503}
            recorder.add("attempts", row | {"started_at": now - 0.1, "ended_at": now, "latency_s": 0.1})
        if moved:
            decision = {"call_id": call_id, "step": 0, "chosen": model, "strategy": "priority"}
            recorder.add("decisions", decision)
            for one in range(MODELS):
                row = {"call_id": call_id, "step": 0, "model": f"sim/model-{one}", "score": 0.5, "eligible": True}
                recorder.add("candidates", row)
        row = {"call_id": call_id, "outcome": "ok", "model": model, "failovers": int(moved), "attempts": 1 + moved}
        row |= {"prompt_tokens": 100, "completion_tokens": 200, "cost_usd": 0.001, "latency_s": 0.1}
        recorder.add("calls", row | {"started_at": now - 0.1, "ended_at": now})


def cost_of_a_tick(lab: Lab, ticks: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """CPU, messages and bytes of a tick; the ticks and the whole, to be drawn."""
    dashboard = lab.dashboard()
    panel, publisher, sizes = dashboard.widget, dashboard.publisher, CountingComm.sizes
    first = sizes[-1]
    whole = dict(panel.whole)
    told, costs, messages, updates = [], [], [], []

    async def tick() -> None:
        before, began = len(sizes), time.thread_time()
        publisher.publish()
        costs.append(time.thread_time() - began)
        messages.append(len(sizes) - before)
        told.append(sizes[-1])
        updates.append(dict(panel.tick))

    async def idle() -> None:
        publisher._job.cancel()

    time.sleep(0.5)
    lab._session.run(idle())
    for number in range(ticks):
        a_busy_tick(lab, number)
        lab._session.run(tick())
    print(f"\n{MODELS} models, {POINTS} points, {CALLS_A_TICK} calls and 3 failovers a tick; {ticks} ticks")
    bar("CPU of a tick", statistics.median(costs) * 1e3, 2, at_least=False, unit="ms")
    bar("its size, median", statistics.median(told) / 1e3, 8, at_least=False, unit="kB")
    bar("its size, largest", max(told) / 1e3, 8, at_least=False, unit="kB")
    bar("messages", max(messages), 1, at_least=False, unit="a tick")
    bar("the first payload, module and all", first / 1e3, 60, at_least=False, unit="kB")
    dashboard.close()
    return updates, whole


def cost_of_watching(*, quick: bool) -> None:
    """Calls per second with a dashboard open and without."""
    calls, rounds = (8, 2) if quick else (600, 20)
    with local_lab() as (lab, _):
        dashboard = lab.dashboard()

        def work() -> int:
            return lab._session.run(crowd(calls, 16, lambda: lab._session.call(SPEC)))

        def watched() -> int:
            publisher, panel = dashboard.publisher, dashboard.widget
            publisher.add(panel)
            try:
                return work()
            finally:
                publisher.remove(panel)

        timings = interleave({"nobody looks": work, "a dashboard open": watched}, rounds)
    show("16 at once", timings, base="nobody looks")
    bar("calls/s", ratio(timings, "nobody looks", "a dashboard open"), 0.95, at_least=True, unit="of without")


def cost_of_drawing(updates: list[dict[str, Any]], whole: dict[str, Any], *, ticks: int, hours: float) -> None:
    """Main-thread time of a tick, and the heap after an hour of points."""
    from playwright.sync_api import sync_playwright

    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "board.html"
        module = asset("board.js").replace("export default", "window.board =").replace("export function", "function")
        path.write_text(PAGE % (asset("board.css"), module, json.dumps(whole)), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(path.as_uri())
        page.wait_for_function("() => window.ready")
        times = page.evaluate("updates => updates.map(tick)", updates)
        heaps = []
        step = """([from, seconds, models]) => { for (let at = 0; at < seconds; at++) {
          const t = from + at, p = [t, 1];
          for (let one = 0; one < models; one++) p.push(500 + at % 90, 990, 100 + one, 40, 1);
          const c = {calls: at, ok: at, failed: 0, failovers: 0, tokens: at, cost_usd: 1, calls_s: 1, tokens_s: 1};
          tick({t, p: [p], c}); } gc(); return performance.memory.usedJSHeapSize; }"""
        for part in range(3):
            seconds = int(hours * 1200)
            heaps.append(page.evaluate(step, [whole["t"] + part * seconds, seconds, MODELS]) / 2**20)
        browser.close()
    print(f"\nthe page, {MODELS} models and {POINTS} points, {len(times)} ticks")
    bar("main thread for a tick, median", statistics.median(times), 12, at_least=False, unit="ms")
    bar("and of the slowest twentieth", sorted(times)[int(len(times) * 0.95)], 12, at_least=False, unit="ms")
    print(f"  heap after each third of {hours:g} h of points: {', '.join(f'{heap:.1f}' for heap in heaps)} MiB")
    bar("heap, last against first third", heaps[-1] / heaps[0], 1.1, at_least=False)


if __name__ == "__main__":
    main(quick=False)
