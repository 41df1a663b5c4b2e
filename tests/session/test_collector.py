"""Deltas become one answer."""

from __future__ import annotations

from routerlab.core.types import Delta, Limits, TokenUsage
from routerlab.session.collector import Collector


def collected(*deltas):
    collector = Collector()
    for delta in deltas:
        collector.add(delta)
    return collector


def fragment(index=0, call=None, name=None, arguments=None):
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None}
    return Delta(tool_call={"index": index, "id": call, "function": function})


def test_text_and_reasoning_stay_apart():
    collector = collected(
        Delta(reasoning="hm "),
        Delta(text="one "),
        Delta(reasoning="so"),
        Delta(text="two"),
        Delta(finish_reason="stop"),
    )
    response = collector.response()
    assert (response.text, response.reasoning, response.finish_reason) == ("one two", "hm so", "stop")
    assert collector.text == "one two"
    assert collector.chars == 7


def test_tool_calls_are_put_together_by_their_index():
    response = collected(
        fragment(1, "b", "second", ""),
        fragment(0, "a", "first", ""),
        fragment(0, None, None, '{"x": '),
        fragment(1, None, None, "{}"),
        fragment(0, None, None, "1}"),
    ).response()
    assert response.tool_calls == (
        {"id": "a", "type": "function", "function": {"name": "first", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "second", "arguments": "{}"}},
    )


def test_the_last_word_on_usage_and_the_served_model_counts():
    early, late = TokenUsage(1, 1, 2), TokenUsage(1, 5, 6)
    limits = Limits(remaining_requests=3)
    response = collected(
        Delta(limits=limits, served_model="m-1"),
        Delta(text="a", usage=early),
        Delta(usage=late, finish_reason="length"),
    ).response()
    assert (response.usage, response.served_model, response.limits) == (late, "m-1", limits)
    assert response.finish_reason == "length"


def test_skipped_events_are_counted():
    assert collected(Delta(text="a", skipped_events=2), Delta(skipped_events=1)).malformed_events == 3


def test_nothing_is_an_empty_answer():
    response = collected().response()
    assert (response.text, response.tool_calls, response.usage, response.finish_reason) == ("", (), None, None)
