"""What a call writes down: known columns only, each row once."""

from __future__ import annotations

from dataclasses import fields

import pytest

from routerlab.core.decisions import Candidate, Decision
from routerlab.core.errors import RateLimitError
from routerlab.core.failures import Outcome
from routerlab.core.health import HealthEvent
from routerlab.core.moves import Finish
from routerlab.core.types import CompletionRequest, CompletionResponse, EmbeddingRequest, TokenUsage
from routerlab.session.journal import Journal, Span, call_row, decision_row, event_row
from routerlab.session.results import AttemptRecord, CallResult, CallSpec
from routerlab.session.tables import TABLES

SPAN = Span(started_at=100.0, first_token_at=100.5, ended_at=102.0, backoff_s=0.25)
REQUEST = CompletionRequest("c1", "chat", "", ({"role": "user", "content": "hi"},), {"max_tokens": 3}, stream=True)
DECISION = Decision(
    0, "p/m", 1.0, "priority", 7, (Candidate("p/m", 0.5, True), Candidate("p/n", None, False, "cooling"))
)


@pytest.fixture
def rows():
    return []


@pytest.fixture
def journal(rows):
    result = CallResult("c1", CallSpec(run_id="r1"))

    def keep(table, row, run_id):
        rows.append((table, row if isinstance(row, AttemptRecord) else dict(row), run_id))

    return Journal(keep, result)


def attempt(number=1, model="p/m", **values):
    return AttemptRecord("c1", "r1", number, model, "p", "selected", 100.0, **values)


def test_the_record_of_an_attempt_has_the_columns_of_its_table():
    assert tuple(field.name for field in fields(AttemptRecord)) == TABLES["attempts"].names


def test_every_decision_is_written_once_with_its_candidates(journal, rows):
    journal.decisions([DECISION])
    journal.decisions([DECISION])
    assert [table for table, _, _ in rows] == ["decisions", "candidates", "candidates"]
    assert {run_id for _, _, run_id in rows} == {"r1"}
    assert rows[2][1]["excluded_because"] == "cooling"
    assert rows[1][1]["excluded_because"] is None
    for table, row, _ in rows:
        assert set(row) <= set(TABLES[table].names)


def test_a_failed_attempt_keeps_its_text_and_a_good_one_does_not_need_to(journal, rows):
    journal.attempt(attempt(1), "half of it")
    journal.attempt(attempt(2))
    assert [table for table, _, _ in rows] == ["attempts", "texts", "attempts"]
    assert rows[1][1] == {"call_id": "c1", "attempt": 1, "request": None, "reply": "half of it"}


def test_a_call_keeps_what_was_asked_and_what_was_shown(journal, rows):
    journal.call({"call_id": "c1"}, REQUEST, "shown")
    journal.call({"call_id": "c2"}, EmbeddingRequest("c2", "m", ("a", "b")), "")
    texts = [row for table, row, _ in rows if table == "texts"]
    assert texts[0]["request"] == {"messages": [{"role": "user", "content": "hi"}], "params": {"max_tokens": 3}}
    assert texts[1]["request"] == {"inputs": ["a", "b"], "params": {}}


def test_an_event_names_its_call_and_its_moment():
    row = event_row(HealthEvent("breaker", "p/m", "p", "closed", "open", "failures"), "c1")
    assert set(row) == set(TABLES["events"].names)
    assert (row["old"], row["new"], row["call_id"]) == ("closed", "open", "c1")


def test_the_row_of_a_call_that_succeeded():
    response = CompletionResponse(
        "text", usage=TokenUsage(4, 5, 9, 1, 2), finish_reason="length", served_model="m-2026"
    )
    spec = CallSpec(model="p/m", scheduled_at=99.0, purpose="chat", run_id="r1", item_id="i", repeat=0, variant="v")
    result = CallResult("c1", spec, response=response, attempts=[attempt(1, "p/o"), attempt(2, cost_usd=0.5)])
    row = call_row(result, REQUEST, Finish(Outcome.OK, "p/m"), SPAN, pool="chat", dropped={"tools", "seed"})
    assert set(row) | {"injected", "simulated"} == set(TABLES["calls"].names)
    assert (row["model"], row["provider"], row["served_model"], row["pool"]) == ("p/m", "p", "m-2026", "chat")
    assert (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"], row["reasoning_tokens"]) == (
        4,
        5,
        1,
        2,
    )
    assert (row["queue_s"], row["ttft_s"], row["latency_s"], row["backoff_s"]) == (1.0, 0.5, 2.0, 0.25)
    assert (row["attempts"], row["failovers"], row["cost_usd"]) == (2, 1, 0.5)
    assert (row["truncated"], row["streamed"], row["dropped_params"]) == (True, True, ["seed", "tools"])


def test_the_row_of_a_call_that_failed_names_no_model():
    result = CallResult("c1", CallSpec(), error=RateLimitError("slow down"), attempts=[attempt(cost_usd=0.5)])
    row = call_row(result, REQUEST, Finish(Outcome.MOVE_ON, "p/m"), SPAN, pool=None)
    assert (row["model"], row["provider"], row["cost_usd"], row["finish_reason"]) == (None, None, None, None)
    assert (row["outcome"], row["error_type"], row["truncated"]) == ("move_on", "RateLimitError", False)
    assert row["dropped_params"] is None


def test_a_decision_without_a_choice_is_a_row_too():
    row = decision_row(Decision(0, None, 0.0, "priority", 7, ()), None)
    assert (row["chosen"], row["call_id"], row["candidates"]) == (None, None, [])
