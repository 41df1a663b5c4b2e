"""YAML that stays in proportion: hostile input ends in an error, not in a dead process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

__all__ = ["PlainDumper", "load_yaml"]

# The composers recurse, libyaml's without a guard. 400 is more than PyYAML can write under Python's own limit.
_MAX_DEPTH = 400
# How many nodes aliases may stand for altogether. "Billion laughs" stands for 10**9 in a few hundred bytes.
_MAX_ALIASED_NODES = 100_000

# libyaml's loader where PyYAML was built with it: the same result, ten times as fast
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PlainDumper(yaml.SafeDumper):
    """Writes plain YAML: what occurs twice is written twice, so that the file can be read without aliases.

    Text comes back as it was: PyYAML writes U+0085 as it is and reads it as a line break, so it is escaped here; lone
    surrogates, which it writes and then refuses to read, are refused at once.
    """

    def ignore_aliases(self, data: Any) -> bool:
        """Never write an alias; data that contains itself ends in a ``RecursionError``."""
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Quote what would not come back."""
        text.encode()  # refuses lone surrogates
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\x85" in text else None)


PlainDumper.add_representer(str, PlainDumper.represent_text)


def load_yaml(text: str, loader: Any = _Loader) -> Any:
    """Load one document through a safe loader.

    Args:
        text: the document.
        loader: PyYAML's, or one made of it.

    Returns:
        Plain data; None for an empty document.

    Raises:
        ValueError: nested deeper than 400 levels, an alias inside what it names, or aliases that stand for more than
            100,000 nodes.
        yaml.YAMLError: no valid YAML.
    """
    _check_proportions(yaml.parse(text, Loader=_Loader))
    return yaml.load(text, Loader=loader)  # noqa: S506 - it is a safe one


def _check_proportions(events: Iterator[Any]) -> None:
    """Count what each node stands for once its aliases are written out, without building anything."""
    sizes: dict[str, int] = {}  # of the anchored nodes that are finished
    open_nodes: list[tuple[str | None, int]] = []  # anchor, and how many nodes had been counted before
    nodes = aliased = 0
    for event in events:
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            if anchor:
                sizes.pop(anchor, None)  # given anew: until it is finished, an alias would be a part of itself
            open_nodes.append((anchor, nodes))
            nodes += 1
            if len(open_nodes) > _MAX_DEPTH:
                raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = nodes - before
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if anchor:
                sizes[anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(anchor or "")
            if size is None:
                raise ValueError(f"the alias *{anchor} stands for something that is not complete or not there")
            nodes += size
            aliased += size
            if aliased > _MAX_ALIASED_NODES:
                raise ValueError(f"aliases stand for more than {_MAX_ALIASED_NODES} nodes")
