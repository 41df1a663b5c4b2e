"""How a configuration lists features, and what a model then has."""

from __future__ import annotations

import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.core.features import FEATURES, read_features


@pytest.mark.parametrize(
    ("names", "features"),
    [
        (["tools", "json"], {"tools", "json", "system"}),  # an older file that never heard of `system`
        (["tools", "system"], {"tools", "system"}),
        (["tools", "-system"], {"tools"}),
        ([], {"system"}),
        (["-system"], {*FEATURES} - {"system"}),
        (["-vision", "-prefill"], {"tools", "json", "system"}),
        (["reasoning", "tools"], {"reasoning", "tools", "system"}),
    ],
)
def test_what_a_list_says_a_model_has(names: list[str], features: set[str]) -> None:
    assert read_features(names) == features


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["tool"], "unknown feature 'tool'; did you mean 'tools'"),
        (["-sytem"], "unknown feature 'sytem'; did you mean 'system'"),
        (["-reasoning"], "unknown feature 'reasoning'; there are: tools, json"),
        (["tools", "-tools"], "'tools' stands here with a minus and without"),
    ],
)
def test_mistakes_that_would_rule_out_too_much_or_nothing(names: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_features(names)
