"""Requests in the words of Google's Gemini API.

Source: the Gemini API's reference (generateContent, function calling, thinking, structured output, embeddings).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.types import CompletionRequest, EmbeddingRequest
from routerlab.providers.messages import (
    arguments_of,
    chosen_tool,
    data_url,
    functions_of,
    image_url,
    json_schema,
    parts_of,
    split_system,
    text_of,
    tool_names,
)
from routerlab.providers.requests import Params, merge_params

__all__ = ["refused", "write_chat", "write_embeddings"]

_REFUSED = frozenset({"logit_bias", "parallel_tool_calls", "user"})
_RENAMES = {
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24_576}  # as Google's own OpenAI endpoint
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}


def refused(request: CompletionRequest) -> frozenset[str]:
    """Names of parameters that have no counterpart."""
    return frozenset(name for name in _REFUSED if request.params.get(name) is not None)


def write_chat(request: CompletionRequest) -> dict[str, Any]:
    """The body of a request; the model stands in the path.

    Raises:
        ValueError: something has no counterpart; the message says where.
    """
    params = Params(request.params)
    system, messages = split_system(request.messages)
    body: dict[str, Any] = {"contents": _contents(messages)}
    if system:
        body["systemInstruction"] = {"parts": [_part(part) for content in system for part in parts_of(content)]}
    config: dict[str, Any] = {}
    params.move(config, _RENAMES)
    if (stop := params.take("stop")) is not None:
        config["stopSequences"] = [stop] if isinstance(stop, str) else list(stop)
    kind, schema = json_schema(params.take("response_format"))
    if kind != "text":
        config["responseMimeType"] = "application/json"
    if schema is not None:
        config["responseJsonSchema"] = schema
    if (effort := params.take("reasoning_effort")) is not None:
        config["thinkingConfig"] = _thinking(effort, request.model)
    if config:
        body["generationConfig"] = config
    return params.over(body | _tools(params))


def write_embeddings(request: EmbeddingRequest) -> dict[str, Any]:
    """The body of a request for embeddings: one content for each text."""
    params = {("outputDimensionality" if name == "dimensions" else name): v for name, v in request.params.items()}
    name = f"models/{request.model.removeprefix('models/')}"
    return {
        "requests": [
            merge_params({"model": name, "content": {"parts": [{"text": text}]}}, params) for text in request.inputs
        ]
    }


def _contents(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Results of tools are the user's, all of one step in one content."""
    names = tool_names(messages)
    written: list[dict[str, Any]] = []
    for place, message in enumerate(messages):
        role = message["role"]
        if role == "tool":
            part = _result(message, names)
            if place and messages[place - 1]["role"] == "tool":
                written[-1]["parts"].append(part)
            else:
                written.append({"role": "user", "parts": [part]})
            continue
        parts = [_part(part) for part in parts_of(message.get("content"))]
        parts += [_call(call) for call in message.get("tool_calls") or ()]
        written.append({"role": "model" if role == "assistant" else "user", "parts": parts})
    return written


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"text": part["text"]}
    if part.get("type") != "image_url":
        return dict(part)  # Google's own
    url = image_url(part)
    inline = data_url(url)
    if inline is None:
        return {"fileData": {"fileUri": url}}
    return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call that the model made; its signature goes back with it (Gemini 3 insists)."""
    part: dict[str, Any] = {"functionCall": {"name": call["function"]["name"], "args": arguments_of(call)}}
    signature = ((call.get("extra_content") or {}).get("google") or {}).get("thought_signature")
    if signature:
        part["thoughtSignature"] = signature
    return part


def _result(message: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    call_id = message["tool_call_id"]
    name = message.get("name") or names.get(call_id)
    if not name:
        raise ValueError(f"messages: the tool message of {call_id!r} answers no call of an assistant message before it")
    text = text_of(message.get("content"))
    try:
        result = json.loads(text)
    except ValueError:
        result = text
    return {"functionResponse": {"name": name, "response": result if isinstance(result, dict) else {"result": result}}}


def _tools(params: Params) -> dict[str, Any]:
    functions, own = functions_of(params.take("tools"))
    choice = params.take("tool_choice")
    if not functions and not own:
        return {}
    declared = [
        {
            "name": function["name"],
            **({"description": function["description"]} if function.get("description") else {}),
            **({"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {}),
        }
        for function in functions
    ]
    body: dict[str, Any] = {"tools": [*([{"functionDeclarations": declared}] if declared else []), *own]}
    if choice is not None:
        name = chosen_tool(choice)
        if name is None and choice not in _MODES:
            raise ValueError(f"tool_choice: expected auto, required, none or a function, not {choice!r}")
        config = {"mode": _MODES[choice]} if name is None else {"mode": "ANY", "allowedFunctionNames": [name]}
        body["toolConfig"] = {"functionCallingConfig": config}
    return body


def _thinking(effort: str, model: str) -> dict[str, Any]:
    """From Gemini 3 on a level, before it a budget of tokens; either way the thoughts are shown."""
    if effort not in _BUDGETS:
        raise ValueError(f"reasoning_effort: expected {', '.join(_BUDGETS)}, not {effort!r}")
    if "gemini-2" in model or "gemini-1" in model or effort == "none":
        budget = _BUDGETS[effort]
        return {"thinkingBudget": budget, **({"includeThoughts": True} if budget else {})}
    return {"thinkingLevel": effort.upper(), "includeThoughts": True}
