"""What a model may be able to do beside answering: the names that routing knows, and how a configuration lists them."""

from __future__ import annotations

from collections.abc import Sequence

from routerlab.core.errors import ConfigurationError

__all__ = ["FEATURES", "read_features"]

FEATURES = {
    "tools": "takes tools and may call them",
    "json": "takes a response format",
    "vision": "takes images in messages",
    "prefill": "goes on with an answer that the last message begins",
    "system": "takes system messages",
}
"""The features that a request may need, and what a model with them does."""

_USUAL = {"system"}


def _close(name: str) -> list[str]:
    from difflib import get_close_matches  # costs more to import than all of this package

    return get_close_matches(name, FEATURES, 1, cutoff=0.8)


def read_features(names: Sequence[str]) -> frozenset[str]:
    """The features of a model whose configuration lists these names.

    A model has what is listed, and lacks the others. Two things are easier so: ``system`` is what nearly every model
    has, so that a list has it unless it says ``-system``; and a list of nothing but such names with a minus says what
    is lacking alone, the others are there. Names that routing does not know mean nothing to it.

    Args:
        names: ``tools``, ``-system``, ….

    Raises:
        ConfigurationError: a name is nearly that of a feature, has a minus but is none, or stands there both ways.

    >>> sorted(read_features(["tools", "json"]))
    ['json', 'system', 'tools']
    >>> sorted(read_features(["tools", "-system"]))
    ['tools']
    >>> sorted(read_features(["-system"]))
    ['json', 'prefill', 'tools', 'vision']
    """
    lacking = {name[1:] for name in names if name.startswith("-")}
    listed = {name for name in names if not name.startswith("-")}
    for name in sorted(lacking | listed):
        near = [] if name in FEATURES else _close(name)
        if near or (name in lacking and name not in FEATURES):
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(FEATURES)}"
            raise ConfigurationError(f"unknown feature {name!r}; {hint}")
        if name in lacking and name in listed:
            raise ConfigurationError(f"{name!r} stands here with a minus and without")
    if lacking and not listed:
        return frozenset(FEATURES) - lacking
    return frozenset(listed | (_USUAL - lacking))
