"""Embeddings and the list of models."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import EmbeddingRequest, EmbeddingResponse, ModelInfo, Price


@pytest.fixture
def embedded(scripted: Callable[..., Any]) -> Callable[[Any], EmbeddingResponse]:
    """The answer to two texts."""

    def run(body: Any, **params: Any) -> EmbeddingResponse:
        provider = scripted(httpx.Response(200, json=body))
        answer = asyncio.run(provider.embed(EmbeddingRequest("c1", "emb-1", ("a", "b"), params)))
        assert provider.sent == {"model": "emb-1", "input": ["a", "b"], **params}
        assert provider.requests[0].url.path == "/v1/embeddings"
        return answer

    return run


def rows(*vectors: Any, order: tuple[int, ...] = (0, 1)) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": vectors[index]} for index in order]
    return {"data": data, "model": "emb-1-large", "usage": {"prompt_tokens": 2, "total_tokens": 2}}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_vectors_come_in_the_order_of_the_inputs(order: tuple[int, ...], embedded: Callable[..., Any]) -> None:
    answer = embedded(rows([1.0, 0.5], [0, 2], order=order), dimensions=2)
    assert answer.vectors == ((1.0, 0.5), (0.0, 2.0))
    assert (answer.served_model, answer.usage.prompt_tokens) == ("emb-1-large", 2)


def test_base64(embedded: Callable[..., Any]) -> None:
    packed = [base64.b64encode(struct.pack("<2f", *pair)).decode() for pair in ((1.0, 0.5), (-2.0, 0.25))]
    answer = embedded(rows(*packed), encoding_format="base64")
    assert answer.vectors == ((1.0, 0.5), (-2.0, 0.25))


def test_rows_without_an_index_are_in_order(embedded: Callable[..., Any]) -> None:
    assert embedded({"data": [{"embedding": [1]}, {"embedding": [2]}]}).vectors == ((1.0,), (2.0,))


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"index": 0, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [2]}]},
        {"data": [{"index": 0, "embedding": None}, {"index": 1, "embedding": [2]}]},
        {"data": [{"index": 0, "embedding": "!!!"}, {"index": 1, "embedding": "AAA="}]},
        {"data": None},
        {"data": [[1], [2]]},
        [[1], [2]],
        {},
    ],
)
def test_other_answers_make_no_sense(body: Any, embedded: Callable[..., Any]) -> None:
    with pytest.raises(ProviderError) as caught:
        embedded(body)
    assert caught.value.fault is Fault.BAD_RESPONSE


OPENROUTER = {
    "id": "meta/llama",
    "context_length": 131072,
    "pricing": {"prompt": "0.0000005", "completion": "0.0000015", "input_cache_read": "0.0000001"},
    "supported_parameters": ["tools", "structured_outputs", "temperature"],
    "architecture": {"input_modalities": ["text", "image"]},
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "gpt-4o-mini", "object": "model"}, ModelInfo("gpt-4o-mini")),
        ({"id": "q", "max_model_len": 4096}, ModelInfo("q", context_window=4096)),
        ({"id": "m", "max_context_length": 32768}, ModelInfo("m", context_window=32768)),
        (
            OPENROUTER,
            ModelInfo(
                "meta/llama",
                context_window=131072,
                features=frozenset({"tools", "json", "vision"}),
                price=Price(0.5, 1.5, 0.1),
            ),
        ),
        ({"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}}, ModelInfo("auto")),
        ({"id": "free", "pricing": {"prompt": "0", "completion": "0"}}, ModelInfo("free", price=Price(0.0, 0.0))),
        ({"id": "odd", "context_length": "big", "pricing": {"prompt": "nan", "completion": None}}, ModelInfo("odd")),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_models(bare: bool, row: dict[str, Any], expected: ModelInfo, scripted: Callable[..., Any]) -> None:
    data = [row, {"no": "id"}, 7]
    provider = scripted(httpx.Response(200, json=data if bare else {"object": "list", "data": data}))
    assert asyncio.run(provider.list_models()) == [expected]
    assert (provider.requests[0].method, provider.requests[0].url.path) == ("GET", "/v1/models")


def test_azure_lists_models_elsewhere(scripted: Callable[..., Any]) -> None:
    provider = scripted(httpx.Response(200, json={"data": []}), "azure", base_url="https://me.openai.azure.com")
    assert asyncio.run(provider.list_models()) == []
    assert str(provider.requests[0].url) == "https://me.openai.azure.com/openai/models?api-version=2024-10-21"


def test_no_list(scripted: Callable[..., Any]) -> None:
    with pytest.raises(ProviderError, match="no list of models"):
        asyncio.run(scripted(httpx.Response(200, json={"data": None})).list_models())
