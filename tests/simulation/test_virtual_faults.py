"""The fault table on a virtual clock: HTTP status, transport, and 200 but wrong, each row by its name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from routerlab.core import errors
from routerlab.core.breaker import BreakerConfig
from routerlab.core.failures import Fault, Outcome, ProviderError
from routerlab.core.health import Health, ModelSettings
from routerlab.core.policy import PoolPolicy, RetryPolicy, Timeouts
from routerlab.simulation.plays import Play
from routerlab.simulation.virtual import VirtualWorld

A, A2, B = "a/one", "a/two", "b/one"
PATIENT = BreakerConfig(failure_threshold=100)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: of the row.
        play: what the first model does, every time.
        tries: of the first model, with the default of one retry.
        moves_on: whether the second model is asked.
        counts: F: the breaker counts each try as a failure; N: none.
        error: if nothing is left.
    """

    name: str
    play: Play
    tries: int
    moves_on: bool
    counts: str
    error: type[errors.RequestError]


def status(number: int | None, code: str = "", message: str = "no") -> Play:
    return Play(0.1, ProviderError(message, status=number, code=code))


def fault(kind: Fault, seconds: float = 0.1, http: int | None = None) -> Play:
    return Play(seconds, ProviderError(kind.value, fault=kind, status=http))


UNAVAILABLE, INVALID = errors.ProviderUnavailableError, errors.InvalidRequestError
NEVER = float("inf")

STATUS = [
    *(Row(f"{n} from the first model", status(n), 1, False, "N", INVALID) for n in (400, 405, 415, 422)),
    Row("400 context too long", status(400, "context_length_exceeded"), 1, True, "N", errors.ContextWindowError),
    Row("413 context too long", status(413), 1, True, "N", errors.ContextWindowError),
    Row("content filter", status(400, "content_filter"), 1, False, "N", errors.ContentFilterError),
    *(
        Row(f"{n} quota used up", status(n, "insufficient_quota"), 1, True, "N", errors.QuotaExceededError)
        for n in (400, 402, 429)
    ),
    Row("402 no credit", status(402), 1, True, "N", errors.QuotaExceededError),
    *(Row(str(n), status(n), 1, True, "N", errors.AuthenticationError) for n in (401, 403)),
    Row("404 model", status(404), 1, True, "N", errors.ModelNotFoundError),
    *(
        Row(str(n), status(n), 2, True, "F", UNAVAILABLE)
        for n in (408, 409, 425, 500, 502, 503, 504, 520, 524, 529, 599)
    ),
    *(Row(str(n), status(n), 1, False, "N", INVALID) for n in (301, 302, 303, 307, 308, 418)),
]
TRANSPORT = [
    Row("refused, DNS, reset or close before headers", fault(Fault.CONNECT), 2, True, "F", UNAVAILABLE),
    Row("TLS", fault(Fault.TLS), 1, True, "F", UNAVAILABLE),
    Row("connect timeout", Play(NEVER, connect_s=NEVER), 2, True, "F", UNAVAILABLE),
    Row("no answer before headers", Play(NEVER), 1, True, "F", UNAVAILABLE),
    Row("reset, short body, bad chunk in mid-body", fault(Fault.BROKEN, http=200), 2, True, "F", UNAVAILABLE),
    Row("slow drip, a byte a second", Play(5000.0), 1, True, "F", UNAVAILABLE),
    Row("body over the cap", fault(Fault.TOO_LARGE, http=200), 1, True, "F", UNAVAILABLE),
    Row("absolute URL as a path, a key with a line break", fault(Fault.LOCAL), 1, False, "N", INVALID),
]
WRONG = [
    Row("200: not JSON, empty, HTML", fault(Fault.BAD_RESPONSE, http=200), 2, True, "F", errors.BadResponseError),
    Row("200: no choices, null content", fault(Fault.BAD_RESPONSE, http=200), 2, True, "F", errors.BadResponseError),
    Row("200: error object, overloaded", status(200, "overloaded_error"), 2, True, "F", UNAVAILABLE),
    Row("200: error object, no such model", status(None, "model_not_found"), 1, True, "N", errors.ModelNotFoundError),
    Row("200: error object, invalid", status(None, "invalid_request_error"), 1, False, "N", INVALID),
    Row("200: error object, quota", status(200, "insufficient_quota"), 1, True, "N", errors.QuotaExceededError),
    Row("200: error object that names 502", status(502), 2, True, "F", UNAVAILABLE),
    Row("200: error object, who knows", status(200, "zebra"), 2, True, "F", errors.BadResponseError),
]
ROWS = [*STATUS, *TRANSPORT, *WRONG]
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def answers(number: int) -> Play:
    return Play(0.2)


