"""The interface that a stranger's connector implements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from routerlab.core.failures import Fault, Outcome, ProviderError, classify
from routerlab.core.types import CompletionRequest, CompletionResponse, Delta, EmbeddingRequest
from routerlab.mixins.cache import CacheMixin
from routerlab.providers.base import ProviderConnector


class Minimal(ProviderConnector):
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        return CompletionResponse(text=request.model)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        yield Delta(text=request.model)


class Whole(ProviderConnector):
    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        return CompletionResponse(text=request.model)


def test_two_methods_are_enough() -> None:
    connector = Minimal("mine", {"base_url": "http://localhost"})
    assert connector.name == "mine"
    assert repr(connector) == "Minimal('mine')"
    assert connector.streams("any")
    asyncio.run(connector.close())


def test_without_the_first_there_is_no_connector() -> None:
    class Half(ProviderConnector):
        pass

    with pytest.raises(TypeError, match="complete"):
        Half("half", {})  # type: ignore[abstract]


def test_without_the_second_it_answers_in_one_piece_and_says_so() -> None:
    connector = Whole("whole", {})
    assert not connector.streams("any")
    with pytest.raises(ProviderError, match="provider 'whole' does not offer streams") as caught:
        connector.stream(CompletionRequest("c", "chat-completion", "m", ()))
    assert (caught.value.fault, caught.value.sent) == (Fault.LOCAL, False)


@pytest.mark.parametrize("verb", ["embed", "list_models"])
def test_what_it_does_not_offer_is_refused_before_anything_is_sent(verb: str) -> None:
    connector = Minimal("mine", {})
    call = connector.list_models() if verb == "list_models" else connector.embed(EmbeddingRequest("c", "m", ("a",)))
    with pytest.raises(ProviderError, match="provider 'mine' does not offer") as caught:
        asyncio.run(call)
    assert caught.value.fault is Fault.LOCAL
    assert not caught.value.sent
    assert classify(caught.value).outcome is Outcome.CLIENT_ERROR


def test_mixins_go_before_or_after_it() -> None:
    class Before(CacheMixin, Minimal):
        pass

    class After(Minimal, CacheMixin):
        pass

    assert Before("b", {}).name == "b"
    assert After("a", {}).name == "a"
