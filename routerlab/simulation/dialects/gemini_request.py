"""Requests in Gemini's format: what is wrong with them, and what they mean in OpenAI's shape.

Source: Google's "Gemini API reference" (generateContent, embedContent); fields may be written in either case, as the
JSON mapping of protocol buffers has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request

from routerlab.core.checks import is_whole
from routerlab.core.simulated import SimulatedRequest, read_chat, read_embedding
from routerlab.simulation.dialects.checks import is_within
from routerlab.simulation.dialects.problems import Problem

__all__ = ["ALT", "STREAM", "chat_problem", "complete", "embedding_problem", "read", "read_texts", "texts_of"]

STREAM, ALT = "$stream", "$alt"  # what the address says; no field of the format begins so
_FIELDS = {
    "cachedContent",
    "contents",
    "generationConfig",
    "labels",
    "model",
    "safetySettings",
    "serviceTier",
    "store",
    "systemInstruction",
    "toolConfig",
    "tools",
    STREAM,
    ALT,
}
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}
_UNREADABLE = Problem(400, "Invalid JSON payload received. Unexpected token.")


def complete(body: dict[str, Any], request: Request) -> None:
    """The address names the model, and how the answer is wanted."""
    body["model"] = request.path_params["name"]
    body[STREAM] = request.url.path.endswith(":streamGenerateContent")
    body[ALT] = request.query_params.get("alt", "json")


def _get(of: Any, name: str) -> Any:
    """A field by its name in either case."""
    if not isinstance(of, Mapping):
        return None
    if name in of:
        return of[name]
    return of.get("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def chat_problem(body: Any) -> Problem | None:
    """What is wrong with a request for content; None: nothing."""
    if not isinstance(body, dict):
        return _UNREADABLE
    complaint = next(_complaints(body), None)
    return None if complaint is None else Problem(400, complaint)


def _complaints(body: Mapping[str, Any]) -> Iterator[str]:
    for name in body:
        if name not in _FIELDS and _camel(name) not in _FIELDS:
            yield f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        yield "* GenerateContentRequest.contents: contents is not specified\n"
        return
    for index, content in enumerate(contents):
        if not isinstance(content, dict) or content.get("role", "user") not in ("user", "model", "function"):
            yield "Please use a valid role: user, model."
        elif not isinstance(content.get("parts"), list) or not content["parts"]:
            yield f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
        elif not all(isinstance(part, dict) for part in content["parts"]):
            yield f"Invalid value at 'contents[{index}].parts'"
    yield from _complaints_of_config(_get(body, "generationConfig") or {})
    declared = [function for tool in body.get("tools") or () for function in _get(tool, "functionDeclarations") or ()]
    for index, function in enumerate(declared):
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            yield f"* GenerateContentRequest.tools[0].function_declarations[{index}].name: Invalid function name.\n"


def _complaints_of_config(config: Any) -> Iterator[str]:
    for name, field, high in (("temperature", "temperature", 2.0), ("topP", "top_p", 1.0)):
        value = _get(config, name)
        if value is not None and not is_within(value, 0, high):
            yield f"* GenerateContentRequest.generation_config.{field}: {field} must be in the range [0.0, {high}].\n"
    most = _get(config, "maxOutputTokens")
    if most is not None and not is_whole(most):
        yield "* GenerateContentRequest.generation_config.max_output_tokens: max_output_tokens must be positive.\n"


def read(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a request for content means."""
    messages: list[dict[str, Any]] = []
    system = _get(body, "systemInstruction")
    if system:
        messages.append({"role": "system", "content": _text(system)})
    for content in body["contents"]:
        messages += _messages(content)
    return read_chat(messages, _params(body), stream=body[STREAM])


def _messages(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One content may be several messages in OpenAI's shape: results of functions stand by themselves there."""
    role = "assistant" if content.get("role") == "model" else "user"
    said: list[dict[str, Any]] = []
    calls, results = [], []
    for part in content["parts"]:
        call, result = _get(part, "functionCall"), _get(part, "functionResponse")
        if call:
            function = {"name": call.get("name"), "arguments": json.dumps(call.get("args") or {})}
            calls.append({"id": call.get("id"), "type": "function", "function": function})
        elif result:
            results.append({"role": "tool", "content": json.dumps(result.get("response"))})
        elif _get(part, "inlineData") or _get(part, "fileData"):
            said.append({"type": "image_url"})
        elif not part.get("thought"):
            said.append({"type": "text", "text": str(part.get("text", ""))})
    yield from results
    if said or not results:
        yield {"role": role, "content": said, **({"tool_calls": calls} if calls else {})}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in _get(content, "parts") or () if isinstance(part, Mapping))


def _params(body: Mapping[str, Any]) -> dict[str, Any]:
    config = _get(body, "generationConfig") or {}
    params: dict[str, Any] = {
        "max_tokens": _get(config, "maxOutputTokens"),
        "stop": _get(config, "stopSequences"),
        "seed": config.get("seed"),
        "tools": [_tool(one) for tool in body.get("tools") or () for one in _get(tool, "functionDeclarations") or ()],
    }
    calling = _get(_get(body, "toolConfig"), "functionCallingConfig") or {}
    allowed = _get(calling, "allowedFunctionNames")
    if allowed and calling.get("mode") == "ANY":
        params["tool_choice"] = {"type": "function", "function": {"name": allowed[0]}}
    else:
        params["tool_choice"] = _MODES.get(calling.get("mode", "AUTO"), "auto")
    schema = _get(config, "responseSchema") or _get(config, "responseJsonSchema")
    if schema:
        params["response_format"] = {"type": "json_schema", "json_schema": {"schema": _plain(schema)}}
    elif _get(config, "responseMimeType") == "application/json":
        params["response_format"] = {"type": "json_object"}
    return params


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    schema = _get(function, "parameters") or _get(function, "parametersJsonSchema") or {}
    return {"type": "function", "function": {"name": function["name"], "parameters": _plain(schema)}}


def _plain(schema: Any) -> Any:
    """A schema with its types in small letters: Google writes ``OBJECT`` where JSON Schema has ``object``."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _plain(value)
        for key, value in schema.items()
    }


def texts_of(body: Mapping[str, Any]) -> list[str]:
    """The texts to embed, of a single request or of a batch."""
    return [_text(one.get("content")) for one in _requests(body)]


def _requests(body: Mapping[str, Any]) -> Any:
    return body.get("requests", [body])


def embedding_problem(body: Any) -> Problem | None:
    """What is wrong with a request for embeddings; None: nothing."""
    if not isinstance(body, dict):
        return _UNREADABLE
    requests = _requests(body)
    if not isinstance(requests, list) or not requests or not all(isinstance(one, dict) for one in requests):
        return Problem(400, "* BatchEmbedContentsRequest.requests: at least one request is required\n")
    if not all(texts_of(body)):
        return Problem(400, "* EmbedContentRequest.content: contents is not specified\n")
    size = _get(requests[0], "outputDimensionality")
    if size is not None and not is_whole(size):
        return Problem(400, "* EmbedContentRequest.output_dimensionality: output_dimensionality must be positive.\n")
    return None


def read_texts(body: Mapping[str, Any]) -> SimulatedRequest:
    """What a request for embeddings means."""
    return read_embedding(texts_of(body), {"dimensions": _get(_requests(body)[0], "outputDimensionality")})
