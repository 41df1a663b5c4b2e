"""Records as frames, and what is counted from them."""

from __future__ import annotations

import random

import pandas as pd
import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.core.types import Limits, ModelSnapshot, Price
from routerlab.session.recorder import Recorder
from routerlab.session.tables import TABLES
from routerlab.views.frames import calls_frame, frame, run_frame, to_frame
from routerlab.views.metrics import health, metrics, window_seconds

KINDS = {"int": "Int64", "small": "Int32", "float": "Float64", "bool": "boolean", "time": "datetime64[us, UTC]"}
KINDS |= {"json": "object", "name": "category"}


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_frame_keeps_its_columns_and_types(table):
    made = frame(Recorder(), table)
    assert list(made.columns) == list(TABLES[table].names)
    assert {c.name: str(made[c.name].dtype) for c in TABLES[table].columns} == {
        c.name: KINDS.get(c.type, "string") for c in TABLES[table].columns
    }
    assert made.attrs == {"table": table, "gone": 0}


def test_the_types_do_not_depend_on_what_is_in_it():
    recorder = Recorder()
    empty = frame(recorder, "attempts").dtypes
    recorder.add("attempts", {"call_id": "c1", "attempt": 1})
    recorder.add("attempts", {"call_id": "c1", "attempt": 2, "status": 503, "latency_s": 0.5, "committed": True})
    full = frame(recorder, "attempts")
    assert full.dtypes.map(str).equals(empty.map(str))
    assert full["status"].tolist() == [pd.NA, 503]
    assert full["status"].isna().tolist() == [True, False]


