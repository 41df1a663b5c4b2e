"""Requests in the words of OpenAI's Responses API.

Source: OpenAI's API reference (Create a model response).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.types import CompletionRequest
from routerlab.providers.messages import chosen_tool, functions_of, image_url, json_schema, parts_of, text_of
from routerlab.providers.requests import Params

__all__ = ["REFUSED", "write_response"]

REFUSED = frozenset({"frequency_penalty", "logit_bias", "logprobs", "n", "presence_penalty", "seed", "stop"})
"""What the chat API knows and this one does not."""

_ROLES = ("system", "developer", "user", "assistant", "tool")


def write_response(request: CompletionRequest, *, stream: bool) -> dict[str, Any]:
    """The body of a request.

    Raises:
        ValueError: something has no counterpart; the message says where.
    """
    params = Params(request.params)
    body: dict[str, Any] = {"model": request.model, "input": _input(request.messages), "store": False}
    params.move(body, {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"})
    if (effort := params.take("reasoning_effort")) is not None:
        body["reasoning"] = {"effort": effort}
    wanted = params.take("response_format")
    kind, schema = json_schema(wanted)
    if kind == "json":
        body["text"] = {"format": {"type": "json_object"}}
    elif kind == "schema":
        named = {"name": "answer", **{k: v for k, v in wanted["json_schema"].items() if k != "schema"}}
        body["text"] = {"format": {"type": "json_schema", **named, "schema": schema}}
    functions, own = functions_of(params.take("tools"))
    if functions or own:
        body["tools"] = [*({"type": "function", "strict": False, **function} for function in functions), *own]
    if (choice := params.take("tool_choice")) is not None:
        own_words = isinstance(choice, Mapping) and "function" not in choice
        name = None if own_words else chosen_tool(choice)
        body["tool_choice"] = choice if name is None else {"type": "function", "name": name}
    if stream:
        body["stream"] = True
    return params.over(body)


def _input(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for place, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES:
            raise ValueError(f"messages[{place}].role: expected one of {', '.join(_ROLES)}, not {role!r}")
        if role == "tool":
            output = text_of(content)
            items.append({"type": "function_call_output", "call_id": message["tool_call_id"], "output": output})
            continue
        if content:
            items.append({"role": role, "content": content if isinstance(content, str) else _parts(content, role)})
        items += [
            {
                "type": "function_call",
                "call_id": call["id"],
                "name": call["function"]["name"],
                "arguments": call["function"].get("arguments") or "{}",
            }
            for call in message.get("tool_calls") or ()
        ]
    return items


def _parts(content: Any, role: str) -> list[dict[str, Any]]:
    text = "output_text" if role == "assistant" else "input_text"
    return [_part(part, text) for part in parts_of(content)]


def _part(part: Mapping[str, Any], text: str) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": text, "text": part["text"]}
    if part.get("type") == "image_url":
        image = part["image_url"]
        detail = {"detail": image["detail"]} if isinstance(image, Mapping) and image.get("detail") else {}
        return {"type": "input_image", "image_url": image_url(part), **detail}
    return dict(part)
