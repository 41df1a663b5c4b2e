"""Live panels without a browser: what goes over the wire, what a click does, what is left behind."""

import base64
import contextlib
import gc
import json
import re
import threading
import time
import weakref

import comm
import pytest
from comm.base_comm import BaseComm

import routerlab as rl


class RecordingComm(BaseComm):
    """Keeps what would go to the page."""

    opened: list = []  # noqa: RUF012 - the test's own, emptied by the fixture

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        if msg_type == "comm_open":
            self.sent = []
            if "_esm" in data["state"]:  # not its layout, which is a widget too
                RecordingComm.opened.append(self)
        self.sent.append((msg_type, json.loads(json.dumps(data or {})), threading.current_thread().name))

    def states(self):
        return [data["state"] for kind, data, _ in self.sent[1:] if kind == "comm_msg"]

    def ticks(self):
        return [state["tick"] for state in self.states() if "tick" in state]


@pytest.fixture(autouse=True)
def pages(monkeypatch):
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    RecordingComm.opened.clear()
    return RecordingComm.opened


@pytest.fixture
def lab():
    with rl.Lab.demo(breaker={"reset_timeout": "60s"}, retry={"initial_delay": 0.05}) as lab:
        yield lab


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def collected(gone):
    gc.collect()
    return gone() is None


def hear(dashboard, **message):
    """A message from the page."""
    dashboard.widget._handle_custom_msg(message, [])


def last(page, name):
    return next((tick[name] for tick in reversed(page.ticks()) if name in tick), None)


def calls(page):
    """How many calls the page knows of."""
    told = [data["state"] for _, data, _ in page.sent if "state" in data]
    boards = [state.get("tick") or state.get("whole") or {} for state in told]
    return next((board["c"]["calls"] for board in reversed(boards) if "c" in board), None)


def silent(page, seconds):
    """Whether nothing is sent for so long."""
    told = len(page.sent)
    time.sleep(seconds)
    return len(page.sent) == told


def open_one(lab, pages):
    dashboard = lab.dashboard()
    assert dashboard.widget.comm is pages[-1]
    return dashboard, pages[-1]


def test_the_first_message_has_it_all_and_is_small(lab, pages):
    for number in range(20):
        lab.chat(f"question {number}")
    _, page = open_one(lab, pages)
    _, data, _ = page.sent[0]
    state = data["state"]
    assert state["whole"]["c"]["calls"] == 20
    assert state["show"] == ["counters", "runs", "breakers", "scores", "failovers", "controls"]
    assert len(json.dumps(data)) < 40_000
    assert "export default" in state["_esm"]
    assert not re.search(r"https?://", state["_esm"].replace("http://www.w3.org", ""))


