"""The board: what the page is told, when, and how much of it."""

import json
import time

import pytest

from routerlab.core.types import ModelSnapshot
from routerlab.session.recorder import Recorder
from routerlab.views.board import Board
from routerlab.views.feed import Feed

T0 = 1_800_000_000.0
EVIL = "evil/</script><script>alert(1)</script>"
MODELS = ["sim/alpha", "sim/beta", EVIL]


class Scene:
    """A board over a real recorder, a clock that is moved by hand, and models whose state is set by hand."""

    def __init__(self, models=MODELS):
        self.recorder, self.now = Recorder(), T0
        self.board, self.feed = Board(models), Feed(self.recorder)
        self.board.begin(self.feed.read())
        self.states = {model: {} for model in models}
        self.number = 0

    def snapshots(self):
        return [ModelSnapshot(model, "sim", self.now - T0, **state) for model, state in self.states.items()]

    def tick(self, seconds=0.25, extras=None):
        self.now += seconds
        return self.board.update(self.feed.read(), self.snapshots(), self.now, extras)

    def call(self, *steps, cost=0.001, started=None):
        """Steps: model, outcome, status."""
        self.number += 1
        call_id, at = f"{self.number:016x}", self.now if started is None else started
        for place, (model, outcome, status) in enumerate(steps, 1):
            self.recorder.add(
                "attempts",
                {
                    "call_id": call_id,
                    "attempt": place,
                    "model": model,
                    "provider": "sim",
                    "reason": "selected" if place == 1 else "failover",
                    "started_at": at,
                    "ended_at": at + 0.1,
                    "latency_s": 0.1,
                    "outcome": outcome,
                    "status": status,
                    "error_message": None if outcome == "ok" else "THE PROVIDER'S WORDS",
                    "error_type": None if outcome == "ok" else "ProviderUnavailableError",
                    "breaker_before": "closed",
                    "breaker_after": "closed",
                    "score_after": 0.5,
                },
            )
            decision = {"call_id": call_id, "step": place - 1, "chosen": model, "strategy": "priority"}
            self.recorder.add("decisions", {**decision, "probability": 1.0, "seed": 0})
            for candidate in self.states:
                reason = "had its turn" if any(candidate == step[0] for step in steps[: place - 1]) else None
                line = {"call_id": call_id, "step": place - 1, "model": candidate, "eligible": reason is None}
                self.recorder.add("candidates", {**line, "score": 0.5, "excluded_because": reason})
            at += 0.1
        good = steps[-1][1] == "ok"
        row = {
            "call_id": call_id,
            "outcome": steps[-1][1],
            "model": steps[-1][0] if good else None,
            "failovers": len({step[0] for step in steps}) - 1,
            "attempts": len(steps),
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "cost_usd": cost,
            "started_at": self.now if started is None else started,
            "ended_at": at,
            "latency_s": at - self.now,
        }
        self.recorder.add("calls", row)
        self.recorder.add("texts", {"call_id": call_id, "request": "SECRET PROMPT", "reply": "SECRET REPLY"})
        return call_id

    def event(self, kind, model, old=None, new=None, cause=None):
        row = {"at": self.now, "kind": kind, "model": model, "old": old, "new": new, "cause": cause}
        self.recorder.add("events", row)


@pytest.fixture
def scene():
    scene = Scene()
    scene.tick()
    return scene


def test_nothing_is_said_when_nothing_has_changed(scene):
    scene.call(("sim/alpha", "ok", 200))
    told = [scene.tick() for _ in range(40)]
    assert told[0] is not None
    assert told[-16:] == [None] * 16, "the rates have come to rest"
    assert scene.tick(60.0) is None


def test_updates_are_numbered_without_a_gap(scene):
    numbers = []
    for _ in range(5):
        scene.call(("sim/alpha", "ok", 200))
        numbers.append(scene.tick()["n"])
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert scene.board.whole(scene.now)["n"] == numbers[-1]


def test_calls_are_counted(scene):
    for _ in range(3):
        scene.call(("sim/alpha", "ok", 200))
    scene.call(("sim/alpha", "retryable", 503), ("sim/beta", "ok", 200))
    scene.call(("sim/alpha", "retryable", 503), cost=None)
    update = scene.tick()
    counters = update["c"]
    assert (counters["calls"], counters["ok"], counters["failed"], counters["failovers"]) == (5, 4, 1, 1)
    assert counters["tokens"] == 150
    assert counters["cost_usd"] == pytest.approx(0.004)
    assert counters["calls_s"] == 1.0
    assert update["b"] == [3, 2, 1, 0, 0, 0]


def test_an_unknown_price_is_unknown_not_nothing(scene):
    scene.call(("sim/alpha", "ok", 200), cost=None)
    assert scene.tick()["c"]["cost_usd"] is None


def test_a_point_is_made_once_a_second_and_only_where_something_happened(scene):
    points = []
    for _ in range(16):
        scene.call(("sim/beta", "ok", 200))
        points += (scene.tick() or {}).get("p", [])
    assert 3 <= len(points) <= 4
    assert sum(point[2 + 5 + 3] for point in points) >= 12
    assert len(points[0]) == 2 + 5 * len(MODELS)
    for _ in range(40):
        scene.tick()
    before = len(scene.board.points)
    for _ in range(40):
        scene.tick()
    assert len(scene.board.points) == before