@each_row
def test_a_healthy_second_model(row: Row) -> None:
    """Retries, moving on, pauses, what the breaker counts."""
    world = VirtualWorld({A: lambda n: row.play, B: answers}, breaker=PATIENT)
    call = world.call()
    world.run()
    expected = [A] * row.tries + [B] * row.moves_on
    assert [attempt.model for attempt in call.attempts] == expected
    assert [attempt.reason for attempt in call.attempts] == ["selected", "retry", "failover"][: row.tries] + [
        "failover"
    ] * row.moves_on
    assert call.ok == row.moves_on
    if not row.moves_on:
        assert call.finish is not None
        assert type(call.finish.error) is row.error
    assert len(call.waits) == row.tries - 1
    assert all(0.5 <= wait <= 0.625 for wait in call.waits)
    assert world.health.breaker(A).stats(world.now)["failure_count"] == (row.tries if row.counts == "F" else 0)
    assert world.health.snapshot(A, world.now).in_flight == 0
    assert sum(attempt.wait_before_s for attempt in call.attempts) == pytest.approx(sum(call.waits))


@each_row
def test_nothing_is_left(row: Row) -> None:
    """A pool of one: the table's error, with the provider's words and the last error as its cause."""
    world = VirtualWorld({A: lambda n: row.play}, breaker=PATIENT)
    call = world.call()
    world.run()
    assert len(call.attempts) == row.tries
    assert call.finish is not None
    error = call.finish.error
    assert type(error) is row.error
    assert error.model == A
    assert error.attempts == call.attempts
    assert isinstance(error.__cause__, ProviderError)
    assert error.__cause__.message in str(error)
    assert [attempt.error_type for attempt in call.attempts] == [row.error.__name__] * row.tries


@each_row
def test_all_models_fail_in_the_same_way(row: Row) -> None:
    world = VirtualWorld(dict.fromkeys([A, B], lambda n: row.play), breaker=PATIENT)
    call = world.call()
    world.run()
    assert call.finish is not None
    expected = errors.FailoverExhaustedError if row.moves_on else row.error
    assert type(call.finish.error) is expected
    assert len(call.attempts) == row.tries * (1 + row.moves_on)
    if row.moves_on:
        assert A in str(call.finish.error)
        assert B in str(call.finish.error)


@each_row
def test_max_retries_0_moves_on_at_once(row: Row) -> None:
    policy = PoolPolicy(retry=RetryPolicy(max_retries=0))
    world = VirtualWorld({A: lambda n: row.play, B: answers}, policy=policy, breaker=PATIENT)
    call = world.call()
    world.run()
    assert [attempt.model for attempt in call.attempts] == [A, B][: 1 + row.moves_on]
    assert call.waits == []


@each_row
def test_more_retries_are_never_more_than_the_row_allows(row: Row) -> None:
    policy = PoolPolicy(retry=RetryPolicy(max_retries=6))
    world = VirtualWorld({A: lambda n: row.play}, policy=policy, breaker=PATIENT)
    call = world.call()
    world.run()
    once = row.error is errors.BadResponseError  # "once", whatever the pool says
    assert len(call.attempts) == (7 if row.tries > 1 and not once else row.tries)
    assert all(wait <= 8.0 for wait in call.waits)
    assert call.waits == sorted(call.waits)


@pytest.mark.parametrize("row", [row for row in ROWS if "drip" not in row.name], ids=lambda row: row.name)
def test_streams_before_their_first_content_are_no_different(row: Row) -> None:
    """Nothing was delivered, so retry and moving on are free, even where the policy is `error`."""
    policy = PoolPolicy(on_stream_failure="error")
    play = row.play if row.play.error else Play(NEVER, first_token_s=NEVER, connect_s=row.play.connect_s)
    world = VirtualWorld({A: lambda n: play, B: answers}, policy=policy, breaker=PATIENT)
    call = world.call(stream=True)
    world.run()
    assert [attempt.model for attempt in call.attempts] == [A] * row.tries + [B] * row.moves_on
    assert call.ok == row.moves_on


@pytest.mark.parametrize("number", [400, 405, 415, 422, 307])
def test_the_same_from_a_later_model_does_not_hide_the_outage(number: int) -> None:
    world = VirtualWorld({A: lambda n: status(503, message="down"), B: lambda n: status(number, message="bad param")})
    call = world.call()
    world.run()
    assert call.finish is not None
    error = call.finish.error
    assert isinstance(error, errors.FailoverExhaustedError)
    assert "down" in str(error)
    assert "bad param" in str(error)
    assert error.__cause__ is not None
    assert world.health.breaker(B).stats(world.now)["failure_count"] == 0


def test_after_a_failover_a_refused_request_goes_on_to_the_next_model() -> None:
    world = VirtualWorld({A: lambda n: status(503), A2: lambda n: status(400), B: answers})
    call = world.call()
    world.run()
    assert call.ok
    assert [attempt.model for attempt in call.attempts] == [A, A, A2, B]


def test_a_content_filter_after_a_failover_still_says_so() -> None:
    world = VirtualWorld({A: lambda n: status(503), A2: lambda n: status(400, "content_filter"), B: answers})
    call = world.call()
    world.run()
    assert call.finish is not None
    assert type(call.finish.error) is errors.ContentFilterError
    assert [attempt.model for attempt in call.attempts] == [A, A, A2]


