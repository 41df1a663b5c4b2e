"""The capability tree: dotted names from the general to the particular.

A pool that targets a node gets every model below it. A short name means the node with that name, if it is the only one.

Source: the seven branches follow the usual task taxonomies of model catalogues.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from routerlab.core.errors import ConfigurationError

__all__ = ["CHAT", "EMBEDDING", "CapabilityTree", "held_nearby"]

_BRANCHES: dict[str, dict[str, tuple[str, ...]]] = {
    "generation": {
        "text-generation": ("chat-completion", "text-completion", "code-generation", "structured-output"),
        "image-generation": ("text-to-image", "image-editing"),
        "audio-generation": ("text-to-speech", "music-generation"),
        "video-generation": ("text-to-video",),
    },
    "understanding": {
        "text-understanding": ("text-classification", "entity-extraction", "sentiment-analysis", "question-answering"),
        "image-understanding": ("image-captioning", "visual-question-answering", "optical-character-recognition"),
        "audio-understanding": ("speech-recognition", "audio-classification"),
        "video-understanding": ("video-captioning",),
    },
    "transformation": {
        "text-transformation": ("translation", "summarization", "rewriting"),
        "format-conversion": ("document-parsing",),
    },
    "representation": {"embedding": ("text-embedding", "image-embedding", "multimodal-embedding")},
    "retrieval": {"search": ("web-search", "document-search"), "ranking": ("reranking",)},
    "interaction": {"tool-use": ("function-calling", "computer-use"), "realtime": ("voice-conversation",)},
    "evaluation": {"judging": ("pairwise-comparison", "rubric-grading"), "safety": ("moderation",)},
}

CHAT = "generation.text-generation.chat-completion"
EMBEDDING = "representation.embedding"

_NEAR = 3  # that a message names


class CapabilityTree:
    """A tree of dotted capability names that can be extended.

    >>> tree = CapabilityTree()
    >>> tree.resolve("chat-completion")
    'generation.text-generation.chat-completion'
    >>> tree.covers("generation", "chat-completion")
    True
    """

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        for branch, nodes in _BRANCHES.items():
            for node, leaves in nodes.items():
                for leaf in leaves:
                    self.add(f"{branch}.{node}.{leaf}")

    def add(self, name: str) -> str:
        """Add a node and what stands above it; a node that is there already is fine.

        Args:
            name: dotted, from a branch down: ``generation.text-generation.poetry``.

        Raises:
            ConfigurationError: a part of the name is empty or holds anything but letters, digits, ``-`` and ``_``.
        """
        parts = name.split(".") if isinstance(name, str) else []
        if not parts or not all(part and part.replace("-", "").replace("_", "").isalnum() for part in parts):
            raise ConfigurationError(f"{name!r} is not a capability: expected a dotted name such as {CHAT!r}")
        for depth in range(1, len(parts) + 1):
            self._names.setdefault(".".join(parts[:depth]))
        return name

    def resolve(self, name: str) -> str:
        """The full dotted name of a full, partial (``text-generation.chat-completion``) or short name.

        Raises:
            ConfigurationError: no node, or more than one, has this name.
        """
        if name in self._names:
            return name
        matches = [full for full in self._names if full.endswith(f".{name}")]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ConfigurationError(f"capability {name!r} is ambiguous: write one of {', '.join(matches)}")
        import difflib

        known = {part for full in self._names for part in (full, full.rpartition(".")[2])}
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(f"unknown capability {name!r}{hint}")

    def covers(self, target: str, capability: str) -> bool:
        """Whether a model with `capability` serves a pool that targets `target`: the same node, or one below it."""
        above, below = self.resolve(target), self.resolve(capability)
        return below == above or below.startswith(f"{above}.")

    def serves(self, target: str, capabilities: Iterable[str]) -> bool:
        """Whether one of a model's capabilities lies at `target` or below it."""
        return any(self.covers(target, capability) for capability in capabilities)

    def nearest(self, name: str, held: Iterable[str]) -> list[str]:
        """Those of the capabilities that are there which stand nearest to one that is not: under its closest ancestor.

        Args:
            name: of the one that is not there.
            held: of those that are.

        >>> CapabilityTree().nearest("reranking", ["chat-completion", "web-search", "document-search"])
        ['retrieval.search.web-search', 'retrieval.search.document-search']
        """
        wanted = self.resolve(name).split(".")
        shared = {full: _shared(wanted, full.split(".")) for full in map(self.resolve, held)}
        most = max(shared.values(), default=0)
        return [full for full, parts in shared.items() if parts == most]

    def below(self, name: str) -> list[str]:
        """The node and everything under it, in the tree's order."""
        above = self.resolve(name)
        return [full for full in self._names if full == above or full.startswith(f"{above}.")]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def held_nearby(tree: CapabilityTree, capability: str, models: Mapping[str, tuple[str, ...]]) -> str:
    """Which capabilities models do have nearest to one that none has, as a part of a sentence; empty without any.

    Args:
        tree: that knows all of them.
        capability: that none has.
        models: full capability names by model.

    >>> held_nearby(CapabilityTree(), EMBEDDING, {"openai/gpt-4o-mini": (CHAT,)})
    ' (the nearest: generation.text-generation.chat-completion of openai/gpt-4o-mini)'
    """
    near = tree.nearest(capability, (name for names in models.values() for name in names))
    have = {name: next(model for model, names in models.items() if name in names) for name in near[:_NEAR]}
    return f" (the nearest: {', '.join(f'{name} of {model}' for name, model in have.items())})" if have else ""


def _shared(first: list[str], second: list[str]) -> int:
    """How many parts two names begin with alike."""
    pairs = zip(first, second, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))
