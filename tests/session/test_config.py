"""`lab.yaml`: what it comes to, and everything that can be wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from routerlab.core.breaker import BreakerConfig
from routerlab.core.capabilities import CHAT, EMBEDDING
from routerlab.core.errors import ConfigurationError
from routerlab.core.policy import PoolPolicy, RetryPolicy, Timeouts
from routerlab.core.types import Price
from routerlab.session.config import PoolConfig, load_config
from routerlab.session.config_file import read_dotenv

FULL = """
providers:
  openai:
    api_key: ${env:TEAM_KEY}
    headers: {X-Team: nlp}
    models: [gpt-4o-mini, text-embedding-3-small]
  fast:
    kind: groq
    models:
      llama: {features: [tools, json], context_window: 128000, price: {input: 1, output: 2.5}}
      other:
  sim:
    kind: simulated
    seed: 3
    models:
      alpha: {accuracy: 0.8, ttft_s: {median: 0.1}, capabilities: [chat-completion, embedding]}
routing:
  retry: {max_retries: 0}
  timeouts: {idle: 20s}
  deadline: 2m
pools:
  chat:
    models: [fast/llama, openai/gpt-4o-mini]
    strategy: {name: weighted, weights: {fast/llama: 3}}
    retry: {initial_delay: 0.25s, max_delay: 4}
    breaker: {failure_threshold: 2, reset_timeout: 8s}
    timeouts: {connect: 5s, total: null}
    deadline: null
    on_stream_failure: restart
    on_content_filter: move_on
    latency_target: 1.5
    default: true
  all:
    capability: generation
    strategy: {name: stick-until-failure, return_after: 5m}
