"""A simulated model without I/O: determinism, answers, timing, faults and what a client makes of them."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.allowance import Allowance
from routerlab.core.chance import Chance
from routerlab.core.errors import ConfigurationError
from routerlab.core.failures import Fault
from routerlab.core.fault_kinds import FAULT_KINDS
from routerlab.core.script import Ending, Outcome, Part, outcome
from routerlab.core.seam import INSTRUCTION
from routerlab.core.simulated import (
    Latency,
    SimulatedModel,
    SimulatedRequest,
    play,
    read_chat,
    read_embedding,
)
from routerlab.core.simulated_answers import answer, embedding, fill_schema, tokenize
from routerlab.core.simulated_faults import ScheduledFault

ANSWERS = {f"Question {number}?": str(number) for number in range(400)}
MODEL = SimulatedModel("alpha", ttft_s=Latency(0.1), tokens_per_s=Latency(10.0), answers=ANSWERS)
LONG = SimulatedModel("alpha", ttft_s=Latency(0.1), tokens_per_s=Latency(10.0), answers={"Hi": "one two three four"})


def request_for(prompt: str, *, stream: bool = False, **params: Any) -> SimulatedRequest:
    return read_chat([{"role": "user", "content": prompt}], params, stream=stream)


def ask(model: SimulatedModel, prompt: str = "Hi", *, stream: bool = False, **params: Any) -> Outcome:
    return outcome(play(model, request_for(prompt, stream=stream, **params)))


# --- determinism -----------------------------------------------------------------------------------------------------


def test_same_seed_same_script_and_another_seed_another() -> None:
    model = replace(MODEL, accuracy=0.5, ttft_s=Latency(0.1, 0.5))
    requests = [request_for(prompt) for prompt in ANSWERS]
    first = [play(model, request, seed=1) for request in requests]
    assert [play(model, request, seed=1) for request in reversed(requests)] == first[::-1]
    assert [play(model, request, seed=2) for request in requests] != first


def test_a_repeat_changes_the_timing_but_never_the_answer() -> None:
    model = replace(MODEL, accuracy=0.5, ttft_s=Latency(0.1, 0.5))
    plays = [outcome(play(model, request_for("Question 7?"), repeat=repeat)) for repeat in range(10)]
    assert len({played.text for played in plays}) == 1
    assert len({played.elapsed_s for played in plays}) == 10


def test_models_and_the_callers_own_seed_differ() -> None:
    model = replace(MODEL, accuracy=0.5)
    texts = {
        tuple(ask(one, prompt, seed=seed).text for prompt in ANSWERS)
        for one in (model, replace(model, name="beta"))
        for seed in (0, 1)
    }
    assert len(texts) == 4


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [0.0, 0.8, 1.0])
def test_accuracy_is_what_it_says(accuracy: float) -> None:
    right = [answer(prompt, ANSWERS, accuracy, Chance(prompt)) == target for prompt, target in ANSWERS.items()]
    assert statistics.fmean(right) == pytest.approx(accuracy, abs=0.06 if 0 < accuracy < 1 else 0)


@given(st.sampled_from(["3", "0.5", "-12", "15:25", "Paris", "a", "x y", "Ünïcode", ""]), st.integers())
def test_a_wrong_answer_never_contains_the_right_one(right: str, seed: int) -> None:
    known = {"q": right, "r": "Rome", "s": "13", "t": "Paris, Texas", "u": "Lima"}
    wrong = answer("q", known, 0.0, Chance(seed))
    assert wrong
    if right:
        assert right.lower() not in wrong.lower() or wrong == "I do not know."


def test_a_wrong_number_looks_like_the_right_one() -> None:
    wrong = {answer("q", {"q": "2.50"}, 0.0, Chance(seed)) for seed in range(20)}
    assert all(len(text) == 4 and 1.5 < float(text) < 3.5 for text in wrong)
    assert len(wrong) > 5


def test_a_known_prompt_is_found_inside_a_longer_one() -> None:
    known = {"2+2?": "4", "What is 2+2?": "four"}
    assert answer("Answer shortly. What is 2+2? Thanks.", known, 1.0, Chance(0)) == "four"


def test_prose_is_about_the_prompt_and_repeatable() -> None:
    told = ask(LONG, "Tell me about the lighthouse").text
    assert told == ask(LONG, "Tell me about the lighthouse").text
    assert "lighthouse" in told or "tell" in told or "about" in told


@given(st.text())
def test_tokens_join_to_the_text(text: str) -> None:
    assert "".join(tokenize(text)) == text


def test_max_tokens_and_stop_cut() -> None:
    cut = ask(LONG, max_tokens=2)
    assert (cut.text, cut.finish_reason) == ("one two", "length")
    assert cut.usage is not None
    assert (cut.usage.completion_tokens, cut.usage.total_tokens) == (2, 2 + (cut.usage.prompt_tokens or 0))
    stopped = ask(LONG, stop=[" three"])
    assert (stopped.text, stopped.finish_reason) == ("one two", "stop")
    assert ask(LONG, max_completion_tokens=4).finish_reason == "stop"


def test_a_stop_sequence_is_told_beside_the_finish_reason() -> None:
    steps = play(LONG, request_for("Hi", stop=[" four", " three"])).steps
    assert [step.data for step in steps if step.part is Part.STOPPED] == [" three"]
    assert not [step for step in play(LONG, request_for("Hi", stop=["five"])).steps if step.part is Part.STOPPED]


# --- answers that were begun -----------------------------------------------------------------------------------------


def carry_on(model: SimulatedModel, *turns: tuple[str, str], **params: Any) -> str:
    return outcome(play(model, read_chat([{"role": role, "content": text} for role, text in turns], params))).text


def test_a_last_message_of_the_assistant_is_carried_on() -> None:
    assert carry_on(LONG, ("user", "Hi"), ("assistant", "one tw")) == "o three four"
    assert carry_on(LONG, ("user", "Hi"), ("assistant", "one two"), max_tokens=1) == " three"
    request = read_chat([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "one"}], {})
    assert (request.prompt, request.so_far, request.prefilled) == ("Hi", "one", True)


def test_another_beginning_is_carried_on_from_about_there() -> None:
    assert carry_on(LONG, ("user", "Hi"), ("assistant", "uno")) == " two three four"
    assert carry_on(LONG, ("user", "Hi"), ("assistant", "For most purpo")) == "ses, one two three four"
    assert carry_on(LONG, ("user", "Hi"), ("assistant", "a longer one than that")) == " one two three four"


def test_an_instruction_to_go_on_is_followed() -> None:
    asked = ("user", INSTRUCTION)
    assert carry_on(LONG, ("user", "Hi"), ("assistant", "one two"), asked) == " three four"
    assert carry_on(LONG, ("user", "Hi"), asked) != " three four"
    request = read_chat(
        [{"role": role, "content": text} for role, text in (("user", "Hi"), ("assistant", "x"), asked)], {}
    )
    assert (request.prompt, request.so_far, request.prefilled) == ("Hi", "x", False)


def test_an_overlap_says_the_last_tokens_once_more() -> None:
    model = replace(LONG, overlap=1)
    assert carry_on(model, ("user", "Hi"), ("assistant", "one two")) == " two three four"
    assert carry_on(model, ("user", "Hi")) == "one two three four"


def test_an_answer_in_the_middle_of_a_talk_or_with_calls_is_no_beginning() -> None:
    assert carry_on(LONG, ("assistant", "one"), ("user", "Hi")) == "one two three four"
    calls = {"role": "assistant", "content": "one", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}
    assert not read_chat([{"role": "user", "content": "Hi"}, calls], {}).so_far


@pytest.mark.parametrize("spoken", range(5))
def test_the_same_answer_whole_and_in_two_parts(spoken: int) -> None:
    model = SimulatedModel("alpha", accuracy=0.0, answers=ANSWERS)
    for prompt in ("Question 7?", "Something else"):
        whole = carry_on(model, ("user", prompt))
        start = "".join(tokenize(whole)[:spoken])
        rest = carry_on(model, ("user", prompt), *[("assistant", start)] * bool(start))
        assert start + rest == whole


def test_json_mode_and_schema() -> None:
    assert json.loads(ask(LONG, response_format={"type": "json_object"}).text) == {"answer": "one two three four"}
    schema = {
        "type": "object",
        "required": ["city", "size", "tags", "ok", "kind"],
        "properties": {
            "city": {"type": "string"},
            "size": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"type": "number"}},
            "ok": {"type": "boolean"},
            "kind": {"enum": ["town", "village"]},
            "more": {"type": "string"},
        },
    }
    filled = json.loads(ask(LONG, response_format={"type": "json_schema", "json_schema": {"schema": schema}}).text)
    assert set(filled) == set(schema["required"])
    assert (filled["ok"], filled["kind"], type(filled["size"]), type(filled["tags"][0])) == (True, "town", int, float)
    assert fill_schema({}, "x", Chance(0)) == "x"


def test_tool_calls() -> None:
    function = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    tools = [{"type": "function", "function": function}, {"type": "function", "function": {"name": "other"}}]

    def called(prompt: str = "Hi", **params: Any) -> str:
        steps = play(LONG, request_for(prompt, tools=tools, **params)).steps
        fragments = [step.data["function"] for step in steps if step.part is Part.TOOL_CALL]
        json.loads("".join(part["arguments"] for part in fragments) or "{}")
        return str(fragments[0]["name"]) if fragments else ""

    assert called() == ""
    assert called("How is the weather?") == "get_weather"
    assert called("How is the weather?", tool_choice="none") == ""
    assert called(tool_choice="required") == "get_weather"
    assert called(tool_choice={"type": "function", "function": {"name": "other"}}) == "other"
    assert ask(LONG, tools=tools, tool_choice="required").finish_reason == "tool_calls"
    answered = [{"role": "user", "content": "Hi"}, {"role": "tool", "content": "21"}]
    after_the_result = read_chat(answered, {"tools": tools, "tool_choice": "required"})
    assert after_the_result.tool is None


def test_the_last_user_message_is_the_prompt_and_pictures_pass() -> None:
    parts = [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    seen = read_chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}], {})
    assert (seen.prompt, seen.images) == ("Hi", 1)
    assert seen.prompt_tokens > 4


def test_embeddings_are_unit_vectors_and_alike_for_alike_texts() -> None:
    one, two, far = (embedding(text, 64, 0, "m") for text in ("a red car", "the red car", "fugue in minor"))
    for vector in (one, two, far, embedding("", 1, 0)):
        assert math.hypot(*vector) == pytest.approx(1.0)
    assert math.dist(one, two) < math.dist(one, far)
    script = play(MODEL, read_embedding(["a", "b"], {"dimensions": 3}))
    assert [len(vector) for vector in script.steps[0].data] == [3, 3]


def test_a_request_over_the_window_is_refused() -> None:
    small = replace(LONG, context_window=100)
    assert ask(small).error is None
    for refused in (ask(small, "x" * 500), ask(small, max_tokens=99)):
        assert refused.error is not None
        assert refused.error.code == "context_length_exceeded"


# --- timing ----------------------------------------------------------------------------------------------------------


def test_the_first_token_and_the_pace() -> None:
    streamed = ask(LONG, stream=True)  # 4 words: one, two, three, four in 4 pieces at 10 a second
    assert streamed.first_token_s == pytest.approx(0.1)
    assert streamed.elapsed_s == pytest.approx(0.1 + 0.3)
    whole = ask(LONG)
    assert whole.first_token_s is None
    assert whole.elapsed_s == pytest.approx(streamed.elapsed_s)
    assert ask(replace(LONG, tokens_per_s=Latency(0)), stream=True).elapsed_s == pytest.approx(0.1)


def test_fast_tokens_go_out_together() -> None:
    quick = replace(LONG, tokens_per_s=Latency(1000.0), answers={"Hi": "word " * 200})
    script = play(quick, request_for("Hi", stream=True))
    texts = [step for step in script.steps if step.part is Part.TEXT]
    assert len(texts) < 20
    assert script.duration_s == pytest.approx(0.1 + 0.2, abs=0.03)


def test_latency_is_drawn_around_its_median() -> None:
    model = replace(MODEL, ttft_s=Latency(0.1, 0.5), tokens_per_s=Latency(0))
    times = [ask(model, prompt).elapsed_s for prompt in ANSWERS]
    assert statistics.median(times) == pytest.approx(0.1, rel=0.15)
    assert max(times) > 2 * min(times)
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            Latency(wrong)


# --- faults ----------------------------------------------------------------------------------------------------------


def struck(kind: str, *, stream: bool = True, **options: Any) -> Outcome:
    return outcome(play(LONG, request_for("Hi", stream=stream), faults=[ScheduledFault(kind, options=options)]))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", sorted(FAULT_KINDS))
def test_every_kind_is_a_failure_a_stall_or_a_lesser_answer(kind: str, stream: bool) -> None:
    played, healthy = struck(kind, stream=stream), ask(LONG, stream=stream)
    harmless = {"malformed_event", "no_done", "slow"} | ({"no_usage"} if kind == "no_usage" else set())
    changed = played.error is not None or math.isinf(played.elapsed_s) or played != healthy
    assert changed or kind in harmless
    assert FAULT_KINDS[kind].meaning


@pytest.mark.parametrize(
    ("kind", "fault", "text"),
    [
        ("reset", Fault.CONNECT, ""),
        ("close", Fault.CONNECT, ""),
        ("reset_midway", Fault.BROKEN, "one two three"),
        ("short_body", Fault.BROKEN, "one two three"),
        ("bad_chunk", Fault.BROKEN, "one two three"),
        ("cut_stream", Fault.TRUNCATED, "one two three"),
        ("huge_body", Fault.TOO_LARGE, ""),
        ("html_page", Fault.BAD_RESPONSE, ""),
        ("null_content", Fault.BAD_RESPONSE, ""),
        ("error_event", Fault.STATUS, "one two three"),
        ("unavailable", Fault.STATUS, ""),
    ],
)
def test_what_a_client_makes_of_a_struck_stream(kind: str, fault: Fault, text: str) -> None:
    played = struck(kind)
    assert played.error is not None
    assert (played.error.fault, played.text) == (fault, text)
    assert (played.first_token_s is not None) == bool(text)


def test_stalls_and_slowness_in_seconds() -> None:
    assert struck("stall").elapsed_s == math.inf
    midway = struck("stall_midway", after_tokens=1)
    assert (midway.elapsed_s, midway.text, midway.error) == (math.inf, "one", None)
    assert midway.first_token_s == pytest.approx(0.1)
    assert struck("slow", factor=3.0, extra_s=1.0).elapsed_s == pytest.approx(1.0 + 3 * 0.4)
    late = struck("slow_first_token", extra_s=2.0)
    assert late.first_token_s == pytest.approx(2.1)
    assert struck("drip", byte_delay_s=1.0).elapsed_s > 60
    assert struck("unavailable").elapsed_s == 0.0


def test_retry_after_reaches_the_error() -> None:
    assert struck("rate_limit", retry_after=2).error.retry_after_s == 2.0  # type: ignore[union-attr]
    assert struck("rate_limit", retry_after="soon").error.retry_after_s is None  # type: ignore[union-attr]
    assert struck("unavailable", headers={"retry-after-ms": "250"}).error.retry_after_s == 0.25  # type: ignore[union-attr]


def test_several_faults_at_once_and_their_names() -> None:
    faults = [ScheduledFault("slow", options={"extra_s": 1.0}), ScheduledFault("cut_stream")]
    script = play(LONG, request_for("Hi", stream=True), faults=faults)
    assert script.faults == ("slow", "cut_stream")
    assert script.delay_s == pytest.approx(1.1)
    assert outcome(script).error.fault is Fault.TRUNCATED  # type: ignore[union-attr]


def test_probability_strikes_repeats_and_prompts_independently() -> None:
    fault = ScheduledFault("unavailable", probability=0.3)

    def strikes(prompt: str, repeat: int) -> bool:
        return play(MODEL, request_for(prompt), faults=[fault], repeat=repeat).status == 503

    rate = statistics.fmean(strikes(prompt, 0) for prompt in ANSWERS)
    assert rate == pytest.approx(0.3, abs=0.08)
    assert {strikes("Question 1?", repeat) for repeat in range(50)} == {True, False}
    assert [strikes("Question 1?", repeat) for repeat in range(50)] == [strikes("Question 1?", n) for n in range(50)]


def test_schedule_and_script_of_a_model() -> None:
    one, two = ScheduledFault("stall"), ScheduledFault("reset", 5.0, 10.0)
    model = replace(LONG, faults=(two,), script=(one, None))
    assert model.faults_for(0, 0.0) == (one,)
    assert model.faults_for(1, 5.0) == (two,)
    assert model.faults_for(2, 9.99) == (two,)
    assert model.faults_for(2, 10.0) == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "outrage"}, "unknown fault 'outrage'"),
        ({"kind": "rate_limt"}, "did you mean 'rate_limit'"),
        ({"kind": "slow", "options": {"faktor": 2}}, "did you mean 'factor'"),
        ({"kind": "slow", "probability": 1.5}, "between 0 and 1"),
        ({"kind": "slow", "start_s": -1.0}, "0 or more seconds"),
        ({"kind": "slow", "start_s": 5.0, "end_s": 5.0}, "after its start"),
    ],
)
def test_wrong_faults_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ScheduledFault(**arguments)


@given(st.sampled_from(sorted(FAULT_KINDS)), st.booleans(), st.integers(0, 5))
def test_no_fault_sends_more_than_the_model_said(kind: str, stream: bool, repeat: int) -> None:
    script = play(LONG, request_for("Hi", stream=stream), faults=[ScheduledFault(kind)], repeat=repeat)
    text = "".join(step.data for step in script.steps if step.part is Part.TEXT)
    assert "one two three four".startswith(text)
    assert script.duration_s >= 0
    if script.ending is Ending.COMPLETE and script.body is None and not outcome(script).error:
        assert any(step.part is Part.FINISH for step in script.steps)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_allowance_refills_evenly() -> None:
    bucket = Allowance(60, now=100.0)
    assert bucket.take(60, now=100.0) == 0.0
    assert bucket.take(1, now=100.0) == pytest.approx(1.0)
    assert bucket.remaining(now=130.0) == 30
    assert bucket.reset_s(now=130.0) == pytest.approx(30.0)
    assert bucket.take(31, now=130.0) == pytest.approx(1.0)
    assert bucket.take(30, now=130.0) == 0.0
    assert bucket.remaining(now=1e9) == 60
    assert bucket.remaining(now=0.0) == 60  # a clock that steps back takes nothing away
