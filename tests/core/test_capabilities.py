from __future__ import annotations

from typing import Any

import pytest

from routerlab.core.capabilities import CHAT, EMBEDDING, CapabilityTree, held_nearby
from routerlab.core.errors import ConfigurationError


def test_the_seven_branches_and_their_usual_leaves_are_there() -> None:
    tree = CapabilityTree()
    branches = {name for name in tree if "." not in name}
    assert branches == {
        "generation",
        "understanding",
        "transformation",
        "representation",
        "retrieval",
        "interaction",
        "evaluation",
    }
    assert CHAT in tree
    assert EMBEDDING in tree
    assert all(len(tree.below(branch)) > 2 for branch in branches)
    assert len(tree) == len(list(tree))


@pytest.mark.parametrize(
    "name", ["chat-completion", "text-generation.chat-completion", "generation.text-generation.chat-completion"]
)
def test_a_short_or_partial_name_means_the_one_node_that_has_it(name: str) -> None:
    assert CapabilityTree().resolve(name) == CHAT


def test_an_ambiguous_name_is_refused_with_its_meanings() -> None:
    tree = CapabilityTree()
    tree.add("transformation.poetry")
    tree.add("generation.text-generation.poetry")
    with pytest.raises(ConfigurationError, match="ambiguous") as caught:
        tree.resolve("poetry")
    assert "transformation.poetry, generation.text-generation.poetry" in str(caught.value)
    assert tree.resolve("text-generation.poetry") == "generation.text-generation.poetry"


@pytest.mark.parametrize("name", ["chat-completions", "embeding", "completion", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown capability"):
        CapabilityTree().resolve(name)


def test_an_unknown_name_draws_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'chat-completion'"):
        CapabilityTree().resolve("chat-completions")


def test_a_pool_gets_every_model_at_its_node_and_below() -> None:
    tree = CapabilityTree()
    assert tree.covers("generation", "chat-completion")
    assert tree.covers("chat-completion", CHAT)
    assert not tree.covers("chat-completion", "text-generation")
    assert not tree.covers("embedding", "chat-completion")
    assert tree.serves("embedding", ["chat-completion", "text-embedding"])
    assert not tree.serves("embedding", [])


def test_the_nearest_are_those_under_the_closest_ancestor_that_somebody_has() -> None:
    tree = CapabilityTree()
    held = ["chat-completion", "text-completion", "text-to-image", "embedding"]
    assert tree.nearest("code-generation", held) == [CHAT, "generation.text-generation.text-completion"]
    assert tree.nearest("image-editing", held) == ["generation.image-generation.text-to-image"]
    assert tree.nearest("text-to-video", held) == [*map(tree.resolve, held[:3])]
    assert tree.nearest("reranking", held) == [*map(tree.resolve, held)]  # nothing is near
    assert tree.nearest("reranking", []) == []
    assert held_nearby(tree, "reranking", {}) == ""


def test_a_name_is_no_prefix_of_another() -> None:
    tree = CapabilityTree()
    tree.add("generation.text")
    assert not tree.covers("generation.text", CHAT)
    assert tree.below("generation.text") == ["generation.text"]


def test_the_tree_can_be_extended() -> None:
    tree = CapabilityTree()
    assert tree.add("generation.text-generation.poetry") == "generation.text-generation.poetry"
    assert tree.covers("generation", "poetry")
    before = len(tree)
    tree.add("generation.text-generation.poetry")
    tree.add("robotics.grasping")
    assert len(tree) == before + 2
    assert "poetry" not in CapabilityTree().below("generation")


@pytest.mark.parametrize("name", ["", ".", "a..b", "a.", "a b", "a.b/c", None, 7])
def test_a_bad_name_is_refused_and_nothing_is_added(name: Any) -> None:
    tree = CapabilityTree()
    before = list(tree)
    with pytest.raises(ConfigurationError):
        tree.add(name)
    assert list(tree) == before
