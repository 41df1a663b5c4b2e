"""Streams that break and live on: what is shown, what is recorded, who wrote what, over real HTTP."""

from __future__ import annotations

import random
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.seam import INSTRUCTION
from routerlab.core.simulated_answers import tokenize

pytestmark = pytest.mark.usefixtures("no_leaks")

WORDS = (
    "Light from the sun looks white but it holds every colour of the rainbow and when it meets the air above us the "
    "small molecules there scatter short blue waves far more strongly than long red ones so wherever you look up that "
    "scattered blue reaches your eye while in the evening its long way leaves only warm red light"
)
TOKENS = tokenize(WORDS)
QUICK: dict[str, Any] = {"answers": {"sky": WORDS}, "ttft_s": 0.001, "tokens_per_s": 0}
BREAKS = ("cut_stream", "reset_midway", "short_body", "bad_chunk", "error_event", "stall_midway")
FAULTS = (*BREAKS, "unavailable", "malformed_event", "no_done", "invalid_request", None)
POLICIES = ("continue", "restart", "buffer", "error")
PATIENT = {"failure_threshold": 10_000}
FAST = {"max_retries": 1, "initial_delay": 0.0, "max_delay": 0.0}


def model(*faults: Any, **options: Any) -> dict[str, Any]:
    return {**QUICK, "tokens_per_s": 50_000, **options, **({"script": list(faults)} if faults else {})}


def after(tokens: int, kind: str = "cut_stream") -> dict[str, Any]:
    return {"kind": kind, "after_tokens": tokens}


def read(stream: Any) -> tuple[list[Any], Exception | None]:
    """All pieces, and the error that ended them."""
    pieces: list[Any] = []
    try:
        pieces.extend(stream)
    except rl.RouterLabError as error:
        return pieces, error
    return pieces, None


def shown(pieces: list[Any]) -> str:
    """What stands there at the end: the pieces since the last restart."""
    starts = [place for place, piece in enumerate(pieces) if piece.restart]
    return "".join(pieces[starts[-1] if starts else 0 :])


def test_sixty_words() -> None:
    assert len(WORDS.split()) == 60


@pytest.mark.parametrize("features", [["prefill"], []], ids=["by prefill", "by instruction"])
@pytest.mark.parametrize("overlap", [0, 4])
def test_a_cut_at_any_position_is_carried_on_to_the_same_text(make_lab: Any, features: list[str], overlap: int) -> None:
    cuts = range(1, len(TOKENS), 2 if overlap else 1)
    lab = make_lab(
        alpha=model(*(after(cut) for cut in cuts)),
        beta=model(features=features, overlap=overlap),
        pool={"retry": {"max_retries": 0}, "breaker": PATIENT},
    )
    for cut in cuts:
        stream = lab.stream("sky")
        pieces, error = read(stream)
        assert error is None
        assert not any(piece.restart for piece in pieces)
        head = "".join(TOKENS[:cut])
        assert stream.reply.text == "".join(pieces) == WORDS
        assert stream.reply.parts[0] == ("sim/alpha", head)
        assert stream.reply.parts[1] == ("sim/beta", WORDS[len(head) :])
        assert stream.reply.model == "sim/beta"


def test_the_records_and_the_trace_show_the_seam(make_lab: Any) -> None:
    lab = make_lab(alpha=model(after(10)), beta=model(), pool={"retry": {"max_retries": 0}})
    stream = lab.stream("sky", max_tokens=100)
    list(stream)
    attempts, call = lab.attempts(), lab.calls(text=True).iloc[0]
    assert attempts["reason"].tolist() == ["selected", "continue"]
    assert attempts["outcome"].tolist() == ["truncated", "ok"]
    assert attempts["chars"].tolist() == [len("".join(TOKENS[:10])), len(WORDS) - len("".join(TOKENS[:10]))]
    assert (call["text"], call["outcome"], call["failovers"]) == (WORDS, "ok", 1)
    assert call["first_token_at"] < attempts.iloc[0]["ended_at"]  # the first token of the answer, whoever wrote it
    assert "carried on at character" in str(stream.reply.trace)
    assert "wrote the rest" in str(stream.reply.trace)
    assert call["completion_tokens"] == attempts.iloc[1]["completion_tokens"]


def test_a_limit_of_the_length_counts_what_was_written_before(make_lab: Any) -> None:
    lab = make_lab(alpha=model(after(20)), beta=model(), pool={"retry": {"max_retries": 0}})
    stream = lab.stream("sky", max_tokens=30)
    list(stream)
    assert stream.reply.finish_reason == "length"
    assert len(tokenize(stream.reply.text)) < 40
    assert stream.reply.text == WORDS[: len(stream.reply.text)]


def test_a_model_of_its_own_carries_on_alone(make_lab: Any, requests_of: Any) -> None:
    lab = make_lab(alpha=model(after(10), after(10)), pool={"retry": FAST})
    pieces, error = read(lab.stream("sky"))
    assert isinstance(error, rl.ProviderUnavailableError)
    assert error.partial_text == "".join(pieces) == "".join(TOKENS[:20])
    assert requests_of(lab, "alpha") == 2
    assert lab.stream("sky") is not None


