"""A lab at a gateway: keys that a command prints, expire, and are had anew in the middle of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl
from routerlab.core.errors import AuthenticationError, NoModelAvailableError
from routerlab.core.simulated import SimulatedModel
from routerlab.simulation.server import SimulatedServer

RIGHT, WRONG = "canary-right-key-8842", "canary-wrong-key-1139"


@pytest.fixture
def server() -> Iterator[SimulatedServer]:
    """One simulated model behind a key."""
    with SimulatedServer([SimulatedModel("alpha")], api_key=RIGHT) as server:
        yield server


class Vault:
    """A command that prints what a file holds, line by line, the last one for ever."""

    def __init__(self, folder: Path, *keys: str) -> None:
        self._runs = folder / "runs"
        (folder / "keys").write_text("\n".join(keys) + "\n")
        self.script = folder / "vault"
        self.script.write_text(
            f"#!/bin/sh\necho run >> {self._runs}\nn=$(wc -l < {self._runs})\n"
            f'key=$(head -n $n {folder / "keys"} | tail -n 1)\n[ -n "$key" ] && echo $key\n'
        )
        self.script.chmod(0o700)

    @property
    def runs(self) -> int:
        return len(self._runs.read_text().split()) if self._runs.exists() else 0


def lab_at(server: SimulatedServer, api_key: Any, *, store: Any = False, **provider: Any) -> rl.Lab:
    spare = {"kind": "simulated", "models": {"beta": {}}}
    gateway = {"kind": "openai_compatible", "base_url": server.url("alpha"), "models": ["alpha"], **provider}
    return rl.Lab({"providers": {"gw": {**gateway, "api_key": api_key}, "sim": spare}}, store=store)


def test_an_expired_key_is_had_anew_within_the_call(server: SimulatedServer, tmp_path: Path) -> None:
    vault = Vault(tmp_path, WRONG, RIGHT)
    store = tmp_path / "runs.db"
    with lab_at(server, f"${{cmd:{vault.script}}}", store=store) as lab:
        reply = lab.chat(f"Is {RIGHT} a key?", model="gw/alpha")
        attempts = lab.attempts()
    assert reply.model == "gw/alpha"
    assert attempts["outcome"].tolist() == ["retryable", "ok"]
    assert attempts["reason"].tolist() == ["selected", "retry"]
    assert attempts["wait_before_s"].tolist() == [0.0, 0.0]
    assert attempts["error_type"].tolist()[0] == "AuthenticationError"
    assert vault.runs == 2
    written = b"".join(path.read_bytes() for path in tmp_path.glob("runs.db*"))
    assert b"key?" in written
    assert RIGHT.encode() not in written
    assert WRONG.encode() not in written


@pytest.mark.parametrize("streamed", [False, True])
def test_many_calls_at_once_share_one_refresh(streamed: bool, server: SimulatedServer, tmp_path: Path) -> None:
    vault = Vault(tmp_path, WRONG, RIGHT)

    async def one(lab: rl.Lab) -> str:
        if not streamed:
            return (await lab.achat("Hello", model="gw/alpha")).text
        return "".join([piece async for piece in lab.astream("Hello", model="gw/alpha")])

    async def main(lab: rl.Lab) -> list[str]:
        return await asyncio.gather(*(one(lab) for _ in range(20)))

    with lab_at(server, f"${{cmd:{vault.script}}}") as lab:
        assert all(asyncio.run(main(lab)))
        assert lab.calls()["outcome"].tolist() == ["ok"] * 20
        assert lab.health()["breaker"].tolist() == ["closed", "closed"]
    assert vault.runs == 2


def test_a_key_that_is_refused_again_takes_the_provider_out(server: SimulatedServer, tmp_path: Path) -> None:
    vault = Vault(tmp_path, WRONG, WRONG, RIGHT)
    with lab_at(server, f"${{cmd:{vault.script}}}") as lab:
        with pytest.raises(AuthenticationError) as refused:
            lab.chat("Hello", model="gw/alpha")
        assert str(refused.value).startswith("gw/alpha: the provider refused the key (401): ")
        assert str(refused.value).endswith(f"; check the command '{vault.script}'")
        assert len(refused.value.attempts) == 2
        with pytest.raises(NoModelAvailableError):
            lab.chat("Hello", model="gw/alpha")
        assert vault.runs == 2
        lab.reset("gw")
        assert lab.chat("Hello", model="gw/alpha").text
    assert vault.runs == 3


def test_a_command_that_fails_moves_on_and_is_soon_left_alone(server: SimulatedServer, tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    with lab_at(server, f"${{cmd:{vault.script}}}") as lab:
        assert {lab.chat("Hello").model for _ in range(8)} == {"sim/beta"}
        assert vault.runs == 5  # then the breaker is open
        lab.breaker("gw/alpha").close()
        with pytest.raises(AuthenticationError, match=rf"no key: the command '{vault.script}' ended with exit code 1"):
            lab.chat("Hello", model="gw/alpha")
        assert not lab.attempts()["maybe_billed"].iloc[0]


def test_a_refusal_names_the_variable(server: SimulatedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_GATEWAY_KEY", WRONG)
    with lab_at(server, "${env:MY_GATEWAY_KEY}") as lab:
        with pytest.raises(AuthenticationError) as refused:
            lab.chat("Hello", model="gw/alpha")
        assert str(refused.value).endswith("; check the environment variable MY_GATEWAY_KEY")
        assert WRONG not in str(refused.value)
        assert len(lab.attempts()) == 1
