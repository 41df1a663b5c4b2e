"""Where a provider's key comes from: variables, commands, the file itself; and that no frame shows it."""

from __future__ import annotations

import asyncio
import copy
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.core.redact import Redactor
from routerlab.providers.keys import CommandKey
from routerlab.session.config import LabConfig, load_config

ENVIRON = {"OPENAI_API_KEY": "canary-of-openai-31", "TEAM_KEY": "canary-of-the-team-42", "WORD": "canaryword"}


def load(provider: dict[str, Any], name: str = "openai") -> LabConfig:
    return load_config({"providers": {name: {"models": ["m"], **provider}}}, environ=ENVIRON)


def options_of(provider: dict[str, Any], name: str = "openai") -> Any:
    return load(provider, name).providers[name].options


def problems_of(provider: dict[str, Any], name: str = "openai") -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(provider, name)
    return caught.value.problems


@pytest.mark.parametrize(
    ("provider", "source"),
    [
        ({}, "the environment variable OPENAI_API_KEY"),
        ({"api_key": "${env:TEAM_KEY}"}, "the environment variable TEAM_KEY"),
        ({"api_key": "${env:TEAM_KEY}-${env:WORD}"}, "the environment variables TEAM_KEY and WORD"),
        ({"api_key": "${cmd:vault read ${env:WORD}}"}, None),
        ({"headers": {"Authorization": "Basic ${env:TEAM_KEY}"}}, None),
        ({"api_key": "${env:TEAM_KEY}", "key_source": "our vault"}, "our vault"),
    ],
)
def test_the_source_of_a_key_is_known(provider: dict[str, Any], source: str | None) -> None:
    assert options_of(provider).get("key_source") == source


class TestCommands:
    def test_a_command_and_when_to_run_it_again(self, tmp_path: Path) -> None:
        script = "${cmd:sh -c 'echo run >> \"$1\"; echo canary-{printed}-99' x " + f"{tmp_path / 'runs'}" + "}"
        config = load({"api_key": script, "refresh": "50m"})
        key = config.providers["openai"].options["api_key"]
        assert isinstance(key, CommandKey)
        assert "refresh" not in config.providers["openai"].options
        assert (key.origin, key._refresh_s) == ("the command 'sh'", 3000.0)
        assert not (tmp_path / "runs").exists()  # reading a configuration runs nothing

        redact = Redactor(config.secrets).redact
        assert redact("canary-{printed}-99") == "canary-{printed}-99"
        assert asyncio.run(_get(key)) == "canary-{printed}-99"
        assert redact("canary-{printed}-99") == "***"

    @pytest.mark.parametrize(("refresh", "seconds"), [(None, None), ("90s", 90.0), (1200, 1200.0), (0.5, 0.5)])
    def test_refresh(self, refresh: Any, seconds: float | None) -> None:
        assert options_of({"api_key": "${cmd:true}", "refresh": refresh})["api_key"]._refresh_s == seconds

    @pytest.mark.parametrize("kind", ["azure", "groq", "vllm", "openai_compatible"])
    def test_every_kind_takes_one(self, kind: str) -> None:
        options = options_of({"kind": kind, "base_url": "https://h/v1", "api_key": "${cmd:true}"}, "gw")
        assert isinstance(options["api_key"], CommandKey)

    def test_a_kind_of_ones_own_gets_it_too(self) -> None:
        options = options_of({"kind": "my.module:Provider", "api_key": "${cmd:true}", "refresh": "1m", "x": 1}, "own")
        assert isinstance(options["api_key"], CommandKey)
        assert dict(options, api_key="") == {"api_key": "", "kind": "my.module:Provider", "models": ["m"], "x": 1}

    def test_variables_within_it(self) -> None:
        key = options_of({"api_key": "${cmd:vault read 'team ${env:WORD}'}"})["api_key"]
        assert key._words == ["vault", "read", "team canaryword"]
        assert "canaryword" not in repr(key)

    @pytest.mark.parametrize(
        ("provider", "problem"),
        [
            ({"api_key": "${cmd:}"}, "api_key: ${cmd:…} is no command: there is no command"),
            ({"api_key": "${cmd:say 'x}"}, "api_key: ${cmd:…} is no command: no closing quotation"),
            ({"api_key": "x${cmd:true}"}, "api_key: ${cmd:…} is for a provider's api_key, and stands there alone"),
            ({"base_url": "${cmd:true}"}, "base_url: ${cmd:…} is for a provider's api_key, and stands there alone"),
            ({"api_key": "${cmd:true}", "refresh": "soon"}, "refresh: 'soon' is not a duration: expected a number"),
            ({"api_key": "${cmd:true}", "refresh": 0}, "refresh: must be greater than 0"),
            ({"api_key": "${cmd:true}", "refresh": True}, "refresh: expected a duration such as '50m'"),
            ({"api_key": "${cmd:true}", "refresh": []}, "refresh: expected a duration such as '50m'"),
            ({"api_key": "${env:TEAM_KEY}", "refresh": "5m"}, "refresh: is for a key that a command prints, api_"),
            ({"api_key": "${cmd:say ${env:NOPE}}"}, "api_key: the environment variable NOPE is not set"),
        ],
    )  # fmt: skip
    def test_mistakes(self, provider: dict[str, Any], problem: str) -> None:
        [found] = problems_of(provider)
        assert found.startswith(f"providers.openai.{problem}")

    def test_a_simulated_provider_has_no_use_for_one(self) -> None:
        [problem] = problems_of({"kind": "simulated", "api_key": "${cmd:true}"}, "sim")
        assert problem.startswith("providers.sim.api_key: ${cmd:…} is for")

    def test_all_mistakes_at_once(self) -> None:
        data = {
            "providers": {
                "one": {"kind": "vllm", "api_key": "${cmd:}", "refresh": "soon"},
                "two": {"kind": "vllm", "client_cert": {"crt": "x"}, "ca_bundle": "/nowhere", "proxy": "x"},
            }
        }
        with pytest.raises(ConfigurationError) as caught:
            load_config(data, environ={})
        assert [problem.partition(" ")[0] + problem.split()[1] for problem in caught.value.problems] == [
            "providers.one.refresh:'soon'",
            "providers.one.api_key:${cmd:…}",
            "providers.two:client_cert.crt:",
            "providers.two:client_cert.cert",
            "providers.two:proxy",
        ]


