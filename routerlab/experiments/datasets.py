"""Datasets of prompts: read from files, lists and DataFrames; immutable; every bad line is told with its place."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, overload

from routerlab.core.errors import ConfigurationError, DatasetError
from routerlab.experiments.fields import Fields
from routerlab.experiments.items import Item, ItemMaker
from routerlab.experiments.rows import Row, iterable_rows
from routerlab.experiments.shapes import Shape
from routerlab.experiments.sources import open_source

__all__ = ["Dataset", "Item", "load_dataset"]

_SHOWN = 10  # problems in an error's message; ``problems`` holds them all


@dataclass(frozen=True, repr=False)
class Dataset(Sequence[Item]):
    """An immutable sequence of items.

    Attributes:
        items: the items, in the source's order.
        name: what runs call it: the file's name without its ending, unless told otherwise.
        skipped: with ``on_error="skip"``, what was left out: one text per bad row with its place and the reason.
    """

    items: tuple[Item, ...]
    name: str = "dataset"
    skipped: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the items as canonical JSON; name and source do not enter.

        Nor does what a format adds of its own: a table writes 4 as 4.0 and null where a row has no such field.
        """
        text = json.dumps(_canonical(self.to_records()), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()

    @property
    def scorers(self) -> list[str]:
        """What a replay scores with unless it is told otherwise: ``asserts`` where items carry assertions."""
        return ["asserts"] if any(item.metadata.get("assert") for item in self.items) else []

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Item | Dataset:
        return replace(self, items=self.items[index]) if isinstance(index, slice) else self.items[index]

    def __repr__(self) -> str:
        left_out = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"<Dataset {self.name!r}: {len(self)} items{left_out}, hash {self.content_hash[:12]}>"

    def sample(self, n: int, seed: int = 0) -> Dataset:
        """``n`` items drawn without replacement; the same for the same seed on every Python version.

        Args:
            n: how many, 0…``len(self)``.
            seed: of the draw.

        Returns:
            A dataset with the drawn items in a random order.

        Raises:
            ConfigurationError: there are fewer than ``n`` items.
        """
        if not 0 <= n <= len(self):
            raise ConfigurationError(f"cannot sample {n} of {len(self)} items")
        # Only random() is promised to give the same numbers in every version; sample() and shuffle() are not.
        generator = random.Random(seed)
        keys = [generator.random() for _ in self.items]
        order = sorted(range(len(self)), key=keys.__getitem__)
        return replace(self, items=tuple(self.items[index] for index in order[:n]))

    def filter(self, keep: Callable[[Item], bool]) -> Dataset:
        """A dataset of the items for which ``keep`` is true, in their order."""
        return replace(self, items=tuple(item for item in self.items if keep(item)))

    def to_records(self) -> list[dict[str, Any]]:
        """One plain dict per item: ``id``; ``prompt``, ``messages`` or ``turns``; ``target``, ``metadata``, ``params``.

        ``load_dataset(ds.to_records())`` gives an equal dataset.
        """
        return [item.to_record() for item in self.items]


def load_dataset(
    source: str | os.PathLike[str] | Iterable[Any],
    *,
    prompt: str | Callable[[Fields], Any] | None = None,
    target: str | Callable[[Fields], Any] | None = None,
    id: str | Callable[[Fields], Any] | None = None,  # noqa: A002 - the field's own name
    messages: str | Callable[[Fields], Any] | None = None,
    limit: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    name: str | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    format: str | None = None,  # noqa: A002 - what pandas and others call it
) -> Dataset:
    """Read prompts with their known answers.

    Args:
        source: a path ending in ``.jsonl``, ``.ndjson``, ``.json`` (an array), ``.yaml`` (a list, ``items:`` with one,
            or promptfoo's prompts and tests), ``.csv``, ``.tsv`` or ``.parquet``; the name of a shipped dataset
            (``"quickstart_qa"``); a list of dicts or of strings (the prompts); a pandas DataFrame; a split of a
            Hugging Face dataset; another Dataset.
        prompt: the field with the prompt, a dotted path into nested objects, a template (``"Q: {question}"``) or a
            callable given the row. Default: the first of ``prompt``, ``question``, ``input``, … that the row has.
        target: the known answer, named in the same ways: a string, a number, or a list of acceptable answers; empty
            where unknown. Default: ``target``, ``answer``, ``reference``, …, if there is one.
        id: of an item, in the same ways. Default: ``id``, …; without one, the row's number (``00001``).
        messages: in place of ``prompt``: a list of ``{"role": …, "content": …}``. Default: ``messages``.
        limit: stop after this many items; None: read all. Rows behind it are not looked at.
        on_error: ``"raise"`` reports all bad rows in one error; ``"skip"`` leaves them out and lists them in
            ``Dataset.skipped``.
        name: of the dataset. Default: the file's name without its ending.
        encoding: of a text file.
        delimiter: of a CSV file; None: a comma, a tab for ``.tsv``.
        format: whose rows these are: ``"gsm8k"``, ``"mt-bench"``, ``"openai-batch"``, ``"promptfoo"``; ``"rows"``:
            plain ones, whatever they look like. None: each row is recognized by its fields.

    Returns:
        The dataset, never empty. All other fields of a row are in its item's ``metadata``, except an object called
        ``params``: the parameters of this item's own request; and a list of texts called ``turns`` in a row without a
        prompt: user messages to send one after the other.

    Raises:
        DatasetError: the source cannot be read, has bad rows (``problems`` lists all, each with its place and reason)
            or no rows at all.

    Example:
        >>> ds = load_dataset([{"q": "2 + 2?", "a": 4, "level": "easy"}], prompt="{q} Only the number.", target="a")
        >>> ds[0].prompt, ds[0].target, ds[0].metadata["level"]
        ('2 + 2? Only the number.', 4, 'easy')
    """
    _check_options(prompt, messages, limit, on_error)
    if isinstance(source, Dataset):
        rows, default_name = iterable_rows(source.to_records(), name=f"{source.name}, item"), source.name
    else:
        rows, default_name = open_source(source, encoding=encoding, delimiter=delimiter)
    shape = Shape(format, has_content=bool(prompt or messages))
    maker = ItemMaker(prompt=prompt, messages=messages, target=target, id=id)
    label = name or default_name
    items, problems = _collect(map(shape.of, rows), maker, limit)
    if problems and on_error == "raise":
        raise DatasetError(_report(label, problems), problems)
    if not items:
        raise DatasetError(f"{label}: no items to read" + _listed(problems), problems)
    earlier = source.skipped if isinstance(source, Dataset) else ()
    return Dataset(tuple(items), label, (*earlier, *problems))


def _canonical(value: Any) -> Any:
    """Without nulls in objects, and whole numbers as such."""
    if isinstance(value, Mapping):
        return {key: _canonical(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_canonical(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_options(prompt: object, messages: object, limit: int | None, on_error: str) -> None:
    if prompt is not None and messages is not None:
        raise DatasetError("give prompt= or messages=, not both")
    if limit is not None and limit < 1:
        raise DatasetError(f"limit={limit}: expected at least 1, or None for all")
    if on_error not in {"raise", "skip"}:
        raise DatasetError(f"on_error={on_error!r}: expected 'raise' or 'skip'")


def _collect(rows: Iterator[Row], maker: ItemMaker, limit: int | None) -> tuple[list[Item], list[str]]:
    items: list[Item] = []
    problems: list[str] = []
    places: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        item, problem = (None, row.problem) if row.problem else maker.make(row.fields, number)
        if item is not None and item.id in places:
            problem = f"the id {item.id!r} is already that of {places[item.id]} (id= names another field)"
        if item is None or problem:
            problems.append(f"{row.place}: {problem}")
            continue
        places[item.id] = row.place
        items.append(item)
        if len(items) == limit:
            break
    return items, problems


def _report(label: str, problems: list[str]) -> str:
    rows = "1 row" if len(problems) == 1 else f"{len(problems)} rows"
    return f'{label}: {rows} cannot be used (on_error="skip" leaves them out):{_listed(problems)}'


def _listed(problems: list[str]) -> str:
    more = [f"… and {len(problems) - _SHOWN} more, all in .problems"] if len(problems) > _SHOWN else []
    return "".join(f"\n  {line}" for line in (*problems[:_SHOWN], *more))