def test_one_message_a_tick_and_none_when_nothing_happens(lab, pages):
    _, page = open_one(lab, pages)
    traffic = lab.traffic("50/s")
    until(lambda: len(page.ticks()) > 8)
    traffic.stop()
    until(lambda: last(page, "c")["calls"] == len(lab.calls()) and silent(page, 2.0), 120)
    numbers = [tick["n"] for tick in page.ticks()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(len(json.dumps(tick, separators=(",", ":"))) < 8_000 for tick in page.ticks())
    assert {thread for _, _, thread in page.sent[1:]} == {"routerlab"}, "the publisher alone writes"


def test_a_page_that_missed_something_gets_the_whole_again(lab, pages):
    dashboard, page = open_one(lab, pages)
    lab.chat("hi")
    until(page.ticks)
    before = len([state for state in page.states() if "whole" in state])
    hear(dashboard, do="whole")
    until(lambda: len([state for state in page.states() if "whole" in state]) > before)
    states = page.states()
    place = max(place for place, state in enumerate(states) if "whole" in state)
    whole = states[place]["whole"]
    assert whole["c"]["calls"] == 1
    assert whole["n"] >= [state["tick"]["n"] for state in states[:place] if "tick" in state][-1] - 1


def test_a_click_breaks_a_model_and_another_mends_it(lab, pages):
    dashboard, page = open_one(lab, pages)
    hear(dashboard, do="fault", model="sim/alpha", kind="unavailable", duration=600)
    until(lab.faults.active)
    until(lambda: (last(page, "x") or {}).get("faults"))
    for _ in range(6):
        assert lab.chat("hi").model == "sim/beta"
    until(lambda: any(change[1:] == [0, 1] for tick in page.ticks() for change in tick.get("g", ())))
    assert any(trace["ok"] for tick in page.ticks() for trace in tick.get("f", ()))
    hear(dashboard, do="clear", model="sim/alpha")
    until(lambda: not lab.faults.active())
    hear(dashboard, do="breaker", model="sim/alpha", change="reset")
    until(lambda: lab.breaker("sim/alpha").state == "closed")
    hear(dashboard, do="breaker", model="sim/alpha", change="open")
    until(lambda: lab.breaker("sim/alpha").state == "open")
    until(lambda: any(mark[2] == "hand" for tick in page.ticks() for mark in tick.get("e", ())))


def test_a_click_starts_and_stops_traffic_and_stops_a_run(lab, pages):
    dashboard, page = open_one(lab, pages)
    hear(dashboard, do="traffic", rate=50)
    until(lambda: len(lab.calls()) > 5)
    until(lambda: (last(page, "x") or {}).get("traffic") == "50/s")
    hear(dashboard, do="traffic", rate=None)
    until(lambda: not (last(page, "x") or {}).get("traffic"))
    run = lab.replay(["a question"] * 5000, concurrency=2, wait=False)
    until(lambda: (last(page, "x") or {}).get("runs"))
    hear(dashboard, do="stop", run=run.run_id)
    run.wait(60)
    assert run.status == "stopped"
    until(lambda: last(page, "x")["runs"][0]["status"] == "stopped")


@pytest.mark.parametrize(
    "message",
    [
        {"do": "fault", "model": "sim/nobody", "kind": "unavailable", "duration": 1},
        {"do": "fault", "model": "sim/alpha", "kind": "earthquake", "duration": 1},
        {"do": "fault", "model": "sim/alpha", "kind": "unavailable", "duration": -1},
        {"do": "fault", "model": ["sim/alpha"], "kind": "unavailable", "duration": 1},
        {"do": "breaker", "model": "sim/alpha", "change": "explode"},
        {"do": "traffic", "rate": -3},
        {"do": "format the disk"},
        {"what": "is this"},
    ],
)
def test_what_cannot_be_done_is_said_in_the_panel(lab, pages, message):
    dashboard, page = open_one(lab, pages)
    hear(dashboard, **message)
    until(lambda: "could not be done" in (last(page, "x") or {}).get("error", ""))
    hear(dashboard, do="clear", model="sim/alpha")
    until(lambda: "error" not in last(page, "x"))
    assert lab.chat("hi").text


def test_an_error_of_the_publisher_is_shown_and_calls_go_on(lab, pages, caplog):
    dashboard, page = open_one(lab, pages)
    until(lambda: dashboard.publisher.busy)
    held, dashboard.publisher._feed = dashboard.publisher._feed, None
    until(lambda: "cannot be kept up to date" in (last(page, "x") or {}).get("error", ""))
    assert lab.chat("hi").text
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1, "told once"
    dashboard.publisher._feed = held
    until(lambda: "error" not in last(page, "x"))
    until(lambda: last(page, "c")["calls"] == 1)


def test_ten_dashboards_each_hear_of_everything(lab, pages):
    dashboards = [lab.dashboard() for _ in range(10)]
    for dashboard in dashboards:
        dashboard.widget  # noqa: B018 - made at first use
    lab.chat("hi")
    until(lambda: all(calls(page) == 1 for page in pages))
    until(lambda: sum(thread.name == "routerlab" for thread in threading.enumerate()) == 1)
    for dashboard in dashboards:
        dashboard.close()
    until(lambda: not dashboards[0].publisher.busy)


def test_closing_leaves_nothing_behind(lab, pages):
    dashboard, page = open_one(lab, pages)
    publisher = dashboard.publisher
    until(lambda: publisher.busy)
    dashboard.close()
    dashboard.close()
    until(lambda: not publisher.busy)
    assert page.sent[-1][0] == "comm_close"
    lab.chat("hi")
    time.sleep(0.5)
    assert page.sent[-1][0] == "comm_close"
    gone = weakref.ref(dashboard)
    del dashboard
    until(lambda: collected(gone))


def test_a_page_that_is_gone_is_left_alone_and_found_again(lab, pages):
    dashboard, page = open_one(lab, pages)
    until(lambda: dashboard.publisher.busy)
    hear(dashboard, do="gone")
    until(lambda: not dashboard.publisher.busy)
    told = len(page.sent)
    lab.chat("hi")
    time.sleep(0.6)
    assert len(page.sent) == told
    hear(dashboard, do="here")
    until(lambda: any(state["whole"]["c"]["calls"] == 1 for state in page.states() if "whole" in state))


def test_the_end_of_the_lab_is_told_and_lets_go(pages):
    lab = rl.Lab.demo()
    dashboard, page = open_one(lab, pages)
    lab.chat("hi")
    until(page.ticks)
    lab.close()
    assert last(page, "x")["closed"] is True
    hear(dashboard, do="here")
    hear(dashboard, do="traffic", rate=3)
    assert str(dashboard).startswith("routerlab: 1 call")
    gone = weakref.ref(lab)
    del lab
    until(lambda: collected(gone))


def test_a_lab_that_nobody_holds_is_closed_though_a_dashboard_shows_it(pages):
    lab = rl.Lab.demo()
    dashboard, page = open_one(lab, pages)
    until(lambda: dashboard.publisher.busy)
    del lab
    gc.collect()
    until(lambda: (last(page, "x") or {}).get("closed"))


def test_the_bundle_keeps_a_picture(lab):
    lab.faults.outage("sim/alpha", duration=600)
    for _ in range(8):
        lab.chat("hi")
    bundle = lab.dashboard()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "image/png", "text/plain"}
    assert len(bundle["image/svg+xml"]) + len(bundle["image/png"]) <= 60_000
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"].startswith("routerlab: 8 calls · 100 % ok · ")
    assert "○ open" in bundle["text/plain"]
    assert "sim/alpha 503 · moved on → sim/beta answered" in bundle["text/plain"]


