"""Providers of different kinds in one lab: parameters that one refuses, and streams that go from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import routerlab as rl
from routerlab.simulation.options import read_models
from routerlab.simulation.server import SimulatedServer

pytestmark = pytest.mark.usefixtures("no_leaks")

KINDS = ("openai", "anthropic", "gemini", "openai_responses", "ollama", "cohere")
ANSWER = "Paris, on the river Seine, as everybody knows who has ever looked at a map of France."
MODEL = {"ttft_s": 0.001, "tokens_per_s": 50_000, "answers": {"capital of France": ANSWER}}
PROMPT = "What is the capital of France?"


@pytest.fixture
def lab_of() -> Iterator[Callable[..., rl.Lab]]:
    """Makes a lab with a simulated server behind a connector of each kind; their models are called ``m``."""
    with ExitStack() as stack:

        def make(*kinds: str, faults: dict[str, Any] | None = None, pool: Any = None, **options: Any) -> rl.Lab:
            providers = {}
            for kind in kinds:
                own = MODEL | ({"faults": [faults[kind]]} if faults and kind in faults else {})
                server = stack.enter_context(SimulatedServer(read_models({"m": own}), provider=kind))
                url = server.url("m", kind=kind)
                providers[kind] = {"kind": kind, "base_url": url, "api_key": "k", "trust_env": False, "models": ["m"]}
            retry = {"max_retries": 0}
            pools = {"chat": {"models": [f"{kind}/m" for kind in kinds], "retry": retry} | (pool or {})}
            config = {"providers": providers, "pools": pools} | options
            with pytest.warns(UserWarning, match="api_key"):  # a key that stands in the configuration
                return stack.enter_context(rl.Lab(config, store=False))

        yield make


def test_what_a_model_refuses_is_an_error_that_names_it(lab_of: Any) -> None:
    lab = lab_of("anthropic")
    with pytest.raises(rl.InvalidRequestError, match="does not take seed"):
        lab.chat(PROMPT, seed=7)
    assert lab.attempts()["maybe_billed"].tolist() == [False]


def test_or_it_is_left_out_and_recorded(lab_of: Any) -> None:
    lab = lab_of("anthropic", drop_params=True)
    assert lab.chat(PROMPT, seed=7, max_tokens=100).text == ANSWER
    assert lab.calls()["dropped_params"].iloc[0] == ["seed"]


def test_one_request_works_with_every_kind(lab_of: Any) -> None:
    lab = lab_of(*KINDS)
    for kind in KINDS:
        reply = lab.chat(PROMPT, system="Be brief.", max_tokens=100, temperature=0.2, model=f"{kind}/m")
        assert (reply.text, reply.finish_reason, reply.usage.completion_tokens > 0) == (ANSWER, "stop", True)


@pytest.mark.parametrize("cut", [1, 5, 9])
@pytest.mark.parametrize("first", KINDS)
def test_a_stream_that_breaks_goes_on_with_a_model_of_any_other_kind(lab_of: Any, first: str, cut: int) -> None:
    for second in KINDS:
        if second == first:
            continue
        lab = lab_of(first, second, faults={first: {"kind": "reset_midway", "after_tokens": cut}})
        stream = lab.stream(PROMPT, max_tokens=100)
        pieces = list(stream)
        assert "".join(pieces) == stream.reply.text == ANSWER
        assert [model for model, _ in stream.reply.parts] == [f"{first}/m", f"{second}/m"]
        assert lab.attempts()["reason"].tolist() == ["selected", "continue"]


def test_a_stream_may_go_through_all_kinds(lab_of: Any) -> None:
    faults = {kind: {"kind": "reset_midway", "after_tokens": 2} for kind in KINDS[:-1]}
    stream = lab_of(*KINDS, faults=faults).stream(PROMPT, max_tokens=100)
    assert "".join(stream) == ANSWER
    assert len(stream.reply.parts) == len(KINDS)
