"""Secrets go out with every call, come back in every answer, and are found nowhere."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl

PROMPT = "Why is my key refused?"


def look_at_all(hunter: Any, lab: rl.Lab) -> None:
    """Everything that a lab shows."""
    frames = [lab.calls(text=True), lab.attempts(), lab.events(), lab.decisions(), lab.candidates()]
    hunter.look_at("frame", *frames, lab.metrics(), lab.health())
    parts = [lab, lab.config, lab.faults, lab.breaker("gw/one"), lab.explain(PROMPT), lab._session, lab._session.desk]
    hunter.look_at("part", *parts, *lab._session.connectors.values(), *lab.config.providers.values())
    hunter.look_through("lab", lab)


def ask(lab: rl.Lab, hunter: Any, verb: str) -> Any:
    """One call; what comes of it is looked at."""
    try:
        if verb == "chat":
            shown = lab.chat(PROMPT)
        elif verb == "embed":
            shown = lab.embed([PROMPT], model="gw/one")
        else:
            stream, pieces = lab.stream(PROMPT), []
            try:
                pieces += stream
            finally:
                hunter.look_at("pieces", "".join(pieces))
            hunter.look_at("stream", stream)
            shown = stream.reply
    except rl.RouterLabError as error:
        hunter.blame(f"error of {verb}", error)
        hunter.look_at("attempts of an error", getattr(error, "attempts", None))
        return error
    hunter.look_at(verb, shown, shown.trace, vars(shown), shown.trace.df)
    hunter.look_through(verb, shown)
    return shown


@pytest.mark.parametrize("verb", ["chat", "embed"])
def test_whatever_is_answered(
    verb: str, answer: list[Any], gateway: Any, opened: Any, hunter: Any, tmp_path: Path, no_leaks: None
) -> None:
    gateway.answer = answer
    with opened(store=tmp_path / "runs.db") as lab:
        ask(lab, hunter, verb)
        look_at_all(hunter, lab)
        hunter.read_files(tmp_path)
    hunter.read_files(tmp_path)
    assert hunter.verdict() == []


def test_whatever_is_streamed(
    stream: list[Any], gateway: Any, opened: Any, hunter: Any, tmp_path: Path, no_leaks: None
) -> None:
    gateway.answer = stream
    with opened(store=tmp_path / "runs.db") as lab:
        ask(lab, hunter, "stream")
        look_at_all(hunter, lab)
        hunter.read_files(tmp_path)
    hunter.read_files(tmp_path)
    assert hunter.verdict() == []


@pytest.mark.parametrize("policy", ["restart", "buffer"])
@pytest.mark.parametrize("name", ["cut", "error in the middle"])
def test_a_stream_that_is_started_over(
    name: str, policy: str, config: dict[str, Any], gateway: Any, opened: Any, hunter: Any, no_leaks: None
) -> None:
    gateway.play(name)
    config["pools"]["chat"]["on_stream_failure"] = policy
    with opened(store=False) as lab:
        ask(lab, hunter, "stream")
        look_at_all(hunter, lab)
    assert hunter.verdict() == []


def test_a_call_that_is_cancelled(
    config: dict[str, Any], gateway: Any, opened: Any, hunter: Any, tmp_path: Path, no_leaks: None
) -> None:
    gateway.play("silence")
    del config["routing"]["timeouts"]
    with opened(store=tmp_path / "runs.db") as lab:

        async def impatient() -> None:
            async with asyncio.timeout(0.2):
                await lab.achat(PROMPT)

        with pytest.raises(TimeoutError) as caught:
            asyncio.run(impatient())
        hunter.blame("cancellation", caught.value)
        with lab.stream(PROMPT) as stream:
            time.sleep(0.1)
        hunter.look_at("stream", stream)
        look_at_all(hunter, lab)
    hunter.read_files(tmp_path)
    assert hunter.verdict() == []


def test_the_gateway_stops_talking_once_its_client_has_gone(gateway: Any) -> None:
    """It went on for seconds, and what it held open passed for a leak of the lab."""

    class Gone:
        """What is written to it fails as soon as the loop gets to see that."""

        writes, is_seen = 0, False

        def write(self, data: bytes) -> None:
            self.writes += 1
            asyncio.get_running_loop().call_soon(setattr, self, "is_seen", True)

        async def drain(self) -> None:
            if self.is_seen:
                raise ConnectionResetError

    async def talk(client: Gone) -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        await gateway._answered(reader, client)

    gateway.play("cut")
    client = Gone()
    with pytest.raises(ConnectionResetError):
        asyncio.run(talk(client))
    assert client.writes == 2