@pytest.mark.parametrize("name", ["breaker_panel", "score_panel", "trace_panel"])
def test_the_panels_stand_alone(lab, pages, name):
    panel = getattr(lab, name)()
    assert len(panel.widget.show) == 1
    assert panel.still.png().startswith(b"\x89PNG")
    assert str(panel)


def test_the_trace_of_one_call(lab):
    reply = lab.chat("hi")
    assert lab.trace_panel(reply.call_id).headline == "sim/alpha answered"
    with pytest.raises(rl.ConfigurationError, match="no record of call 'nobody'"):
        lab.trace_panel("nobody")


def test_markup_in_names_stays_text(pages, tmp_path):
    evil = "</script><script>alert(1)</script>"
    config = {"providers": {"sim": {"kind": "simulated", "models": {evil: {}}}}}
    with rl.Lab(config, store=False) as lab:
        lab.chat(evil)
        page = lab.dashboard().save(tmp_path / "board.html").read_text()
        assert page.count("<script") == 2
        assert page.count("</script>") == 2
        assert evil not in lab.dashboard()._repr_mimebundle_()["text/html"]


def test_a_shared_file_has_the_record_and_asks_for_nothing(lab, tmp_path):
    lab.faults.outage("sim/alpha", duration=600)
    for _ in range(8):
        lab.chat("a prompt that is nobody's business")
    path = lab.dashboard().save(tmp_path / "failover.html")
    page = path.read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["whole"]["c"]["calls"] == 8
    assert data["whole"]["f"]
    assert data["from"] < data["to"]
    assert data["counters"][-1][1]["calls"] == 8
    assert "nobody's business" not in page
    assert not re.search(r"(src|href)=", page.replace(data["whole"]["models"][0], ""))
    for ending in (".svg", ".png"):
        assert lab.dashboard().save(tmp_path / f"board{ending}").stat().st_size > 1_000
    with pytest.raises(ValueError, match="ends in"):
        lab.dashboard().save(tmp_path / "board.pdf")


def test_a_lab_without_a_call_has_a_board_too(lab, tmp_path):
    dashboard = lab.dashboard()
    assert "sim/gamma" in str(dashboard)
    assert dashboard.still.png()
    assert dashboard.save(tmp_path / "empty.html").stat().st_size > 10_000
    assert repr(dashboard) == "<Dashboard of 3 models, not shown yet>"


def test_a_script_gets_text(lab, capsys):
    lab.chat("hi")
    with contextlib.suppress(ImportError):
        import IPython  # noqa: F401
    lab.dashboard()._ipython_display_()
    assert "routerlab: 1 call" in capsys.readouterr().out
