"""promptfoo's YAML as far as it is plain data: each test with each prompt is a row; all else is refused by name.

Read are ``description``, ``prompts``, ``defaultTest`` and ``tests``; of a test its ``description``, ``vars``,
``assert`` and ``metadata``.

Source: https://www.promptfoo.dev/docs/configuration/reference/
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routerlab.core.errors import DatasetError
from routerlab.experiments.assertions import check_assertion
from routerlab.experiments.fields import FieldError
from routerlab.experiments.promptfoo_csv import csv_test
from routerlab.experiments.promptfoo_prompts import read_prompt
from routerlab.experiments.rows import Row, decode, plain, read_rows
from routerlab.experiments.templates import fill, has_template
from routerlab.experiments.yamltext import parse_yaml
from routerlab.mixins import yaml_places
from routerlab.mixins.yaml_places import line_of

__all__ = ["is_suite", "suite_rows"]

_TOP = {"description", "prompts", "tests", "defaultTest"}
_TEST = {"description", "vars", "assert", "metadata"}
_HINTS = {
    "providers": "; lab.replay is told which models to ask",
    "targets": "; lab.replay is told which models to ask",
}

Where = Callable[..., str]


class _RefusedError(Exception):
    """Something that is not read; `place` says where it stands."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(reason)
        self.place = place


@dataclass(frozen=True)
class _Test:
    """A test and the place of what is in it: ``where("assert", 0)``."""

    value: Any
    where: Where


def is_suite(value: Any) -> bool:
    """Whether a document has the shape of a promptfoo file."""
    return isinstance(value, Mapping) and ("prompts" in value or "tests" in value) and "items" not in value


def suite_rows(
    value: Mapping[str, Any], places: Mapping[yaml_places.Path, int], path: Path, encoding: str
) -> Iterator[Row]:
    """The rows of a promptfoo file.

    Args:
        value: the document.
        places: the lines of its values.
        path: of the file; other files are looked for beside it.
        encoding: of these.

    Returns:
        One row for each test, combination of its variables and prompt; what is refused is a row with a problem.

    Raises:
        DatasetError: ``defaultTest`` holds something that is refused: no test means what it says without it.
    """
    where = _places(path.name, places)
    suite = plain(value)
    for key in suite:
        if key not in _TOP:
            yield Row(where(key), {}, f"{key!r} is not supported{_HINTS.get(key, '')}")
    try:
        default = _default(suite.get("defaultTest"), where)
    except _RefusedError as error:
        problem = f"{error.place}: {error}"
        raise DatasetError(problem, [problem]) from None
    prompts: list[dict[str, Any]] = []
    for entry in _each(_prompts(suite.get("prompts"), path.parent, encoding, where)):
        if isinstance(entry, Row):
            yield entry
        else:
            prompts.append(entry)
    for number, test in enumerate(_each(_tests(suite.get("tests", [{}]), path, encoding, where)), 1):
        yield from [test] if isinstance(test, Row) else _rows(test, number, default, prompts)


def _places(name: str, places: Mapping[yaml_places.Path, int], root: yaml_places.Path = ()) -> Where:
    """A function from the steps to a value to its place in words."""

    def where(*steps: str | int) -> str:
        path = (*root, *steps)
        words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
        return f"{name}, line {line_of(places, path)}, {words}"

    return where


def _each(entries: Iterator[Any]) -> Iterator[Any]:
    """The entries; a refusal of the whole list is one more row."""
    try:
        yield from entries
    except _RefusedError as error:
        yield Row(error.place, {}, str(error))


def _prompts(value: Any, folder: Path, encoding: str, where: Where) -> Iterator[Any]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise _RefusedError(where("prompts"), f"expected a list of texts, found {type(value).__name__}")
    for position, entry in enumerate(value):
        try:
            yield from read_prompt(entry, folder, encoding)
        except FieldError as error:
            yield Row(where("prompts", position), {}, str(error))


def _tests(value: Any, path: Path, encoding: str, where: Where) -> Iterator[Any]:
    if isinstance(value, str):
        yield from _tests_of_file(value, path, encoding, where("tests"))
    elif isinstance(value, list):
        for position, test in enumerate(value):
            if isinstance(test, str):
                yield from _each(_tests_of_file(test, path, encoding, where("tests", position)))
            else:
                yield _Test(test, lambda *steps, at=position: where("tests", at, *steps))
    else:
        raise _RefusedError(where("tests"), f"expected a list of tests, found {type(value).__name__}")


