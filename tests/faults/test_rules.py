"""The rules that hold everywhere, over raw sockets: turns, waits, Retry-After, deadlines, who may be asked at all."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

import routerlab as rl


def failure(status: int, code: str = "", **headers: str) -> list[Any]:
    return ["read", ("answer", status, {"error": {"message": "no", "code": code}}, headers)]


def limited(value: str | None = None, header: str = "retry-after") -> list[Any]:
    return failure(429, **({} if value is None else {header: value}))


# -- turns -------------------------------------------------------------------------------------------------------------


def test_every_model_has_one_turn_and_there_is_no_second_round(stage) -> None:
    servers = {name: stage.server(failure(503)) for name in "abcd"}
    asked = stage.bench(**servers).ask()
    assert type(asked.error) is rl.FailoverExhaustedError
    assert asked.column("model") == [f"{name}/one" for name in "aabbccdd"]
    assert [len(server.requests) for server in servers.values()] == [2] * 4
    assert [attempt.attempt for attempt in asked.error.attempts] == list(range(1, 9))


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_the_pause_doubles_and_none_comes_after_the_last_try(retries: int, stage) -> None:
    bench = stage.bench({"retry": {"max_retries": retries, "initial_delay": 0.04}}, a=stage.server(failure(503)))
    asked = bench.ask()
    waits = asked.column("wait_before_s")
    assert len(waits) == 1 + retries
    for wait, least in zip(waits, [0.0, 0.04, 0.08, 0.16], strict=False):
        assert least <= wait <= least + 0.012
    assert asked.call["backoff_s"] == pytest.approx(sum(waits))
    assert asked.seconds >= sum(waits)


def test_what_makes_no_sense_is_asked_for_once_more_whatever_the_pool_says(stage) -> None:
    server = stage.server(["read", ("answer", 200, "no JSON")])
    bench = stage.bench({"retry": {"max_retries": 6, "initial_delay": 0.001}}, a=server)
    assert bench.ask().column("outcome") == ["retryable"] * 2
    assert len(server.requests) == 2


def test_no_permit_for_a_retry_ends_the_turn(stage) -> None:
    server = stage.server(failure(503))
    bench = stage.bench({"breaker": {"failure_threshold": 1}}, a=server, b=stage.server())
    asked = bench.ask()
    assert asked.column("model") == ["a/one", "b/one"]
    assert asked.rows[0]["breaker_after"] == "open"


# -- Retry-After -------------------------------------------------------------------------------------------------------


def in_seconds(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "value", "wait"),
    [
        ("retry-after", "0", 0.0),
        ("retry-after", "0.12", 0.12),
        ("retry-after-ms", "120", 0.12),
        ("x-ms-retry-after-ms", "120", 0.12),
        ("retry-after", in_seconds(-60), None),
    ],
    ids=["seconds", "decimals", "retry-after-ms", "x-ms-retry-after-ms", "a date in the past"],
)
def test_a_short_one_is_waited_for_within_the_turn(
    status: int, header: str, value: str, wait: float | None, stage
) -> None:
    server = stage.server(failure(status, **{header: value}), ["hi"])
    bench = stage.bench(a=server, b=stage.server())
    asked = bench.ask()
    if wait is None:  # counts as absent
        assert asked.column("retry_after_s") == [None, None]
        assert asked.reply.model == ("b/one" if status == 429 else "a/one")
        return
    assert asked.column("model") == ["a/one", "a/one"]
    assert asked.rows[0]["retry_after_s"] == pytest.approx(wait)
    assert asked.rows[1]["wait_before_s"] == pytest.approx(wait, abs=0.001)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", ["20", "20.5", "a date"])
def test_a_longer_one_ends_the_turn_and_the_model_cools_until_then(status: int, value: str, stage) -> None:
    value = in_seconds(22) if value == "a date" else value
    server = stage.server(failure(status, **{"retry-after": value}))
    bench = stage.bench(a=server, b=stage.server())
    for models in (["a/one", "b/one"], ["b/one"], ["b/one"]):
        assert bench.ask().column("model") == models
    snapshot = bench.snapshot("a/one")
    assert 10 < snapshot.cooling_until - snapshot.at <= 22
    assert bench.failures("a/one") == (1 if status == 503 else 0)
    assert bench.lab.events()["kind"].tolist() == ["cooling"]


NONSENSE = ["", "soon", "-5", "nan", "inf", "1e400", "0x10", "١٢", "Mon, 99 Foo 2025", "9" * 400, "1, 2"]


@pytest.mark.parametrize("value", NONSENSE)
def test_garbage_counts_as_absent(value: str, stage) -> None:
    """No `ValueError`, no sleep for a day: the turn ends, and the model cools for a second."""
    bench = stage.bench(a=stage.server(limited(value)), b=stage.server())
    before = time.monotonic()
    asked = bench.ask()
    assert (asked.column("model"), asked.column("retry_after_s")) == (["a/one", "b/one"], [None, None])
    snapshot = bench.snapshot("a/one")
    assert before + 1.0 <= snapshot.cooling_until <= snapshot.at + 1.0
    assert snapshot.samples == 0


def test_an_unanswered_429_cools_twice_as_long_each_time(stage) -> None:
    bench = stage.bench(a=stage.server(limited()))
    asked = bench.ask(deadline=2.8)
    assert type(asked.error) is rl.RateLimitError
    assert asked.column("status") == [429, 429]
    assert asked.rows[1]["wait_before_s"] <= 1.0 < asked.seconds
    assert 1.0 < asked.error.retry_after_s <= 2.0


@pytest.mark.parametrize("pinned", [False, True], ids=["a pool of one", "pinned"])
def test_where_nobody_else_can_serve_the_turn_waits(pinned: bool, stage) -> None:
    others = {"b": stage.server()} if pinned else {}
    bench = stage.bench({"retry": {"retry_after_max": 0.05}}, a=stage.server(limited("0.2"), ["hi"]), **others)
    asked = bench.ask(model="a/one" if pinned else None)
    assert asked.column("model") == ["a/one", "a/one"]
    assert asked.rows[1]["wait_before_s"] <= 0.2 <= asked.seconds


def test_no_longer_than_a_minute(stage) -> None:
    asked = stage.bench(a=stage.server(limited("61"))).ask()
    assert type(asked.error) is rl.RateLimitError
    assert asked.error.retry_after_s == 61.0
    assert asked.seconds < 20


def test_a_later_shorter_value_never_shortens_an_earlier_one(stage, in_threads) -> None:
    both_asked, first_ended = lambda: len(server.requests) == 2, lambda: bench.lab._session.recorder.count("attempts")
    server = stage.server(["read", both_asked, *limited("60")[1:]], ["read", first_ended, *limited("5")[1:]])
    bench = stage.bench(a=server, b=stage.server())
    for future in in_threads(*[lambda: bench.lab.chat("hello")] * 2):
        assert future.result(30).model == "b/one"
    snapshot = bench.snapshot("a/one")
    assert snapshot.cooling_until - snapshot.at > 10


def test_on_a_success_it_means_nothing(stage) -> None:
    answer = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    bench = stage.bench(a=stage.server(["read", ("answer", 200, answer, {"retry-after": "30"})]), b=stage.server())
    assert [bench.ask().reply.model for _ in range(3)] == ["a/one"] * 3


# -- deadlines and waiting ---------------------------------------------------------------------------------------------


def test_a_deadline_covers_attempts_waits_and_models(stage) -> None:
    servers = {"a": stage.server(failure(503)), "b": stage.server(["read", "stall"])}
    bench = stage.bench({"retry": {"initial_delay": 0.1}}, **servers)
    asked = bench.ask(deadline=1.5)
    assert type(asked.error) is rl.RequestTimeoutError
    assert (asked.error.timeout, asked.error.operation) == (1.5, "deadline")
    assert asked.column("outcome") == ["retryable", "retryable", "cancelled"]
    assert 1.5 <= asked.seconds < 20
    assert bench.failures("b/one") == 0
    assert servers["b"].connections[0].hung_up.wait(30)


def test_no_sleep_that_the_deadline_cannot_hold(stage) -> None:
    bench = stage.bench({"retry": {"initial_delay": 5.0}}, a=stage.server(failure(503)), b=stage.server())
    asked = bench.ask(deadline=4.0)
    assert asked.column("model") == ["a/one", "b/one"]
    assert asked.call["backoff_s"] == 0


def test_when_nobody_can_serve_a_cooling_model_is_waited_for(stage) -> None:
    a, b = stage.server(limited("2"), ["hi"]), stage.server(failure(404))
    bench = stage.bench({"retry": {"retry_after_max": 0.01}}, a=a, b=b)
    asked = bench.ask(deadline=1.5)
    assert type(asked.error) is rl.FailoverExhaustedError
    asked = bench.ask()
    assert (asked.column("model"), asked.column("reason")) == (["a/one"], ["cooled"])
    assert 0 < asked.rows[0]["wait_before_s"] <= 2


def test_a_breaker_is_never_waited_for(stage) -> None:
    bench = stage.bench({"breaker": {"failure_threshold": 2, "reset_timeout": 60}}, a=stage.server(failure(503)))
    bench.ask()
    asked = bench.ask()
    assert type(asked.error) is rl.NoModelAvailableError
    assert 40 < asked.error.retry_after_s <= 60
    assert (asked.rows, asked.call["outcome"]) == ([], "rejected")


# -- records -----------------------------------------------------------------------------------------------------------


def test_every_request_that_was_sent_is_one_row(stage, in_threads) -> None:
    """Whatever the server does, records and requests agree."""
    kinds = [failure(503), ["hi"], ["read", "rst"], limited("0"), ["read"], ["hi"], failure(400), ["hi"]]
    server = stage.server(*kinds * 4, ["hi"])
    lab = stage.bench(a=server).lab
    for future in in_threads(*[lambda: lab.chat("hello")] * 24):
        future.exception(30)
    rows = lab.attempts()
    assert len(rows) == len(server.requests)
    calls = lab.calls()
    assert calls["attempts"].sum() == len(rows)
    assert len(calls) == 24