def test_a_refused_prefill_is_no_outcome(make_lab: Any, requests_of: Any) -> None:
    """The model is said to take one, and does not: it is asked once more, by instruction."""
    lab = make_lab(alpha=model(after(10)), beta=model("invalid_request"), pool={"retry": {"max_retries": 0}})
    stream = lab.stream("sky")
    pieces, error = read(stream)
    assert error is None
    assert "".join(pieces) == stream.reply.text == WORDS
    assert requests_of(lab, "beta") == 2
    assert lab.attempts()["status"].tolist() == [200, 400, 200]
    assert lab.attempts()["outcome"].tolist() == ["truncated", "client_error", "ok"]
    assert lab.health()["breaker"].tolist() == ["closed", "closed"]


def test_a_model_that_refuses_to_go_on_at_all_hides_no_outage(make_lab: Any) -> None:
    lab = make_lab(alpha=model(after(10)), beta=model("invalid_request", "invalid_request"), pool={"retry": FAST})
    pieces, error = read(lab.stream("sky"))
    assert isinstance(error, rl.ProviderUnavailableError)
    assert error.partial_text == "".join(pieces) == "".join(TOKENS[:10])
    assert "finish reason" in str(error)


def test_half_a_tool_call_is_never_joined_with_another_half(make_lab: Any) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {
        "what": {"type": "string"}, "where": {"type": "string"}}}}}  # fmt: skip
    lab = make_lab(alpha=model(after(1)), beta=model(), pool={"retry": {"max_retries": 0}})
    stream = lab.stream("sky", tools=[tool], tool_choice="required")
    list(stream)
    whole = lab.stream("sky", tools=[tool], tool_choice="required", model="sim/beta")
    list(whole)
    assert [call["function"] for call in stream.reply.tool_calls] == [
        call["function"] for call in whole.reply.tool_calls
    ]
    assert lab.attempts()["reason"].tolist()[:2] == ["selected", "restart"]


def test_runs_restart_and_stitch_nothing(make_lab: Any) -> None:
    lab = make_lab(alpha=model(after(10)), beta=model(), pool={"retry": {"max_retries": 0}})
    spec = lab._session.stream  # a call of a run, as replay sends it
    from routerlab.session.results import CallSpec

    call = spec(CallSpec(messages=({"role": "user", "content": "sky"},), stream=True, stitch=False))
    pieces = []
    while (piece := call.pipe.get()) is not None:
        pieces.append(piece)
    assert any(piece.restart for piece in pieces)
    assert call.job.future.result().parts == [("sim/beta", WORDS)]


def test_a_very_long_text_is_started_over(make_lab: Any) -> None:
    long = " ".join(["word"] * 12_000)
    lab = make_lab(alpha=model(after(11_000), answers={"x": long}), beta=model(), pool={"retry": {"max_retries": 0}})
    pieces, error = read(lab.stream("x"))
    assert error is None
    assert any(piece.restart for piece in pieces)


def test_the_callers_own_words_are_recorded(make_lab: Any) -> None:
    lab = make_lab(alpha=model(after(10)), beta=model(features=[]), pool={"retry": {"max_retries": 0}})
    list(lab.stream("sky"))
    assert INSTRUCTION not in str(lab.calls(text=True).to_dict())


@pytest.mark.parametrize("policy", POLICIES)
def test_whatever_breaks_the_text_is_what_was_shown_and_recorded(make_lab: Any, policy: str) -> None:
    """50 random scripts for each of the four policies: three models, each with faults of its own."""
    draw = random.Random(policy)

    def script() -> list[Any]:
        kinds = [draw.choice(FAULTS) for _ in range(100)]
        return [
            after(draw.randrange(0, len(TOKENS)), kind) if kind in (*BREAKS, "malformed_event") else kind
            for kind in kinds
        ]

    models = {
        name: {**model(), "script": script(), "features": draw.choice([["prefill"], [], ["prefill", "tools"]]),
               "overlap": draw.choice([0, 4]), "price": {"input": 1, "output": 2}}
        for name in ("alpha", "beta", "gamma")
    }  # fmt: skip
    pool = {
        "on_stream_failure": policy,
        "retry": FAST,
        "breaker": PATIENT,
        "timeouts": {"idle": 0.2, "first_token": 0.2},
    }
    lab = make_lab(**models, pool=pool)
    for _ in range(50):
        stream = lab.stream("sky")
        pieces, error = read(stream)
        call = lab.calls(text=True).iloc[-1]
        attempts = lab.attempts()[lambda frame, call_id=call["call_id"]: frame["call_id"] == call_id]
        assert call["text"] == shown(pieces)
        assert (attempts["outcome"] == "ok").sum() == (error is None)
        if error is None:
            reply = stream.reply
            assert reply.text == shown(pieces) == WORDS
            assert "".join(text for _, text in reply.parts) == WORDS
            assert (reply.finish_reason, call["outcome"]) == ("stop", "ok")
            last = attempts.iloc[-1]
            assert call["completion_tokens"] == last["completion_tokens"]
            assert call["cost_usd"] == last["cost_usd"] == pytest.approx(reply.cost_usd)
            assert call["prompt_tokens"] * 1e-6 + call["completion_tokens"] * 2e-6 == pytest.approx(call["cost_usd"])
        else:
            assert getattr(error, "partial_text", "") == shown(pieces)
            assert call["outcome"] != "ok"
            assert not isinstance(error, rl.InvalidRequestError) or not pieces
        if policy in ("error", "buffer", "continue"):
            assert sum(piece.restart for piece in pieces) == 0
    assert len(lab.calls()) == 50
