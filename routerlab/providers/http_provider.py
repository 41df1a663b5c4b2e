"""What all providers over HTTP share: key, connection, streams, and failures that are fit to be shown."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import httpx

from routerlab.core.errors import ConfigurationError
from routerlab.core.failures import Fault, ProviderError
from routerlab.core.redact import Private, Redactor, Secrets
from routerlab.core.sse import ServerSentEvent
from routerlab.core.types import (
    CompletionRequest,
    CompletionResponse,
    Delta,
    EmbeddingRequest,
    EmbeddingResponse,
    ModelInfo,
)
from routerlab.mixins.config import ConfigValidatorMixin
from routerlab.mixins.http import HttpClientMixin
from routerlab.mixins.http_body import BadBodyError, OversizedBodyError, UndecodableBodyError
from routerlab.mixins.http_exchange import EVENT_STREAM, Framing
from routerlab.providers.answers import Answer, read_limits
from routerlab.providers.base import ProviderConnector
from routerlab.providers.connection import connection_options
from routerlab.providers.keys import Key
from routerlab.providers.options import check_options, key_source, secrets_of
from routerlab.providers.presenting import presentable
from routerlab.providers.presets import Preset, find_preset
from routerlab.providers.reading import Reader
from routerlab.providers.requests import Call, write_body
from routerlab.providers.transport import transport_error

__all__ = ["HttpProvider"]

T = TypeVar("T")

_DRAIN_S = 0.05  # for the end of the body after its last event: a connection read to its end is used again
_CONNECT_S = 10.0


class HttpProvider(HttpClientMixin, ConfigValidatorMixin, ProviderConnector):
    """A provider with an HTTP API. A subclass says what the API looks like: paths, bodies, answers.

    Args:
        name: the provider's name in the lab. Where ``kind`` is not given, it also chooses the preset.
        config: all optional, as long as there is an address:

            - ``kind``: a preset's name (``openai``, ``anthropic``, ``groq``, …).
            - ``base_url``: http(s) address of the API; the preset knows its own.
            - ``api_key``: a text, or a `routerlab.providers.keys.CommandKey`; local servers need none.
            - ``key_source``: where the key comes from, in words; named where the provider refuses it.
            - ``headers``, ``query``: sent with every request; their values are never shown.
            - ``organization``: OpenAI's, of the key.
            - ``api_version``: Azure's, for the deployments API, and Anthropic's.
            - ``stream_usage``: whether to ask for the usage of streams; false for servers that refuse the question.
            - ``ca_bundle``: a file, or a folder, of the authorities to trust in place of the usual ones.
            - ``client_cert``: a PEM file with certificate and key, or ``{cert, key, password}``.
            - ``proxy``: its address, for every host; one from the environment is never used for loopback.
            - ``trust_env``: whether proxies and certificates of the environment count; true by default.
            - ``models``: for the session; not read here.

    Raises:
        ConfigurationError: with every mistake found.
    """

    usual_kind: ClassVar[str] = ""  # the preset where neither kind nor name is one's
    framing: ClassVar[Framing] = EVENT_STREAM

    _wall_clock = staticmethod(time.time)  # dates in headers are read against it
    _grace_s = 1.0  # how long usage and [DONE] are waited for after the finish reason
    _host = ""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        config = Private(config)  # tracebacks may show the variables of a frame
        super().__init__(name, config)
        check_options(name, config, self)
        self._preset = find_preset(name, config.get("kind")) or find_preset(self.usual_kind) or Preset(name, name)
        base_url = self._base_url(str(config.get("base_url") or self._preset.base_url).rstrip("/"))
        self._host = urlsplit(base_url).hostname or base_url
        self._query = Private(config.get("query") or {})
        self._prepare(config)
        self._key_source = key_source(config)
        self._secrets = Secrets(secrets_of(config))
        self._redactor = Redactor(self._secrets)
        if problem := self._open(base_url, config):
            raise ConfigurationError(f"providers.{name}: {problem}", [f"providers.{name}: {problem}"])

    def _open(self, base_url: str, config: Mapping[str, Any]) -> str:
        """Make the HTTP client; returns what stands in the way."""
        given = {key: str(value) for key, value in (config.get("headers") or {}).items()}
        headers = {**self._usual_headers(config), **given}
        try:
            options = connection_options(config)
        except ValueError as error:
            return str(error)
        try:
            self._init_http_client(base_url, timeout=None, max_retries=0, headers=headers, **options)
        except ImportError:
            return "the environment's proxy speaks SOCKS, which needs one package more: pip install 'httpx[socks]'"
        except (ValueError, httpx.InvalidURL):  # the options were checked: it is not one of them
            return "one of the variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY is not the address of a proxy"
        return ""

    async def complete(self, request: CompletionRequest) -> CompletionResponse:
        """Answer one chat request; see `ProviderConnector.complete`."""
        return await self._guarded(lambda key: self._complete(request, key))

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        """Answer one chat request piece by piece; see `ProviderConnector.stream`."""
        key, reader, patience_s = None, self._reader(), self._grace_s
        batch: list[ServerSentEvent] | None
        clock = asyncio.get_running_loop().time
        try:
            key = await self._key()
            async with aclosing(self._batches(request, reader, key)) as batches:
                while True:
                    if not reader.finished and not reader.done:
                        batch = await anext(batches, None)
                    else:  # complete: what follows is welcome, but not needed
                        asked_at = clock()
                        batch = await _next_within(batches, min(patience_s, _DRAIN_S) if reader.done else patience_s)
                        patience_s -= clock() - asked_at
                    if batch is None:
                        break
                    for event in batch:
                        for delta in reader.read(event):
                            yield delta
            for delta in reader.end():
                yield delta
            self._key_source.accepted(key)
            return
        except (ProviderError, asyncio.CancelledError) as error:
            failure = presentable(error, key, self._key_source, self._redactor)
            batch = event = delta = None  # type: ignore[assignment]  # a traceback would show what the provider sent
        raise failure

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return one vector for each input; see `ProviderConnector.embed`."""
        return await self._guarded(lambda key: self._embed(request, key))

    async def list_models(self) -> list[ModelInfo]:
        """List the provider's models; see `ProviderConnector.list_models`."""
        return await self._guarded(self._list_models)

    def keep_secret(self, secrets: Secrets) -> None:
        """Learn the lab's secrets; see `ProviderConnector.keep_secret`."""
        self._secrets.include(secrets)

    async def close(self) -> None:
        """Close all connections."""
        await self._key_source.close()
        await self._close_http_client()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, host={self._host!r})"

    # -- what a subclass says ------------------------------------------------------------------------------------------

    def _base_url(self, url: str) -> str:
        """The address below which all paths are, from the one in the configuration."""
        return url

    def _prepare(self, config: Mapping[str, Any]) -> None:
        """Take in one's own options; they have been checked. (In ``__init__`` tracebacks would show them.)"""

    def _usual_headers(self, config: Mapping[str, Any]) -> dict[str, str]:
        """Headers that every request has; those in the configuration come before them."""
        return {}

    @abstractmethod
    def _chat_call(self, request: CompletionRequest, *, stream: bool) -> Call:
        """The request for an answer; raises a `ProviderError` for what cannot be said in this API."""

    @abstractmethod
    def _read_completion(self, answer: Answer) -> CompletionResponse:
        """The whole answer; raises a `ProviderError` for an error status, and for an answer that makes no sense."""

    @abstractmethod
    def _reader(self) -> Reader:
        """Reads one streamed answer."""

    def _embedding_call(self, request: EmbeddingRequest) -> Call:
        raise self._no_endpoint("embeddings")

    def _read_embeddings(self, answer: Answer, count: int) -> EmbeddingResponse:
        raise self._no_endpoint("embeddings")

    def _models_call(self) -> Call:
        raise self._no_endpoint("a list of models")

    def _read_models(self, answer: Answer) -> list[ModelInfo]:
        raise self._no_endpoint("a list of models")

    def _events_of_whole(self, answer: Answer) -> list[ServerSentEvent]:
        """The events of a success that is no stream; raises a `ProviderError` where it is no answer either."""
        answer.json()  # an error object, a page of HTML, …
        raise answer.senseless("is no event stream")

    # -- on the way ----------------------------------------------------------------------------------------------------

    async def _complete(self, request: CompletionRequest, key: Key) -> CompletionResponse:
        call = self._said(request, stream=False)
        return self._read_completion(await self._ask(call, key, request.connect_timeout_s))

    def _said(self, request: CompletionRequest, *, stream: bool) -> Call:
        """The request in the words of this API."""
        refused = self.refused_params(request)
        if refused:
            names = ", ".join(sorted(refused))
            message = f"{request.model} does not take {names}: leave it out, or set drop_params"
            raise ProviderError(message, fault=Fault.LOCAL, sent=False)
        try:
            return self._chat_call(request, stream=stream)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            problem = str(error) if type(error) is ValueError else f"{type(error).__name__} {error}"
        message = f"the request cannot be said in the words of {self._preset.title}: {problem}"
        raise ProviderError(message, fault=Fault.LOCAL, sent=False)

    async def _embed(self, request: EmbeddingRequest, key: Key) -> EmbeddingResponse:
        answer = await self._ask(self._embedding_call(request), key, request.connect_timeout_s)
        return self._read_embeddings(answer, len(request.inputs))

    async def _list_models(self, key: Key) -> list[ModelInfo]:
        return self._read_models(await self._ask(self._models_call(), key, _CONNECT_S))

    async def _batches(
        self, request: CompletionRequest, reader: Reader, key: Key
    ) -> AsyncGenerator[list[ServerSentEvent], None]:
        call = self._said(request, stream=True)
        received = False
        whole: list[ServerSentEvent] = []

        def begin(response: httpx.Response) -> None:
            nonlocal received
            received = True
            reader.limits = read_limits(response.headers, self._wall_clock())

        options = self._request_options(key, request.connect_timeout_s, call)
        try:
            exchange = await self._http_exchange("POST", call.path, options)
            async with aclosing(exchange.batches(begin, self.framing)) as batches:
                async for batch in batches:
                    yield batch
        except httpx.HTTPStatusError as error:
            raise self._answer(error.response, error.response.content).failure() from None
        except BadBodyError as error:
            whole = self._events_of_body(error)
        except Exception as error:
            raise transport_error(error, self._host, received=received) from error
        if whole:
            yield whole

    def _events_of_body(self, error: BadBodyError) -> list[ServerSentEvent]:
        """The events of a success that is no event stream."""
        if isinstance(error, OversizedBodyError | UndecodableBodyError):
            raise transport_error(error, self._host, received=True)
        return self._events_of_whole(self._answer(error.response, error.response.content))

    async def _ask(self, call: Call, key: Key, connect_timeout_s: float | None) -> Answer:
        """One exchange, whatever its status."""
        received: list[httpx.Response] = []
        options = self._request_options(key, connect_timeout_s, call)
        try:
            exchange = await self._http_exchange("GET" if call.body is None else "POST", call.path, options)
            return self._answer(*await exchange.read(received.append))
        except Exception as error:
            raise transport_error(error, self._host, received=bool(received)) from error

    def _request_options(self, key: Key, connect_timeout_s: float | None, call: Call) -> dict[str, Any]:
        options: dict[str, Any] = {
            "headers": self._key_header(key),
            "timeout": httpx.Timeout(None, connect=connect_timeout_s, pool=connect_timeout_s),
        }
        if self._query or call.query:
            options["params"] = {**call.query, **self._query}
        if call.body is not None:
            options["content"] = write_body(call.body)
            options["headers"]["Content-Type"] = "application/json"
        return options

    def _key_header(self, key: Key) -> dict[str, str]:
        if not key.value:
            return {}
        name = self._preset.key_header
        return {name: f"Bearer {key.value}" if name == "Authorization" else key.value}

    def _answer(self, response: httpx.Response, body: bytes) -> Answer:
        return Answer(
            response.status_code, dict(response.headers.items()), body.decode("utf-8", "replace"), self._wall_clock()
        )

    async def _key(self) -> Key:
        key = await self._key_source.get()
        self._secrets.add(key.value)
        return key

    async def _guarded(self, call: Callable[[Key], Awaitable[T]]) -> T:
        key = None
        try:
            key = await self._key()
            result = await call(key)
            self._key_source.accepted(key)
            return result
        except (ProviderError, asyncio.CancelledError) as error:
            failure = presentable(error, key, self._key_source, self._redactor)
        raise failure  # out of the handler: the frames and the context of the first one hold bodies, and headers


async def _next_within(batches: AsyncGenerator[T, None], patience_s: float) -> T | None:
    """The next events of an answer that is complete already; None for its end, however it comes."""
    try:
        async with asyncio.timeout(patience_s):
            return await anext(batches, None)
    except (TimeoutError, ProviderError):
        return None
