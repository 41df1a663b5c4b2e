"""Files and configuration, as a lab meets them: what is wrong with a file is told before any socket is opened."""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl


def test_a_corrupt_store_is_moved_aside_and_the_lab_goes_on(tmp_path: Path, stage) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.warns(RuntimeWarning, match=r"runs\.db is corrupt; it was moved to .*runs\.db\.corrupt-"):
        bench = stage.bench(a=stage.server(), lab={"store": path})
    assert bench.ask().text == "Hi"
    assert len(bench.lab.calls()) == 1
    (aside,) = tmp_path.glob("runs.db.corrupt-*")
    assert aside.read_bytes() == b"no database" * 1000


def test_a_newer_store_is_refused_and_kept(tmp_path: Path, stage) -> None:
    path = tmp_path / "runs.db"
    stage.bench(a="http://127.0.0.1:1", lab={"store": path}).lab.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(rl.StoreError, match="newer routerlab"):
        stage.bench(a="http://127.0.0.1:1", lab={"store": path})
    assert path.read_bytes() == before


HOSTILE = {
    "an alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [" + "*a," * 9000 + "]\nc: &c [" + "*b," * 9000 + "]\nd: [*c]\n",
    "self-reference": "providers: &a {a: *a}\n",
    "200 000 deep": "[" * 200_000,
    "200 000 deep and closed": "[" * 200_000 + "]" * 200_000,
    "a tag that runs something": "a: !!python/object/apply:os.system ['true']\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_yaml_is_a_value_error_and_no_dead_process(text: str, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(text)
    code = "import routerlab as rl\ntry: rl.Lab('lab.yaml')\nexcept ValueError as error: print(type(error).__name__)"
    root = str(Path(__file__).parents[2])
    command, env = [sys.executable, "-c", code], {"PYTHONPATH": root}
    done = subprocess.run(command, check=False, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "ConfigurationError"), done.stderr[-500:]


def test_all_problems_at_once_each_with_its_path_and_none_with_a_secret(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OWN_KEY", "canary-0123456789")
    (tmp_path / "lab.yaml").write_text(
        "providers:\n  a: {kind: openai, base_ulr: 'http://x', api_key: '${env:OWN_KEY}', models: [one]}\n"
        "pools:\n  chat: {models: [a/onne], breaker: {failure_treshold: 3}, deadline: '${env:OWN_KEY}'}\nseeed: 1\n"
    )
    with pytest.raises(rl.ConfigurationError) as caught:
        rl.Lab(tmp_path / "lab.yaml")
    for part in ("base_ulr", "'base_url'", "'a/one'", "'failure_threshold'", "pools.chat.deadline", "'seed'"):
        assert part in str(caught.value)
    assert len(caught.value.problems) == 5
    assert "canary" not in str(caught.value) + repr(caught.value.problems)


def test_a_literal_key_draws_a_warning_that_does_not_show_it() -> None:
    provider = {"kind": "openai", "base_url": "http://127.0.0.1:1", "api_key": "canary-0123456789", "models": ["one"]}
    with pytest.warns(UserWarning, match=r"providers\.a\.api_key holds a key itself") as caught:
        rl.Lab({"providers": {"a": provider}}, store=False).close()
    assert "canary" not in str(caught[0].message)


def test_a_bad_line_of_a_dataset_is_told_before_anything_is_sent(tmp_path: Path, stage) -> None:
    path = tmp_path / "ds.jsonl"
    path.write_text('{"prompt": "good"}\n{"prompt": "cut\n{"prompt": "good too"}\n')
    server = stage.server()
    lab = stage.bench(a=server).lab
    with pytest.raises(rl.DatasetError, match=r"ds\.jsonl, line 2: not valid JSON"):
        lab.replay(rl.load_dataset(path), models=["a/one"])
    assert server.connections == []
    dataset = rl.load_dataset(path, on_error="skip")
    assert (len(dataset), len(dataset.skipped)) == (2, 1)
    run = lab.replay(dataset, models=["a/one"])
    assert run.df["text"].tolist() == ["Hi", "Hi"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_non_finite_numbers_never_enter_a_window(number: str, stage) -> None:
    """Python's JSON takes them; nothing of it may reach a score, a cost or a frame."""
    choices = json.dumps([{"message": {"content": "Hi"}, "finish_reason": "stop"}])
    usage = f'{{"prompt_tokens": {number}, "completion_tokens": {number}, "total_tokens": {number}}}'
    answer = f'{{"choices": {choices}, "usage": {usage}, "created": {number}}}'
    bench = stage.bench(a=stage.server(["read", ("answer", 200, answer, {"x-ratelimit-reset-requests": number})]))
    asked = bench.ask()
    assert asked.text == "Hi"
    values: list[Any] = [*asked.rows[0].values(), *asked.call.values(), *bench.lab.health().iloc[0].tolist()]
    assert all(math.isfinite(value) for value in values if isinstance(value, float) and value == value)  # noqa: PLR0124
    assert not any(isinstance(value, float) and math.isnan(value) for value in asked.rows[0].values())
    assert 0 < bench.snapshot("a/one").score <= 1
