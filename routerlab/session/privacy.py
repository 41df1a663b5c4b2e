"""What comes back of a secret, masked before anything above the driver sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from routerlab.core.failures import ProviderError
from routerlab.core.redact import Redactor
from routerlab.core.stream_mask import without_half
from routerlab.core.types import CompletionResponse, EmbeddingResponse

__all__ = ["conceal", "masked", "masked_data"]

Response = TypeVar("Response", bound=CompletionResponse | EmbeddingResponse)

_OF_CHATS = ("text", "reasoning", "tool_calls", "finish_reason", "served_model", "raw")
_OF_EMBEDDINGS = ("served_model", "raw")


def conceal(error: Exception, redactor: Redactor) -> None:
    """Take secrets out of an error and of what led to it, whoever wrote the connector that raised it.

    The causes of a `ProviderError` lose their frames, too: those hold the request, with its key. Any other error is a
    mistake in a connector, whose author needs them.
    """
    for one in _chain(error):
        one.args = masked_data(one.args, redactor)
        if notes := getattr(one, "__notes__", None):
            one.__notes__ = masked_data(notes, redactor)
    if isinstance(error, ProviderError):
        error.message, error.code = (
            without_half(redactor.redact(text), redactor) for text in (error.message, error.code)
        )
        error.args = (error.message,)
        if error.__cause__ is not None:
            error.__cause__ = _bare(error.__cause__, redactor)


def masked(response: Response, redactor: Redactor) -> Response:
    """An answer without the lab's secrets; what only looks like a key stays, it may be the answer.

    Returns:
        ``response`` itself, almost always: looking through it costs little, and only a find is put together anew.
    """
    if isinstance(response, CompletionResponse) and (text := without_half(response.text, redactor)) != response.text:
        response = replace(response, text=text)
    names = _OF_EMBEDDINGS if isinstance(response, EmbeddingResponse) else _OF_CHATS
    told = {name: getattr(response, name) for name in names}
    texts = "\0".join(_texts(told))
    if redactor.mask(texts) == texts:
        return response
    return replace(response, **masked_data(told, redactor))


def masked_data(value: Any, redactor: Redactor) -> Any:
    """Plain data without the secrets in its texts, keys of mappings included; a vector is not looked through."""
    if isinstance(value, str):
        return redactor.mask(value)
    if isinstance(value, Mapping):
        return {masked_data(key, redactor): masked_data(one, redactor) for key, one in value.items()}
    if isinstance(value, list | tuple) and value and not isinstance(value[0], float):
        inner = [masked_data(one, redactor) for one in value]
        return inner if isinstance(value, list) else tuple(inner)
    return value


def _texts(value: Any) -> Iterator[str]:
    """All texts inside plain data; a vector is not looked through."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (key for key in value if isinstance(key, str))
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple) and value and not isinstance(value[0], float):
        for inner in value:
            yield from _texts(inner)


def _bare(cause: BaseException, redactor: Redactor) -> BaseException:
    """A cause without frames; where its words cannot be changed, another one that says them."""
    chain = _chain(cause)
    for one in chain:
        one.__traceback__ = None
    told = "; ".join(f"{type(one).__name__}: {one}" for one in chain)
    everything = f"{told}; {chain}"
    return cause if redactor.mask(everything) == everything else RuntimeError(redactor.mask(told))


def _chain(error: BaseException) -> list[BaseException]:
    """An error, its causes, what was being handled meanwhile, and the members of groups; each once."""
    chain = [error]
    for one in chain:
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        following = (one.__cause__, one.__context__, *members)
        chain += [other for other in following if other is not None and not any(other is known for known in chain)]
    return chain
