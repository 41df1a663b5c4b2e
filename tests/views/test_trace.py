"""The trace of one call and the explanation of its choices."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from routerlab.core.decisions import Candidate, Decision
from routerlab.core.types import ModelSnapshot
from routerlab.session.results import CallResult, CallSpec
from routerlab.views.explanation import Explanation
from routerlab.views.lanes import Segment, call_lanes, failure, what_then
from routerlab.views.trace import Trace
from routerlab.views.traces import read_trace, read_traces


@pytest.fixture
def attempts(make_attempt):
    """503, once more after a wait, which opens the breaker; then the next model answers as a stream."""
    return [
        make_attempt(1, "sim/alpha", 0.0, 0.1, "retryable", status=503, error_message="SECRET"),
        make_attempt(2, "sim/alpha", 0.6, 0.1, "retryable", status=503, wait_before_s=0.5, breaker_after="open"),
        make_attempt(3, "sim/beta", 0.7, 1.3, ttft_s=0.4),
    ]


DECISIONS = [
    {
        "call_id": "c1",
        "step": 0,
        "chosen": "sim/alpha",
        "probability": 0.25,
        "strategy": "weighted",
        "seed": 0,
        "candidates": [
            {"model": "sim/alpha", "score": None, "eligible": True, "excluded_because": None},
            {"model": "sim/beta", "score": 0.5, "eligible": True, "excluded_because": None},
            {"model": "sim/<b>", "score": 0.1, "eligible": False, "excluded_because": "circuit open, probe in 3.0 s"},
        ],
    }
]


@pytest.fixture
def trace(attempts, make_call):
    return Trace.of(CallResult("c1", CallSpec(), make_call(attempts), attempts=attempts, decisions=DECISIONS))


def test_lanes_tell_who_was_asked_what_the_breaker_said_and_who_was_not(trace):
    lanes, length = call_lanes(trace.call, trace.attempts, trace.decisions)
    assert length == pytest.approx(2.0)
    assert [lane.model for lane in lanes] == ["sim/alpha", "sim/beta", "sim/<b>"]
    alpha, beta, excluded = lanes
    assert [bar.label for bar in alpha.bars] == ["503 · tried again", "503 · moved on"]
    assert alpha.bars[1].wait == pytest.approx(0.5)
    assert [(round(s.start, 3), round(s.end, 3), s.state) for s in alpha.segments] == [
        (0, 0.7, "closed"),
        (0.7, 2, "open"),
    ]
    assert alpha.breaker == "closed → open"
    assert beta.bars[0].answered
    assert beta.bars[0].first_token == pytest.approx(1.1)
    assert excluded.note == "circuit open, probe in 3.0 s"
    assert excluded.segments == [Segment(0.0, length, "open")]


def test_the_text_version_is_as_wide_as_asked(trace):
    for width in (50, 80, 120):
        lines = trace.text(width).splitlines()
        assert max(map(len, lines)) <= width
    text = trace.text(100)
    assert text.splitlines()[0] == "sim/beta answered after 1 failover"
    assert "503 · moved on" in text
    assert "✓ answered · 1.3 s" in text
    assert "░" in text  # the wait
    assert "not asked: circuit open" in text
    assert "simulated" in text


def test_the_picture_is_xml_without_script_or_providers_words(trace):
    svg = trace.svg
    root = ET.fromstring(svg)  # noqa: S314 - our own
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "sim/<b>" in texts
    assert "breaker closed → open" in texts
    assert any(text == "503 · moved on" for text in texts)
    assert "SECRET" not in svg
    assert "url(#" in svg  # states are told by pattern, too
    assert trace.png().startswith(b"\x89PNG")


def test_two_traces_on_one_page_do_not_share_patterns(trace):
    other = Trace({**trace.call, "call_id": "c2"}, trace.attempts)
    ids = [{part.split('"')[0] for part in t.svg.split('id="')[1:]} for t in (trace, other)]
    assert not ids[0] & ids[1]


def test_the_frame_has_the_attempts(trace):
    assert trace.df["status"].tolist() == [503, 503, 200]
    assert trace.df["wait_before_s"].tolist() == [0.0, 0.5, 0.0]
    assert trace.failovers == 1


def test_a_failed_and_a_cancelled_call_say_so(make_attempt, make_call):
    failed = make_attempt(1, "sim/a", 0, 0.1, "move_on", error_type="BadResponseError", status=None)
    trace = Trace(make_call([failed]), [vars_of(failed)])
    assert trace.headline == "failed after 1 attempt: FailoverExhaustedError"
    assert "bad response · gave up" in str(trace)
    assert Trace({"call_id": "x", "outcome": "cancelled"}, []).headline == "cancelled"


def test_a_call_without_any_attempt_is_drawn_too():
    trace = Trace({"call_id": "x", "outcome": "rejected", "error_type": "NoModelAvailableError"}, [], DECISIONS)
    assert "NoModelAvailableError" in str(trace)
    assert ET.fromstring(trace.svg) is not None  # noqa: S314 - our own


def vars_of(record):
    return {name: getattr(record, name) for name in record.__slots__}


def test_words_for_what_went_wrong(make_attempt):
    def of(**columns):
        return vars_of(make_attempt(1, "sim/a", 0, 0.1, columns.pop("outcome", "move_on"), **columns))

    assert failure(of(status=429)) == "429"
    assert failure(of(error_type="RequestTimeoutError")) == "request timeout"
    assert failure(of(outcome="client_error")) == "client error"
    assert what_then(of(outcome="cancelled"), None) == "cancelled"


def test_an_explanation_lists_candidates_scores_and_reasons(trace):
    explanation = trace.explain()
    assert explanation.chosen == "sim/alpha"
    assert explanation.df["chosen"].tolist() == [True, False, False]
    assert explanation.df["excluded_because"].tolist()[2] == "circuit open, probe in 3.0 s"
    text = str(explanation)
    assert "sim/alpha chosen by weighted, with probability 25.0 %" in text
    assert "circuit open" in text
    page = explanation._repr_html_()
    assert "sim/&lt;b&gt;" in page
    assert "sim/<b>" not in page


def test_a_choice_that_was_only_looked_at():
    decision = Decision(0, None, 0.0, "priority", 1, (Candidate("sim/a", None, False, "out: no key"),))
    explanation = Explanation.of(decision, [ModelSnapshot("sim/a", "sim")])
    assert explanation.chosen is None
    assert "no model can serve (priority)" in str(explanation)
    assert explanation.health["model"].tolist() == ["sim/a"]


def test_no_decision_at_all():
    explanation = Explanation([])
    assert (str(explanation), explanation.chosen, len(explanation.df)) == ("no decision was recorded", None, 0)


def test_traces_are_read_back_from_the_records(run):
    recorder = run._recorder
    traces = read_traces(recorder, {"run_id": run.run_id}, failovers=True)
    assert [trace.call_id for trace in traces] == ["c2", "c3", "c5"]
    again = read_trace(recorder, "c2")
    assert [row["model"] for row in again.attempts] == ["sim/alpha", "sim/beta"]
    assert again.explain().chosen == "sim/alpha"
    assert "not asked: out: no key" in again.text(120)
    with pytest.raises(ValueError, match="nope"):
        read_trace(recorder, "nope")