VALUES = {
    "id": ["c1", "é"],
    "name": ["ok", "retryable"],
    "text": ["some text"],
    "json": [{"n": [1, None]}, "x"],
    "int": [0, -7, 2**63 - 1],
    "small": [0, -7, 2**31 - 1],
    "float": [0.1, -1e300],
    "time": [1_800_000_000.2500005, 0.0, 1.5e9],
    "bool": [True, False],
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("rows", [1, 7, 2_048, 4_100])
def test_a_frame_of_packed_columns_is_the_one_of_lists(table, rows):
    recorder, draw = Recorder(), random.Random(rows)
    for _ in range(rows):
        row = {c.name: draw.choice([None, *VALUES[c.type]]) for c in TABLES[table].columns}
        recorder.add(table, row)
    types = {column.name: column.type for column in TABLES[table].columns}
    made = frame(recorder, table)
    made.attrs.clear()
    pd.testing.assert_frame_equal(made, to_frame(recorder.columns(table), types))


def test_times_are_utc_to_the_microsecond():
    recorder = Recorder()
    recorder.add("calls", {"call_id": "c1", "started_at": 1_800_000_000.25})
    started = calls_frame(recorder)["started_at"]
    assert started[0] == pd.Timestamp("2027-01-15 08:00:00.25", tz="UTC")
    assert calls_frame(recorder)["ended_at"].isna().all()


def test_a_frame_says_what_memory_let_go():
    recorder = Recorder(max_records=8)
    for number in range(20):
        recorder.add("calls", {"call_id": f"c{number}"})
    made = calls_frame(recorder)
    assert made.attrs["gone"] == 20 - len(made) > 0
    assert made["call_id"].iloc[-1] == "c19"


def test_texts_come_first_where_they_are_asked_for():
    recorder = Recorder()
    recorder.add("calls", {"call_id": "c1"})
    recorder.add("calls", {"call_id": "c2"})
    recorder.add("calls", {"call_id": "c3"})
    chat = {"messages": [{"role": "user", "content": "Why?"}], "params": {"max_tokens": 5}}
    recorder.add("texts", {"call_id": "c1", "attempt": 1, "request": None, "reply": "half"})
    recorder.add("texts", {"call_id": "c1", "attempt": None, "request": chat, "reply": "So."})
    recorder.add("texts", {"call_id": "c2", "attempt": None, "request": {"inputs": ["a", "b"]}, "reply": ""})
    made = calls_frame(recorder, text=True)
    assert list(made.columns[:4]) == ["prompt", "text", "params", "call_id"]
    assert made["prompt"].tolist()[:2] == ["Why?", "a\nb"]
    assert made["text"].tolist()[:2] == ["So.", ""]
    assert made["params"][0] == {"max_tokens": 5}
    assert made.loc[2, ["prompt", "text"]].isna().all()
    assert "prompt" not in calls_frame(recorder).columns


def test_a_runs_frame_has_its_promised_order():
    empty = run_frame([], ["exact", "judge"])
    first = [
        "prompt",
        "text",
        "target",
        "score_exact",
        "score_judge",
        "item_id",
        "model",
        "repeat",
        "variant",
        "status",
    ]
    assert list(empty.columns[:10]) == first
    assert set(TABLES["calls"].names) < set(empty.columns)
    full = run_frame([{"prompt": "p", "target": ["a", "b"], "repeat": 0, "score_exact": 1.0}], ["exact", "judge"])
    assert full.dtypes.map(str).equals(empty.dtypes.map(str))
    assert full["target"][0] == ["a", "b"]


@pytest.fixture
def recorder(make_attempt, make_call):
    """alpha fails and beta answers; alpha is rate limited and beta answers; alpha answers; alpha is cancelled."""
    recorder = Recorder()
    calls = [
        [make_attempt(1, "sim/alpha", 0, 0.1, "retryable", status=503), make_attempt(2, "sim/beta", 0.1, 0.4)],
        [make_attempt(1, "sim/alpha", 100, 0.1, "move_on", status=429), make_attempt(2, "sim/beta", 100.1, 0.6)],
        [make_attempt(1, "sim/alpha", 200, 0.2, ttft_s=0.05, prompt_tokens=7, cost_usd=0.5)],
        [make_attempt(1, "sim/alpha", 300, 0.2, "cancelled")],
    ]
    for number, attempts in enumerate(calls):
        for attempt in attempts:
            attempt.call_id = f"c{number}"
            recorder.add("attempts", {name: getattr(attempt, name) for name in attempt.__slots__})
        recorder.add("calls", make_call(attempts))
    return recorder


def test_metrics_count_by_model(recorder):
    made = metrics(recorder).set_index("model")
    alpha, beta = made.loc["sim/alpha"], made.loc["sim/beta"]
    assert alpha[["calls", "answered", "attempts", "ok", "failed"]].tolist() == [4, 1, 4, 1, 2]
    assert alpha["success_rate"] == pytest.approx(1 / 3)  # the cancelled one says nothing
    assert alpha[["failovers_away", "rate_limited"]].tolist() == [2, 1]
    assert (alpha["p50_latency_s"], alpha["p50_ttft_s"], alpha["cost_usd"]) == (0.2, 0.05, 0.5)
    assert alpha["prompt_tokens"] == 7
    assert beta[["calls", "answered", "failovers_away"]].tolist() == [2, 2, 0]
    assert beta["p50_latency_s"] == pytest.approx(0.5)
    assert pd.isna(beta["cost_usd"])
    assert alpha["simulated"]
    assert not alpha["injected"]


def test_metrics_of_a_window_take_what_ended_in_it(recorder):
    now = 1_800_000_000.0 + 250
    assert metrics(recorder, "1m", now=now)["model"].tolist() == ["sim/alpha"]
    assert metrics(recorder, 60, now=now)["attempts"].tolist() == [1]
    assert metrics(recorder, 160, now=now).set_index("model").loc["sim/alpha", "failovers_away"] == 1


def test_metrics_of_nothing_are_an_empty_frame_of_the_same_types(recorder):
    empty = metrics(Recorder())
    assert len(empty) == 0
    assert empty.dtypes.equals(metrics(recorder).dtypes)


@pytest.mark.parametrize("window", ["soon", "-5m", 0, True, "5 years"])
def test_a_window_that_is_none_is_refused(window):
    with pytest.raises(ConfigurationError, match="window"):
        window_seconds(window)


def test_health_shows_what_routing_sees():
    fresh = ModelSnapshot("sim/a", "sim")
    worn = ModelSnapshot(
        "sim/b", "sim", at=10.0, breaker="open", seconds_to_probe=3.0, score=0.4, samples=9, cooling_until=12.0,
        price=Price(1.0, 2.0), remaining=Limits(remaining_requests=5), features=frozenset({"tools", "json"}),
    )  # fmt: skip
    made = health([fresh, worn]).set_index("model")
    assert pd.isna(made.loc["sim/a", "score"])  # untried is unknown, not bad
    assert made.loc["sim/a", "samples"] == 0
    assert made.loc["sim/b", ["breaker", "cooling_s", "price_output", "remaining_requests"]].tolist() == [
        "open",
        2.0,
        2.0,
        5,
    ]
    assert made.loc["sim/b", "features"] == "json, tools"
    assert health([]).dtypes.equals(health([fresh]).dtypes)