store: runs.db
store_text: false
max_records: 500
drop_params: true
seed: 7
"""
ENVIRON = {"TEAM_KEY": "team-secret-1", "GROQ_API_KEY": "groq-secret-2"}


def problems_of(source: Any, **options: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_config(source, environ=ENVIRON, **options)
    assert raised.value.problems
    for problem in raised.value.problems:
        assert problem in str(raised.value)
    return raised.value.problems


def problem_of(source: Any, **options: Any) -> str:
    problems = problems_of(source, **options)
    assert len(problems) == 1, problems
    return problems[0]


def lab(pool: Any = None, **more: Any) -> dict[str, Any]:
    """A small configuration with one pool."""
    sim = {"kind": "simulated", "models": ["a", "b"]}
    return {"providers": {"sim": sim}, "pools": {"chat": {} if pool is None else pool}, **more}


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(FULL)
    config = load_config(tmp_path / "lab.yaml", environ=ENVIRON)

    assert list(config.providers) == ["openai", "fast", "sim"]
    openai, fast, sim = config.providers.values()
    assert (openai.kind, fast.kind, sim.kind) == ("openai", "groq", "simulated")
    assert openai.options["api_key"] == "team-secret-1"
    assert openai.options["kind"] == "openai"
    assert fast.options["api_key"] == "groq-secret-2"
    assert openai.models["gpt-4o-mini"].capabilities == (CHAT,)
    assert openai.models["text-embedding-3-small"].capabilities == (EMBEDDING,)
    llama = fast.models["llama"]
    assert llama.features == {"tools", "json", "system"}  # which nearly every model takes
    assert llama.context_window == 128_000
    assert llama.price == Price(1.0, 2.5)
    assert fast.models["other"].features is None
    assert sim.options["seed"] == 3
    assert sim.options["models"]["alpha"]["accuracy"] == 0.8
    assert sim.models["alpha"].options == {"accuracy": 0.8, "ttft_s": {"median": 0.1}}
    assert sim.models["alpha"].capabilities == (CHAT, EMBEDDING)

    assert config.pools["chat"] == PoolConfig(
        name="chat",
        capability=CHAT,
        models=("fast/llama", "openai/gpt-4o-mini"),
        strategy="weighted",
        options={"weights": {"fast/llama": 3.0}},
        policy=PoolPolicy(
            retry=RetryPolicy(max_retries=0, initial_delay=0.25, max_delay=4.0),
            timeouts=Timeouts(connect=5.0, idle=20.0, total=None),
            deadline=None,
            on_stream_failure="restart",
            on_content_filter="move_on",
        ),
        breaker=BreakerConfig(failure_threshold=2, reset_timeout=8.0),
        latency_target=1.5,
        default=True,
    )
    everything = config.pools["all"]
    assert everything.capability == "generation"
    assert everything.models == ("openai/gpt-4o-mini", "fast/llama", "fast/other", "sim/alpha")
    assert (everything.strategy, everything.options) == ("stick-until-failure", {"return_after": 300.0})
    assert everything.policy.deadline == 120.0
    assert everything.latency_target == "auto"
    assert config.routing.policy == everything.policy
    assert config.model_owner == {
        "fast/llama": "chat",
        "openai/gpt-4o-mini": "chat",
        "fast/other": "all",
        "sim/alpha": "all",
    }
    assert (config.store, config.store_text, config.max_records) == ("runs.db", False, 500)
    assert (config.drop_params, config.seed) == (True, 7)
    assert set(config.secrets) == {"team-secret-1", "groq-secret-2"}
    assert "secret" not in repr(config)


def test_defaults() -> None:
    config = load_config(lab(), environ={})
    pool = config.pools["chat"]
    assert pool == PoolConfig("chat", CHAT, ("sim/a", "sim/b"))
    assert pool.policy == PoolPolicy()
    assert pool.policy.on_stream_failure == "continue"
    assert (pool.strategy, pool.breaker, pool.latency_target) == ("priority", BreakerConfig(), "auto")
    assert config.routing.policy == PoolPolicy()
    assert (config.store, config.store_text, config.max_records) == (None, True, 100_000)
    assert (config.drop_params, config.seed, list(config.secrets)) == (False, 0, [])


def test_keywords_take_the_place_of_keys() -> None:
    config = load_config(
        lab(seed=1, max_records=5), environ={}, overrides={"seed": 2, "store": "x.db", "max_records": None}
    )
    assert (config.seed, config.store, config.max_records) == (2, "x.db", 5)
    assert problem_of(lab(), overrides={"seeed": 1}).startswith("seeed: unknown key; did you mean 'seed'")


def test_a_model_is_assumed_to_do_what_its_pools_are_for() -> None:
    data = lab({"capability": "embedding", "models": ["sim/a"]})
    data["pools"]["talk"] = {"capability": "text-generation", "models": ["sim/b"]}
    models = load_config(data, environ={}).providers["sim"].models
    assert models["a"].capabilities == (EMBEDDING,)
    assert models["b"].capabilities == (CHAT,)


@pytest.mark.parametrize(
    ("written", "seconds"), [("60s", 60.0), ("0.5s", 0.5), ("5m", 300.0), ("1.5h", 5400.0), (7, 7.0), (0.25, 0.25)]
)
def test_durations(written: Any, seconds: float) -> None:
    assert load_config(lab({"deadline": written}), environ={}).pools["chat"].policy.deadline == seconds


@pytest.mark.parametrize("wrong", [True, "60", "5 parsecs", [1], {}, 0, -1, float("nan"), float("inf"), "0s"])
def test_what_is_no_duration(wrong: Any) -> None:
    assert problem_of(lab({"deadline": wrong})).startswith("pools.chat.deadline: ")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (lab({"retry": {"max_retrys": 1}}), "pools.chat.retry.max_retrys: unknown key; did you mean 'max_retries'?"),
        (lab({"retry": {"max_retries": -1}}), "pools.chat.retry.max_retries: must be greater than or equal to 0"),
        (lab({"retry": {"max_retries": True}}), "pools.chat.retry.max_retries: expected a number, not true or false"),
        (lab({"retry": {"max_retries": "x"}}), "pools.chat.retry.max_retries: expected a whole number, not text"),
        (lab({"retry": 3}), "pools.chat.retry: expected a mapping, not a number"),
        (lab({"breaker": {"reset_timeout": 0}}), "pools.chat.breaker.reset_timeout: must be greater than 0"),
        (lab({"breaker": {"half_open_max": 0}}), "pools.chat.breaker.half_open_max: must be greater than or eq"),
        (lab({"timeouts": {"frist_token": 1}}), "pools.chat.timeouts.frist_token: unknown key; did you mean 'first_to"),
        (lab({"modles": []}), "pools.chat.modles: unknown key; did you mean 'models'?"),
        (lab({"limits": {"rpm": 3}}), "pools.chat.limits: 'limits' is not supported in this version"),
        (lab({"models": []}), "pools.chat.models: expected at least one model"),
        (lab({"models": "sim/a"}), "pools.chat.models: expected a list, not text"),
        (lab({"models": ["sim/aa"]}), "pools.chat.models[0]: unknown model 'sim/aa'; did you mean 'sim/a'?"),
        (lab({"models": ["sim/a", "sim/a"]}), "pools.chat.models[1]: 'sim/a' stands in this pool already"),
        (lab({"capability": "chat-compleiton"}), "pools.chat.capability: unknown capability 'chat-compleiton'; did yo"),
        (lab({"capability": "reranking"}), "pools.chat: no model has the capability retrieval.ranking.reranking"),
        (lab({"strategy": "pirority"}), "pools.chat.strategy.name: unknown strategy 'pirority'; did you mean 'priorit"),
        (lab({"strategy": {"name": ["x"]}}), "pools.chat.strategy.name: expected text, not a list"),
        (lab({"strategy": {"weights": {}}}), "pools.chat.strategy.name: is missing"),
        (lab({"strategy": {"name": "priority", "weights": {}}}), "pools.chat.strategy.weights: 'priority' does not ta"),
        (lab({"strategy": {"name": "weighted", "weights": {"sim/z": 1}}}), "pools.chat.strategy.weights: unknown mode"),
        (lab({"strategy": {"name": "weighted", "weights": {"sim/a": 0}}}), "pools.chat.strategy.weights: expected at"),
        (lab({"strategy": {"name": "weighted", "weights": {"sim/a": -1}}}), "pools.chat.strategy.weights.sim/a: must"),
        (lab({"on_stream_failure": "eror"}), "pools.chat.on_stream_failure: must be 'continue', 'restart'"),
        (lab({"latency_target": "fast"}), "pools.chat.latency_target: 'fast' is not a duration"),
        (lab({"latency_target": 0}), "pools.chat.latency_target: must be greater than 0"),
        (lab(routing={"retyr": {}}), "routing.retyr: unknown key; did you mean 'retry'?"),
        (lab(routing={"models": []}), "routing.models: unknown key"),
        (lab(pool_s={}), "pool_s: unknown key; did you mean 'pools'?"),
        (lab(max_records=0), "max_records: must be greater than or equal to 1"),
        (lab(store=3), "store: expected text, not a number"),
        (lab(pools=["chat"]), "pools: expected a mapping, not a list"),
        ({}, "providers: is missing"),
        ({"providers": {}}, "providers: expected at least one entry"),
        ({"providers": {"a/b": {"kind": "simulated"}}}, "providers.a/b: a provider's name is not empty and has no sla"),
        ({"providers": {"opnai": {}}}, "providers.opnai.kind: is missing, and no preset is called 'opnai'; did you me"),
        ({"providers": {"x": {"kind": "olama"}}}, "providers.x.kind: unknown kind 'olama'; did you mean 'ollama'?"),
        ({"providers": {"x": {"kind": 3}}}, "providers.x.kind: expected text, not a number"),
        ({"providers": {"ollama": {"bas_url": "x"}}}, "providers.ollama: unknown option 'bas_url'; did you mean 'base"),
        ({"providers": {"ollama": {"models": {"m": {"pirce": 1}}}}}, "providers.ollama.models.m.pirce: unknown key; d"),
        ({"providers": {"ollama": {"models": {"m": {"price": {"input": 1}}}}}}, "providers.ollama.models.m.price.outp"),
        ({"providers": {"ollama": {"models": {"m": {"price": {"inptu": 1, "input": 1, "output": 1}}}}}},
         "providers.ollama.models.m.price.inptu: unknown key; did you mean 'input'?"),
        ({"providers": {"ollama": {"models": {"m": {"capabilities": ["chatt"]}}}}},
         "providers.ollama.models.m.capabilities[0]: unknown capability 'chatt'"),
        ({"providers": {"ollama": {"models": ["m", "m"]}}}, "providers.ollama.models: 'm' stands here twice"),
        ({"providers": {"ollama": {"models": [1]}}}, "providers.ollama.models: expected names of models, not a number"),
        ({"providers": {"openai": {"models": ["m"]}}}, "providers.openai: api_key is missing: set OPENAI_API_KEY"),
        ({"providers": {"azure": {"api_key": "${env:TEAM_KEY}"}}}, "providers.azure: base_url is missing"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_path(data: dict[str, Any], expected: str) -> None:
    problem = problem_of(data)
    assert problem.startswith(expected), problem


def test_all_mistakes_at_once() -> None:
    data = lab({"retry": {"max_retrys": 1}, "deadline": "soon"}, sede=1)
    data["providers"]["ollama"] = {"models": {"m": {"price": {"input": "x", "output": 1}}}}
    assert [problem.partition(":")[0] for problem in sorted(problems_of(data))] == [
        "pools.chat.deadline",
        "pools.chat.retry.max_retrys",
        "providers.ollama.models.m.price.input",
        "sede",
    ]
    mixed = lab({"models": ["sim/zzz"], "retry": {"max_retrys": 1}, "breaker": 7}, sede=1)
    mixed["providers"]["openai"] = {"base_ulr": "http://x", "api_key": "${env:NOT_THERE}"}
    assert [problem.partition(":")[0] for problem in sorted(problems_of(mixed))] == [
        "pools.chat.breaker",
        "pools.chat.models[0]",
        "pools.chat.retry.max_retrys",
        "providers.openai.api_key",
        "sede",
    ]
    looked_up = lab({"models": ["sim/zzz"], "strategy": {"name": "priority", "return_after": 3}})
    looked_up["providers"]["opnai"] = {"kind": "opnai"}
    looked_up["pools"]["other"] = {"capability": "nonsense", "models": ["${env:NOT_THERE}"]}
    assert [problem.partition(":")[0] for problem in sorted(problems_of(looked_up))] == [
        "pools.chat.models[0]",
        "pools.chat.strategy.return_after",
        "pools.other.capability",
        "pools.other.models[0]",
        "pools.other.models[0]",
        "providers.opnai.kind",
    ]


def test_a_model_has_one_breaker() -> None:
    data = lab({"models": ["sim/a"], "breaker": {"failure_threshold": 3}})
    data["pools"]["second"] = {"models": ["sim/b", "sim/a"], "breaker": {"failure_threshold": 4}}
    problem = problem_of(data)
    assert problem.startswith("pools.second.breaker: differs from pools.chat.breaker for 'sim/a'")

    data["pools"]["second"] = {"models": ["sim/b", "sim/a"], "latency_target": 2}
    assert problem_of(data).startswith("pools.second.latency_target: differs from pools.chat.latency_target")

    data["pools"]["second"] = {"models": ["sim/b", "sim/a"], "breaker": {"failure_threshold": 3}}
    assert load_config(data, environ={}).model_owner == {"sim/a": "chat", "sim/b": "second"}
    data["pools"]["second"] = {"models": ["sim/b", "sim/a"]}  # says nothing of it
    assert load_config(data, environ={}).model_owner == {"sim/a": "chat", "sim/b": "second"}


def test_one_default_for_a_capability() -> None:
    data = lab({"default": True})
    data["pools"]["second"] = {"default": True}
    assert problem_of(data) == "pools.second.default: pools.chat is the default of its capability"


def test_references() -> None:
    data = {
        "providers": {
            "ollama": {
                "base_url": "http://${env:HOST_NAME}:${env:PORT}/v1",
                "headers": {"Authorization": "Bearer ${env:PASS}", "X-Plain": "$${x} ${y}"},
            }
        }
    }
    config = load_config(data, environ={"HOST_NAME": "box", "PORT": "99", "PASS": "abcdefgh"})
    options = config.providers["ollama"].options
    assert options["base_url"] == "http://box:99/v1"
    assert options["headers"] == {"Authorization": "Bearer abcdefgh", "X-Plain": "$${x} ${y}"}
    assert "abcdefgh" in config.secrets
    assert "box" not in config.secrets


def test_references_that_stand_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(
        "providers:\n  openai: {api_key: '${env:MISSING}', organization: '${env:EMPTY}', "
        "headers: {a: '${cmd:pass show x}', b: '${env:OPEN'}, models: [m]}\n"
    )
    with pytest.raises(ConfigurationError) as raised:
        load_config(tmp_path / "lab.yaml", environ={"EMPTY": ""})
    dotenv = tmp_path / ".env"
    assert raised.value.problems == [
        f"providers.openai.{option}: the environment variable {name} is not set: set it, "
        f"or write {name}=… into {dotenv}"
        for option, name in (("api_key", "MISSING"), ("organization", "EMPTY"))
    ] + [
        "providers.openai.headers.a: ${cmd:…} is for a provider's api_key, and stands there alone",
        "providers.openai.headers.b: ${env:… lacks its closing brace",
    ]


def test_the_dotenv_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("providers:\n  openai: {organization: '${env:ORG}', models: [m]}\n")
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-the-file\nORG=from-the-file-too\n")
    options = load_config(tmp_path / "lab.yaml", environ={"ORG": "from-the-environment"}).providers["openai"].options
    assert options["api_key"] == "from-the-file"
    assert options["organization"] == "from-the-environment"


def test_dotenv_syntax(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "\ufeffA=1\n\n# comment\n export B = two words  \nC='a # b'\nD=\"x=y\" # c\nE=a#b # c\nF=\nG= # c\nH=it's\n",
        encoding="utf-8",
    )
    expected = {"A": "1", "B": "two words", "C": "a # b", "D": "x=y", "E": "a#b", "F": "", "G": "", "H": "it's"}
    assert read_dotenv(file) == expected
    assert read_dotenv(tmp_path / "none") == {}
    file.write_text("A=1\nsk-top-secret\n")
    with pytest.raises(ConfigurationError, match=r"\.env, line 2: expected NAME=value") as raised:
        read_dotenv(file)
    assert "top-secret" not in str(raised.value)


def test_a_key_in_the_file_draws_a_warning_that_does_not_show_it() -> None:
    data = {"providers": {"openai": {"api_key": "sk-literal-secret", "models": ["m"]}}}
    with pytest.warns(
        UserWarning, match=r"providers\.openai\.api_key holds a key itself; write \$\{env:NAME\}"
    ) as caught:
        config = load_config(data, environ={})
    assert "literal-secret" not in str(caught[0].message)
    assert caught[0].filename == __file__
    assert "sk-literal-secret" in config.secrets


def test_the_presets_key_goes_to_no_other_host() -> None:
    environ = {"OPENAI_API_KEY": "secret-of-openai", "AZURE_OPENAI_API_KEY": "secret-of-azure"}

    def key(**options: Any) -> Any:
        return load_config({"providers": {"x": options}}, environ=environ).providers["x"].options.get("api_key")

    assert key(kind="openai") == "secret-of-openai"
    assert key(kind="openai", base_url="https://api.openai.com/v2") == "secret-of-openai"
    assert key(kind="openai", base_url="https://evil.example/v1") is None
    assert key(kind="azure", base_url="https://mine.openai.azure.com") == "secret-of-azure"


def test_no_message_shows_a_secret() -> None:
    environ = {"MY_KEY": "s3cr3t-value-9"}
    for pool in ({"deadline": "${env:MY_KEY}"}, {"models": ["${env:MY_KEY}"]}, {"strategy": "${env:MY_KEY}"}):
        with pytest.raises(ConfigurationError) as raised:
            load_config(lab(pool), environ=environ)
        assert "s3cr3t" not in str(raised.value) + repr(raised.value.problems)
    for provider in ({"api_key": ["sk-literal"]}, {"api_key": "sk-literal", "base_url": "x"}, {"api_key": 5, "kin": 1}):
        with pytest.raises(ConfigurationError) as raised:
            load_config({"providers": {"openai": provider}}, environ=environ)
        assert "literal" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("providers:\n  a: [1\n  b: 2\n", "lab.yaml, line 3, column 4: "),
        ("providers:\n\ta: 1\n", "lab.yaml, line 2, column 1: "),
        (
            "pools: {}\nproviders: {}\npools: {}\n",
            "lab.yaml, line 3, column 1: key 'pools' was given in line 1 already",
        ),
        (
            "providers:\n  a: {kind: x, kind: y}\n",
            "lab.yaml, line 2, column 16: key 'kind' was given in line 2 already",
        ),
        ("a: !!python/object/apply:os.system ['true']\n", "lab.yaml, line 1, column 4: could not determine"),
        ("a: &a [*a]\n", "lab.yaml: input is not valid YAML"),
        ("[" * 100_000, "lab.yaml"),  # the words are the library's, and differ between its releases
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [" + "*a," * 1_000 + "]\nc: [" + "*b," * 1_000 + "]\n",
            "aliases stand for",
        ),
        ("a: \xff\x00\n", "lab.yaml"),
        ("", "the configuration: expected a mapping, not nothing"),
        ("- 1\n", "the configuration: expected a mapping, not a list"),
        ("providers: {sim: {kind: simulated}}\non: 1\n", "True: unknown key"),
    ],
)
def test_a_file_that_is_no_lab(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "lab.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError) as raised:
        load_config(tmp_path / "lab.yaml", environ={})
    assert expected in str(raised.value), str(raised.value)
    assert str(tmp_path / "lab.yaml") in str(raised.value)


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(
        "providers:\n  sim: {kind: simulated, models: [a]}\n"
        "pools:\n  one: &one {deadline: 5s, default: true}\n  2: {<<: *one, default: false}\n"
    )
    config = load_config(tmp_path / "lab.yaml", environ={})
    assert config.pools["2"].policy.deadline == 5.0
    assert not config.pools["2"].default


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the configuration .*no\.yaml: No such file"):
        load_config(tmp_path / "no.yaml")


def test_a_dict_that_contains_itself() -> None:
    data = lab()
    data["routing"] = data
    assert problem_of(data) == "the configuration is nested too deeply, or contains itself"
