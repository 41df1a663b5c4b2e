"""From a kind to a connector class."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.providers.base import ProviderConnector
from routerlab.providers.openai_compatible import OpenAICompatibleProvider
from routerlab.providers.presets import PRESETS
from routerlab.session.kinds import KINDS, is_known_kind, load_kind


def test_every_kind_of_the_table_is_there() -> None:
    assert set(PRESETS) < set(KINDS)
    assert load_kind("groq") is OpenAICompatibleProvider
    for kind in KINDS:
        assert is_known_kind(kind)
        assert issubclass(load_kind(kind), ProviderConnector)


def test_ones_own_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_kinds_for_tests.py").write_text(
        "from routerlab.providers.openai_compatible import OpenAICompatibleProvider\n"
        "class Mine(OpenAICompatibleProvider): pass\nnumber = 1\n"
    )
    (tmp_path / "my_broken_kind.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_kind("my_kinds_for_tests:Mine").__name__ == "Mine"
    for kind, words in [
        ("my_kinds_for_tests:Other", "has no class 'Other'"),
        ("my_kinds_for_tests:number", "must be a subclass of ProviderConnector"),
        ("builtins:dict", "must be a subclass of ProviderConnector"),
        ("no_such_module_anywhere:X", "cannot be imported: ModuleNotFoundError"),
        ("my_broken_kind:X", "cannot be imported: ZeroDivisionError"),
        ("opnai", "unknown kind 'opnai'; did you mean 'openai'"),
        ("module.without.colon", "your own is 'package.module:Class'"),
        ("", "unknown kind ''"),
        (":", "unknown kind ':'"),
        ("a b:C", "unknown kind 'a b:C'"),
    ]:
        with pytest.raises(ConfigurationError, match=words):
            load_kind(kind)
