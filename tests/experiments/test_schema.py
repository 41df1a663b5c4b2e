"""Replies that must fit a JSON Schema."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.items import Item
from routerlab.experiments.schema import json_schema
from routerlab.experiments.scorers import resolve_scorers, score_row

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"city": "Rome"}', True),
        ('```json\n{"city": "Rome"}\n```', True),
        ('```\n{"city": "Rome"}\n```\n', True),
        ('{"city": 5}', False),
        ("{}", False),
        ('Here it is: {"city": "Rome"}', False),
        ('{"city": "Rome", "n": NaN}', False),
        ("[" * 100_000, False),
        ("", False),
    ],
)
def test_only_json_that_fits_scores(text: str, fits: bool) -> None:
    assert json_schema(CITY).score(text, None, Item("1")) is fits


def test_a_pydantic_class_is_a_schema_too() -> None:
    class City(BaseModel):
        city: str

    assert json_schema(City).score('{"city": "Rome"}', None, Item("1")) is True
    assert json_schema(City).score("{}", None, Item("1")) is False


@pytest.mark.parametrize(
    ("schema", "message"),
    [({"type": "objct"}, r"no valid schema, at \$\.type: 'objct'"), ("object", "expected a JSON Schema")],
)
def test_a_wrong_schema_is_told_before_the_run(schema: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        json_schema(schema)


def test_a_schema_elsewhere_is_an_error_in_the_row_and_is_not_fetched() -> None:
    scorer = json_schema({"$ref": "http://127.0.0.1:9/schema.json"})
    (result,) = score_row([scorer], "{}", Item("1"))
    assert result.value is None
    assert "Unresolvable" in str(result.error)


def test_it_needs_its_schema() -> None:
    with pytest.raises(ConfigurationError, match="json_schema needs its schema"):
        resolve_scorers(["json_schema"])


@pytest.fixture
def no_jsonschema() -> Iterator[None]:
    kept = {name: sys.modules[name] for name in list(sys.modules) if name.partition(".")[0] == "jsonschema"}
    sys.modules.update(dict.fromkeys([*kept, "jsonschema"]))  # type: ignore[arg-type]
    yield
    del sys.modules["jsonschema"]
    sys.modules.update(kept)


@pytest.mark.usefixtures("no_jsonschema")
def test_a_missing_package_is_told_with_the_command_that_installs_it() -> None:
    with pytest.raises(ConfigurationError, match=r'pip install "routerlab\[schema\]"'):
        json_schema(CITY)
