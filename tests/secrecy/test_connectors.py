"""A connector of the user's own may say anything; what is known to be secret is found nowhere all the same."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, NamedTuple

import pytest

import routerlab as rl
from routerlab.core.failures import ProviderError
from routerlab.core.types import CompletionRequest, CompletionResponse, Delta
from routerlab.providers.base import ProviderConnector


def with_note(error: Exception, note: str) -> Exception:
    error.add_note(note)
    return error


def after(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def amid(error: Exception, context: Exception) -> Exception:
    error.__context__ = context
    return error


WORDS: dict[str, Callable[[str], Exception]] = {
    "a text": lambda key: ValueError(f"not {key}"),
    "a note": lambda key: with_note(ValueError("no"), f"it was {key}"),
    "a cause": lambda key: after(ValueError("no"), KeyError(key)),
    "a context": lambda key: amid(ValueError("no"), with_note(KeyError(1), key)),
}
CAUSES: dict[str, Callable[[str], Exception]] = WORDS | {
    "words that cannot be changed": lambda key: OSError(5, f"no {key}"),
    "a named tuple": lambda key: ValueError(Answer(key, 401)),
    "another error": lambda key: ValueError(OSError(5, key)),
    "a group": lambda key: ExceptionGroup(f"not {key}", [ValueError(key), OSError(5, key)]),
    "a circle": lambda key: after(error := ValueError(key), error),
}


class Answer(NamedTuple):
    """As aiohttp's errors have them."""

    text: str
    status: int


class Talker(ProviderConnector):
    """Fails as it is told, with a key in its frames."""

    make: Callable[[str], Exception]

    def __init__(self, name: str, config: Any) -> None:
        super().__init__(name, config)
        self.key = config["api_key"]

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        key = self.key
        raise Talker.make(key)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        raise NotImplementedError
        yield


@pytest.fixture
def lab(config: dict[str, Any]) -> Iterator[rl.Lab]:
    """Its one model is the talker's."""
    models = {"one": {"token": "${env:CANARY_SPARE}", "access": {"account": "${env:CANARY_KEY}"}}}
    own = {"kind": f"{__name__}:Talker", "api_key": "${env:CANARY_KEY}", "models": models}
    with rl.Lab({"providers": {"own": own}}, store=False) as lab:
        yield lab


def test_options_of_a_model(lab: rl.Lab, hunter: Any) -> None:
    hunter.look_at("part", lab, lab.config, *lab.config.providers.values())
    hunter.look_through("lab", lab)
    assert hunter.verdict() == []


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_what_led_to_a_failure(cause: Callable[[str], Exception], lab: rl.Lab, hunter: Any) -> None:
    Talker.make = lambda key: with_note(after(ProviderError("no", status=400), cause(key)), f"not {key}")
    with pytest.raises(rl.RouterLabError) as caught:
        lab.chat("hello")
    hunter.blame("failure", caught.value)
    hunter.look_at("frame", lab.attempts(), lab.calls())
    assert hunter.verdict() == []


@pytest.mark.parametrize("mistake", WORDS.values(), ids=WORDS)
def test_the_words_of_a_mistake(mistake: Callable[[str], Exception], lab: rl.Lab, hunter: Any) -> None:
    """Its frames stay: the connector's author needs them."""
    Talker.make = mistake
    with pytest.raises(ValueError, match="no") as caught:
        lab.chat("hello")
    assert "complete" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    hunter.search("mistake", *traceback.format_exception(caught.value), pickle.dumps(caught.value))
    assert hunter.verdict() == []


def test_a_connector_is_not_pickled(lab: rl.Lab) -> None:
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="holds keys"):
            attempt(lab._session.connectors["own"])
