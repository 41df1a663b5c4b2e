"""Conversations of several turns: each request carries the answers before it, and one row covers them all."""

from __future__ import annotations

import asyncio
import json

import pytest

import routerlab as rl
from routerlab.core.errors import InvalidRequestError
from routerlab.core.types import CompletionResponse
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.plan import Arm, ReplayPlan
from routerlab.experiments.replay import Replay
from routerlab.experiments.scorers import resolve_scorers
from routerlab.experiments.turns import PastTurns
from routerlab.session.results import AttemptRecord, CallResult

ROWS = [{"id": "t", "turns": ["one", "two", "three"], "target": "answer 3"}]


class Book:
    def __init__(self):
        self.items = []

    behind = False

    def keep(self):
        """At once."""

    def flush(self):
        """At once."""

    def add(self, table, row):
        if table == "items":
            self.items.append(row)


class Model:
    """Numbers its answers; fails at one of them where told so."""

    def __init__(self, fails_at=0, prices=(0.1, 0.2, 0.4)):
        self.specs = []
        self.fails_at, self.prices = fails_at, prices

    async def __call__(self, spec):
        self.specs.append(spec)
        number = len(self.specs)
        failed = number == self.fails_at
        row = {
            "call_id": f"c{number}",
            "started_at": 100.0 + number,
            "latency_s": 1.0,
            "prompt_tokens": 10 * number,
            "failovers": 1,
            "cost_usd": None if failed else self.prices[number - 1],
        }
        attempt = AttemptRecord(row["call_id"], None, 1, "sim/a", "sim", "selected", 0.0, cost_usd=row["cost_usd"])
        if failed:
            return CallResult(row["call_id"], spec, row, None, InvalidRequestError("refused"), attempts=[attempt])
        return CallResult(row["call_id"], spec, row, CompletionResponse(text=f"answer {number}"), attempts=[attempt])


def replay(model, rows=ROWS, **options):
    book = Book()
    engine = Replay(ReplayPlan(load_dataset(rows), [Arm("a", model="sim/a")], **options), call=model, recorder=book)
    asyncio.run(engine.run())
    return engine, book


def test_each_turn_carries_the_answers_before_it():
    model = Model()
    replay(model, system="Be brief.", scorers=resolve_scorers(["exact"]))
    assert [[message["content"] for message in spec.messages] for spec in model.specs] == [
        ["Be brief.", "one"],
        ["Be brief.", "one", "answer 1", "two"],
        ["Be brief.", "one", "answer 1", "two", "answer 2", "three"],
    ]
    assert [message["role"] for message in model.specs[-1].messages] == [
        *("system", "user", "assistant", "user", "assistant", "user")
    ]


def test_one_row_covers_all_turns_and_its_text_is_the_last_answer():
    engine, book = replay(Model(), scorers=resolve_scorers(["exact"]))
    (row,) = engine.rows()
    assert (row["prompt"], row["text"], row["score_exact"]) == ("three", "answer 3", 1.0)
    assert row["answers"] == ["answer 1", "answer 2", "answer 3"]
    assert row["cost_usd"] == pytest.approx(0.7)
    assert (row["latency_s"], row["prompt_tokens"], row["failovers"], row["started_at"]) == (3.0, 60, 3, 101.0)
    assert engine.progress.cost_usd == pytest.approx(0.7)
    assert [message["content"] for message in book.items[0]["prompt"]] == ["one", "two", "three"]


def test_only_the_last_call_of_a_conversation_has_the_purpose_of_its_run():
    model = Model()
    replay(model)
    assert [spec.purpose for spec in model.specs] == ["turn", "turn", "replay"]


def test_a_failed_turn_ends_the_item_and_keeps_what_it_cost():
    model = Model(fails_at=2)
    engine, _ = replay(model, scorers=resolve_scorers(["exact"]))
    (row,) = engine.rows()
    assert len(model.specs) == 2
    assert (row["status"], row["text"], row["answers"]) == ("failed", None, ["answer 1"])
    assert row["cost_usd"] == pytest.approx(0.1)
    assert engine.progress.cost_usd == pytest.approx(0.1)


def test_a_conversation_with_an_answer_of_unknown_price_has_no_known_cost():
    engine, _ = replay(Model(prices=(0.1, None, 0.4)))
    assert engine.rows()[0]["cost_usd"] is None


def test_an_items_own_parameters_are_sent_and_those_of_the_run_win():
    model = Model()
    rows = [{"prompt": "hi", "params": {"max_tokens": 5, "temperature": 1}}, {"prompt": "ho", "params": "no object"}]
    replay(model, rows, params={"temperature": 0})
    sent = {spec.messages[-1]["content"]: spec.params for spec in model.specs}
    assert sent == {"hi": {"max_tokens": 5, "temperature": 0}, "ho": {"temperature": 0}}
    assert load_dataset(rows)[1].metadata == {"params": "no object"}


def test_turns_and_parameters_come_back_from_records():
    dataset = load_dataset([*ROWS, {"id": "p", "prompt": "hi", "params": {"max_tokens": 5}}])
    again = load_dataset(json.loads(json.dumps(dataset.to_records())))
    assert again == dataset
    assert again.content_hash == dataset.content_hash
    assert dataset.content_hash != load_dataset([*ROWS, {"id": "p", "prompt": "hi"}]).content_hash


def test_the_summary_by_model_counts_the_calls_of_all_turns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with rl.Lab.demo() as lab:
        run = lab.replay([{"turns": ["one", "two"]}, {"prompt": "three"}], models=["sim/alpha"])
        by_model, by_variant = run.summary(), run.summary(by="variant")
    assert by_model[["calls", "ok", "failed"]].to_numpy().tolist() == [[3, 3, 0]]
    assert by_variant[["calls", "ok", "failed"]].to_numpy().tolist() == [[2, 2, 0]]
    assert by_model["cost_usd"].tolist() == pytest.approx(by_variant["cost_usd"].tolist())


def test_a_conversation_of_the_past_has_the_same_row(tmp_path):
    items = [{"id": "t", "turns": ["one", "two", "three"]}, {"id": "p", "prompt": "hi"}]
    columns = ["item_id", "status", "text", "prompt_tokens", "completion_tokens", "cost_usd", "latency_s", "attempts"]
    with rl.Lab.demo(store=tmp_path / "runs.db") as lab:
        run = lab.replay(items, models=["sim/alpha"], name="talk")
        again = lab.replay(items, models=["sim/alpha"], name="talk")
    live = run.df
    assert [answers and len(answers) for answers in live["answers"]] == [3, None]
    assert live["answers"][0][-1] == live["text"][0]
    for past in (again.df, rl.open_run("talk", tmp_path / "runs.db").df):
        assert past["answers"].tolist() == live["answers"].tolist()
        assert past[columns].equals(live[columns])


def test_what_a_dead_process_had_begun_is_in_no_row():
    calls = [
        {"call_id": f"c{n}", "item_id": "t", "variant": "a", "repeat": 0, "latency_s": 1.0, "cost_usd": 2.0**n}
        for n in range(3)
    ]
    past = PastTurns()
    past.add(calls[0])  # killed after this one, and begun anew
    past.add(calls[1])
    messages = [
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "2"},
    ]
    whole = past.whole(calls[2], {"messages": messages}, "B")
    assert (whole["answers"], whole["cost_usd"], whole["latency_s"]) == (["A", "B"], 6.0, 2.0)
    assert past.whole(calls[2], None, None) == calls[2]