async def _get(key: CommandKey) -> str:
    return (await key.get()).value


def test_a_header_that_says_who_asks_is_not_overruled_by_the_usual_variable() -> None:
    options = options_of({"headers": {"authorization": "Basic ${env:TEAM_KEY}"}})
    assert "api_key" not in options
    [problem] = problems_of({"api_key": "${env:TEAM_KEY}", "headers": {"Authorization": "Basic ${env:TEAM_KEY}"}})
    assert problem.endswith("headers.Authorization stands where api_key is sent: leave out one of them")


@pytest.mark.parametrize(
    ("provider", "hidden", "plain"),
    [
        ({"headers": {"X-Team": "research", "X-Trace": "on"}}, [], ["research"]),
        ({"headers": {"X-Team": "${env:WORD}"}}, ["canaryword"], []),
        ({"headers": {"X-Gateway": "a1b2c3d4e5f6g7"}, "query": {"v": "2024-10-21"}},
         ["a1b2c3d4e5f6g7"], ["2024-10-21"]),
        ({"query": {"sig": "abcdefgh"}}, ["abcdefgh"], []),
        ({"proxy": "http://me:canary%2Fpass@proxy:1"}, ["canary/pass", "me:canary/pass"], ["me", "proxy"]),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*holds a key itself:UserWarning")
def test_what_no_record_may_show(provider: dict[str, Any], hidden: list[str], plain: list[str]) -> None:
    secrets = load(provider).secrets
    assert [value for value in hidden if value not in secrets] == []
    assert [value for value in plain if value in secrets] == []


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ({"api_key": "canary-literal"}, "api_key"),
        ({"headers": {"X-Auth-Token": "canary-literal"}}, "headers.X-Auth-Token"),
        ({"query": {"key": "canary-literal"}}, "query.key"),
        ({"proxy": "http://me:canary-literal@proxy:1"}, "proxy"),
    ],
)
def test_a_key_in_the_file_itself_draws_a_warning(provider: dict[str, Any], path: str) -> None:
    with pytest.warns(UserWarning, match=rf"providers\.openai\.{path} holds a key itself") as caught:
        load(provider)
    assert "canary" not in str(caught[0].message)


@pytest.mark.parametrize(
    "provider",
    [{}, {"headers": {"X-Team": "nlp", "X-Auth": "${env:TEAM_KEY}"}}, {"proxy": "http://me@proxy:1"},
     {"proxy": "http://me:${env:TEAM_KEY}@proxy:1"}],
)  # fmt: skip
def test_everything_else_draws_none(provider: dict[str, Any]) -> None:
    load(provider)


def test_neither_a_configuration_nor_a_mistake_in_it_shows_a_key(tmp_path: Path) -> None:
    config = load({"api_key": "${env:TEAM_KEY}", "headers": {"X-Auth": "${env:TEAM_KEY}"}})
    assert "canary" not in repr(config) + repr(config.providers) + repr(config.providers["openai"].options)
    with pytest.raises(TypeError):
        pickle.dumps(config)
    with pytest.raises(TypeError):
        copy.deepcopy(config)

    (tmp_path / ".env").write_text("TEAM_KEY=canary-of-the-team-42\n")
    (tmp_path / "lab.yaml").write_text(
        "providers: {openai: {api_key: '${env:TEAM_KEY}', headers: {X-Auth: '${env:TEAM_KEY}'}, proxy: nothing}}"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_config(tmp_path / "lab.yaml", environ={"OTHER": "canary-other"})
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    shown = [f"{name}={value!r}" for frame in frames for name, value in frame.f_locals.items() if name != "environ"]
    assert frames
    assert "canary" not in "\n".join([*shown, str(caught.value)])
