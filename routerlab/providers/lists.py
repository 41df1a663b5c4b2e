"""Lists in answers: of vectors, and of models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from routerlab.providers.answers import Answer

__all__ = ["model_rows", "read_vectors"]


def model_rows(answer: Answer, key: str, name: str) -> list[dict[str, Any]]:
    """The rows of a list of models, as far as they have a name; some servers send the bare list.

    Args:
        answer: the HTTP answer.
        key: where the body has the list.
        name: where a row has the model's name.

    Raises:
        ProviderError: an error status, or an answer that is no list.
    """
    body = answer.json()
    rows = body.get(key) if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise answer.senseless("is no list of models")
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get(name), str)]


def read_vectors(
    answer: Answer, count: int, rows: Callable[[], Iterable[Iterable[float]]]
) -> tuple[tuple[float, ...], ...]:
    """The vectors of an answer.

    Args:
        answer: the HTTP answer.
        count: how many were asked for.
        rows: finds them in its body; what it stumbles over is told as an answer that makes no sense.

    Raises:
        ProviderError: there is not exactly one vector for each input.
    """
    try:
        vectors = tuple(tuple(map(float, row)) for row in rows())
    except (KeyError, TypeError, ValueError):
        raise answer.senseless("is no list of embeddings") from None
    if len(vectors) != count:
        raise answer.senseless(f"has {len(vectors)} embeddings for {count} inputs")
    return vectors
