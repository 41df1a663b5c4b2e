"""Mistakes in a configuration are told without the secrets in it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

import routerlab as rl

MISTAKES: dict[str, dict[str, Any]] = {
    "an unknown option": {"bas_url": "x"},
    "an unknown option and an unknown kind": {"kind": "opnai", "headrs": {"X-Auth": "${env:CANARY_HEADER}"}},
    "a password that does not fit": {"password": "${env:CANARY_KEY}"},
    "a password that is a list": {"password": ["${env:CANARY_PEM}"]},
    "no certificate": {"ca_bundle": "${env:CANARY_PLAIN}"},
    "no proxy": {"proxy": "ftp://${env:CANARY_LOGIN}@127.0.0.1"},
    "no port": {"proxy": "http://${env:CANARY_LOGIN}@127.0.0.1:port"},
    "a header that is a list": {"headers": {"X-Auth": ["${env:CANARY_HEADER}"]}},
    "a header of two lines": {"headers": {"X-Auth": "${env:CANARY_HEADER}\nmore"}},
    "a query that is a mapping": {"query": {"team": {"x": "${env:CANARY_QUERY}"}}},
    "a key of two lines": {"api_key": "${env:CANARY_KEY}\n${env:CANARY_KEY}"},
    "a key that is a list": {"api_key": ["${env:CANARY_KEY}"]},
    "two keys": {"api_key": "${env:CANARY_KEY}", "headers": {"Authorization": "Bearer ${env:CANARY_HEADER}"}},
    "a key in the address": {"base_url": "https://${env:CANARY_LOGIN}@127.0.0.1/v1"},
    "no address": {"base_url": "${env:CANARY_KEY}"},
    "an unset variable": {"api_key": "${env:CANARY_KEY}${env:CANARY_NOT_SET}"},
    "an open reference": {"api_key": "${env:CANARY_KEY}${env:CANARY_KEY"},
    "a command with an open quote": {"api_key": "${cmd:echo '${env:CANARY_KEY}}"},
    "a command in a header": {"headers": {"X-Auth": "${cmd:echo ${env:CANARY_KEY}}"}},
    "a senseless refresh": {"api_key": "${cmd:echo ${env:CANARY_KEY}}", "refresh": "${env:CANARY_KEY}"},
    "a model twice": {"models": ["${env:CANARY_KEY}", "${env:CANARY_KEY}"]},
}


def told_of(hunter: Any, source: Any) -> None:
    """A lab of this; its error, or its first call's, is looked at."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with rl.Lab(source, store=False) as lab:
                hunter.look_at("lab", lab, lab.config)
                hunter.look_through("lab", lab)
                lab.chat("hello")
        except rl.RouterLabError as error:
            hunter.blame("error", error)
        else:
            raise AssertionError("no error")
    hunter.search("warning", *(str(warning.message) for warning in told))


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
@pytest.mark.parametrize("changed", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_provider(
    changed: dict[str, Any], many: bool, config: dict[str, Any], hunter: Any, tmp_path: Path
) -> None:
    provider = config["providers"]["gw"]
    if "password" in changed:
        provider["client_cert"]["password"] = changed["password"]
    else:
        provider |= changed
    if not many:
        del config["providers"]["spare"], config["pools"]
    file = tmp_path / "lab.yaml"
    file.write_text(yaml.safe_dump(config))
    told_of(hunter, config)
    told_of(hunter, file)
    assert hunter.verdict() == []


@pytest.mark.parametrize(
    "broken",
    [
        "{text}\n  - : [",
        "{text}\nproviders: {{}}",
        "x: [\n{text}",
        "{text}\npools: {{chat: {{models: [gw/two], strategy: best}}}}",
        "{text}\nroutng: {{}}",
    ],
)
def test_a_file_that_holds_keys_and_mistakes(
    broken: str, hunter: Any, tmp_path: Path, canaries: dict[str, str]
) -> None:
    text = json.dumps({"gw": {"api_key": canaries["key"], "headers": {"X-Auth": canaries["header"]}}})
    file = tmp_path / "lab.yaml"
    file.write_text(broken.format(text=f"providers: {text}"))
    told_of(hunter, file)
    assert hunter.verdict() == []


def test_a_line_of_a_dotenv_file_that_is_none(
    config: dict[str, Any], hunter: Any, tmp_path: Path, canaries: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"A_KEY={canaries['key']}\nANOTHER_KEY {canaries['spare']}\n")
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(config))
    told_of(hunter, tmp_path / "lab.yaml")
    monkeypatch.chdir(tmp_path)
    told_of(hunter, config)
    with pytest.raises(rl.ConfigurationError) as caught:
        rl.Lab.from_env()
    hunter.blame("from_env", caught.value)
    assert hunter.verdict() == []


@pytest.mark.parametrize("models", [None, [], ["openai"], ["nobody/one"], ["openai/one", "groq/one"]])
def test_the_environment(
    models: list[str] | None, hunter: Any, canaries: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", canaries["key"])
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    with pytest.raises(rl.RouterLabError) as caught:
        rl.Lab.from_env(models)
    hunter.blame("from_env", caught.value)
    assert hunter.verdict() == []


def test_a_key_in_the_file_draws_a_warning_that_does_not_show_it(
    config: dict[str, Any], hunter: Any, tmp_path: Path, canaries: dict[str, str], files: Path
) -> None:
    text = yaml.safe_dump(config).replace(f"${{cmd:cat {files / 'printed'}}}", canaries["key"])
    for name in ("header", "query", "pem"):
        text = text.replace(f"${{env:CANARY_{name.upper()}}}", json.dumps(canaries[name])[1:-1].replace('\\"', ""))
    (tmp_path / "lab.yaml").write_text(text)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with rl.Lab(tmp_path / "lab.yaml", store=False) as lab:
            hunter.look_at("lab", lab, lab.config)
    messages = [str(warning.message) for warning in told]
    assert any("providers.gw.api_key holds a key itself" in message for message in messages)
    hunter.search("warning", *messages)
    assert hunter.verdict() == []


@pytest.mark.parametrize(
    "literal",
    [
        {"api_key": "{}", "bas_url": "x"},
        {"api_key": ["{}"]},
        {"base_url": "https://user:{}@127.0.0.1/v1"},
        {"base_url": "https://127.0.0.1/v1?key={}"},
        {"headers": ["X-Auth: {}"]},
        {"proxy": "user:{}@127.0.0.1"},
        {"client_cert": {"cert": "/nowhere", "pasword": "{}"}},
    ],
    ids=str,
)
def test_a_dict_with_a_key_and_a_mistake_shows_in_no_frame_of_ours(
    literal: dict[str, Any], hunter: Any, canaries: dict[str, str]
) -> None:
    provider = {"kind": "openai_compatible", "base_url": "http://127.0.0.1:9/v1", "models": ["one"]}
    provider |= json.loads(json.dumps(literal).replace("{}", canaries["plain"]))
    with pytest.raises(rl.ConfigurationError) as caught:
        rl.Lab({"providers": {"gw": provider}}, store=False)
    assert caught.value.__traceback__ is not None
    hunter.blame("error", caught.value.with_traceback(caught.value.__traceback__.tb_next))  # without this very frame
    assert hunter.verdict() == []
