"""The connector for Ollama's own API, which says more than its OpenAI-compatible one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.sse import ServerSentEvent
from routerlab.core.types import (
    CompletionRequest,
    CompletionResponse,
    Delta,
    EmbeddingRequest,
    EmbeddingResponse,
    ModelInfo,
    TokenUsage,
)
from routerlab.mixins.http_exchange import JSON_LINES
from routerlab.providers.answers import Answer
from routerlab.providers.http_provider import HttpProvider
from routerlab.providers.lists import model_rows, read_vectors
from routerlab.providers.messages import arguments_of, data_url, image_url, json_schema, parts_of, text_of, tool_names
from routerlab.providers.reading import ChunkReader, finish_reason, whole_answer
from routerlab.providers.requests import Call, Params, merge_params
from routerlab.providers.shapes import arguments_text, listed, mapping, new_call_id, text, tokens, tool_call

__all__ = ["ChatReader", "OllamaProvider"]

_REFUSED = frozenset({"logit_bias", "n", "parallel_tool_calls", "tool_choice", "user"})
_OPTIONS = {name: name for name in ("min_p", "num_ctx", "repeat_penalty", "seed", "temperature", "top_k", "top_p")} | {
    "frequency_penalty": "frequency_penalty",
    "max_completion_tokens": "num_predict",
    "max_tokens": "num_predict",
    "presence_penalty": "presence_penalty",
}
_LOADED = ("load", "unload")  # why an answer is empty: nothing was asked


class OllamaProvider(HttpProvider):
    """Local models: chat, streams, tools, images, thinking, structured output, embeddings, the list of models.

    Args:
        name: the provider's name in the lab.
        config: see `HttpProvider`; a ``base_url`` may end in ``/v1`` or ``/api``, too.

    Raises:
        ConfigurationError: with every mistake found.

    Source: Ollama's API documentation (chat, embed, tags).
    """

    usual_kind = "ollama"
    framing = JSON_LINES

    def refused_params(self, request: CompletionRequest) -> frozenset[str]:
        """Parameters that the API does not know; see `ProviderConnector.refused_params`."""
        names = {name for name in _REFUSED if request.params.get(name) is not None}
        return frozenset(names - ({"tool_choice"} if request.params.get("tool_choice") == "auto" else set()))

    def takes_prefill(self, model: str) -> bool:
        """Templates end with the last message, whoever wrote it; see `ProviderConnector.takes_prefill`."""
        return True

    def _base_url(self, url: str) -> str:
        return url.removesuffix("/v1").removesuffix("/api")

    def _chat_call(self, request: CompletionRequest, *, stream: bool) -> Call:
        params = Params(request.params)
        body: dict[str, Any] = {"model": request.model, "messages": _messages(request.messages), "stream": stream}
        options: dict[str, Any] = {}
        params.move(options, _OPTIONS)
        if (stop := params.take("stop")) is not None:
            options["stop"] = [stop] if isinstance(stop, str) else list(stop)
        if options:
            body["options"] = options
        kind, schema = json_schema(params.take("response_format"))
        if kind != "text":
            body["format"] = schema or "json"
        if (effort := params.take("reasoning_effort")) is not None:
            body["think"] = effort != "none" if effort in ("none", "minimal") else effort
        params.take("tool_choice")
        return Call("/api/chat", params.over(body))

    def _read_completion(self, answer: Answer) -> CompletionResponse:
        return _read_chat(answer)

    def _reader(self) -> ChatReader:
        return ChatReader()

    def _events_of_whole(self, answer: Answer) -> list[ServerSentEvent]:
        if "message" not in mapping(answer.json()):
            raise answer.senseless("is no stream of JSON lines")
        return [ServerSentEvent(answer.text)]

    def _embedding_call(self, request: EmbeddingRequest) -> Call:
        return Call("/api/embed", merge_params({"model": request.model, "input": list(request.inputs)}, request.params))

    def _read_embeddings(self, answer: Answer, count: int) -> EmbeddingResponse:
        body = answer.json()
        vectors = read_vectors(answer, count, lambda: body["embeddings"])
        return EmbeddingResponse(vectors, _usage(body), text(body.get("model")) or None, raw=body)

    def _models_call(self) -> Call:
        return Call("/api/tags")

    def _read_models(self, answer: Answer) -> list[ModelInfo]:
        return [ModelInfo(row["name"]) for row in model_rows(answer, "models", "name")]


class ChatReader(ChunkReader):
    """Reads one streamed answer, a JSON object a line; see `routerlab.providers.reading.Reader`."""

    def _chunk(self, chunk: Mapping[str, Any]) -> list[Delta]:
        message = mapping(chunk["message"]) if "message" in chunk else {}
        deltas = [Delta(reasoning=message["thinking"])] if message.get("thinking") else []
        deltas += [self._text(message["content"])] if message.get("content") else []
        for raw in listed(message.get("tool_calls"), "tool_calls"):
            function = mapping(raw.get("function"))
            arguments = arguments_text(function.get("arguments") or {})
            deltas.append(
                self._call_begins(text(function.get("name")), text(raw.get("id")) or new_call_id(), arguments)
            )
        if chunk.get("done"):
            deltas.append(self._finish(text(chunk.get("done_reason")) or "stop", _usage(chunk)))
            self.done = True
        if deltas:
            deltas[0].served_model = self._model(chunk.get("model"))
        return deltas


def _read_chat(answer: Answer) -> CompletionResponse:
    body = answer.json()
    if not isinstance(body, dict) or not isinstance(body.get("message"), dict):
        raise answer.senseless("is no chat answer")
    message = body["message"]
    try:
        raw_calls = listed(message.get("tool_calls"), "tool_calls")
    except ValueError:
        raise answer.senseless("is no chat answer") from None
    functions = [(mapping(raw.get("function")), text(raw.get("id"))) for raw in raw_calls]
    calls = tuple(tool_call(text(f.get("name")), f.get("arguments") or {}, call_id) for f, call_id in functions)
    words = text(message.get("content"))
    reason = None if text(body.get("done_reason")) in _LOADED else finish_reason(text(body.get("done_reason")))
    reason = reason or ("stop" if body.get("done") else None)
    thoughts = text(message.get("thinking"))
    return whole_answer(
        answer, body, words, reason, reasoning=thoughts, calls=calls, usage=_usage(body), model=body.get("model")
    )


def _usage(body: Mapping[str, Any]) -> TokenUsage | None:
    """A prompt that was in the cache as a whole is not counted by older servers."""
    prompt, output = tokens(body, "prompt_eval_count"), tokens(body, "eval_count")
    if prompt is None and output is None:
        return None
    return TokenUsage(prompt, output, None if prompt is None else prompt + (output or 0))


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = tool_names(messages)
    written: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content")
        one: dict[str, Any] = {"role": message["role"], "content": text_of(content)}
        if one["role"] == "developer":
            one["role"] = "system"
        images = [_image(part) for part in parts_of(content) if part.get("type") == "image_url"]
        if images:
            one["images"] = images
        if message.get("tool_calls"):
            one["tool_calls"] = [
                {"function": {"name": call["function"]["name"], "arguments": arguments_of(call)}}
                for call in message["tool_calls"]
            ]
        if one["role"] == "tool" and (name := message.get("name") or names.get(str(message.get("tool_call_id")))):
            one["tool_name"] = name
        written.append(one)
    return written


def _image(part: Mapping[str, Any]) -> str:
    inline = data_url(image_url(part))
    if inline is None:
        raise ValueError("image_url: Ollama loads no pictures from the web, give a data URL: 'data:image/png;base64,…'")
    return inline[1]
