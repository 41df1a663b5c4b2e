from __future__ import annotations

import json

import pytest

from routerlab.core import errors, moves
from routerlab.core.failures import Fault, Outcome, ProviderError

CLOCKS = moves.Clocks(10.0, None, 60.0, 30.0, 300.0, 12.5, None)
FAILURE = ProviderError("gone", fault=Fault.BROKEN, status=200, code="x", retry_after_s=1.5, sent=False, clock="idle")

PLAIN = [
    moves.Committed(),
    moves.Succeeded(),
    moves.Refused(),
    moves.Waited(),
    moves.Cancelled(),
    moves.Attempt("a/b", CLOCKS, "restart", "failover"),
    moves.Attempt("a/b", moves.Clocks()),
    moves.Wait(0.5),
    moves.Proceed(),
    moves.Finish(Outcome.OK, "a/b"),
    moves.Finish(Outcome.CANCELLED),
]
WITH_ERRORS = [
    moves.Failed(FAILURE),
    moves.Failed(ProviderError("no", status=429)),
    moves.Finish(Outcome.REJECTED, None, errors.NoModelAvailableError("none")),
    moves.Finish(Outcome.CANCELLED, "a/b", errors.RequestTimeoutError(3.0, "deadline", model="a/b")),
    moves.Finish(Outcome.MOVE_ON, "a/b", errors.RateLimitError("slow down", model="a/b", status=429)),
]


@pytest.mark.parametrize("move", PLAIN, ids=repr)
def test_a_move_comes_back_from_a_dict(move: moves.Event | moves.Action) -> None:
    data = json.loads(json.dumps(moves.to_dict(move)))
    assert moves.from_dict(data) == move


@pytest.mark.parametrize("move", WITH_ERRORS, ids=lambda move: moves.to_dict(move)["error"].get("message"))
def test_a_move_with_an_error_comes_back_as_far_as_its_record_tells(move: moves.Failed | moves.Finish) -> None:
    data = json.loads(json.dumps(moves.to_dict(move)))
    again = moves.from_dict(data)
    assert isinstance(again, type(move))
    assert isinstance(again, moves.Failed | moves.Finish)
    assert type(again.error) is type(move.error)
    assert str(again.error) == str(move.error)
    assert moves.to_dict(again) == moves.to_dict(move)


def test_every_kind_of_move_is_tested() -> None:
    tested = {type(move) for move in [*PLAIN, *WITH_ERRORS]}
    assert tested == {*moves.Event.__args__, *moves.Action.__args__}


def test_a_failure_keeps_what_it_knew() -> None:
    again = moves.from_dict(moves.to_dict(moves.Failed(FAILURE)))
    assert isinstance(again, moves.Failed)
    assert vars(again.error) == vars(FAILURE)


@pytest.mark.parametrize("data", [{}, {"kind": "jump"}, {"kind": "Wait", "seconds": 1.0}])
def test_an_unknown_kind_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no event or action"):
        moves.from_dict(data)


@pytest.mark.parametrize(
    ("clocks", "lease_s"),
    [
        (moves.Clocks(), None),
        (moves.Clocks(connect_s=10.0, request_s=120.0), 131.0),
        (moves.Clocks(connect_s=10.0, total_s=300.0, first_token_s=60.0), 311.0),
        (moves.Clocks(request_s=120.0, deadline_s=5.0), 6.0),
        (moves.Clocks(deadline_s=5.0), 6.0),
        (moves.Clocks(deadline_s=0.0), 1.0),
    ],
)
def test_a_permit_lives_a_little_longer_than_its_attempt_can(clocks: moves.Clocks, lease_s: float | None) -> None:
    assert clocks.lease_s == lease_s