def _tests_of_file(value: str, path: Path, encoding: str, place: str) -> Iterator[Any]:
    file = path.parent / value.removeprefix("file://")
    if file.suffix not in {".csv", ".yaml", ".yml"} or "*" in value:
        raise _RefusedError(place, f"tests from {value!r} are not supported, only from one .csv or .yaml file")
    if not file.is_file():
        raise _RefusedError(place, f"there is no file {str(file)!r}")
    if file.suffix == ".csv":
        for row in read_rows(file, encoding=encoding, delimiter=None):
            yield _csv_row(row)
        return
    tests, places = parse_yaml(decode(file, encoding), file.name)
    if not isinstance(tests, list):
        raise _RefusedError(place, f"{value!r} holds no list of tests")
    for position, test in enumerate(plain(tests)):
        yield _Test(test, _places(file.name, places, (position,)))


def _csv_row(row: Row) -> Row | _Test:
    if row.problem:
        return row
    try:
        return _Test(csv_test(row.fields), lambda *steps: row.place)
    except FieldError as error:
        return Row(row.place, {}, str(error))


def _default(value: Any, where: Where) -> _Test:
    test = _Test({} if value is None else value, lambda *steps: where("defaultTest", *steps))
    _check(test)
    for position, assertion in enumerate(test.value.get("assert") or []):
        if not (isinstance(assertion, Mapping) and has_template(assertion.get("value"))):
            _checked(assertion, test.where("assert", position))
    return test


def _rows(test: _Test, number: int, default: _Test, prompts: list[dict[str, Any]]) -> list[Row]:
    """One row per combination of variables and prompt; a test that is refused is one row that says why."""
    try:
        _check(test)
        variables = {**(default.value.get("vars") or {}), **(test.value.get("vars") or {})}
        lists = [value if isinstance(value, list) else [value] for value in variables.values()]
        rows: list[Row] = []
        for place, choice in enumerate(itertools.product(*lists), 1):
            name = f"t{number}v{place}" if any(len(choices) > 1 for choices in lists) else f"t{number}"
            rows += _combination(test, name, dict(zip(variables, choice, strict=True)), default, prompts)
        return rows
    except _RefusedError as error:
        return [Row(error.place, {}, str(error))]


def _combination(
    test: _Test, name: str, variables: dict[str, Any], default: _Test, prompts: list[dict[str, Any]]
) -> list[Row]:
    metadata = {**(default.value.get("metadata") or {}), **(test.value.get("metadata") or {}), "vars": variables}
    if test.value.get("description"):
        metadata["description"] = test.value["description"]
    assertions = [
        _checked(assertion, source.where("assert", position), variables)
        for source in (default, test)
        for position, assertion in enumerate(source.value.get("assert") or [])
    ]
    if assertions:
        metadata["assert"] = assertions
    rows = []
    for place, prompt in enumerate(prompts, 1):
        try:
            content = fill(prompt, variables)
        except FieldError as error:
            raise _RefusedError(test.where(), f"prompt {place}: {error}") from None
        key = f"{name}p{place}" if len(prompts) > 1 else name
        rows.append(Row(test.where(), {"id": key, **content, "metadata": metadata}))
    return rows


def _check(test: _Test) -> None:
    """Refuse what is not read of a test, its variables included."""
    if not isinstance(test.value, Mapping):
        raise _RefusedError(test.where(), f"expected an object, found {type(test.value).__name__}")
    for key in test.value:
        if key not in _TEST:
            raise _RefusedError(test.where(key), f"{key!r} is not supported")
    for key, kind in (("vars", Mapping), ("metadata", Mapping), ("assert", list)):
        found = test.value.get(key)
        if found is not None and not isinstance(found, kind):
            expected = "a list" if kind is list else "an object"
            raise _RefusedError(test.where(key), f"{key} must be {expected}, found {found!r:.80}")
    for name, value in (test.value.get("vars") or {}).items():
        if value == []:
            raise _RefusedError(test.where("vars", name), "a variable without a value: the list is empty")
        for choice in value if isinstance(value, list) else [value]:
            if has_template(choice) or (isinstance(choice, str) and choice.startswith("file://")):
                raise _RefusedError(
                    test.where("vars", name), f"a variable that is a template or a file: {choice!r:.80}"
                )


def _checked(assertion: Any, place: str, variables: Mapping[str, Any] | None = None) -> Any:
    try:
        filled = assertion if variables is None else fill(assertion, variables)
        check_assertion(filled)
    except FieldError as error:
        raise _RefusedError(place, str(error)) from None
    return filled
