"""A judge's settings, and whose family it is of."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.items import Item
from routerlab.experiments.judge import family, judge, own_family, split_judges, warn_of_family
from routerlab.experiments.scorers import exact, resolve_scorers, score_row


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("gpt-4o", {}, "expected the name of a model, provider/model"),
        ("openai/gpt-4o", {"rubric": " "}, "rubric"),
        ("openai/gpt-4o", {"scale": 1}, "scale"),
        ("openai/gpt-4o", {"scale": 5.0}, "scale"),
        ("openai/gpt-4o", {"scale": True}, "scale"),
    ],
)
def test_a_mistake_is_told_when_the_judge_is_made(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        judge(model, **options)


def test_a_judge_is_a_scorer_among_others_and_stays_a_judge() -> None:
    mine = rl.judge("openai/gpt-4o", name="mine", temperature=0)
    assert mine.params == {"temperature": 0}
    assert split_judges(resolve_scorers(["exact", mine]))[1] == [mine]
    assert [scorer.name for scorer in split_judges(resolve_scorers([exact, mine]))[0]] == ["exact"]


def test_a_judge_alone_says_who_can_ask_it() -> None:
    (result,) = score_row([judge("openai/gpt-4o")], "text", Item("1"))
    assert "give it to lab.replay" in str(result.error)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai/gpt-4o-mini", "gpt"),
        ("openai/o3-mini", "gpt"),
        ("anthropic/claude-sonnet-4-5", "claude"),
        ("openrouter/anthropic/claude-3-haiku", "claude"),
        ("google/gemini-2.0-flash", "gemini"),
        ("ollama/llama3.1:8b", "llama"),
        ("groq/meta-llama/Llama-3-70b", "llama"),
        ("ollama/qwen2.5", "qwen"),
        ("sim/alpha", None),
        ("gpt/alpha", None),
    ],
)
def test_a_family_is_read_from_the_models_name(model: str, name: str | None) -> None:
    assert family(model) == name


def test_kin_are_of_one_family_name_or_unknown_names_of_one_provider() -> None:
    assert own_family("openai/gpt-4o", ["azure/gpt-4.1", "anthropic/claude-3", "openai/o1"]) == [
        "azure/gpt-4.1",
        "openai/o1",
    ]
    assert own_family("openrouter/openai/gpt-4o", ["openrouter/anthropic/claude-3"]) == []
    assert own_family("sim/a", ["sim/b", "other/b"]) == ["sim/b"]


def test_a_judge_of_its_own_family_is_warned_of_and_another_is_not() -> None:
    with pytest.warns(UserWarning, match=r"openai/gpt-4o judges its own family \(azure/gpt-4.1\)"):
        warn_of_family([judge("openai/gpt-4o")], ["azure/gpt-4.1", "anthropic/claude-3"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_family([judge("openai/gpt-4o")], ["anthropic/claude-3"])