def test_a_lane_turns_with_the_breaker_and_by_the_clock(scene):
    scene.event("breaker", "sim/alpha", "closed", "open", "failures")
    scene.states["sim/alpha"] = {"breaker": "open", "seconds_to_probe": 2.0}
    update = scene.tick()
    assert update["g"] == [[round(scene.now - 0.25, 3), 0, 1]]
    assert update["s"]["0"][:2] == [1, pytest.approx(scene.now + 2.0, abs=0.1)]
    scene.states["sim/alpha"] = {"breaker": "open", "seconds_to_probe": 1.75}
    assert "s" not in (scene.tick() or {}), "the countdown is the page's own"
    scene.states["sim/alpha"] = {"breaker": "half_open"}
    assert scene.tick()["g"] == [[round(scene.now, 3), 0, 2]], "no record says so: the time alone"
    scene.event("breaker", "sim/alpha", "open", "half_open", "probe_admitted")
    assert "g" not in (scene.tick() or {})
    scene.event("breaker", "sim/alpha", "half_open", "closed", "probes_succeeded")
    scene.states["sim/alpha"] = {}
    assert [change[2] for change in scene.tick()["g"]] == [0]


def test_marks_tell_of_probes_hands_and_faults(scene):
    scene.event("fault_injected", "sim/alpha", new="unavailable for 6 s", cause="by hand")
    scene.event("breaker", "sim/alpha", "closed", "open", "forced_open")
    scene.event("cooling", "sim/beta", "ready", "3.0 s", "WORDS")
    scene.event("fault_cleared", "sim/alpha")
    scene.event("breaker", "unknown/model", "closed", "open", "failures")
    marks = scene.tick()["e"]
    assert [(place, kind) for _, place, kind, _ in marks] == [(0, "fault"), (0, "hand"), (1, "cooling"), (0, "clear")]
    assert marks[0][3] == "fault: unavailable for 6 s"
    assert "WORDS" not in json.dumps(marks)


def test_a_failover_brings_its_whole_trace_and_no_words_of_others(scene):
    call_id = scene.call(("sim/alpha", "retryable", 503), ("sim/beta", "ok", 200))
    (trace,) = scene.tick()["f"]
    assert trace["id"] == call_id
    assert trace["head"] == "sim/beta answered after 1 failover"
    assert [(lane[0], [bar[4] for bar in lane[2]]) for lane in trace["lanes"]] == [
        ("sim/alpha", ["503 · moved on"]),
        ("sim/beta", ["answered · 100 ms"]),
    ]
    (first, second) = trace["steps"]
    assert first[0] == "sim/alpha"
    assert ["sim/alpha", 0.5, "had its turn"] in second[2]
    told = json.dumps(scene.board.whole(scene.now))
    assert "PROVIDER" not in told.replace("ProviderUnavailableError", "")
    assert "SECRET" not in told


def test_a_storm_of_failovers_is_told_in_few_words(scene):
    for _ in range(400):
        scene.call(("sim/alpha", "retryable", 503), ("sim/beta", "ok", 200))
    update = scene.tick()
    assert len(update["f"]) == 3
    assert update["c"]["failovers"] == 400
    assert len(json.dumps(update, separators=(",", ":"))) < 8_000


def test_a_board_that_is_opened_late_shows_the_past():
    early = Scene()
    for second in range(30):
        started = T0 + second
        early.call(("sim/alpha", "retryable", 503), ("sim/beta", "ok", 200), started=started)
    early.now = T0 + 15
    early.event("breaker", "sim/alpha", "closed", "open", "failures")
    late = Board(MODELS)
    late.begin(Feed(early.recorder).read())
    whole = late.whole(T0 + 40)
    assert whole["c"]["calls"] == 30
    assert len(whole["p"]) >= 29
    assert sum(point[2 + 4] for point in whole["p"]) == 30, "alpha's failures"
    assert sum(point[2 + 5 + 3] for point in whole["p"]) == 30, "beta's successes"
    assert whole["g"] == [[T0 + 15, 0, 1]]
    assert len(whole["f"]) == 12
    assert whole["at"] > T0


def test_an_hour_is_as_much_as_ten_minutes():
    scene = Scene(["a/1", "b/2"])
    sizes = []
    for minute in range(60):
        for _ in range(60):
            scene.call(("a/1", "ok", 200))
            scene.tick(1.0)
        if minute in {20, 59}:
            sizes.append(len(json.dumps(scene.board.whole(scene.now))))
        assert len(scene.board.points) <= 600
    assert sizes[1] < 1.1 * sizes[0]


def test_the_extras_are_told_when_they_change(scene):
    assert scene.tick(extras={"traffic": "3/s"})["x"] == {"traffic": "3/s"}
    assert scene.tick(extras={"traffic": "3/s"}) is None
    assert scene.tick(extras={})["x"] == {}


def test_reading_is_cheap_where_there_is_much(scene):
    for _ in range(20_000):
        scene.recorder.add("attempts", {"call_id": "x", "attempt": 1, "model": "sim/alpha", "outcome": "ok"})
    scene.tick()
    began = time.process_time()
    for _ in range(200):
        scene.tick()
    assert (time.process_time() - began) / 200 < 0.01, "no look at what was seen before"
