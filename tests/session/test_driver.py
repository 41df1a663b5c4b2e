"""One call after the other over real HTTP: what each fault leads to, and what is written down of it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import routerlab as rl
from routerlab.core.types import CompletionResponse, Delta
from routerlab.providers.base import ProviderConnector

pytestmark = pytest.mark.usefixtures("no_leaks")

SLOW_STREAM = {"tokens_per_s": 10}  # a piece every 0.1 s
LONG = {"answers": {"long": " ".join(["word"] * 60)}}


def scripted(*faults):
    return {"script": list(faults)}


def always(kind, **options):
    return {"faults": [{"kind": kind, **options}]}


def attempts(lab, *columns):
    return list(lab.attempts()[list(columns)].astype(object).itertuples(index=False, name=None))


def snapshot(lab, model):
    return lab._session.snapshot(model)


def read(stream):
    """All pieces, and the error that ended them."""
    pieces = []
    try:
        pieces.extend(stream)  # keeps what came before an error
    except rl.RouterLabError as error:
        return pieces, error
    return pieces, None


# -- the tables, row by row --------------------------------------------------------------------------------------------

STATUS = [  # the fault, its error, outcome of the attempt, requests to a lone model, samples that the health counts
    ("invalid_request", "InvalidRequestError", "client_error", 1, 0),
    ("method_not_allowed", "InvalidRequestError", "client_error", 1, 0),
    ("unsupported_media", "InvalidRequestError", "client_error", 1, 0),
    ("unprocessable", "InvalidRequestError", "client_error", 1, 0),
    ("context_length_exceeded", "ContextWindowError", "move_on", 1, 0),
    ("too_large", "ContextWindowError", "move_on", 1, 0),
    ("content_filter", "ContentFilterError", "client_error", 1, 0),
    ("finish_content_filter", "ContentFilterError", "client_error", 1, 0),
    ("insufficient_quota", "QuotaExceededError", "move_on", 1, 0),
    ("payment_required", "QuotaExceededError", "move_on", 1, 0),
    ("unauthorized", "AuthenticationError", "move_on", 1, 0),
    ("forbidden", "AuthenticationError", "move_on", 1, 0),
    ("model_not_found", "ModelNotFoundError", "move_on", 1, 0),
    ("request_timeout", "ProviderUnavailableError", "retryable", 2, 2),
    ("conflict", "ProviderUnavailableError", "retryable", 2, 2),
    ("too_early", "ProviderUnavailableError", "retryable", 2, 2),
    ("server_error", "ProviderUnavailableError", "retryable", 2, 2),
    ("bad_gateway", "ProviderUnavailableError", "retryable", 2, 2),
    ("unavailable", "ProviderUnavailableError", "retryable", 2, 2),
    ("gateway_timeout", "ProviderUnavailableError", "retryable", 2, 2),
    ("unknown_error", "ProviderUnavailableError", "retryable", 2, 2),
    ("origin_timeout", "ProviderUnavailableError", "retryable", 2, 2),
    ("overloaded", "ProviderUnavailableError", "retryable", 2, 2),
    ("redirect", "InvalidRequestError", "client_error", 1, 0),
    ("reset", "ProviderUnavailableError", "retryable", 2, 2),
    ("close", "ProviderUnavailableError", "retryable", 2, 2),
    ("short_body", "ProviderUnavailableError", "retryable", 2, 2),
    ("reset_midway", "ProviderUnavailableError", "retryable", 2, 2),
    ("bad_chunk", "ProviderUnavailableError", "retryable", 2, 2),
    ("huge_body", "ProviderUnavailableError", "move_on", 1, 1),
    ("not_json", "BadResponseError", "retryable", 2, 2),
    ("empty_body", "BadResponseError", "retryable", 2, 2),
    ("html_page", "BadResponseError", "retryable", 2, 2),
    ("deep_json", "BadResponseError", "retryable", 2, 2),
    ("no_choices", "BadResponseError", "retryable", 2, 2),
    ("null_content", "BadResponseError", "retryable", 2, 2),
    ("error_in_200", "ProviderUnavailableError", "retryable", 2, 2),
]


@pytest.mark.parametrize(("fault", "error", "outcome", "sent", "counted"), STATUS, ids=[row[0] for row in STATUS])
def test_a_lone_model_ends_in_the_tables_error(make_lab, requests_of, fault, error, outcome, sent, counted):
    lab = make_lab(alpha=always(fault))
    with pytest.raises(rl.RequestError) as caught:
        lab.chat("hello")
    assert type(caught.value).__name__ == error
    assert caught.value.model == "sim/alpha"
    assert [attempt.outcome for attempt in caught.value.attempts] == [outcome] * sent
    assert requests_of(lab, "alpha") == sent
    assert attempts(lab, "outcome", "error_type") == [(outcome, error)] * sent
    assert snapshot(lab, "sim/alpha").samples == counted
    assert snapshot(lab, "sim/alpha").in_flight == 0
    call = lab.calls().iloc[0]
    assert (call["outcome"], call["error_type"], call["attempts"]) == (outcome, error, sent)


@pytest.mark.parametrize("fault", [row[0] for row in STATUS if row[2] != "client_error" and row[0] != "too_large"])
def test_what_may_move_on_is_answered_by_the_next_model(make_lab, fault):
    lab = make_lab(alpha=always(fault), beta={"context_window": 200_000})
    if fault in {"unauthorized", "forbidden", "insufficient_quota", "payment_required"}:
        with pytest.raises(rl.RequestError):  # the whole provider is out
            lab.chat("hello")
        assert attempts(lab, "model") == [("sim/alpha",)]
        return
    reply = lab.chat("hello")
    assert reply.model == "sim/beta"
    assert lab.calls()["failovers"].tolist() == [1]
    assert attempts(lab, "model", "reason")[-1] == ("sim/beta", "failover")


@pytest.mark.parametrize("fault", [row[0] for row in STATUS if row[2] == "client_error" and "filter" not in row[0]])
def test_a_refusal_of_the_request_ends_it(make_lab, requests_of, fault):
    lab = make_lab(alpha=always(fault), beta={})
    with pytest.raises(rl.InvalidRequestError):
        lab.chat("hello")
    assert requests_of(lab, "beta") == 0


def test_a_refusal_after_a_failover_shows_both(make_lab):
    lab = make_lab(alpha=always("unavailable"), beta=always("invalid_request"))
    with pytest.raises(rl.FailoverExhaustedError, match=r"currently overloaded.*beta") as caught:
        lab.chat("hello")
    assert [attempt.model for attempt in caught.value.attempts] == ["sim/alpha", "sim/alpha", "sim/beta"]


def test_every_attempt_is_a_row_with_its_retry_and_its_wait(make_lab):
    lab = make_lab(alpha=always("unavailable"), beta={}, pool={"retry": {"initial_delay": 0.03}})
    lab.chat("hello")
    rows = attempts(lab, "attempt", "model", "reason", "status", "committed")
    assert rows == [
        (1, "sim/alpha", "selected", 503, False),
        (2, "sim/alpha", "retry", 503, False),
        (3, "sim/beta", "failover", 200, False),
    ]
    waits = lab.attempts()["wait_before_s"].tolist()
    assert waits[0] == waits[2] == 0
    assert 0.03 <= waits[1] < 0.2
    call = lab.calls().iloc[0]
    assert call["backoff_s"] == pytest.approx(waits[1])
    assert call["latency_s"] >= waits[1]
    assert (call["attempts"], call["failovers"], call["model"], call["simulated"]) == (3, 1, "sim/beta", True)


def test_a_retry_after_is_obeyed_within_the_turn(make_lab):
    lab = make_lab(alpha=scripted({"kind": "rate_limit", "retry_after": "0.05"}), beta={})
    reply = lab.chat("hello")
    assert reply.model == "sim/alpha"
    assert attempts(lab, "status", "reason") == [(429, "selected"), (200, "retry")]
    first, second = lab.attempts()["retry_after_s"], lab.attempts()["wait_before_s"]
    assert first.tolist()[0] == 0.05
    assert 0.04 <= second.tolist()[1] < 0.3


def test_a_long_retry_after_ends_the_turn_and_cools_the_model(make_lab, requests_of):
    lab = make_lab(alpha=scripted({"kind": "rate_limit", "retry_after": 30}), beta={})
    assert [lab.chat("hello").model for _ in range(3)] == ["sim/beta"] * 3
    assert requests_of(lab, "alpha") == 1
    assert 10 < snapshot(lab, "sim/alpha").cooling_until - snapshot(lab, "sim/alpha").at <= 30
    assert snapshot(lab, "sim/alpha").samples == 0
    assert "cooling" in lab.events()["kind"].tolist()


def test_a_pinned_model_waits_for_its_cooling_up_to_the_callers_limit(make_lab):
    lab = make_lab(alpha=scripted({"kind": "rate_limit", "retry_after": 30}))
    with pytest.raises(rl.RateLimitError) as caught:
        lab.chat("hello", model="sim/alpha", deadline=20)
    assert caught.value.retry_after_s == 30


def test_a_dead_first_model_costs_no_call_and_few_requests(make_lab, requests_of):
    lab = make_lab(alpha=always("unavailable"), beta={})
    for number in range(300):
        assert lab.chat(f"question {number}").model == "sim/beta"
    assert requests_of(lab, "alpha") <= 20
    sent = lab.attempts()["model"].value_counts()
    assert sent["sim/alpha"] == requests_of(lab, "alpha")
    assert sent["sim/beta"] == requests_of(lab, "beta") == 300
    assert set(lab.calls()["outcome"]) == {"ok"}
    assert snapshot(lab, "sim/alpha").breaker == "open"


def test_the_same_with_sixteen_at_a_time(make_lab, requests_of):
    lab = make_lab(alpha=always("reset"), beta={})
    with ThreadPoolExecutor(16) as threads:
        models = list(threads.map(lambda number: lab.chat(f"question {number}").model, range(300)))
    assert models == ["sim/beta"] * 300
    assert requests_of(lab, "alpha") <= 20
    sent = lab.attempts()["model"].value_counts()
    assert sent["sim/alpha"] == requests_of(lab, "alpha")
    assert sent["sim/beta"] == requests_of(lab, "beta") == 300


def test_breaker_transitions_are_events_with_their_call(make_lab):
    fails = [{"kind": "unavailable"}] * 5
    pool = {"breaker": {"failure_threshold": 5, "reset_timeout": 0.1}, "retry": {"max_retries": 0}}
    lab = make_lab(alpha=scripted(*fails), beta={}, pool=pool)
    for _ in range(5):
        lab.chat("hello")
    time.sleep(0.12)
    assert lab.chat("hello").model == "sim/alpha"  # the probe
    moved = lab.events()
    moved = moved[moved["kind"] == "breaker"]
    assert list(zip(moved["old"], moved["new"], strict=True)) == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]
    assert set(moved["call_id"]) <= set(lab.calls()["call_id"])
    last = lab.attempts().iloc[-1]
    assert (last["reason"], last["breaker_before"], last["breaker_after"]) == ("probe", "half_open", "closed")
    assert lab.decisions().iloc[-1]["strategy"] == "probe"


def test_decisions_and_candidates_say_why(make_lab):
    lab = make_lab(alpha=scripted("model_not_found"), beta={})
    lab.chat("hello")
    lab.chat("hello")
    assert lab.decisions()["chosen"].tolist() == ["sim/alpha", "sim/beta", "sim/beta"]
    candidates = lab.candidates()
    assert candidates["eligible"].tolist() == [True, True, False, True, False, True]
    assert candidates["excluded_because"].tolist()[2] == "had its turn"
    assert "does not know this model" in candidates["excluded_because"].tolist()[4]


# -- who is out --------------------------------------------------------------------------------------------------------


def test_a_refused_key_puts_the_provider_out_until_reset(make_lab, requests_of):
    lab = make_lab(alpha=scripted("unauthorized"), beta={})
    with pytest.raises(rl.AuthenticationError):
        lab.chat("hello")
    with pytest.raises(rl.NoModelAvailableError) as caught:
        lab.chat("hello")
    assert caught.value.retry_after_s is None
    assert caught.value.__cause__.status == 401
    assert requests_of(lab, "alpha") + requests_of(lab, "beta") == 1
    lab.reset("sim")
    assert lab.chat("hello").model == "sim/alpha"
    kinds = lab.events()["kind"].tolist()
    assert "out" in kinds
    assert "back" in kinds


def test_a_longer_window_takes_a_prompt_that_is_too_long(make_lab, requests_of):
    lab = make_lab(alpha={"context_window": 100}, beta={"context_window": 100}, gamma={})
    assert lab.chat("word " * 110).model == "sim/gamma"  # by our low estimate it fits, by the server's it does not
    assert attempts(lab, "model", "outcome", "error_type")[0] == ("sim/alpha", "move_on", "ContextWindowError")
    assert (requests_of(lab, "beta"), requests_of(lab, "gamma")) == (0, 1)
    assert lab.candidates()["excluded_because"].tolist()[4] == "context window of 100 tokens is too small"
    assert lab.chat("word " * 200).model == "sim/gamma"
    assert requests_of(lab, "alpha") == 1  # this one surely does not fit: it is not even asked
    assert snapshot(lab, "sim/alpha").samples == 0


@pytest.mark.parametrize("fault", ["content_filter", "finish_content_filter"])
def test_a_content_filter_may_move_on_where_the_pool_says_so(make_lab, fault):
    lab = make_lab(alpha=always(fault), beta={}, pool={"on_content_filter": "move_on"})
    assert lab.chat("hello").model == "sim/beta"


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "fault", "stream"),
    [
        ("request", "stall", False),
        ("first_token", "stall_first_token", True),
        ("first_token", "stall", True),
        ("idle", "stall_midway", True),
        ("total", "drip", True),
    ],
)
def test_each_clock_ends_its_attempt_and_the_turn(make_lab, requests_of, clock, fault, stream):
    lab = make_lab(
        alpha=always(fault, **({"byte_delay_s": 0.01} if fault == "drip" else {})) | LONG,
        beta={},
        pool={"timeouts": {clock: 2.0}, "on_stream_failure": "buffer"},  # enough for a busy machine to connect
    )
    started = time.monotonic()
    reply = lab.stream("long") if stream else lab.chat("long")
    if stream:
        list(reply)
        reply = reply.reply
    assert reply.model == "sim/beta"
    assert 2.0 <= time.monotonic() - started < 40
    assert requests_of(lab, "alpha") == 1
    first = lab.attempts().iloc[0]
    assert first["outcome"] == "move_on"
    assert {"request": "answer", "first_token": "first token", "idle": "silent", "total": "complete"}[clock] in first[
        "error_message"
    ]
    assert first["maybe_billed"]
    assert snapshot(lab, "sim/alpha").samples == 1


def test_a_deadline_covers_all_attempts_and_blames_nobody(make_lab):
    lab = make_lab(alpha=always("stall"), beta={})
    started = time.monotonic()
    with pytest.raises(rl.RequestTimeoutError) as caught:
        lab.chat("hello", deadline=0.5)
    assert time.monotonic() - started < 20
    assert caught.value.timeout == 0.5
    assert attempts(lab, "outcome", "model") == [("cancelled", "sim/alpha")]
    assert snapshot(lab, "sim/alpha").samples == 0
    assert lab.calls()["outcome"].tolist() == ["cancelled"]


def test_a_deadline_allows_no_retry_that_it_cannot_hold(make_lab, requests_of):
    lab = make_lab(alpha=always("unavailable"), pool={"retry": {"initial_delay": 5}})
    with pytest.raises(rl.ProviderUnavailableError):
        lab.chat("hello", deadline="4s")
    assert lab.calls()["backoff_s"].tolist() == [0]
    assert requests_of(lab, "alpha") == 1


def test_a_silent_stream_is_left_for_a_free_model(make_lab):
    lab = make_lab(alpha=always("stall_first_token"), beta={}, pool={"takeover_after": 0.1})
    stream = lab.stream("hello")
    list(stream)
    assert stream.reply.model == "sim/beta"
    assert lab.attempts()["outcome"].tolist() == ["move_on", "ok"]
    assert snapshot(lab, "sim/alpha").samples == 0


def test_nobody_takes_over_from_a_lone_model(make_lab):
    lab = make_lab(alpha=always("slow_first_token", extra_s=0.3), pool={"takeover_after": 0.1})
    stream = lab.stream("hello")
    assert list(stream)
    assert lab.attempts()["outcome"].tolist() == ["ok"]


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut_stream", "reset_midway", "short_body", "bad_chunk", "error_event"])
def test_restart_replaces_what_was_shown(make_lab, fault):
    lab = make_lab(alpha=always(fault) | LONG, beta=LONG, pool={"on_stream_failure": "restart"})
    stream = lab.stream("long")
    pieces, error = read(stream)
    assert error is None
    restarts = [index for index, piece in enumerate(pieces) if piece.restart]
    assert len(restarts) == 1
    before, after = pieces[: restarts[0]], pieces[restarts[0] :]
    assert {piece.model for piece in before} == {"sim/alpha"}
    assert "".join(before)
    assert {piece.model for piece in after} == {"sim/beta"}
    reply = stream.reply
    assert reply.text == "".join(after) == LONG["answers"]["long"]
    assert reply.parts == [("sim/beta", reply.text)]
    assert lab.calls(text=True)["text"].tolist() == [reply.text]
    assert lab.attempts()["reason"].tolist() == ["selected", "restart"]
    texts = lab._session.recorder.columns("texts")
    assert texts["reply"][texts["attempt"].index(1)] == "".join(before)
    first, call = lab.attempts().iloc[0], lab.calls().iloc[0]
    assert first["committed"]
    assert first["chars"] == len("".join(before))
    assert call["first_token_at"] > first["ended_at"]


def test_error_carries_the_partial_text(make_lab, requests_of):
    lab = make_lab(alpha=always("cut_stream") | LONG, beta=LONG, pool={"on_stream_failure": "error"})
    pieces, error = read(lab.stream("long"))
    assert isinstance(error, rl.StreamInterruptedError)
    assert error.partial_text == "".join(pieces) != ""
    assert requests_of(lab, "beta") == 0
    assert lab.calls(text=True)["text"].tolist() == ["".join(pieces)]
    assert lab.calls()["outcome"].tolist() == ["truncated"]


def test_buffer_shows_nothing_of_what_broke(make_lab):
    lab = make_lab(alpha=always("cut_stream") | LONG, beta=LONG, pool={"on_stream_failure": "buffer"})
    stream = lab.stream("long")
    pieces, error = read(stream)
    assert error is None
    assert not any(piece.restart for piece in pieces)
    assert {piece.model for piece in pieces} == {"sim/beta"}
    assert stream.reply.text == "".join(pieces) == LONG["answers"]["long"]
    assert lab.calls().iloc[0]["first_token_at"] > lab.attempts().iloc[0]["ended_at"]  # the answer's own


def test_a_fault_before_the_first_content_is_free_under_every_policy(make_lab):
    for policy in ("error", "restart", "buffer"):
        lab = make_lab(alpha=always("unavailable"), beta={}, pool={"on_stream_failure": policy})
        stream = lab.stream("hello")
        pieces, error = read(stream)
        assert error is None
        assert not any(piece.restart for piece in pieces)
        assert stream.reply.parts == [("sim/beta", "".join(pieces))]


def test_a_lone_models_stream_is_retried_under_restart_and_not_under_error(make_lab, requests_of):
    for policy, sent in (("restart", 2), ("buffer", 2), ("error", 1)):
        lab = make_lab(alpha=scripted("cut_stream") | LONG, pool={"on_stream_failure": policy})
        pieces, error = read(lab.stream("long"))
        assert requests_of(lab, "alpha") == sent, policy
        assert (error is None) == (policy != "error")
        assert any(piece.restart for piece in pieces) == (policy == "restart")


def test_all_models_of_a_restarting_stream_may_fail(make_lab):
    lab = make_lab(alpha=always("cut_stream") | LONG, beta=always("unavailable"), pool={"on_stream_failure": "restart"})
    pieces, error = read(lab.stream("long"))
    assert isinstance(error, rl.FailoverExhaustedError)
    assert error.partial_text == "".join(pieces) != ""
    assert lab.calls(text=True)["text"].tolist() == ["".join(pieces)]


def test_no_done_and_malformed_events_are_no_faults(make_lab):
    lab = make_lab(alpha=scripted("no_done", "malformed_event") | LONG)
    for _ in range(2):
        stream = lab.stream("long")
        list(stream)
        assert stream.reply.text == LONG["answers"]["long"]
    assert lab.attempts()["malformed_events"].tolist() == [0, 1]
    assert lab.attempts()["outcome"].tolist() == ["ok", "ok"]


def test_length_is_a_success_that_is_flagged(make_lab):
    lab = make_lab(alpha=LONG)
    reply = lab.chat("long", max_tokens=3)
    assert reply.finish_reason == "length"
    call = lab.calls().iloc[0]
    assert (call["outcome"], call["truncated"]) == ("ok", True)
    assert snapshot(lab, "sim/alpha").samples == 1


def test_half_a_tool_call_is_never_joined_with_another_models_half(make_lab):
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"properties": {"city": {}}}}}
    lab = make_lab(alpha=always("reset_midway", after_tokens=2), beta={}, pool={"on_stream_failure": "restart"})
    stream = lab.stream("the weather in Paris", tools=[tool], tool_choice="required")
    pieces, error = read(stream)
    assert error is None
    assert [(piece, piece.restart) for piece in pieces] == [("", True)]
    (call,) = stream.reply.tool_calls
    whole = lab.chat("the weather in Paris", tools=[tool], tool_choice="required", model="sim/beta").tool_calls[0]
    assert call["function"] == whole["function"]
    assert lab.attempts()["committed"].tolist()[:2] == [True, True]


# -- readers -----------------------------------------------------------------------------------------------------------


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def leave_by_break(stream):
    for _ in stream:
        break


def leave_by_close(stream):
    next(iter(stream))
    stream.close()


def leave_by_with(stream):
    with stream:
        iterator = iter(stream)
        next(iterator)


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_close, leave_by_with])
def test_a_reader_that_leaves_closes_the_connection_at_once(make_lab, leave):
    lab = make_lab(alpha=SLOW_STREAM | LONG)
    stream = lab.stream("long")
    connections = lab._session.connectors["sim"].server._running
    leave(stream)
    assert wait_until(lambda: len(lab.calls()) == 1)
    assert lab.calls()["outcome"].tolist() == ["cancelled"]
    attempt = lab.attempts().iloc[0]
    assert (attempt["outcome"], attempt["committed"], attempt["maybe_billed"]) == ("cancelled", True, True)
    text = lab.calls(text=True)["text"].tolist()[0]
    assert text
    assert LONG["answers"]["long"].startswith(text)
    assert len(text) < len(LONG["answers"]["long"])
    state = snapshot(lab, "sim/alpha")
    assert (state.samples, state.in_flight, state.breaker) == (0, 0, "closed")
    assert connections is not None
    with pytest.raises(rl.RouterLabError, match="closed before its end"):
        _ = stream.reply


def test_dropping_a_stream_closes_it(make_lab):
    lab = make_lab(alpha=SLOW_STREAM | LONG)
    stream = lab.stream("long")
    wait_until(lambda: snapshot(lab, "sim/alpha").in_flight)
    del stream
    assert wait_until(lambda: len(lab.calls()) == 1)
    assert lab.calls()["outcome"].tolist() == ["cancelled"]


def test_a_cancelled_probe_gives_its_slot_back(make_lab):
    pool = {"breaker": {"failure_threshold": 1, "reset_timeout": 0.05}, "retry": {"max_retries": 0}}
    lab = make_lab(alpha=scripted("unavailable") | SLOW_STREAM | LONG, pool=pool)
    with pytest.raises(rl.ProviderUnavailableError):
        lab.chat("hello")
    time.sleep(0.06)
    leave_by_break(lab.stream("long"))
    assert wait_until(lambda: snapshot(lab, "sim/alpha").probe_free)
    assert snapshot(lab, "sim/alpha").breaker == "half_open"


# -- exact timing: connectors of our own -------------------------------------------------------------------------------


class Tap(ProviderConnector):
    """Streams as many pieces as it is asked for, as fast as they are taken."""

    pieces = 1000
    pause_at = -1

    def __init__(self, name, config):
        super().__init__(name, {})
        self.taken = 0
        self.closed = threading.Event()

    async def complete(self, request):
        raise KeyError("a mistake in this connector")

    async def stream(self, request):
        try:
            for _ in range(self.pieces):
                self.taken += 1
                yield Delta(text="x")
            yield Delta(finish_reason="stop")
        finally:
            self.closed.set()


def tapped(make_lab, **pool):
    lab = make_lab(alpha={}, pool=pool)
    tap = lab._session.connectors["tap"] = Tap("tap", {})
    simulated = lab._session.connectors["sim"]
    lab._session.connectors["sim"] = tap
    lab._session.connectors["tap"] = simulated  # closed with the lab
    return lab, tap


def test_a_slow_reader_stops_the_source_and_its_clocks(make_lab):
    lab, tap = tapped(make_lab, timeouts={"idle": 2.0, "total": 2.0, "first_token": 30})
    stream = lab.stream("hello")
    pieces = iter(stream)
    next(pieces)
    time.sleep(2.1)  # longer than idle and total
    assert tap.taken < 300
    assert len(list(pieces)) == 999
    assert stream.reply.text == "x" * 1000
    assert lab.attempts()["outcome"].tolist() == ["ok"]


def test_the_deadline_does_not_stand_still_and_blames_nobody(make_lab):
    lab, tap = tapped(make_lab, timeouts={"idle": 1.0, "total": 1.0})
    stream = lab.stream("hello", deadline=3.0)
    pieces = iter(stream)
    next(pieces)
    assert tap.closed.wait(30)
    with pytest.raises(rl.RequestTimeoutError):
        list(pieces)
    assert lab.attempts()["outcome"].tolist() == ["cancelled"]
    assert snapshot(lab, "sim/alpha").samples == 0


def test_a_buffered_answer_is_whole_whatever_its_reader_does(make_lab):
    lab, tap = tapped(make_lab, on_stream_failure="buffer", timeouts={"total": 2.0})
    stream = lab.stream("hello", deadline=2.0)
    assert tap.closed.wait(30)
    time.sleep(2.1)
    assert len(list(stream)) == 1000
    assert lab.attempts()["outcome"].tolist() == ["ok"]


def test_a_mistake_in_a_connector_reaches_the_caller_and_blames_no_model(make_lab):
    lab, _ = tapped(make_lab)
    with pytest.raises(KeyError, match="a mistake in this connector"):
        lab.chat("hello")
    assert attempts(lab, "outcome", "error_type") == [("client_error", "KeyError")]
    call = lab.calls().iloc[0]
    assert (call["outcome"], call["error_type"]) == ("client_error", "KeyError")
    state = snapshot(lab, "sim/alpha")
    assert (state.samples, state.in_flight) == (0, 0)


class Picky(ProviderConnector):
    """Tells which parameters it got."""

    async def complete(self, request):
        return CompletionResponse(text=",".join(sorted(request.params)), finish_reason="stop")

    async def stream(self, request):
        yield Delta(text="x", finish_reason="stop")


def test_what_a_model_is_known_not_to_take_is_dropped_and_recorded(make_lab):
    lab = make_lab(alpha={"features": []}, lab={"drop_params": True})
    sim = lab._session.connectors["sim"]
    lab._session.connectors.update(sim=Picky("sim", {}), kept=sim)
    reply = lab.chat("hello", tools=[{"type": "function"}], response_format={"type": "json_object"}, max_tokens=5)
    assert reply.text == "max_tokens"
    assert lab.calls()["dropped_params"].tolist() == [["response_format", "tools"]]


def test_without_drop_params_such_a_model_is_passed_over(make_lab):
    lab = make_lab(alpha={"features": []}, beta={})
    assert lab.chat("hello", response_format={"type": "json_object"}).model == "sim/beta"
    assert lab.chat("hello", response_format={"type": "text"}).model == "sim/alpha"