def test_a_content_filter_moves_on_where_the_pool_wants_it() -> None:
    policy = PoolPolicy(on_content_filter="move_on")
    world = VirtualWorld({A: lambda n: status(400, "content_filter"), B: answers}, policy=policy)
    call = world.call()
    world.run()
    assert call.ok
    assert [attempt.model for attempt in call.attempts] == [A, B]


def test_a_context_too_long_goes_to_a_larger_or_unknown_window_only() -> None:
    windows = {A: 8192, A2: 8192, B: 4096, "c/large": 100_000, "d/unknown": None}
    health = Health(ModelSettings(m, m[0], context_window=window) for m, window in windows.items())
    world = VirtualWorld(dict.fromkeys(windows, lambda n: status(400, "context_length_exceeded")), health=health)
    call = world.call()
    world.run()
    assert [attempt.model for attempt in call.attempts] == [A, "c/large", "d/unknown"]


def test_a_context_too_long_without_a_larger_window_is_its_own_error() -> None:
    health = Health([ModelSettings(A, "a", context_window=8192), ModelSettings(B, "b", context_window=8192)])
    world = VirtualWorld({A: lambda n: status(413), B: answers}, health=health)
    call = world.call()
    world.run()
    assert call.finish is not None
    assert type(call.finish.error) is errors.ContextWindowError


@pytest.mark.parametrize("number", [401, 403])
def test_a_refused_key_takes_the_whole_provider_out_until_a_reset(number: int) -> None:
    world = VirtualWorld({A: lambda n: status(number) if n == 0 else Play(0.2), A2: answers, B: answers})
    first, later, reset = world.call(), world.call(at=1e6), world.call(at=2e6)
    world.at(1.5e6, lambda: world.health.reset("a", world.now))
    world.run()
    assert [attempt.model for attempt in first.attempts] == [A, B]
    assert [attempt.model for attempt in later.attempts] == [B]
    assert [attempt.model for attempt in reset.attempts] == [A]
    assert [event.kind for event in first.transitions] == ["out"]


def test_an_unknown_model_is_out_alone() -> None:
    world = VirtualWorld({A: lambda n: status(404), A2: answers, B: answers})
    first, later = world.call(), world.call(at=1e6)
    world.run()
    assert [attempt.model for attempt in first.attempts] == [A, A2]
    assert [attempt.model for attempt in later.attempts] == [A2]


def test_a_quota_is_out_until_its_reset() -> None:
    spent = ProviderError("no credit", status=429, code="insufficient_quota", retry_after_s=3600.0)
    world = VirtualWorld({A: lambda n: Play(0.1, spent) if n == 0 else Play(0.2), B: answers})
    first, soon, later = world.call(), world.call(at=3599.0), world.call(at=3601.0)
    world.run()
    assert [[attempt.model for attempt in call.attempts] for call in (first, soon, later)] == [[A, B], [B], [A]]


def test_a_finish_reason_length_is_a_success() -> None:
    world = VirtualWorld({A: answers})
    call = world.call()
    world.run()
    assert call.finish is not None
    assert call.finish.outcome is Outcome.OK
    assert world.health.snapshot(A, world.now).success_rate == 1.0


@pytest.mark.parametrize(
    ("play", "stream", "name", "seconds"),
    [
        (Play(NEVER, connect_s=NEVER), False, "connect", 10.0),
        (Play(NEVER), False, "request", 120.0),
        (Play(5000.0), False, "request", 120.0),
        (Play(NEVER, first_token_s=NEVER), True, "first_token", 60.0),
        (Play(NEVER, first_token_s=1.0, silent_from_s=2.0), True, "idle", 32.0),
        (Play(5000.0, first_token_s=1.0), True, "total", 300.0),
        (Play(400.0, first_token_s=100.0, reasoning_s=5.0), True, "total", 300.0),
    ],
    ids=["connect", "no headers", "drip", "first token", "idle", "a stream that drips", "reasoning ends first_token"],
)
def test_the_clocks_of_the_table(play: Play, stream: bool, name: str, seconds: float) -> None:
    policy = PoolPolicy(retry=RetryPolicy(max_retries=0))
    world = VirtualWorld({A: lambda n: play}, policy=policy)
    call = world.call(stream=stream)
    world.run()
    assert call.elapsed_s == pytest.approx(seconds)
    assert call.finish is not None
    assert call.finish.error is not None
    cause = call.finish.error.__cause__
    assert isinstance(cause, ProviderError)
    assert cause.clock == name
    assert call.attempts[0].maybe_billed == (name != "connect")


def test_clocks_can_be_switched_off() -> None:
    off = Timeouts(connect=None, request=None, first_token=None, idle=None, total=None)
    world = VirtualWorld({A: lambda n: Play(90_000.0, connect_s=1000.0)}, policy=PoolPolicy(timeouts=off))
    whole, stream = world.call(), world.call(stream=True)
    world.run()
    assert whole.ok
    assert stream.ok
