"""OpenAI's other two endpoints: embeddings, and the list of models with what each server adds to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from routerlab.core.types import EmbeddingResponse, ModelInfo, Price
from routerlab.providers.answers import Answer, read_limits
from routerlab.providers.lists import model_rows
from routerlab.providers.openai_wire import read_usage

__all__ = ["read_embeddings", "read_models"]

_FEATURES = {
    "tools": "tools",
    "response_format": "json",
    "structured_outputs": "json",
    "reasoning": "reasoning",
}


def read_embeddings(answer: Answer, count: int) -> EmbeddingResponse:
    """Read an answer of ``/embeddings``: floats or base64, in the order of their indices.

    Args:
        answer: the HTTP answer.
        count: how many vectors were asked for.

    Raises:
        ProviderError: an error status, or an answer without exactly one vector for each input.
    """
    body = answer.json()
    try:
        rows = sorted(enumerate(body["data"]), key=lambda row: row[1].get("index", row[0]))
        vectors = tuple(_vector(row["embedding"]) for _, row in rows)
        indices = {row.get("index", position) for position, row in rows}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise answer.senseless("is no list of embeddings") from None
    if len(vectors) != count or indices != set(range(count)):
        raise answer.senseless(f"has {len(indices)} embeddings for {count} inputs")
    return EmbeddingResponse(
        vectors=vectors,
        usage=read_usage(body),
        served_model=body["model"] if isinstance(body.get("model"), str) else None,
        limits=read_limits(answer.headers, answer.now_wall),
        raw=body,
    )


def read_models(answer: Answer) -> list[ModelInfo]:
    """Read an answer of ``/models``; some servers send the bare list.

    Raises:
        ProviderError: an error status, or an answer that is no list of models.
    """
    return [_model(row) for row in model_rows(answer, "data", "id")]


def _vector(value: Any) -> tuple[float, ...]:
    if isinstance(value, str):  # encoding_format: base64, little-endian float32
        import binascii
        import struct

        packed = binascii.a2b_base64(value)
        if len(packed) % 4:
            raise ValueError("not a whole number of floats")
        return struct.unpack(f"<{len(packed) // 4}f", packed)
    return tuple(map(float, value))


def _model(row: Mapping[str, Any]) -> ModelInfo:
    windows = (row.get(key) for key in ("context_length", "max_model_len", "max_context_length", "context_window"))
    window = next((size for size in windows if isinstance(size, int) and size > 0), None)
    return ModelInfo(name=row["id"], context_window=window, features=_features(row), price=_price(row.get("pricing")))


def _features(row: Mapping[str, Any]) -> frozenset[str] | None:
    """What OpenRouter lists; None where the server says nothing, so that nothing is ruled out."""
    taken = row.get("supported_parameters")
    if not isinstance(taken, list):
        return None
    features = {_FEATURES[name] for name in taken if name in _FEATURES}
    architecture = row.get("architecture")
    if isinstance(architecture, dict) and "image" in (architecture.get("input_modalities") or ()):
        features.add("vision")
    return frozenset(features)


def _price(pricing: Any) -> Price | None:
    """OpenRouter's USD per token, as texts; -1 stands for "depends"."""
    if not isinstance(pricing, dict):
        return None
    prompt, completion = _per_million(pricing.get("prompt")), _per_million(pricing.get("completion"))
    if prompt is None or completion is None:
        return None
    return Price(input=prompt, output=completion, cached_input=_per_million(pricing.get("input_cache_read")))


def _per_million(text: Any) -> float | None:
    try:
        price = float(text) * 1e6
    except (TypeError, ValueError):
        return None
    return round(price, 9) if math.isfinite(price) and price >= 0 else None
