"""The connector for every server that speaks OpenAI's wire format, the well-known ones by preset."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from routerlab.core.errors import ConfigurationError
from routerlab.core.failures import Ejection, ProviderError, classify
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
from routerlab.providers.base import ProviderConnector
from routerlab.providers.connection import connection_options
from routerlab.providers.keys import Key, about_refusal
from routerlab.providers.openai_catalog import read_embeddings, read_models
from routerlab.providers.openai_errors import Answer, read_limits
from routerlab.providers.openai_options import check_options, key_source, secrets_of
from routerlab.providers.openai_request import chat_body, merge_params, write_body
from routerlab.providers.openai_stream import StreamReader
from routerlab.providers.openai_wire import read_completion
from routerlab.providers.presets import Preset, find_preset
from routerlab.providers.transport import bare_cause, transport_error

__all__ = ["OpenAICompatibleProvider"]

T = TypeVar("T")

_DRAIN_S = 0.05  # for the end of the body after [DONE]: a connection read to its end is used again
_MESSAGE_CHARS = 500
_CODE_CHARS = 100
_API_VERSION = "2024-10-21"  # Azure's latest general release of the deployments API
_CONNECT_S = 10.0


class OpenAICompatibleProvider(HttpClientMixin, ConfigValidatorMixin, ProviderConnector):
    """Chat, streams, embeddings and the list of models over OpenAI's HTTP API.

    Args:
        name: the provider's name in the lab. Where ``kind`` is not given, it also chooses the preset.
        config: all optional, as long as there is an address:

            - ``kind``: a preset's name (``openai``, ``azure``, ``groq``, …).
            - ``base_url``: http(s) address of the API; the preset knows its own.
            - ``api_key``: a text, or a `routerlab.providers.keys.CommandKey`; local servers need none.
            - ``key_source``: where the key comes from, in words; named where the provider refuses it.
            - ``headers``, ``query``: sent with every request; their values are never shown.
            - ``organization``: OpenAI's, of the key.
            - ``api_version``: Azure's, for the deployments API.
            - ``stream_usage``: whether to ask for the usage of streams; false for servers that refuse the question.
            - ``ca_bundle``: a file, or a folder, of the authorities to trust in place of the usual ones.
            - ``client_cert``: a PEM file with certificate and key, or ``{cert, key, password}``.
            - ``proxy``: its address, for every host; one from the environment is never used for loopback.
            - ``trust_env``: whether proxies and certificates of the environment count; true by default.
            - ``models``: for the session; not read here.

    Raises:
        ConfigurationError: with every mistake found.
    """

    _wall_clock = staticmethod(time.time)  # dates in headers are read against it
    _grace_s = 1.0  # how long usage and [DONE] are waited for after the finish reason
    _host = ""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        config = Private(config)  # tracebacks may show the variables of a frame
        super().__init__(name, config)
        check_options(name, config, self)
        self._preset = preset = find_preset(name, config.get("kind")) or Preset(name, name)
        base_url = str(config.get("base_url") or preset.base_url).rstrip("/")
        self._deployments = preset.deployments and not base_url.endswith("/openai/v1")
        if self._deployments:
            base_url = base_url.removesuffix("/openai")
        self._host = urlsplit(base_url).hostname or base_url
        self._stream_usage = bool(config.get("stream_usage", preset.stream_usage))
        self._query = Private(config.get("query") or {})
        if self._deployments:
            self._query.setdefault("api-version", config.get("api_version") or _API_VERSION)
        self._key_source = key_source(config)
        self._secrets = Secrets(secrets_of(config))
        self._redactor = Redactor(self._secrets)
        if problem := self._open(base_url, config):
            raise ConfigurationError(f"providers.{name}: {problem}", [f"providers.{name}: {problem}"])

    def _open(self, base_url: str, config: Mapping[str, Any]) -> str:
        """Make the HTTP client; returns what stands in the way."""
        headers = {key: str(value) for key, value in (config.get("headers") or {}).items()}
        if config.get("organization"):
            headers["OpenAI-Organization"] = config["organization"]
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
        key = None
        try:
            key = await self._key()
            async with aclosing(self._deltas(request, key)) as deltas:
                async for delta in deltas:
                    yield delta
            self._key_source.accepted(key)
            return
        except (ProviderError, asyncio.CancelledError) as error:
            failure = self._presentable(error, key)
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

    async def _complete(self, request: CompletionRequest, key: Key) -> CompletionResponse:
        body = chat_body(request, self._preset, stream=False, stream_usage=False)
        path = self._path("chat/completions", request.model)
        return read_completion(await self._ask("POST", path, key, request.connect_timeout_s, body))

    async def _embed(self, request: EmbeddingRequest, key: Key) -> EmbeddingResponse:
        body = merge_params({"model": request.model, "input": list(request.inputs)}, request.params, self._preset)
        path = self._path("embeddings", request.model)
        answer = await self._ask("POST", path, key, request.connect_timeout_s, body)
        return read_embeddings(answer, len(request.inputs))

    async def _list_models(self, key: Key) -> list[ModelInfo]:
        path = "/openai/models" if self._deployments else "/models"
        return read_models(await self._ask("GET", path, key, _CONNECT_S))

    async def _deltas(self, request: CompletionRequest, key: Key) -> AsyncGenerator[Delta, None]:
        reader = StreamReader()
        clock, patience_s = asyncio.get_running_loop().time, self._grace_s
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

    async def _batches(
        self, request: CompletionRequest, reader: StreamReader, key: Key
    ) -> AsyncGenerator[list[ServerSentEvent], None]:
        body = chat_body(request, self._preset, stream=True, stream_usage=self._stream_usage)
        path = self._path("chat/completions", request.model)
        received = False

        def begin(response: httpx.Response) -> None:
            nonlocal received
            received = True
            reader.limits = read_limits(response.headers, self._wall_clock())

        options = self._request_options(key, request.connect_timeout_s, body)
        try:
            exchange = await self._http_exchange("POST", path, options)
            async with aclosing(exchange.batches(begin)) as batches:
                async for batch in batches:
                    yield batch
        except httpx.HTTPStatusError as error:
            raise self._answer(error.response, error.response.content).failure() from None
        except BadBodyError as error:
            self._refuse_body(error)
        except Exception as error:
            raise transport_error(error, self._host, received=received) from error

    def _refuse_body(self, error: BadBodyError) -> None:
        """Raise what a success means that is no event stream."""
        if isinstance(error, OversizedBodyError | UndecodableBodyError):
            raise transport_error(error, self._host, received=True) from None
        answer = self._answer(error.response, error.response.content)
        answer.json()  # an error object, a page of HTML, …
        raise answer.senseless("is no event stream")

    async def _ask(
        self, method: str, path: str, key: Key, connect_timeout_s: float | None, body: Mapping[str, Any] | None = None
    ) -> Answer:
        """One exchange, whatever its status."""
        received: list[httpx.Response] = []
        options = self._request_options(key, connect_timeout_s, body)
        try:
            exchange = await self._http_exchange(method, path, options)
            return self._answer(*await exchange.read(received.append))
        except Exception as error:
            raise transport_error(error, self._host, received=bool(received)) from error

    def _request_options(
        self, key: Key, connect_timeout_s: float | None, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        options: dict[str, Any] = {
            "headers": self._key_header(key),
            "timeout": httpx.Timeout(None, connect=connect_timeout_s, pool=connect_timeout_s),
        }
        if self._query:
            options["params"] = self._query
        if body is not None:
            options["content"] = write_body(body)
            options["headers"]["Content-Type"] = "application/json"
        return options

    def _key_header(self, key: Key) -> dict[str, str]:
        if not key.value:
            return {}
        return {"api-key": key.value} if self._preset.deployments else {"Authorization": f"Bearer {key.value}"}

    def _path(self, endpoint: str, model: str) -> str:
        return f"/openai/deployments/{quote(model, safe='')}/{endpoint}" if self._deployments else f"/{endpoint}"

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
            failure = self._presentable(error, key)
        raise failure  # out of the handler: the frames and the context of the first one hold bodies, and headers

    def _presentable(
        self, error: ProviderError | asyncio.CancelledError, key: Key | None
    ) -> ProviderError | asyncio.CancelledError:
        """The same failure, redacted and capped, without the frames it came through."""
        if isinstance(error, asyncio.CancelledError):
            return asyncio.CancelledError(*error.args)
        message = self._redactor.excerpt(error.message, _MESSAGE_CHARS)
        refreshable = False
        if key is not None and classify(error).ejects is Ejection.PROVIDER:
            message = about_refusal(self._key_source.origin, error.status, message)
            refreshable = self._key_source.refused(key)
        elif key is not None and error.status is not None and error.status < 500:
            self._key_source.accepted(key)  # whoever looks at the request has let the key pass
        shown = ProviderError(
            message,
            fault=error.fault,
            status=error.status,
            code=self._redactor.excerpt(error.code, _CODE_CHARS),
            retry_after_s=error.retry_after_s,
            sent=error.sent,
            clock=error.clock,
            limits=error.limits,
            refreshable=refreshable,
        )
        shown.__cause__ = bare_cause(error.__cause__, self._redactor)
        return shown


async def _next_within(batches: AsyncGenerator[T, None], patience_s: float) -> T | None:
    """The next events of an answer that is complete already; None for its end, however it comes."""
    try:
        async with asyncio.timeout(patience_s):
            return await anext(batches, None)
    except (TimeoutError, ProviderError):
        return None
