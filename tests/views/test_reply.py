"""Replies to chats and embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from routerlab.core.types import CompletionResponse, EmbeddingResponse, TokenUsage
from routerlab.session.results import CallResult, CallSpec
from routerlab.views.reply import EmbeddingReply, Reply

TOOL = {"id": "t1", "type": "function", "function": {"name": "<look>", "arguments": '{"at": "x"}'}}


@pytest.fixture
def result(make_attempt, make_call):
    def make(response, **columns):
        attempts = [
            make_attempt(1, "sim/alpha", 0.0, 0.1, "move_on", status=503),
            make_attempt(2, "sim/beta", 0.1, 0.3, cost_usd=0.001),
        ]
        row = make_call(attempts, served_model="beta-1", ttft_s=0.2, **columns)
        return CallResult("c1", CallSpec(), row, response, attempts=attempts, parts=[("sim/beta", "Hi")])

    return make


def test_a_reply_says_all_that_is_known_of_it(result):
    usage = TokenUsage(10, 20, 30)
    reply = Reply(result(CompletionResponse("Hi", "hm", usage=usage, finish_reason="stop", raw={"id": 1})))
    assert str(reply) == reply.text == "Hi"
    assert (reply.reasoning, reply.finish_reason, reply.raw, reply.tool_calls) == ("hm", "stop", {"id": 1}, [])
    assert (reply.model, reply.served_model, reply.usage) == ("sim/beta", "beta-1", usage)
    assert (reply.cost_usd, reply.ttft_s, reply.call_id) == (0.001, 0.2, "c1")
    assert reply.latency_s == pytest.approx(0.4)
    assert reply.parts == [("sim/beta", "Hi")]
    assert reply.message == {"role": "assistant", "content": "Hi"}
    assert reply.trace.failovers == 1
    assert repr(reply) == '<Reply "Hi" from sim/beta · 400 ms · 30 tokens · $0.001 · 1 failover · simulated>'


def test_an_unknown_price_is_none(result):
    assert Reply(result(CompletionResponse("Hi"), cost_usd=None)).cost_usd is None


def test_tool_calls_are_part_of_the_message(result):
    reply = Reply(result(CompletionResponse("", tool_calls=(TOOL,), finish_reason="tool_calls")))
    assert reply.message == {"role": "assistant", "content": None, "tool_calls": [TOOL]}
    assert "&lt;look&gt;" in reply._repr_html_()


def test_a_model_cannot_put_markup_into_the_notebook(result):
    reply = Reply(result(CompletionResponse("<script>alert(1)</script>\n<b>"), model="sim/<i>"))
    page = reply._repr_html_()
    assert "<script" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page


def test_a_long_text_has_a_short_repr_and_a_cut_answer_says_so(result):
    reply = Reply(result(CompletionResponse("a" * 500 + "\n", finish_reason="length")))
    assert len(repr(reply).splitlines()) == 1
    assert len(repr(reply)) < 160
    assert "cut at the length limit" in reply._repr_html_()


def test_a_failed_call_makes_no_reply(result):
    with pytest.raises(TypeError, match="c1"):
        Reply(result(None))
    with pytest.raises(TypeError, match="c1"):
        EmbeddingReply(result(CompletionResponse("Hi")))


def test_an_embedding_is_a_sequence_of_vectors_and_a_matrix(result):
    reply = EmbeddingReply(result(EmbeddingResponse(((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)), TokenUsage(3, 0, 3))))
    assert (len(reply), reply[1], reply.dimensions) == (3, (3.0, 4.0), 2)
    assert np.asarray(reply).shape == reply.df.shape == (3, 2)
    assert reply.usage == TokenUsage(3, 0, 3)
    assert repr(reply).startswith("<EmbeddingReply 3 vectors of 2 from sim/beta")
