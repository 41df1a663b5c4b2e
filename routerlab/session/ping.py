"""One tiny call to each model: is it there, does it take the key, how long does it take."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass

from routerlab.core.capabilities import CHAT, EMBEDDING
from routerlab.core.errors import ProviderUnavailableError, RequestTimeoutError
from routerlab.core.failures import ProviderError, classify
from routerlab.core.types import CompletionRequest, EmbeddingRequest
from routerlab.session.privacy import conceal
from routerlab.session.session import Session

__all__ = ["Ping", "ping"]

_TOGETHER = 16  # calls in flight at most
_OF_ONE = 4  # of them to one provider: more looks like a flood
_MAX_TOKENS = 16  # the least that every provider accepts
_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Ping:
    """What came of the call to one model.

    Attributes:
        model: ``provider/model``.
        ok: whether it answered; None: it was not asked, because no verb of a lab is for what it does.
        latency_s: until the answer or the failure; None: it was not asked.
        error: the class of the error that a caller would get; empty without one.
        message: what went wrong, without secrets.
    """

    model: str
    ok: bool | None
    latency_s: float | None = None
    error: str = ""
    message: str = ""


async def ping(session: Session, *, timeout_s: float = 30.0) -> list[Ping]:
    """Ask every model once, past breakers and records: a chat of a few tokens, or the vector of a word.

    Args:
        session: in whose loop this runs.
        timeout_s: for each model.

    Returns:
        One for each model, in the order of the configuration.
    """
    all_of_them = asyncio.Semaphore(_TOGETHER)
    of_one: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_OF_ONE))

    async def one(model: str) -> Ping:
        async with of_one[model.partition("/")[0]], all_of_them:
            return await _ask(session, model, timeout_s)

    return list(await asyncio.gather(*map(one, session.models)))


async def _ask(session: Session, model: str, timeout_s: float) -> Ping:
    request = _request(session, model, min(_CONNECT_S, timeout_s))
    if request is None:
        return Ping(model, None, message=f"nothing asks for {', '.join(session.models[model]) or 'nothing'}")
    connector, redactor = session.connectors[model.partition("/")[0]], session.desk.redactor
    started = time.monotonic()
    error, message = "", ""
    try:
        async with asyncio.timeout(timeout_s):
            if isinstance(request, EmbeddingRequest):
                await connector.embed(request)
            else:
                await connector.complete(request)
    except ProviderError as failure:
        conceal(failure, redactor)
        error, message = (classify(failure).error or ProviderUnavailableError).__name__, failure.message
    except TimeoutError:
        error, message = RequestTimeoutError.__name__, f"no answer within {timeout_s:g} s"
    except Exception as mistake:  # noqa: BLE001 - a mistake in a connector says that as well
        error, message = type(mistake).__name__, redactor.redact(str(mistake))
    return Ping(model, not error, time.monotonic() - started, error, message)


def _request(session: Session, model: str, connect_s: float) -> CompletionRequest | EmbeddingRequest | None:
    name, can, tree = model.partition("/")[2], session.models[model], session.tree
    if tree.serves(CHAT, can) or any(tree.covers(capability, CHAT) for capability in can):
        hello = ({"role": "user", "content": "Hi"},)
        return CompletionRequest("ping", CHAT, name, hello, {"max_tokens": _MAX_TOKENS}, connect_timeout_s=connect_s)
    if tree.serves(EMBEDDING, can) or any(tree.covers(capability, EMBEDDING) for capability in can):
        return EmbeddingRequest("ping", name, ("Hi",), connect_timeout_s=connect_s)
    return None
